//! Who asks: a browser that wants a page, htmx that wants a fragment, or a
//! script that wants JSON.

use std::{convert::Infallible, net::SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};

use crate::config::Config;

/// The shape of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    /// A whole page.
    Page,
    /// A part of a page.
    Fragment,
    /// JSON.
    Api,
}

impl Client {
    pub(super) fn of(parts: &Parts) -> Self {
        let is = |name: &str| parts.headers.contains_key(name);
        let accept =
            parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let wants_json = accept.contains("application/json") && !accept.contains("text/html");
        if parts.uri.path().starts_with("/api/") || wants_json {
            Self::Api
        } else if is("hx-request") && !is("hx-history-restore-request") {
            Self::Fragment
        } else {
            Self::Page
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

/// The client's address: the connection's, or what trusted proxies say in front of it.
pub(super) fn address(config: &Config, parts: &Parts) -> String {
    let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() else {
        return String::new();
    };
    let mut address = peer.ip();
    let trusted = |ip| config.trusted_proxies.iter().any(|network| network.contains(&ip));
    // From the nearest proxy outwards, as long as each one is trusted.
    for hop in forwarded(&parts.headers).into_iter().rev() {
        if !trusted(address) {
            break;
        }
        address = hop;
    }
    address.to_string()
}

/// Whether the browser speaks TLS to a proxy that is trusted.
pub(super) fn is_secure(config: &Config, parts: &Parts) -> bool {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let trusted = peer.is_some_and(|ip| config.trusted_proxies.iter().any(|network| network.contains(&ip)));
    trusted && parts.headers.get("x-forwarded-proto").is_some_and(|value| value.as_bytes() == b"https")
}

fn forwarded(headers: &HeaderMap) -> Vec<std::net::IpAddr> {
    let lines = headers.get_all("x-forwarded-for").into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).filter_map(|hop| hop.trim().parse().ok()).collect()
}
