//! Hostile requests, and headers that tell browsers what a page may do.

use serde_json::json;

use crate::harness::{App, Bench, Options, PASSWORD};

#[test]
fn another_site_cannot_act_for_the_user() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let web = bench.run("web", &[], &[]);
    let path = format!("/api/container/{web}/stop");
    for headers in [
        [("Sec-Fetch-Site", "cross-site"), ("Content-Type", "application/json")],
        [("Sec-Fetch-Site", "same-site"), ("Content-Type", "application/json")],
        [("Origin", "http://127.0.0.1:1"), ("Content-Type", "application/json")],
        [("Origin", "https://evil.example"), ("Content-Type", "application/x-www-form-urlencoded")],
    ] {
        let refused = admin.post_with(&path, &headers, "{}").error(403);
        assert!(refused.contains("another site"), "{refused}");
    }
    assert!(bench.is_running(&web));
    // A browser's own form passes.
    let stopped = admin.submit(&format!("/containers/{web}/stop"), &[]);
    assert_eq!(stopped.status, 303, "{}", stopped.text);
    assert!(!bench.is_running(&web));
}

#[test]
fn pages_allow_nothing_inline_and_no_frames() {
    let app = App::start();
    let admin = app.admin();
    for path in ["/", "/containers", "/vault", "/jobs", "/settings", "/nothing-here"] {
        let page = admin.get(path);
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.contains("script-src 'self'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.attributes("[style], [onclick], [onload], [onchange]", "style").len(), 0, "{path}");
        assert!(page.texts("script").iter().all(String::is_empty), "{path} has an inline script");
        assert!(page.texts("style").is_empty(), "{path} has an inline style");
    }
    let script = admin.get("/login").status;
    assert_eq!(script, 303, "a signed-in user need not sign in");
    let style = app.stranger().get("/login").attributes("link[rel=stylesheet]", "href");
    let asset = app.stranger().get(&style[0]);
    assert_eq!(asset.status, 200);
    assert!(asset.header("cache-control").unwrap().contains("immutable"));
}

#[test]
fn guessing_passwords_is_slow_for_each_client_and_each_user() {
    let mut app = App::start_with(Options::default().with("MONKEY_TRUSTED_PROXIES", "127.0.0.0/8"));
    app.expect_errors();
    let stranger = app.stranger();
    let guess = |client: &str, user: &str| {
        let body = format!("username={user}&password=guess");
        let kind = "application/x-www-form-urlencoded";
        stranger.post_with("/api/login", &[("X-Forwarded-For", client), ("Content-Type", kind)], &body)
    };
    for _ in 0..5 {
        assert_eq!(guess("203.0.113.1", "nobody").status, 401);
    }
    let refused = guess("203.0.113.1", "somebody");
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    // Another client, the same user.
    assert_eq!(guess("203.0.113.2", "nobody").status, 429);
    assert_eq!(guess("203.0.113.3", "admin").status, 401);
}

#[test]
fn a_proxy_that_is_not_trusted_decides_nothing() {
    let app = App::start();
    let body = json!({ "username": "admin", "password": PASSWORD }).to_string();
    let headers = [("Content-Type", "application/json"), ("X-Forwarded-Proto", "https")];
    let cookie =
        app.stranger().post_with("/api/login", &headers, &body).header("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains("Secure"), "{cookie}");
    let trusting = App::start_with(Options::default().with("MONKEY_TRUSTED_PROXIES", "127.0.0.1/32"));
    let cookie =
        trusting.stranger().post_with("/api/login", &headers, &body).header("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("Secure"), "{cookie}");
}

#[test]
fn names_that_are_no_names_never_reach_docker() {
    let app = App::start();
    let admin = app.admin();
    for bad in ["..", "%2e%2e%2fversion", "a%2fb", "a%20b", "-x", "a%00"] {
        let refused = admin.get(&format!("/api/container/{bad}/inspect"));
        assert!([400, 404].contains(&refused.status), "{bad}: {} {}", refused.status, refused.text);
    }
    admin.get("/api/container/no-such-container/inspect").error(404);
    admin.delete("/api/backup/0123456789").error(404);
    admin.post("/api/backup/no-such-container", &json!({})).error(404);
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
    let refused = admin.post_with("/api/restore-backup", &[("Content-Type", "application/json")], &deep);
    assert_eq!(refused.status, 400);
    let large = format!("{{\"filename\":\"{}\"}}", "a".repeat(2_000_000));
    let refused = admin.post_with("/api/restore-backup", &[("Content-Type", "application/json")], &large);
    assert_eq!(refused.status, 413);
}

#[test]
fn secrets_are_not_told() {
    let bench = Bench::new();
    let app =
        App::start_with(Options::default().with("MONKEY_VAULT_PASSWORD", "correct horse battery staple"));
    let admin = app.admin();
    let web = bench.run("web", &["-e", "DB_PASSWORD=hunter2", "-e", "COLOUR=blue"], &[]);
    let page = admin.get(&format!("/containers/{web}"));
    assert!(page.text.contains("DB_PASSWORD") && page.text.contains("blue"));
    assert!(!page.text.contains("hunter2"));
    assert!(admin.get(&format!("/containers/{web}?reveal=1")).text.contains("hunter2"));
    admin.back_up(&web);
    for pid in std::iter::once(app.pid()).chain(app.workers()) {
        let arguments = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(!arguments.contains("horse"), "{arguments}");
    }
    assert!(app.logged("horse").is_none() && app.logged("hunter2").is_none());
    let key = app.data().join("config/vault.key");
    assert!(!key.exists(), "a given password needs no file");
    assert!(app.address().starts_with("http://127.0.0.1:"));
}
