//! Where the engine is, and a connection to it: its socket, plain TCP, or TCP with TLS on both sides.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

use super::error::DockerError;
use crate::model::engine::{EngineAddress, EngineTls};

/// A two-way stream of bytes.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An address that was understood.
#[derive(Clone)]
pub(super) enum Address {
    Unix(String),
    Tcp(String),
    Tls { host: String, name: ServerName<'static>, connector: TlsConnector },
}

impl Address {
    pub(super) fn new(engine: &EngineAddress) -> Result<Self, DockerError> {
        let host = engine.host();
        let refused = || DockerError::Address(host.to_owned());
        match host.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.to_owned())),
            Some((scheme @ ("tcp" | "http" | "https"), rest)) => {
                let rest = rest.trim_end_matches('/');
                let url = format!("http://{rest}").parse::<hyper::Uri>().map_err(|_| refused())?;
                let authority = url.authority().filter(|_| url.path() == "/").ok_or_else(refused)?;
                let tls = engine.tls.is_some() || scheme == "https";
                // As the docker command does it: https://docs.docker.com/reference/cli/dockerd/#daemon-socket-option
                let port = authority.port_u16().unwrap_or(if tls { 2376 } else { 2375 });
                let host = format!("{}:{port}", authority.host());
                if !tls {
                    return Ok(Self::Tcp(host));
                }
                let bare = authority.host().trim_matches(['[', ']']).to_owned();
                let name = ServerName::try_from(bare).map_err(|_| refused())?;
                let tls = engine.tls.as_ref().ok_or(DockerError::NoCertificates)?;
                let config = client(tls).map_err(DockerError::Certificates)?;
                Ok(Self::Tls { host, name, connector: TlsConnector::from(Arc::new(config)) })
            }
            _ => Err(refused()),
        }
    }

    /// For messages.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Unix(name) | Self::Tcp(name) | Self::Tls { host: name, .. } => name,
        }
    }

    pub(super) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Self::Tcp(host) => Box::new(TcpStream::connect(host).await?),
            Self::Tls { host, name, connector } => {
                let stream = TcpStream::connect(host).await?;
                Box::new(connector.connect(name.clone(), stream).await?)
            }
        })
    }
}

/// Trusts only the engine's own authority, and shows our certificate.
fn client(tls: &EngineTls) -> Result<ClientConfig, String> {
    let text = |what: &'static str| move |error: &dyn std::fmt::Display| format!("{what}: {error}");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(tls.authority.as_bytes()) {
        let certificate = certificate.map_err(|error| text("ca.pem")(&error))?;
        roots.add(certificate).map_err(|error| text("ca.pem")(&error))?;
    }
    let certificates = CertificateDer::pem_slice_iter(tls.certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| text("cert.pem")(&error))?;
    let key = PrivateKeyDer::from_pem_slice(tls.key.reveal().as_bytes())
        .map_err(|error| text("key.pem")(&error))?;
    crate::tls::set_up();
    ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates, key)
        .map_err(|error| text("cert.pem and key.pem")(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str) -> Result<String, DockerError> {
        let address = Address::new(&EngineAddress { host: Some(host.to_owned()), tls: None })?;
        Ok(address.name().to_owned())
    }

    #[test]
    fn addresses_are_understood_as_the_docker_command_does() {
        assert_eq!(name("unix:///run/docker.sock").unwrap(), "/run/docker.sock");
        assert_eq!(name("tcp://proxy:2375").unwrap(), "proxy:2375");
        assert_eq!(name("tcp://proxy").unwrap(), "proxy:2375");
        assert_eq!(name("tcp://[::1]:99/").unwrap(), "[::1]:99");
        assert!(matches!(name("https://proxy"), Err(DockerError::NoCertificates)));
        for bad in
            ["proxy:2375", "unix://docker.sock", "tcp://", "tcp://host/path", "ssh://host", "tcp://a b"]
        {
            assert!(matches!(name(bad), Err(DockerError::Address(_))), "{bad}");
        }
    }
}
