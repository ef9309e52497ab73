//! Who may come in, and what strangers see.

use serde_json::json;

use crate::harness::{App, PASSWORD};

#[test]
fn the_first_user_signs_in_and_out() {
    let app = App::start();
    let client = app.stranger();
    assert_eq!(client.get("/api/auth-status").expect(200)["logged_in"], false);
    assert_eq!(client.sign_in("admin", "wrong").error(401), "Invalid username or password");
    let welcome = client.sign_in("admin", PASSWORD).expect(200);
    assert_eq!(welcome, json!({ "success": true, "username": "admin", "is_default_credentials": true }));
    assert_eq!(client.get("/api/auth-status").expect(200)["logged_in"], true);
    client.get("/api/containers").expect(200);
    client.post("/api/logout", &json!({})).expect(200);
    assert_eq!(client.get("/api/containers").error(401), "Authentication required");
}

#[test]
fn strangers_get_the_answer_that_suits_them() {
    let app = App::start();
    let stranger = app.stranger();
    let page = stranger.get("/containers?search=a");
    assert_eq!(page.status, 303);
    assert_eq!(page.header("location"), Some("/login?next=/containers%3Fsearch%3Da"));
    let fragment = stranger.get_fragment("/containers");
    assert_eq!(fragment.status, 401);
    assert!(fragment.header("hx-redirect").unwrap().starts_with("/login"));
    assert_eq!(stranger.get("/api/nothing-here").error(401), "Authentication required");
    assert_eq!(stranger.get("/nothing-here").status, 303);
}
