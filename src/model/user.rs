//! A person who may sign in.

use super::secret::Secret;

/// Name of the first user.
pub const FIRST_USER: &str = "admin";

/// Password of the first user unless another one is configured. Everybody knows
/// it, so a warning stands on every page while it is in use.
pub const FIRST_PASSWORD: &str = "c0Nta!nerM0nK3y#Q92x";

/// A user.
#[derive(Debug, Clone)]
pub struct User {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Argon2id hash (PHC string).
    pub password_hash: Secret,
    /// The password is still [`FIRST_PASSWORD`].
    pub default_password: bool,
}

/// One rule for new passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// For people: "at least 12 characters".
    pub text: &'static str,
    /// Whether the password meets it.
    pub met: bool,
}

/// The rules for new passwords and which of them `password` meets.
pub fn password_rules(password: &str) -> Vec<Rule> {
    let any = |test: fn(char) -> bool| password.chars().any(test);
    vec![
        Rule { text: "at least 12 characters", met: password.chars().count() >= 12 },
        Rule { text: "an upper case letter", met: any(char::is_uppercase) },
        Rule { text: "a lower case letter", met: any(char::is_lowercase) },
        Rule { text: "a digit", met: any(|c| c.is_ascii_digit()) },
        Rule { text: "a special character", met: any(|c| !c.is_alphanumeric() && !c.is_whitespace()) },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_password_misses_exactly_the_rules_it_breaks() {
        let missed = |password| -> Vec<_> {
            password_rules(password).into_iter().filter(|rule| !rule.met).map(|rule| rule.text).collect()
        };
        assert_eq!(missed("Sh0rt!"), ["at least 12 characters"]);
        assert_eq!(missed("alllowercase1!"), ["an upper case letter"]);
        assert_eq!(missed("NoDigitsHere!!"), ["a digit"]);
        assert_eq!(missed("NoSpecials1234"), ["a special character"]);
        assert!(missed(FIRST_PASSWORD).is_empty());
    }
}
