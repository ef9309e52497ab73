//! A place in an S3 bucket: how it is reached, what its errors mean, and whether we may do there what a vault needs.

use std::{sync::Arc, time::Duration};

use futures::TryStreamExt;
use object_store::{
    BackoffConfig, Certificate, ClientOptions, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
    prefix::PrefixStore,
};

use super::{error::VaultError, role};
use crate::model::vault::{S3Credentials, S3Location};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// How long nothing may arrive within an answer.
const SILENCE: Duration = Duration::from_mins(1);

/// How long one request may take: a pack of 16 MiB over a slow line.
const REQUEST: Duration = Duration::from_mins(10);

/// How often, and how long in all, a request is tried again that the storage did not do.
const RETRIES: usize = 7;
const RETRYING: Duration = Duration::from_mins(2);

/// Opens it. Asks the storage nothing yet.
pub(super) fn open(place: &S3Location) -> Result<Arc<dyn ObjectStore>, VaultError> {
    let store = client(place, RETRIES)?;
    Ok(if place.prefix.is_empty() {
        Arc::new(store)
    } else {
        Arc::new(PrefixStore::new(store, place.prefix.as_str()))
    })
}

fn client(place: &S3Location, retries: usize) -> Result<AmazonS3, VaultError> {
    crate::tls::set_up();
    let plain = place.endpoint.as_deref().is_some_and(|url| url.starts_with("http://"));
    let mut options = ClientOptions::new()
        .with_connect_timeout(CONNECT)
        .with_read_timeout(SILENCE)
        .with_timeout(REQUEST)
        .with_allow_http(plain)
        // Where none are needed, none need to be there.
        .with_no_system_certificates(plain);
    if let Some(pem) = &place.ca_pem {
        let bundle = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| unusable(&error))?;
        options = bundle.into_iter().fold(options, ClientOptions::with_root_certificate);
    }
    let retry = RetryConfig {
        max_retries: retries,
        retry_timeout: RETRYING,
        backoff: BackoffConfig { init_backoff: Duration::from_millis(200), ..BackoffConfig::default() },
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&place.bucket)
        .with_region(&place.region)
        .with_virtual_hosted_style_request(!place.path_style)
        .with_retry(retry)
        // Not every server knows the request that deletes many at once.
        .with_disable_bulk_delete(true)
        .with_client_options(options);
    if let Some(endpoint) = &place.endpoint {
        builder = builder.with_endpoint(address(endpoint, place));
    }
    builder = match &place.credentials {
        S3Credentials::Keys { access_key, secret_key } => {
            builder.with_access_key_id(access_key).with_secret_access_key(secret_key.reveal())
        }
        S3Credentials::Anonymous => builder.with_skip_signature(true),
        S3Credentials::Instance { source } => builder.with_credentials(role::keys(place, source)?),
    };
    builder.build().map_err(|error| unusable(&error))
}

/// object_store takes an endpoint of this style as it is, so that it must name the bucket itself.
fn address(endpoint: &str, place: &S3Location) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    match endpoint.split_once("://") {
        Some((scheme, host)) if !place.path_style => format!("{scheme}://{}.{host}", place.bucket),
        _ => endpoint.to_owned(),
    }
}

pub(super) fn unusable(error: &dyn std::error::Error) -> VaultError {
    VaultError::Storage {
        message: format!("These settings can't be used: {error}."),
        detail: error.to_string(),
    }
}

/// What is there: a vault, something else, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Vault,
    Foreign,
    Nothing,
}

/// Looks what is there.
pub(super) async fn content(store: &dyn ObjectStore, place: &S3Location) -> Result<Content, VaultError> {
    let failed = |error| explain(&error, place);
    match store.head(&Path::from("config")).await {
        Ok(_) => return Ok(Content::Vault),
        Err(object_store::Error::NotFound { .. }) => {}
        Err(error) => return Err(failed(error)),
    }
    // A bucket that is not there answers the same as an object that is not; this tells them apart.
    let mut list = store.list(None);
    while let Some(object) = list.try_next().await.map_err(failed)? {
        if !is_probe(&object.location) {
            return Ok(Content::Foreign);
        }
    }
    Ok(Content::Nothing)
}

/// What the names of objects begin with that are only written to try it.
const PROBE: &str = "container-monkey-probe-";

/// One stays behind where a key may write but not delete.
fn is_probe(path: &Path) -> bool {
    path.parts_count() == 1 && path.as_ref().starts_with(PROBE)
}

/// Tries everything that a vault needs. Leaves nothing behind if it may delete.
pub fn probe(place: &S3Location) -> Result<(), VaultError> {
    let store = client(place, 1)?;
    let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(store, place.prefix.as_str()));
    let runtime = runtime()?;
    runtime.block_on(async {
        let key = Path::from(format!("{PROBE}{}", ulid::Ulid::new()));
        let lacks = |what: &'static str| {
            move |error: object_store::Error| match error {
                object_store::Error::PermissionDenied { .. } if is_about_rights(&error) => VaultError::Storage {
                    message: format!(
                        "The key may not {what} in {place}. It needs s3:ListBucket for the bucket and s3:GetObject, \
                         s3:PutObject, s3:DeleteObject for what is in it."
                    ),
                    detail: crate::error::chain(&error),
                },
                error => explain(&error, place),
            }
        };
        store.list(None).try_next().await.map_err(lacks("list objects"))?;
        let bytes = PutPayload::from_static(b"Container Monkey looks whether it may write here.");
        store.put(&key, bytes.clone()).await.map_err(lacks("write objects"))?;
        let read = async { store.get(&key).await?.bytes().await };
        let read = read.await.map_err(lacks("read objects"));
        let deleted = store.delete(&key).await.map_err(lacks("delete objects"));
        let same = read? == bytes::Bytes::from(bytes);
        deleted?;
        if same {
            return Ok(());
        }
        Err(VaultError::Storage {
            message: format!("{place} gave back other bytes than were written. It can't be used."),
            detail: String::new(),
        })
    })
}

/// A runtime for requests from threads that wait for them.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, VaultError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.map_err(|error| VaultError::io(std::path::Path::new("a runtime"), &error))
}

/// The error code in an answer; see Amazon's list of S3 error responses.
pub(super) fn code(text: &str) -> &str {
    let after = text.split_once("<Code>").map(|(_, rest)| rest);
    after.and_then(|rest| rest.split_once("</Code>")).map_or("", |(code, _)| code)
}

/// 403 also means that the key itself, or the clock, is wrong.
fn is_about_rights(error: &object_store::Error) -> bool {
    matches!(code(&crate::error::chain(error)), "" | "AccessDenied" | "AllAccessDisabled")
}

/// Whether it says that an object is not there. Of a bucket that is not there it is not said.
pub(super) fn is_missing(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
        && code(&crate::error::chain(error)) != "NoSuchBucket"
}

/// What an error of the storage means: what happened, why, what to do.
pub(super) fn explain(error: &object_store::Error, place: &S3Location) -> VaultError {
    let detail = crate::error::chain(error);
    if let S3Credentials::Instance { source } = &place.credentials
        && let Some(message) = role::explain(source, &detail)
    {
        return VaultError::Storage { message, detail };
    }
    let at = place.endpoint.as_deref().map_or_else(|| format!("Amazon S3 ({})", place.region), str::to_owned);
    let bucket = &place.bucket;
    if is_missing(error)
        && let object_store::Error::NotFound { path, .. } = error
    {
        return VaultError::Gone {
            message: format!("{path} is not in {place}, where the vault should have it."),
            detail,
        };
    }
    let message = match code(&detail) {
        "NoSuchBucket" => {
            format!("There is no bucket {bucket} at {at}. Is its name right, or was it deleted?")
        }
        "InvalidAccessKeyId" => format!("{at} does not know this access key."),
        "SignatureDoesNotMatch" => {
            format!("{at} refused the secret key: it does not belong to the access key.")
        }
        "ExpiredToken" | "TokenRefreshRequired" | "InvalidToken" => {
            format!("The credentials for {at} have expired. Enter new ones in the settings, under Storage.")
        }
        "RequestTimeTooSkewed" => {
            format!("The clocks of this machine and of {at} differ too much. Set this machine's clock.")
        }
        "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException" => {
            format!("The bucket {bucket} is not in the region {}. Enter its own region.", place.region)
        }
        "SlowDown" | "ServiceUnavailable" => {
            format!("{at} is overloaded (503). It was tried again for a while without success.")
        }
        "InternalError" => format!("{at} has an error of its own (500). It was tried again for a while."),
        "QuotaExceeded" | "XMinioStorageFull" | "InsufficientStorage" => {
            format!("The storage at {at} is full. What was in the vault is untouched.")
        }
        "AccessDenied" | "AllAccessDisabled" => denied(place),
        "" => return without_code(error, place, &at, detail),
        other => format!("{at} refused with {other}."),
    };
    VaultError::Storage { message, detail }
}

fn denied(place: &S3Location) -> String {
    format!(
        "The key was refused access to {place}. Test it in the settings, under Storage: that says which right is missing."
    )
}

fn without_code(error: &object_store::Error, place: &S3Location, at: &str, detail: String) -> VaultError {
    let lower = detail.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let message = match error {
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            denied(place)
        }
        _ if has(&["certificate", "unknownissuer", "tls"]) => format!(
            "The certificate of {at} is not trusted. If it is your own authority's, enter its certificate in the settings."
        ),
        _ if has(&["dns error", "failed to lookup", "name or service not known"]) => {
            format!("The name in {at} is not known here. Is the endpoint right?")
        }
        _ if has(&[
            "connection refused",
            "tcp connect error",
            "network is unreachable",
            "no route to host",
        ]) =>
        {
            format!("{at} can't be reached. Is it running, and is the endpoint right?")
        }
        _ if has(&["timed out", "timeout"]) => format!("{at} does not answer in time."),
        _ if has(&["redirect"]) => {
            format!(
                "{at} sends elsewhere: the bucket {} is in another region than {}.",
                place.bucket, place.region
            )
        }
        _ if has(&["500 ", "502 ", "503 ", "504 "]) => {
            format!("{at} has an error of its own. It was tried again for a while without success.")
        }
        _ if has(&[
            "connection reset",
            "connection closed",
            "broken pipe",
            "error decoding",
            "unexpected eof",
        ]) =>
        {
            format!("The connection to {at} broke off, again and again.")
        }
        _ => format!("{at} could not be used: {}", super::error::innermost(error)),
    };
    VaultError::Storage { message, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_s_code_is_found() {
        assert_eq!(code("Server returned 403: <Error><Code>AccessDenied</Code></Error>"), "AccessDenied");
        assert_eq!(code("connection refused"), "");
    }

    #[test]
    fn the_bucket_stands_in_the_host_or_in_the_path() {
        let mut place = S3Location {
            bucket: "backups".to_owned(),
            region: "eu-central-1".to_owned(),
            endpoint: None,
            prefix: String::new(),
            path_style: false,
            ca_pem: None,
            credentials: S3Credentials::Anonymous,
        };
        assert_eq!(address("https://s3.example.org/", &place), "https://backups.s3.example.org");
        place.path_style = true;
        assert_eq!(address("https://s3.example.org/", &place), "https://s3.example.org");
    }
}
