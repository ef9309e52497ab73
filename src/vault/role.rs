//! The keys of a machine's role: who is asked for them, and what it means when that fails.

use std::time::Duration;

use object_store::{
    BackoffConfig, ClientOptions, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey as Key, AwsCredentialProvider},
};

use super::{bucket, error::VaultError};
use crate::model::vault::{RoleSource, S3Location};

/// Where Amazon's metadata service is.
const METADATA: &str = "http://169.254.169.254";

/// How long an answer may take. It comes at once or never: to a container that is one network hop too far away, the
/// metadata service lets the connection be made and then says nothing.
const ANSWER: Duration = Duration::from_secs(5);

/// How often it is asked again.
const RETRIES: usize = 2;

/// What asks for the keys, and again before they end. It asks nothing yet.
pub(super) fn keys(place: &S3Location, source: &RoleSource) -> Result<AwsCredentialProvider, VaultError> {
    crate::tls::set_up();
    let retry = RetryConfig {
        max_retries: RETRIES,
        retry_timeout: ANSWER * 4,
        backoff: BackoffConfig { init_backoff: Duration::from_millis(200), ..BackoffConfig::default() },
    };
    // Certificates are needed only to ask the security token service.
    let plain = !matches!(source, RoleSource::WebIdentity { .. });
    let options = ClientOptions::new()
        .with_connect_timeout(ANSWER)
        .with_timeout(ANSWER)
        .with_no_system_certificates(plain);
    let builder = AmazonS3Builder::new()
        .with_bucket_name(&place.bucket)
        .with_region(&place.region)
        .with_retry(retry)
        .with_client_options(options);
    let builder = match source {
        RoleSource::Metadata { endpoint } => builder.with_metadata_endpoint(metadata(endpoint.as_deref())),
        RoleSource::Task { path } => builder.with_config(Key::ContainerCredentialsRelativeUri, path.reveal()),
        RoleSource::Pod { url, token_file } => builder
            .with_config(Key::ContainerCredentialsFullUri, url)
            .with_config(Key::ContainerAuthorizationTokenFile, token_file),
        RoleSource::WebIdentity { token_file, role, session, endpoint } => {
            let mut builder =
                builder.with_config(Key::WebIdentityTokenFile, token_file).with_config(Key::RoleArn, role);
            if let Some(session) = session {
                builder = builder.with_config(Key::RoleSessionName, session);
            }
            if let Some(endpoint) = endpoint {
                builder = builder.with_config(Key::StsEndpoint, endpoint);
            }
            builder
        }
    };
    let store = builder.build().map_err(|error| bucket::unusable(&error))?;
    Ok(store.credentials().clone())
}

fn metadata(endpoint: Option<&str>) -> &str {
    endpoint.unwrap_or(METADATA).trim_end_matches('/')
}

/// What an error means that came of asking for the keys; `None` for those of the storage itself.
pub(super) fn explain(source: &RoleSource, detail: &str) -> Option<String> {
    let why = match source {
        RoleSource::Metadata { endpoint } => {
            let endpoint = metadata(endpoint.as_deref());
            if !detail.contains(&format!("{endpoint}/latest/")) {
                return None;
            }
            match status(detail) {
                Some("404") => format!(
                    "the metadata service at {endpoint} knows no role of it. Give the machine one in the cloud's settings, \
                     or sign in with an access key."
                ),
                Some(status) => format!(
                    "the metadata service at {endpoint} refused with {status}. Is it switched off for this machine?"
                ),
                None => format!(
                    "the metadata service at {endpoint} does not answer. Outside of Amazon's cloud there is none: sign in \
                     with an access key. In a container on EC2 the machine's metadata options need a hop limit of 2."
                ),
            }
        }
        _ if detail.contains("token file '") => {
            let (RoleSource::Pod { token_file, .. } | RoleSource::WebIdentity { token_file, .. }) = source
            else {
                return None;
            };
            format!(
                "the token file {token_file} can't be read by the process that works on the vault. In a container that is \
                 another container, which does not see the file: sign in with an access key."
            )
        }
        RoleSource::Task { .. } if detail.contains("http://169.254.170.2/") => {
            agent("the agent for tasks at http://169.254.170.2", detail)
        }
        RoleSource::Pod { url, .. } if detail.contains(url) => agent(&format!("the agent at {url}"), detail),
        RoleSource::WebIdentity { role, .. } if detail.contains("POST REDACTED") => {
            match bucket::code(detail) {
                "" => agent("the security token service", detail),
                code => format!(
                    "the security token service refused with {code}. Does the role {role} trust who gave the token?"
                ),
            }
        }
        _ => return None,
    };
    Some(format!("This machine gives no credentials: {why}"))
}

fn agent(who: &str, detail: &str) -> String {
    match status(detail) {
        Some(status) => format!("{who} refused with {status}."),
        None => format!("{who} does not answer."),
    }
}

/// The status of an answer that was no success.
fn status(detail: &str) -> Option<&str> {
    let (_, after) = detail.split_once("non-2xx status code: ")?;
    after.get(..3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_the_storage_is_not_one_of_the_keys() {
        let source = RoleSource::default();
        assert_eq!(explain(&source, "Error performing GET http://nas:9000/backups in 5s"), None);
        let detail =
            "Error performing PUT http://169.254.169.254/latest/api/token in 1s - connection refused";
        let text = explain(&source, detail).unwrap();
        assert!(text.contains("169.254.169.254 does not answer") && text.contains("hop limit"), "{text}");
        let detail = "Error performing GET http://169.254.169.254/latest/meta-data/iam/security-credentials/ in 1ms - \
                      Server returned non-2xx status code: 404 Not Found: ";
        assert!(explain(&source, detail).unwrap().contains("knows no role"));
    }

    #[test]
    fn a_token_file_that_a_worker_does_not_see_is_told() {
        let (url, token_file) = ("http://169.254.170.23/v1".to_owned(), "/var/run/token".to_owned());
        let source = RoleSource::Pod { url, token_file };
        let text = explain(&source, "Failed to read EKS token file '/var/run/token': No such file").unwrap();
        assert!(text.contains("/var/run/token can't be read"), "{text}");
        let text =
            explain(&source, "Error performing GET http://169.254.170.23/v1 in 5s - timed out").unwrap();
        assert!(text.contains("does not answer"), "{text}");
    }
}
