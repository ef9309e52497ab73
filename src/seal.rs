//! Keeps secrets in the database unreadable: it may be copied where `config/secret.key` is not.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use sha2::{Digest, Sha256};

use crate::model::secret::Secret;

/// Bytes of the nonce that stands before what is sealed.
const NONCE: usize = 24;

/// Seals and opens with the key of this server; cheap to clone.
#[derive(Clone)]
pub struct Seal(XChaCha20Poly1305);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(***)")
    }
}

impl Seal {
    /// Reads `secret.key` of this directory, or makes one. With a new key nothing that was sealed before can be
    /// opened: `open` says so, and the person enters it again.
    pub fn load(config: &Path) -> io::Result<Self> {
        let path = config.join("secret.key");
        let key = match fs::read_to_string(&path) {
            Ok(text) => Secret::new(text.trim()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = new_key();
                write_key(&path, &key)?;
                key
            }
            Err(error) => return Err(error),
        };
        Ok(Self::new(&key))
    }

    fn new(key: &Secret) -> Self {
        let key: [u8; 32] = Sha256::digest(key.reveal()).into();
        Self(XChaCha20Poly1305::new(&key.into()))
    }

    /// Text that only `open` with the same `place` reads. The place is what the secret is for, such as `s3`: a
    /// sealed text copied to another place does not open there.
    pub fn close(&self, place: &str, secret: &Secret) -> String {
        let nonce: [u8; NONCE] = rand::random();
        let payload = Payload { msg: secret.reveal().as_bytes(), aad: place.as_bytes() };
        // It fails only for texts of 256 GiB.
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        STANDARD.encode([nonce.as_slice(), &sealed].concat())
    }

    /// What was sealed; `None` if it was sealed with another key or for another place, or was changed.
    pub fn open(&self, place: &str, sealed: &str) -> Option<Secret> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>()?;
        let text =
            self.0.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: place.as_bytes() }).ok()?;
        String::from_utf8(text).ok().map(Secret::new)
    }
}

/// 256 random bits as hex.
pub fn new_key() -> Secret {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in rand::random::<[u8; 32]>() {
        let _ = write!(text, "{byte:02x}");
    }
    Secret::new(text)
}

/// Writes a key to a new file that only its owner reads.
///
/// # Errors
/// Whatever the file system says; also if the file exists.
pub fn write_key(path: &Path, key: &Secret) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{}", key.reveal())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_what_it_sealed_for_this_place() {
        let directory = tempfile::tempdir().unwrap();
        let seal = Seal::load(directory.path()).unwrap();
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG");
        let sealed = seal.close("s3", &secret);
        assert!(!sealed.contains("wJalr"));
        assert_ne!(sealed, seal.close("s3", &secret), "the same secret twice looks different");

        let again = Seal::load(directory.path()).unwrap();
        assert_eq!(again.open("s3", &sealed), Some(secret));
        assert_eq!(again.open("mail", &sealed), None);
        assert_eq!(Seal::new(&new_key()).open("s3", &sealed), None);
        for broken in ["", "AAAA", &sealed[..sealed.len() - 4], &format!("AAAA{}", &sealed[4..])] {
            assert_eq!(again.open("s3", broken), None, "{broken}");
        }
    }
}
