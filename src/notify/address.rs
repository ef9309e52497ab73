//! Addresses as people paste them: of the services themselves, and the short ones that other programs use, too.

use reqwest::Url;

use super::{Target, mail};
use crate::model::{notice::Kind, secret::Secret};

/// What may be typed.
const HELP: &str =
    "Begin it with https://, ntfy://, gotify://, slack://, discord://, healthchecks:// or smtp://.";

impl Target {
    /// Reads an address; else what is wrong with it, without repeating it.
    pub fn parse(address: &Secret) -> Result<Self, String> {
        let text = address.reveal().trim();
        let (scheme, rest) = text.split_once("://").ok_or_else(|| format!("This is no address. {HELP}"))?;
        let scheme = scheme.to_ascii_lowercase();
        let (kind, transport) = scheme.split_once('+').unwrap_or((&scheme, "https"));
        if !matches!(transport, "http" | "https") {
            return Err(format!("After the + stands http or https. {HELP}"));
        }
        match kind {
            "smtp" | "smtps" => mail_target(text),
            "http" | "https" => http_target(None, url(kind, rest)?),
            "generic" | "webhook" => http_target(Some(Kind::Webhook), url(transport, rest)?),
            "ntfy" => http_target(Some(Kind::Ntfy), url(transport, rest)?),
            "healthchecks" => http_target(Some(Kind::Healthchecks), url(transport, rest)?),
            "gotify" => gotify(url(transport, rest)?),
            "slack" if scheme == "slack" => slack(rest),
            "slack" => http_target(Some(Kind::Slack), url(transport, rest)?),
            "discord" if scheme == "discord" => discord(rest),
            "discord" => http_target(Some(Kind::Discord), url(transport, rest)?),
            _ => Err(format!("“{}” is not known here. {HELP}", kind.chars().take(20).collect::<String>())),
        }
    }
}

fn url(scheme: &str, rest: &str) -> Result<Url, String> {
    let parsed = Url::parse(&format!("{scheme}://{rest}"));
    let url = parsed.map_err(|error| format!("This is no address: {error}."))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err("The address names no server.".to_owned());
    }
    Ok(url)
}

fn http_target(kind: Option<Kind>, url: Url) -> Result<Target, String> {
    let kind = kind.unwrap_or_else(|| match url.host_str().unwrap_or_default() {
        "hooks.slack.com" => Kind::Slack,
        "discord.com" | "discordapp.com" => Kind::Discord,
        "hc-ping.com" => Kind::Healthchecks,
        "ntfy.sh" => Kind::Ntfy,
        _ => Kind::Webhook,
    });
    if kind == Kind::Ntfy && topic(&url).is_none() {
        return Err("The address of ntfy ends with a topic: ntfy://ntfy.sh/my-topic".to_owned());
    }
    Ok(Target { kind, url, token: None, mail: None })
}

/// The topic of ntfy.
pub(super) fn topic(url: &Url) -> Option<&str> {
    url.path_segments()?.next_back().filter(|topic| !topic.is_empty())
}

/// `gotify://host/token`.
fn gotify(mut url: Url) -> Result<Target, String> {
    let token = url.path_segments().and_then(|mut parts| parts.next_back()).filter(|token| !token.is_empty());
    let token = token.map(Secret::new);
    let token =
        token.ok_or("The address of Gotify ends with the application's token: gotify://host/token")?;
    if url.query_pairs().any(|(key, value)| key.eq_ignore_ascii_case("disabletls") && value == "yes") {
        // Between the two schemes that are alike this can't fail.
        let _ = url.set_scheme("http");
    }
    if let Ok(mut parts) = url.path_segments_mut() {
        parts.pop().push("message");
    }
    url.set_query(None);
    Ok(Target { kind: Kind::Gotify, url, token: Some(token), mail: None })
}

/// `slack://hook:A-B-C@webhook`.
fn slack(rest: &str) -> Result<Target, String> {
    let token = rest.split('@').next().unwrap_or_default();
    let token = token.strip_prefix("hook:").unwrap_or(token);
    let parts: Vec<&str> = token.split('-').collect();
    if parts.len() != 3 || parts.iter().any(|part| part.is_empty()) {
        return Err("Paste the webhook's address: https://hooks.slack.com/services/…".to_owned());
    }
    http_target(Some(Kind::Slack), url("https", &format!("hooks.slack.com/services/{}", parts.join("/")))?)
}

/// `discord://token@id`.
fn discord(rest: &str) -> Result<Target, String> {
    match rest.split_once('@') {
        Some((token, id)) if !token.is_empty() && !id.trim_end_matches('/').is_empty() => {
            let path = format!("discord.com/api/webhooks/{}/{token}", id.trim_end_matches('/'));
            http_target(Some(Kind::Discord), url("https", &path)?)
        }
        _ => Err("Paste the webhook's address: https://discord.com/api/webhooks/…".to_owned()),
    }
}

/// `smtp://user:password@host:587/?from=…&to=…,…`; TLS is asked for unless `tls=none` is there.
fn mail_target(text: &str) -> Result<Target, String> {
    let mut url = Url::parse(text).map_err(|error| format!("This is no address: {error}."))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err("The address names no mail server.".to_owned());
    }
    let find = |names: &[&str]| {
        let pair = url.query_pairs().find(|(key, _)| names.iter().any(|name| key.eq_ignore_ascii_case(name)));
        pair.map(|(_, value)| value.into_owned())
    };
    let from =
        find(&["from", "fromAddress"]).ok_or("Add from whom mail comes: …/?from=monkey@example.org&to=…")?;
    let to = find(&["to", "toAddresses"]).ok_or("Add to whom mail goes: …/?from=…&to=you@example.org")?;
    let addresses = mail::Addresses::parse(&from, &to)?;
    let plain = find(&["tls"]).is_some_and(|tls| tls == "none")
        || find(&["usestarttls"]).is_some_and(|word| word.eq_ignore_ascii_case("no"));
    url.set_path("");
    url.set_query(if plain || url.scheme() == "smtps" { None } else { Some("tls=required") });
    if plain && url.port().is_none() {
        let _ = url.set_port(Some(25));
    }
    Ok(Target { kind: Kind::Email, url, token: None, mail: Some(addresses) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Target, String> {
        Target::parse(&Secret::new(text))
    }

    #[test]
    fn knows_the_services_by_their_addresses_and_shows_no_secret() {
        for (text, kind, url) in [
            (
                "https://hooks.example.org/T0PSECRET?key=T0PSECRET",
                Kind::Webhook,
                "https://hooks.example.org/T0PSECRET?key=T0PSECRET",
            ),
            ("generic+http://10.0.0.2:8080/T0PSECRET", Kind::Webhook, "http://10.0.0.2:8080/T0PSECRET"),
            (
                "https://hooks.slack.com/services/A/B/T0PSECRET",
                Kind::Slack,
                "https://hooks.slack.com/services/A/B/T0PSECRET",
            ),
            (
                "slack://hook:A-B-T0PSECRET@webhook",
                Kind::Slack,
                "https://hooks.slack.com/services/A/B/T0PSECRET",
            ),
            ("discord://T0PSECRET@42", Kind::Discord, "https://discord.com/api/webhooks/42/T0PSECRET"),
            (
                "https://discord.com/api/webhooks/42/T0PSECRET",
                Kind::Discord,
                "https://discord.com/api/webhooks/42/T0PSECRET",
            ),
            ("https://hc-ping.com/T0PSECRET", Kind::Healthchecks, "https://hc-ping.com/T0PSECRET"),
            (
                "ntfy://me:T0PSECRET@ntfy.example.org/T0PSECRET",
                Kind::Ntfy,
                "https://me:T0PSECRET@ntfy.example.org/T0PSECRET",
            ),
            ("gotify://g.example.org/sub/T0PSECRET", Kind::Gotify, "https://g.example.org/sub/message"),
            ("gotify://g.example.org/T0PSECRET?disabletls=yes", Kind::Gotify, "http://g.example.org/message"),
            (
                "smtps://me:T0PSECRET@mail.example.org/?from=a@example.org&to=b@example.org",
                Kind::Email,
                "smtps://me:T0PSECRET@mail.example.org",
            ),
            (
                "smtp://mail.example.org/?from=a@example.org&to=b@example.org",
                Kind::Email,
                "smtp://mail.example.org?tls=required",
            ),
            ("smtp://mail/?from=a@example.org&to=b@example.org&tls=none", Kind::Email, "smtp://mail:25"),
        ] {
            let target = parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!((target.kind, target.url.as_str()), (kind, url), "{text}");
            assert!(!target.shown().contains("T0PSECRET"), "{}", target.shown());
            assert!(
                !target.hide("you asked for T0PSECRET".to_owned()).contains("T0PSECRET")
                    || !url.contains("T0PSECRET")
            );
        }
    }

    #[test]
    fn says_what_is_wrong_without_repeating_it() {
        for text in [
            "",
            "T0PSECRET",
            "https://",
            "ftp://host/T0PSECRET",
            "ntfy+ftp://host/T0PSECRET",
            "ntfy://T0PSECRET",
            "gotify://T0PSECRET/",
            "slack://T0PSECRET",
            "discord://T0PSECRET",
            "smtp://user:T0PSECRET@host",
            "smtp://user:T0PSECRET@host/?from=a@example.org",
            "smtp://user:T0PSECRET@host/?from=nobody&to=b@example.org",
        ] {
            let why = parse(text).err().unwrap_or_else(|| panic!("{text} is taken"));
            assert!(why.len() > 10 && !why.contains("T0PSECRET"), "{text}: {why}");
        }
    }
}
