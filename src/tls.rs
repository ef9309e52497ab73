//! The one library of cryptography behind every TLS connection.

use tokio_rustls::rustls::crypto::ring;

/// Makes ring the default of the process. reqwest needs one before it makes a client, also to speak without TLS.
pub fn set_up() {
    // An error says that there is a default already.
    let _ = ring::default_provider().install_default();
}
