//! Users: sign in, change name and password.
use super::Actor;
use crate::{app::App, error::Result, model::secret::Secret};
use serde::Deserialize;
/// A user.
#[derive(Debug, Clone)]
pub struct User {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Argon2 hash (PHC string).
    pub password_hash: Secret,
    /// The password is still the one everybody knows.
    pub default_password: bool,
}
/// What may be changed.
#[derive(Debug, Clone, Deserialize)]
pub struct Change {
    /// The present password.
    pub current_password: Secret,
    /// A new name, at least 3 characters.
    #[serde(default)]
    pub new_username: Option<String>,
    /// A new password.
    #[serde(default)]
    pub new_password: Option<Secret>,
}
/// One rule for passwords and whether it is met.
pub struct Rule {
    /** Words. */
    pub text: &'static str,
    /** Met. */
    pub met: bool,
}
/// The rules for new passwords: 12 characters, upper, lower, digit, special.
pub fn password_rules(password: &str) -> Vec<Rule> {
    todo!()
}
/// The user with this name and password; takes as long for an unknown name.
pub async fn authenticate(app: &App, name: &str, password: &Secret) -> Result<Option<User>> {
    todo!()
}
/// The user with this id.
pub async fn find(app: &App, id: i64) -> Result<Option<User>> {
    todo!()
}
/// Changes name and/or password; `Invalid` with every unmet rule, `Unauthenticated` never (wrong current password is a field error).
pub async fn change(app: &App, actor: &Actor, change: Change) -> Result<User> {
    todo!()
}
