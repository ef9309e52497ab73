//! The one library of cryptography behind every TLS connection.

use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

/// Makes ring the default of the process, which reqwest needs before it makes a client, and returns it.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    // An error says that there is a default already.
    let _ = ring::default_provider().install_default();
    CryptoProvider::get_default().map_or_else(|| Arc::new(ring::default_provider()), Arc::clone)
}
