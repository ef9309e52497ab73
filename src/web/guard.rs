//! What every request passes: rate limits, and headers that tell the browser
//! what a page of ours may do.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};

use super::client;
use crate::{app::App, error::AppError};

/// Everything from ourselves only; no inline script or style anywhere.
macro_rules! policy {
    ($style:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'",
            $style,
            "; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
    };
}

const POLICY: &str = policy!("");

/// For the console's page only: its terminal writes styles.
pub(super) const TERMINAL_POLICY: &str = policy!(" 'unsafe-inline'");

/// The limits, by key.
#[derive(Clone)]
pub(super) struct Limits {
    requests: Arc<DefaultKeyedRateLimiter<String>>,
    logins: Arc<DefaultKeyedRateLimiter<String>>,
}

fn per_minute(count: u32, burst: u32) -> Quota {
    let nonzero = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    Quota::per_minute(nonzero(count)).allow_burst(nonzero(burst))
}

impl Limits {
    pub(super) fn new(app: &App) -> Self {
        let limits = Self {
            requests: Arc::new(RateLimiter::keyed(per_minute(600, 100))),
            logins: Arc::new(RateLimiter::keyed(per_minute(5, 5))),
        };
        tokio::spawn(limits.clone().tidy(app.clone()));
        limits
    }

    /// Forgets clients that have not been seen for a while.
    async fn tidy(self, app: App) {
        loop {
            tokio::select! {
                () = app.shutdown.cancelled() => return,
                () = tokio::time::sleep(Duration::from_mins(1)) => {}
            }
            self.requests.retain_recent();
            self.logins.retain_recent();
        }
    }

    /// One more try to sign in, by this client and for this user.
    pub(super) fn login(&self, address: &str, name: &str) -> Result<(), AppError> {
        check(&self.logins, &format!("client {address}"))?;
        check(&self.logins, &format!("user {}", name.trim().to_lowercase()))
    }
}

fn check(limiter: &DefaultKeyedRateLimiter<String>, key: &str) -> Result<(), AppError> {
    limiter.check_key(&key.to_owned()).map_err(|until| {
        let wait = until.wait_time_from(governor::clock::DefaultClock::default().now());
        AppError::TooMany(wait.as_secs() + 1)
    })
}

/// Refuses a client that asks too much. Polling and files are exempt.
pub(super) async fn limit(
    State((app, limits)): State<(App, Limits)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let exempt = ["/assets/", "/fragments/", "/api/backup-progress/", "/healthz"];
    let polled = (path.starts_with("/jobs/") && (path.ends_with("/live") || path.ends_with("/events")))
        || path.ends_with("/stream");
    if !polled && !exempt.iter().any(|prefix| path.starts_with(prefix)) {
        let address = client::address(&app.config, &parts);
        if let Err(error) = check(&limits.requests, &address) {
            return error.into_response();
        }
    }
    next.run(Request::from_parts(parts, body)).await
}

/// Adds the headers.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    // A page that needs another policy brings it.
    let policy = HeaderName::from_static("content-security-policy");
    headers.entry(policy).or_insert(HeaderValue::from_static(POLICY));
    let fixed = [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in fixed {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.append(header::VARY, HeaderValue::from_static("HX-Request"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Refuses a request of another site, for what the CSRF layer does not see: WebSockets come as GET.
/// A script, which is no browser, says nothing about its origin and passes.
pub(super) fn same_origin(app: &App, headers: &HeaderMap) -> Result<(), AppError> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text("sec-fetch-site").is_none_or(|site| site == "same-origin" || site == "none");
    let host = text("host").unwrap_or_default();
    let origin = text("origin").is_none_or(|origin| {
        let own = app.config.base_url.as_deref().map(|url| url.trim_end_matches('/'));
        let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        own == Some(origin) || (!host.is_empty() && authority == Some(host))
    });
    if site && origin {
        return Ok(());
    }
    Err(AppError::Forbidden("This connection came from another site and was refused.".into()))
}
