//! Text that must never be printed.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A password or key. `Debug` hides it; it is serialised only into the work
/// order that a worker reads from its standard input.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Never log it, never put it into an argument or a response.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Whether the value of a container's variable with this name is shown only when somebody asks for it.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    ["PASS", "SECRET", "TOKEN", "KEY", "PWD", "CREDENTIAL", "AUTH", "PRIVATE", "DSN"]
        .iter()
        .any(|word| name.contains(word))
        && name != "PWD"
}

/// Replaces such values in the settings of a container.
pub fn hide_secrets(inspect: &mut Value) {
    for entry in inspect["Config"]["Env"].as_array_mut().into_iter().flatten() {
        if let Some((name, _)) = entry.as_str().and_then(|text| text.split_once('='))
            && is_secret(name)
        {
            *entry = json!(format!("{name}=***"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in ["DB_PASSWORD", "api_key", "JWT_SECRET", "GITHUB_TOKEN", "MYSQL_PWD"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["PATH", "TZ", "PWD", "DB_HOST"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
