//! What comes in: checked extractors that answer with our own errors. The raw
//! ones of axum are forbidden by clippy.

#![expect(clippy::disallowed_types, reason = "the one place that wraps them")]

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{
        FromRequest, FromRequestParts, Request,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::{header, request::Parts},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{error::AppError, model::vault::Storage};

/// Parts of the path; each type checks itself.
pub(super) struct Path<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AppError> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => {
                Err(AppError::invalid(words(&error.body_text())))
            }
            Err(error) => Err(AppError::invalid(error.body_text())),
        }
    }
}

/// The query string.
pub(super) struct Query<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AppError> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|error: QueryRejection| AppError::invalid(words(&error.body_text())))
    }
}

/// The query string of a form with lists: a list is the same field several times.
pub(super) struct QueryList<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryList<T> {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AppError> {
        serde_html_form::from_str(parts.uri.query().unwrap_or_default())
            .map(Self)
            .map_err(|error| AppError::invalid(error.to_string()))
    }
}

/// A form of a browser or JSON of a script; the handler need not care. An empty body is an empty form.
pub(super) struct Input<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Input<T> {
    type Rejection = AppError;

    async fn from_request(request: Request, _: &S) -> Result<Self, AppError> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let json = kind.is_some_and(|kind| kind.starts_with("application/json"));
        let form = kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if json {
            let bytes = body(request).await?;
            let text = if bytes.is_empty() { b"{}" } else { bytes.as_ref() };
            return Json::<T>::from_bytes(text)
                .map(|Json(value)| Self(value))
                .map_err(|error: JsonRejection| AppError::invalid(words(&error.body_text())));
        }
        if form {
            // Not axum's: a list of a form is the same field several times.
            return serde_html_form::from_bytes(&body(request).await?)
                .map(Self)
                .map_err(|error| AppError::invalid(error.to_string()));
        }
        if body(request).await?.is_empty() {
            return serde_json::from_str("{}")
                .map(Self)
                .map_err(|error| AppError::invalid(error.to_string()));
        }
        Err(AppError::invalid("Send JSON (Content-Type: application/json) or a form."))
    }
}

/// The largest body of an ordinary request, bytes.
const LARGEST: usize = 1024 * 1024;

/// How much of a larger one is read, bytes: a client that is cut off while it sends may never hear why.
const HEARD_OUT: usize = 16 * LARGEST;

async fn body(request: Request) -> Result<Bytes, AppError> {
    let mut chunks = request.into_body().into_data_stream();
    let (mut kept, mut size) = (BytesMut::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| AppError::invalid(error.to_string()))?;
        size += chunk.len();
        if size <= LARGEST {
            kept.extend_from_slice(&chunk);
        } else if size > HEARD_OUT {
            break;
        }
    }
    if size > LARGEST {
        return Err(AppError::TooLarge("The request is larger than 1 MiB.".to_owned()));
    }
    Ok(kept.freeze())
}

/// serde's sentence without axum's preamble.
fn words(text: &str) -> String {
    let text = text.rsplit_once("target type: ").map_or(text, |(_, rest)| rest);
    text.strip_prefix("Invalid URL: ").unwrap_or(text).to_owned()
}

/// A choice of a form: one of the words that the type knows, or nothing. `problem`: what is wrong with another word.
pub(super) fn choice<T: std::str::FromStr>(
    field: &str,
    word: Option<&str>,
    problem: impl FnOnce(&str) -> String,
) -> Result<Option<T>, AppError> {
    let word = word.filter(|word| !word.is_empty());
    word.map(|word| word.parse().map_err(|_| AppError::field(field, problem(word)))).transpose()
}

/// The vault that was chosen, if one was.
pub(super) fn storage(word: Option<&str>) -> Result<Option<Storage>, AppError> {
    choice("storage", word, |word| format!("“{word}” is not a storage. Use local or s3."))
}

/// A flag of a form (`on`, `true`, `1`) or of JSON.
pub(super) fn flag<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    use serde::de::Error;
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Bool(value) => Ok(value),
        serde_json::Value::Null => Ok(false),
        serde_json::Value::Number(number) => Ok(number.as_i64() != Some(0)),
        serde_json::Value::String(word) => match word.as_str() {
            "on" | "true" | "1" | "yes" => Ok(true),
            "" | "off" | "false" | "0" | "no" => Ok(false),
            other => Err(D::Error::custom(format!("“{other}” is neither true nor false"))),
        },
        _ => Err(D::Error::custom("expected true or false")),
    }
}

/// Several names with values: a map, or the lines of a form, `name=value`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Pairs {
    /// Of a script.
    Map(BTreeMap<String, String>),
    /// Of a form.
    Lines(String),
}

impl Default for Pairs {
    fn default() -> Self {
        Self::Lines(String::new())
    }
}

impl Pairs {
    /// As lines.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Lines(text) => text.clone(),
            Self::Map(map) => {
                let lines: Vec<_> = map.iter().map(|(name, value)| format!("{name}={value}")).collect();
                lines.join("\n")
            }
        }
    }

    /// As a map; `field` is where it was typed.
    pub(super) fn map(&self, field: &str) -> Result<BTreeMap<String, String>, AppError> {
        let text = match self {
            Self::Map(map) => return Ok(map.clone()),
            Self::Lines(text) => text,
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines
            .map(|line| {
                let (name, value) = line.split_once('=').unwrap_or((line, ""));
                if name.trim().is_empty() {
                    return Err(AppError::field(field, format!("“{line}” has no name. Write name=value.")));
                }
                Ok((name.trim().to_owned(), value.to_owned()))
            })
            .collect()
    }
}
