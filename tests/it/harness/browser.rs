//! Chromium, driven through chromedriver, for what only a browser shows.

use std::{
    future::Future,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use thirtyfour::{By, ChromiumLikeCapabilities, DesiredCapabilities, WebDriver, error::WebDriverResult};
use tokio::runtime::Runtime;

/// One browser with a profile of its own.
pub(crate) struct Browser {
    runtime: Runtime,
    driver: Option<WebDriver>,
    program: Child,
    address: String,
    _profile: tempfile::TempDir,
}

/// How long a page may take to get there.
const PATIENCE: Duration = Duration::from_mins(1);

impl Browser {
    /// Opens one, 1440 by 900, for the program at this address.
    pub(crate) fn open(address: &str) -> Self {
        Self::open_with(address, &json!({}))
    }

    /// One with the screen of a phone, this many pixels wide.
    pub(crate) fn phone(address: &str, width: u32) -> Self {
        let metrics = json!({ "width": width, "height": 800, "pixelRatio": 1.0, "touch": true });
        Self::open_with(address, &json!({ "mobileEmulation": { "deviceMetrics": metrics } }))
    }

    fn open_with(address: &str, options: &Value) -> Self {
        container_monkey::tls::set_up();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let program = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver: {error}; `tests/run` installs it"));
        let profile = tempfile::tempdir().unwrap();
        let mut wanted = DesiredCapabilities::chrome();
        let profile_flag = format!("--user-data-dir={}", profile.path().display());
        for flag in [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1440,900",
            &profile_flag,
        ] {
            wanted.add_arg(flag).unwrap();
        }
        for (name, value) in options.as_object().into_iter().flatten() {
            wanted.add_experimental_option(name, value).unwrap();
        }
        let runtime = Runtime::new().unwrap();
        let server = format!("http://127.0.0.1:{port}");
        let driver = super::wait_for("chromedriver", || {
            runtime.block_on(WebDriver::new(&server, wanted.clone())).ok()
        });
        Self { runtime, driver: Some(driver), program, address: address.to_owned(), _profile: profile }
    }

    fn driver(&self) -> &WebDriver {
        self.driver.as_ref().unwrap()
    }

    fn wait<T>(&self, work: impl Future<Output = WebDriverResult<T>>) -> T {
        self.runtime.block_on(work).unwrap()
    }

    /// Tries again until it works; what a page swaps may be stale for a moment.
    fn until<T>(&self, what: &str, mut work: impl AsyncFnMut() -> WebDriverResult<T>) -> T {
        let began = Instant::now();
        loop {
            let error = match self.runtime.block_on(work()) {
                Ok(value) => return value,
                Err(error) => error,
            };
            assert!(
                began.elapsed() < PATIENCE,
                "waited for {what} at {}: {error}\n{}",
                self.place(),
                self.text("body")
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn go(&self, path: &str) {
        self.wait(self.driver().goto(format!("{}{path}", self.address)));
    }

    /// Path and query of the present page.
    pub(crate) fn place(&self) -> String {
        let url = self.wait(self.driver().current_url());
        url.as_str().trim_start_matches(&self.address).to_owned()
    }

    /// Whether something matches now.
    pub(crate) fn exists(&self, css: &str) -> bool {
        !self.wait(self.driver().find_all(By::Css(css))).is_empty()
    }

    pub(crate) fn click(&self, css: &str) {
        self.until(css, async || self.driver().find(By::Css(css)).await?.click().await);
    }

    /// Clicks the first visible link or button with this text.
    pub(crate) fn press(&self, text: &str) {
        let path = format!(
            "//*[self::a or self::button][normalize-space(.)='{text}' or starts-with(normalize-space(.), '{text} ')]"
        );
        self.until(text, async || {
            let mut last = None;
            for element in self.driver().find_all(By::XPath(path.as_str())).await? {
                if element.is_displayed().await? {
                    last = Some(element);
                    break;
                }
            }
            match last {
                Some(element) => element.click().await,
                None => self.driver().find(By::Css(".no-such-button")).await.map(drop),
            }
        });
    }

    /// Puts text in the place of what is in a field.
    pub(crate) fn fill(&self, css: &str, text: &str) {
        self.until(css, async || {
            let field = self.driver().find(By::Css(css)).await?;
            field.clear().await?;
            field.send_keys(text).await
        });
    }

    /// Sends keys to whatever has the focus.
    pub(crate) fn keys(&self, keys: &str) {
        self.wait(self.driver().action_chain().send_keys(keys).perform());
    }

    pub(crate) fn text(&self, css: &str) -> String {
        self.texts(css).join("\n")
    }

    pub(crate) fn texts(&self, css: &str) -> Vec<String> {
        let found = self.script(
            "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText.replace(/\\s+/g, ' ').trim())",
            &[json!(css)],
        );
        serde_json::from_value(found).unwrap()
    }

    /// Runs a script of the test's own.
    pub(crate) fn script(&self, script: &str, arguments: &[Value]) -> Value {
        self.wait(self.driver().execute(script, arguments.to_vec())).json().clone()
    }

    /// Waits until a script's answer is true.
    pub(crate) fn wait_until(&self, script: &str) {
        let began = Instant::now();
        while self.script(&format!("try {{ return !!({script}) }} catch {{ return false }}"), &[])
            != json!(true)
        {
            assert!(
                began.elapsed() < PATIENCE,
                "waited for {script} at {}\n{}",
                self.place(),
                self.text("body")
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until a text stands somewhere in the elements that match.
    pub(crate) fn wait_text(&self, css: &str, text: &str) {
        let (css, text) = (json!(css), json!(text));
        self.wait_until(&format!(
            "[...document.querySelectorAll({css})].some(e => e.innerText.includes({text}))"
        ));
    }

    /// Signs the first user in and puts the default password's warning away.
    pub(crate) fn sign_in(&self) {
        self.go("/login");
        self.fill("#user", "admin");
        self.fill("#pass", super::PASSWORD);
        self.press("Sign in");
        self.press("Later");
    }

    /// Addresses that did not answer well on the present page.
    pub(crate) fn failed_requests(&self) -> Vec<String> {
        self.script(
            "return performance.getEntriesByType('resource').filter(e => e.responseStatus >= 400).map(e => e.name)",
            &[],
        )
        .as_array()
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect()
    }

    /// Puts the warning away where it is in the way.
    pub(crate) fn dismiss(&self) {
        self.script("document.querySelector('#default-password:modal')?.close()", &[]);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.take() {
            let _ = self.runtime.block_on(driver.quit());
        }
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
