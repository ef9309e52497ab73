//! Files for the browser, embedded in the binary. Their addresses hold a hash
//! of all of them, so that they can be cached for ever.

use std::sync::LazyLock;

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use super::input::Path;
use crate::error::AppError;

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

/// Changes with any of the files.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut names: Vec<_> = Assets::iter().collect();
    names.sort();
    let mut hash = Sha256::new();
    for name in names {
        if let Some(file) = Assets::get(&name) {
            hash.update(name.as_bytes());
            hash.update(&file.data);
        }
    }
    hash.finalize().iter().take(5).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
});

/// The address of a file.
pub(super) fn url(name: &str) -> String {
    format!("/assets/{}/{name}", *VERSION)
}

/// `GET /assets/{version}/{*name}`.
pub(super) async fn serve(Path((version, name)): Path<(String, String)>) -> Result<Response, AppError> {
    let file = Assets::get(&name).ok_or(AppError::NotFound("This file".into()))?;
    let kind = mime_guess::from_path(&name).first_or_octet_stream();
    let kind = HeaderValue::from_str(kind.as_ref()).map_err(AppError::internal)?;
    // An address of an older version gets today's file, and must not keep it.
    let cache = if version == *VERSION { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, HeaderValue::from_static(cache))];
    Ok((headers, file.data.into_owned()).into_response())
}
