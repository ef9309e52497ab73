//! A client of the program: a script with JSON, or a browser that follows the forms it finds.

use scraper::{ElementRef, Html, Selector};
use serde_json::{Value, json};
use ureq::{Agent, Body, http::Response};

use super::wait_for;

/// Password of the first user.
pub(crate) const PASSWORD: &str = "c0Nta!nerM0nK3y#Q92x";

/// Keeps cookies between requests.
pub(crate) struct Client {
    agent: Agent,
    address: String,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
    headers: Vec<(String, String)>,
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(std::time::Duration::from_mins(3)))
            .build();
        Self { agent: config.into(), address: address.to_owned() }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    /// As htmx asks.
    pub(crate) fn get_fragment(&self, path: &str) -> Answer {
        self.get_with(path, &[("HX-Request", "true")])
    }

    /// A story may ask more than a client may in a minute; then it waits as long as it is told to.
    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        loop {
            let request = self.agent.get(self.url(path));
            let answer =
                Answer::of(headers.iter().fold(request, |request, (k, v)| request.header(*k, *v)).call());
            match answer.header("retry-after").and_then(|seconds| seconds.parse().ok()) {
                Some(seconds) if answer.status == 429 => {
                    std::thread::sleep(std::time::Duration::from_secs(seconds));
                }
                _ => return answer,
            }
        }
    }

    /// An answer whose body is read piece by piece, however long it takes.
    pub(crate) fn open(&self, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
        let request =
            headers.iter().fold(self.agent.get(self.url(path)), |request, (k, v)| request.header(*k, *v));
        request.config().timeout_global(None).build().call().unwrap()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.agent.post(self.url(path)).send_json(body))
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        Answer::of(self.agent.delete(self.url(path)).call())
    }

    pub(crate) fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let request =
            headers.iter().fold(self.agent.post(self.url(path)), |request, (k, v)| request.header(*k, *v));
        Answer::of(request.send(body))
    }

    /// A file as a form sends it.
    pub(crate) fn upload(&self, name: &str, content: &[u8]) -> Answer {
        let head =
            format!("--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
        let body = [head.as_bytes(), content, b"\r\n--edge--\r\n"].concat();
        let request = self.agent.post(self.url("/api/upload-backup"));
        Answer::of(request.header("Content-Type", "multipart/form-data; boundary=edge").send(&body[..]))
    }

    /// As a browser without scripts sends a form.
    pub(crate) fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let fields = fields.iter().map(|(name, value)| (*name, *value));
        let origin = self.address.as_str();
        let request =
            self.agent.post(self.url(path)).header("Origin", origin).header("Sec-Fetch-Site", "same-origin");
        Answer::of(request.send_form(fields))
    }

    /// Follows the form of a page that has this button: its address, its method, its fields with the
    /// values the page gives them, then the changes, then the button's own name and value.
    pub(crate) fn submit_form(&self, page: &Answer, button: &str, changes: &[(&str, &str)]) -> Answer {
        let form = page.form(button);
        let mut fields = form.fields;
        for (name, value) in changes {
            assert!(form.known.iter().any(|known| known == name), "the form has no field {name}");
            fields.retain(|(known, _)| known != name);
            if !value.is_empty() {
                fields.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if form.get {
            let query = fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value)));
            return self.get(&format!("{}?{}", form.action, query.collect::<Vec<_>>().join("&")));
        }
        self.submit(&form.action, &fields)
    }

    /// Goes where the answer leads.
    #[track_caller]
    pub(crate) fn follow(&self, answer: &Answer) -> Answer {
        assert_eq!(answer.status, 303, "{}", answer.text);
        self.get(answer.header("location").unwrap())
    }

    pub(crate) fn sign_in(&self, name: &str, password: &str) -> Answer {
        self.post("/api/login", &json!({ "username": name, "password": password }))
    }

    /// Backs a container up and waits; the finished progress.
    pub(crate) fn back_up(&self, container: &str) -> Value {
        let asked = self.post(&format!("/api/backup/{container}"), &json!({})).expect(202);
        self.finished(asked["progress_id"].as_str().unwrap())
    }

    /// Restores a backup and waits; the finished progress.
    pub(crate) fn restore(&self, backup: &str, mut options: Value) -> Value {
        options["filename"] = json!(backup);
        let asked = self.post("/api/restore-backup", &options).expect(202);
        self.finished(asked["progress_id"].as_str().unwrap())
    }

    /// Waits until a job has ended; what `GET /api/runs/{id}` says then.
    pub(crate) fn finished(&self, run: &str) -> Value {
        wait_for("the job's end", || {
            // This address is not limited to so and so many requests a minute.
            let progress = self.get(&format!("/api/backup-progress/{run}")).expect(200);
            let status = progress["status"].as_str().unwrap();
            (!["queued", "running"].contains(&status)).then_some(())
        });
        self.get(&format!("/api/runs/{run}")).expect(200)
    }

    /// Waits until a job is running and `ready` says yes to its progress.
    pub(crate) fn running(&self, run: &str, ready: impl Fn(&Value) -> bool) -> Value {
        wait_for("the job to get there", || {
            let progress = self.get(&format!("/api/backup-progress/{run}")).expect(200);
            let status = progress["status"].as_str().unwrap();
            assert!(["queued", "running"].contains(&status), "it ended too early: {progress:#}");
            (status == "running" && ready(&progress)).then_some(progress)
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }
}

impl Answer {
    fn of(answer: Result<Response<Body>, ureq::Error>) -> Self {
        let mut answer = answer.unwrap();
        let headers = answer.headers().iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
        Self {
            headers: headers.collect(),
            status: answer.status().as_u16(),
            text: answer.body_mut().read_to_string().unwrap(),
        }
    }

    /// The JSON of an answer with this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The sentence of an error with this status.
    #[track_caller]
    pub(crate) fn error(self, status: u16) -> String {
        self.expect(status)["error"].as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The form with this button.
    #[track_caller]
    fn form(&self, button: &str) -> Form {
        let page = Html::parse_document(&self.text);
        let all = |selector: &str| Selector::parse(selector).unwrap();
        let words = |element: ElementRef<'_>| fold(&element.text().collect::<String>());
        let (everything, buttons, controls) = (all("form"), all("button"), all("input, select, textarea"));
        let mut forms = page
            .select(&everything)
            .flat_map(|form| form.select(&buttons).map(move |button| (form, button)).collect::<Vec<_>>());
        let (form, pressed) = forms
            .find(|(_, element)| words(*element) == button || element.attr("value") == Some(button))
            .unwrap_or_else(|| panic!("no form with a button “{button}”: {}", self.text));
        let mut found = Form {
            action: pressed.attr("formaction").or(form.attr("action")).unwrap().to_owned(),
            get: pressed.attr("formmethod").or(form.attr("method")) != Some("post"),
            fields: Vec::new(),
            known: Vec::new(),
        };
        for control in form.select(&controls) {
            let Some(name) = control.attr("name") else { continue };
            found.known.push(name.to_owned());
            let chosen = Selector::parse("option[selected]").unwrap();
            let any = Selector::parse("option").unwrap();
            let value = match (control.value().name(), control.attr("type")) {
                (_, Some("checkbox" | "radio")) if control.attr("checked").is_none() => continue,
                ("select", _) => {
                    let option = control.select(&chosen).next().or_else(|| control.select(&any).next());
                    option.map(|option| option.attr("value").map_or_else(|| words(option), str::to_owned))
                }
                ("textarea", _) => Some(control.text().collect()),
                _ => control.attr("value").map(str::to_owned),
            };
            found.fields.push((name.to_owned(), value.unwrap_or_default()));
        }
        if let Some(name) = pressed.attr("name") {
            found.fields.push((name.to_owned(), pressed.attr("value").unwrap_or_default().to_owned()));
        }
        found
    }

    /// Texts of the elements that match, white space folded.
    pub(crate) fn texts(&self, selector: &str) -> Vec<String> {
        let page = Html::parse_document(&self.text);
        let selector = Selector::parse(selector).unwrap();
        page.select(&selector).map(|element| fold(&element.text().collect::<String>())).collect()
    }

    /// The values of one attribute of the elements that match.
    pub(crate) fn attributes(&self, selector: &str, name: &str) -> Vec<String> {
        let page = Html::parse_document(&self.text);
        let selector = Selector::parse(selector).unwrap();
        page.select(&selector).filter_map(|element| element.attr(name).map(str::to_owned)).collect()
    }
}

/// A form as it stands in a page.
struct Form {
    action: String,
    get: bool,
    fields: Vec<(String, String)>,
    /// Names of all controls, also of those that send nothing as they are.
    known: Vec<String>,
}

fn fold(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
