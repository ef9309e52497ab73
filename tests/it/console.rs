//! Consoles and commands in containers: they work, they are bounded, and nothing of them stays behind.

use std::{net::TcpStream, time::Duration};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket, client::IntoClientRequest};

use crate::harness::{App, Bench, Live, Options, PASSWORD, run, try_run, wait_for};

/// A console, as its page has it.
struct Console {
    socket: WebSocket<TcpStream>,
    shown: String,
    told: Vec<Value>,
    closed: bool,
}

impl Console {
    fn open(app: &App, container: &str, query: &str) -> Self {
        Self::try_open(app, container, query, &[]).unwrap()
    }

    /// Opens one as soon as those that were closed before are tidied up.
    fn open_when_free(app: &App, container: &str) -> Self {
        wait_for("a free seat", || {
            let mut console = Self::open(app, container, "");
            while console.told.is_empty() {
                console.read();
            }
            (console.told[0]["state"] == "open").then_some(console)
        })
    }

    /// The status if it is refused.
    fn try_open(
        app: &App,
        container: &str,
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let host = app.address().strip_prefix("http://").unwrap();
        let address = format!("ws://{host}/containers/{container}/console/socket{query}");
        let mut request = address.into_client_request().unwrap();
        request.headers_mut().insert("cookie", app.cookie().parse().unwrap());
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Self { socket, shown: String::new(), told: Vec::new(), closed: false }),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                Err(answer.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn read(&mut self) {
        match self.socket.read() {
            Ok(Message::Binary(bytes)) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
            Ok(Message::Text(text)) => self.told.push(serde_json::from_str(&text).unwrap()),
            Ok(Message::Close(_)) | Err(_) => self.closed = true,
            Ok(_) => {}
        }
    }

    /// Reads until this is on the screen.
    fn see(&mut self, text: &str) {
        while !self.shown.contains(text) {
            assert!(!self.closed, "“{text}” did not come: {} {:?}", self.shown, self.told);
            self.read();
        }
    }

    /// Reads until the server tells this state.
    fn told(&mut self, state: &str) -> Value {
        loop {
            if let Some(told) = self.told.iter().find(|told| told["state"] == state) {
                return told.clone();
            }
            assert!(!self.closed, "“{state}” was not told: {} {:?}", self.shown, self.told);
            self.read();
        }
    }

    fn type_in(&mut self, text: &str) {
        self.socket.send(Message::Binary(text.as_bytes().to_vec().into())).unwrap();
    }

    fn tell(&mut self, what: &Value) {
        self.socket.send(Message::Text(what.to_string().into())).unwrap();
    }
}

/// Command lines that run in a container.
fn processes(container: &str) -> Vec<String> {
    let list = try_run("docker", &["top", container, "-eo", "pid,args"]);
    String::from_utf8_lossy(&list.stdout).lines().skip(1).map(str::to_owned).collect()
}

/// Waits until nothing but the container's own process runs.
fn nothing_left(container: &str) {
    wait_for("the end of all processes", || (processes(container).len() == 1).then_some(()));
}

#[test]
fn a_console_is_a_terminal() {
    let bench = Bench::new();
    let app = App::start();
    let web = bench.run("web", &[], &[]);
    let page = app.admin().get(&format!("/containers/{web}/console"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("style-src 'self' 'unsafe-inline'") && policy.contains("script-src 'self';"),
        "{policy}"
    );
    assert_eq!(page.texts(".tabs [aria-current]"), ["Console"]);
    let mut console = Console::open(&app, &web, "");
    assert_eq!(console.told("open")["shell"], "sh");
    console.tell(&json!({ "size": [111, 33] }));
    console.see("# ");
    console.type_in("busybox stty size; busybox tty; echo $TERM; busybox pwd\n");
    console.see("/dev/pts/");
    console.see("xterm-256color");
    assert!(console.shown.contains("33 111"), "{}", console.shown);
    // Ctrl+C ends what runs, not the shell.
    console.type_in("sleep 500\n");
    wait_for("sleep", || processes(&web).iter().any(|line| line.contains("sleep 500")).then_some(()));
    console.type_in("\u{3}");
    // A large paste.
    let paste = "x".repeat(900);
    console.type_in(&format!("echo {paste}done\n"));
    console.see(&format!("\n{paste}done"));
    // Bytes that would mean something on a stream without a terminal.
    console.type_in("busybox printf '\\001\\002\\000\\000\\377\\377\\377\\377%s-bytes\\n' odd\n");
    console.see("odd-bytes");
    console.type_in("exit 7\n");
    assert_eq!(console.told("ended")["exit_code"], 7);
    nothing_left(&web);
}

#[test]
fn the_user_the_directory_and_the_shell_can_be_chosen() {
    let bench = Bench::new();
    let app = App::start();
    let web = bench.run("web", &[], &[]);
    let mut console = Console::open(&app, &web, "?user=nobody&working_dir=/tmp&shell=%2Fbin%2Fbusybox+sh");
    assert_eq!(console.told("open")["shell"], "/bin/busybox sh");
    console.type_in("id -u; busybox pwd\n");
    console.see("65534");
    console.see("/tmp");
    drop(console);
    nothing_left(&web);
    for (query, words) in [
        ("?shell=zsh", "There is no “zsh”"),
        ("?shell=sh%3Breboot", "A shell is a path"),
        ("?user=%24x", "A user is a name"),
        ("?working_dir=tmp", "begins with"),
        ("?user=somebody-unknown", "somebody-unknown"),
    ] {
        let failed = Console::open(&app, &web, query).told("failed");
        assert!(failed["message"].as_str().unwrap().contains(words), "{query}: {failed}");
    }
}

#[test]
fn nothing_runs_on_when_the_page_is_closed() {
    let bench = Bench::new();
    let app = App::start();
    let web = bench.run("web", &[], &[]);
    app.admin().get(&format!("/containers/{web}/console"));
    for (name, typed) in [
        ("an idle shell", "echo ready\n"),
        ("a program in front", "echo ready; sleep 601\n"),
        ("a program that reads", "echo ready; cat\n"),
        ("one behind and one in front", "sleep 602 & echo ready; sleep 603\n"),
        ("deaf ones", "trap '' HUP INT TERM; echo ready; while true; do sleep 604; done\n"),
        ("a shell in a shell", "sh -c 'echo ready; sleep 605; true'\n"),
    ] {
        let mut console = Console::open(&app, &web, "");
        console.see("# ");
        console.type_in(typed);
        console.see("\nready");
        // As a browser's tab that is closed, or a network that breaks.
        drop(console);
        println!("{name}");
        nothing_left(&web);
    }
    let audit = run(
        "sqlite3",
        &[
            app.data().join("config/monkey.db").to_str().unwrap(),
            "select operation, target, details from audit",
        ],
    );
    assert!(audit.contains(&format!("console_open|{web}")) && audit.contains("console_close"), "{audit}");
    assert!(!audit.contains("ready"), "what is typed is nobody's business: {audit}");
}

#[test]
fn consoles_end_with_the_server_and_when_nothing_is_typed() {
    let bench = Bench::new();
    let app = App::start_with(Options::default().with("MONKEY_CONSOLE_IDLE_MINUTES", "1"));
    let web = bench.run("web", &[], &[]);
    let mut console = Console::open(&app, &web, "");
    console.see("# ");
    console.type_in("while true; do echo noise; sleep 1; done\n");
    console.see("\nnoise");
    let closed = console.told("closed");
    assert!(closed["message"].as_str().unwrap().contains("Nothing was typed for 1 minutes"), "{closed}");
    nothing_left(&web);
    let mut console = Console::open(&app, &web, "");
    console.see("# ");
    console.type_in("sleep 700\n");
    wait_for("sleep", || processes(&web).iter().any(|line| line.contains("sleep 700")).then_some(()));
    // A page that is open hears it while the server still runs; it answers no more afterwards.
    let told = std::thread::spawn(move || console.told("closed"));
    let data = app.stop();
    let told = told.join().unwrap();
    assert!(told["message"].as_str().unwrap().contains("stopping"), "{told}");
    nothing_left(&web);
    std::fs::remove_dir_all(data).unwrap();
}

#[test]
fn only_the_own_page_may_open_one_and_only_so_many() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let web = bench.run("web", &[], &[]);
    let try_open = |headers: &[(&'static str, &str)]| Console::try_open(&app, &web, "", headers).err();
    assert_eq!(try_open(&[("origin", "https://evil.example")]), Some(403));
    assert_eq!(try_open(&[("origin", "null")]), Some(403));
    assert_eq!(try_open(&[("sec-fetch-site", "cross-site")]), Some(403));
    assert_eq!(try_open(&[("cookie", "monkey=nonsense")]), Some(303));
    assert_eq!(try_open(&[("origin", app.address())]), None);
    assert_eq!(admin.get(&format!("/containers/{web}/console/socket")).status, 400);
    nothing_left(&web);
    let all: Vec<_> = (0..20).map(|_| Console::open_when_free(&app, &web)).collect();
    let failed = Console::open(&app, &web, "").told("failed");
    assert!(failed["message"].as_str().unwrap().contains("20 consoles are open"), "{failed}");
    assert!(
        admin
            .post(&format!("/api/container/{web}/exec"), &json!({ "command": "id" }))
            .error(409)
            .contains("20 consoles")
    );
    drop(all);
    nothing_left(&web);
    Console::open_when_free(&app, &web);
}

#[test]
fn containers_without_a_shell_or_that_do_not_run_say_so() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let root = tempfile::tempdir().unwrap();
    std::fs::copy("/bin/busybox", root.path().join("sleep")).unwrap();
    let (tar, image) = (root.path().with_extension("tar"), format!("{}-bare", bench.image()));
    run("tar", &["-C", root.path().to_str().unwrap(), "-cf", tar.to_str().unwrap(), "sleep"]);
    let label = format!("LABEL {}", bench.label());
    run("docker", &["import", "-c", &label, tar.to_str().unwrap(), &image]);
    std::fs::remove_file(tar).unwrap();
    let bare = bench.name("bare");
    bench.docker(&["run", "-d", "--label", bench.label(), "--name", &bare, &image, "/sleep", "1000"]);
    let failed = Console::open(&app, &bare, "").told("failed");
    assert!(failed["message"].as_str().unwrap().contains("There is no shell"), "{failed}");
    let path = format!("/api/container/{bare}/exec");
    assert!(admin.post(&path, &json!({ "command": "id" })).error(422).contains("no shell"));
    // A program can do without a shell.
    let direct = admin.post(&path, &json!({ "command": ["/sleep", "0"] })).expect(200);
    assert_eq!(direct["exit_code"], 0);
    let idle = bench.create("idle", &[], &[]);
    assert!(
        Console::open(&app, &idle, "").told("failed")["message"].as_str().unwrap().contains("Start it first")
    );
    assert!(admin.get(&format!("/containers/{idle}/console")).text.contains("needs a container that runs"));
    assert!(
        admin
            .post(&format!("/api/container/{idle}/exec"), &json!({ "command": "id" }))
            .error(409)
            .contains("Start it")
    );
    assert_eq!(admin.get("/containers/no-such-container/console").status, 404);
}

#[test]
fn a_flood_waits_for_the_page() {
    let bench = Bench::new();
    let app = App::start();
    let web = bench.run("web", &[], &[]);
    let mut console = Console::open(&app, &web, "");
    console.see("# ");
    let before = app.memory();
    console
        .type_in("while true; do echo 0123456789012345678901234567890123456789012345678901234567890; done\n");
    std::thread::sleep(Duration::from_secs(5));
    let grown = app.memory().saturating_sub(before);
    assert!(grown < 30_000_000, "grew by {grown} bytes");
    // What was not shown yet is little, so that Ctrl+C is seen soon.
    console.type_in("\u{3}");
    console.tell(&json!({ "shown": 900_000_000 }));
    console.type_in("echo stopped-$((1+1))\n");
    console.see("stopped-2");
    assert!(console.shown.len() < 40_000_000, "{}", console.shown.len());
    drop(console);
    nothing_left(&web);
}

#[test]
fn a_command_runs_and_answers() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let web = bench.run("web", &[], &[]);
    let path = format!("/api/container/{web}/exec");
    let ask = |body: Value| admin.post(&path, &body);
    let done = ask(json!({ "command": "echo out; echo err >&2; exit 3" })).expect(200);
    assert_eq!((done["success"].as_bool(), done["exit_code"].as_i64()), (Some(true), Some(3)));
    let output = done["output"].as_str().unwrap();
    assert!(output.contains("out\n") && output.contains("err\n"), "{output}");
    let listed = ask(json!({ "command": ["echo", "a b", "$HOME;id"] })).expect(200);
    assert_eq!(listed["output"], "a b $HOME;id\n");
    let where_ =
        ask(json!({ "command": "busybox pwd; id -u", "working_dir": "/tmp", "user": "65534" })).expect(200);
    assert_eq!(where_["output"], "/tmp\n65534\n");
    let missing = ask(json!({ "command": ["no-such-program"] })).expect(200);
    assert_eq!(missing["exit_code"], 127);
    let large = ask(json!({ "command": "i=0; l=0123456789abcdef; while [ $i -lt 17 ]; do l=$l$l; i=$((i+1)); done; echo $l" })).expect(200);
    assert_eq!(
        (large["output"].as_str().unwrap().len(), large["truncated"].as_bool()),
        (1024 * 1024, Some(true))
    );
    let late = ask(json!({ "command": "echo begun; sleep 800 & sleep 801", "timeout": 2 })).expect(200);
    assert_eq!((late["success"].as_bool(), late["exit_code"].is_null()), (Some(false), true));
    assert_eq!(late["output"], "begun\n");
    nothing_left(&web);
    for bad in [
        json!({}),
        json!({ "command": "" }),
        json!({ "command": [] }),
        json!({ "command": 7 }),
        json!({ "command": "id", "timeout": 0 }),
        json!({ "command": "id", "user": "a b" }),
        json!({ "command": "id", "working_dir": "relative" }),
    ] {
        ask(bad).error(400);
    }
    assert!(ask(json!({ "command": "id", "working_dir": "/nowhere" })).error(422).contains("nowhere"));
    admin.post("/api/container/no-such-container/exec", &json!({ "command": "id" })).error(404);
    app.stranger().post(&path, &json!({ "command": "id" })).error(401);
}

#[test]
fn nothing_is_left_of_pages_that_were_closed_or_signed_out() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    let web = bench.run("web", &["-v", &format!("{volume}:/data")], &[]);
    let logs = format!("/containers/{web}/logs/stream");
    let open = || {
        let mut console = Console::open_when_free(&app, &web);
        console.see("# ");
        let streams = [Live::open(&app, &logs, &[]), Live::open(&app, "/events/stream?after=1", &[])];
        streams[0].hear("Following");
        streams[1].hear(&web);
        (console, streams)
    };
    admin.get(&format!("/containers/{web}/console"));
    admin.get("/events");
    let quiet = wait_for("quiet", || Some(app.docker_connections()).filter(|count| *count < 10));

    // Closed, one after the other and while the page of numbers is open too.
    for _ in 0..3 {
        let opened = open();
        admin.get(&format!("/api/volume/{volume}/explore")).expect(200);
        admin.get("/api/statistics").expect(200);
        assert!(app.docker_connections() > quiet);
        drop(opened);
    }
    nothing_left(&web);
    wait_for("the connections' end", || (app.docker_connections() <= quiet).then_some(()));
    wait_for("the execs' end", || (bench.inspect(&web)["ExecIDs"] == Value::Null).then_some(()));
    wait_for("the workers' end", || app.workers().is_empty().then_some(()));

    // Signed out: what this sign-in opened ends, what another did goes on.
    let (mut console, streams) = open();
    let other = Live::open_as(&app, &app.sign_in(), &logs);
    other.hear("Following");
    let answer = app.stranger().post_with("/api/logout", &[("Cookie", app.cookie())], "");
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(console.told("closed")["message"].as_str().unwrap().contains("sign-in"));
    for stream in &streams {
        stream.end();
    }
    nothing_left(&web);
    bench.docker(&["exec", &web, "sh", "-c", "echo goes-on > /proc/1/fd/1"]);
    other.hear("goes-on");
    // A new password ends it as well; who is still signed in comes again.
    let change = json!({ "current_password": PASSWORD, "new_password": "An0ther-Passw0rd!" });
    admin.post("/api/change-password", &change).expect(200);
    other.end();
    wait_for("the connections' end", || (app.docker_connections() <= quiet).then_some(()));
}

#[test]
fn only_so_many_follow_at_once() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let web = bench.run("web", &[], &[]);
    let streams: Vec<_> = (0..100).map(|_| Live::open(&app, "/events/stream", &[])).collect();
    let refused = |path: &str| admin.get_with(path, &[("Accept", "application/json")]);
    wait_for("no free seat", || {
        admin.get(&format!("/containers/{web}/logs")).text.contains("Not live").then_some(())
    });
    for path in ["/events/stream".to_owned(), format!("/containers/{web}/logs/stream")] {
        assert!(refused(&path).error(409).contains("100 pages"), "{path}");
    }
    drop(streams);
    wait_for("free seats", || {
        (!admin.get(&format!("/containers/{web}/logs")).text.contains("Not live")).then_some(())
    });
    Live::open(&app, &format!("/containers/{web}/logs/stream"), &[]).hear("Following");
}
