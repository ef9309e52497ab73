//! Answers that are files. Whatever they hold, it never runs as a page of ours.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    error::{AppError, Result},
    model::files::{ByteRange, StreamHead, decode},
    worker::readers::Bytes,
};

/// Nothing of it may be loaded or run, even if it is opened as a page.
pub(super) const POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// Which part of a file is asked for, and for which state of the file.
pub(super) fn wanted(headers: &HeaderMap) -> (Option<ByteRange>, Option<String>) {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let range = text(header::RANGE).and_then(ByteRange::parse);
    let tag = text(header::IF_RANGE).map(|tag| tag.trim().trim_matches('"').to_owned());
    (range, tag)
}

/// How the browser is to take it.
pub(super) enum As<'a> {
    /// To be saved under this name, encoded like a path.
    Attachment(&'a str),
    /// To be shown as this kind of picture.
    Picture(&'static str),
}

/// Streams it. An error on the way breaks the connection off, so that nobody takes a part for the whole.
pub(super) fn answer(head: &StreamHead, bytes: Bytes, how: &As<'_>) -> Result<Response> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    let value = |text: String| HeaderValue::try_from(text).map_err(AppError::internal);
    match how {
        As::Attachment(name) => {
            let kind = if head.size.is_some() { "application/octet-stream" } else { "application/x-tar" };
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            headers.insert(header::CONTENT_DISPOSITION, value(disposition(name))?);
        }
        As::Picture(kind) => {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("inline"));
        }
    }
    let mut status = StatusCode::OK;
    if let Some(size) = head.size {
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::ETAG, value(format!("\"{}\"", head.tag))?);
        let Some((start, length)) = head.part else {
            headers.insert(header::CONTENT_RANGE, value(format!("bytes */{size}"))?);
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response());
        };
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        if head.partial {
            status = StatusCode::PARTIAL_CONTENT;
            let last = (start + length).saturating_sub(1);
            headers.insert(header::CONTENT_RANGE, value(format!("bytes {start}-{last}/{size}"))?);
        }
    }
    Ok((status, headers, Body::from_stream(bytes)).into_response())
}

/// `Content-Disposition` for a name: in full for browsers of today, in ASCII for others.
pub(super) fn disposition(name: &str) -> String {
    use std::fmt::Write;
    let bytes = decode(name);
    let plain = |c: char| if c.is_ascii_alphanumeric() || " -_.()+,=@".contains(c) { c } else { '_' };
    let ascii: String = String::from_utf8_lossy(&bytes).chars().map(plain).collect();
    let full = bytes.iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(byte) {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    });
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{full}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_the_header() {
        let header = disposition("a\"; filename=evil.exe\r\nX: y.txt");
        assert!(!header.contains('\r') && !header.contains('\n'));
        assert_eq!(header.matches('"').count(), 2, "{header}");
        assert!(disposition("größe.txt").ends_with("filename*=UTF-8''gr%C3%B6%C3%9Fe.txt"));
    }
}
