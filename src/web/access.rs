//! One line in the log for each request: what was asked, by whom, how it ended. Never a query, a header or a body.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use axum::{extract::Request, middleware::Next, response::Response};

/// Who asks, told by whoever finds it out.
#[derive(Clone, Default)]
pub(super) struct Who(Arc<OnceLock<String>>);

impl Who {
    /// It is this user.
    pub(super) fn is(&self, name: &str) {
        self.0.get_or_init(|| name.to_owned());
    }
}

/// Writes the line when the answer begins. What a page asks for by itself is only told with `MONKEY_LOG=debug`.
pub(super) async fn log(mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let who = Who::default();
    request.extensions_mut().insert(who.clone());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let user = who.0.get().map_or("-", String::as_str);
    let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis());
    if by_itself(&path) && status < 400 {
        tracing::debug!(%method, path, status, ms, user, "request");
    } else {
        tracing::info!(%method, path, status, ms, user, "request");
    }
    response
}

fn by_itself(path: &str) -> bool {
    let prefixes = ["/assets/", "/fragments/", "/api/backup-progress/", "/healthz", "/metrics"];
    prefixes.iter().any(|prefix| path.starts_with(prefix))
        || (path.starts_with("/jobs/") && path.ends_with("/live"))
}
