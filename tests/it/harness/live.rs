//! An event stream, read as plain text from a plain connection.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex},
};

use super::{App, wait_for};

/// An open stream. Dropping it is what a browser does that leaves the page.
pub(crate) struct Live {
    socket: TcpStream,
    heard: Arc<Mutex<(String, bool)>>,
}

impl Live {
    /// Opens it, signed in, and reads on in the background.
    pub(crate) fn open(app: &App, path: &str, headers: &[(&str, &str)]) -> Self {
        let live = Self::open_silent(app, path, headers);
        live.listen();
        live
    }

    /// Opens it and does not read.
    pub(crate) fn open_silent(app: &App, path: &str, headers: &[(&str, &str)]) -> Self {
        Self::connect(app, app.cookie(), path, headers)
    }

    /// Opens it with another sign-in.
    pub(crate) fn open_as(app: &App, cookie: &str, path: &str) -> Self {
        let live = Self::connect(app, cookie, path, &[]);
        live.listen();
        live
    }

    fn connect(app: &App, cookie: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        let host = app.address().strip_prefix("http://").unwrap();
        let mut socket = TcpStream::connect(host).unwrap();
        // HTTP 1.0 has no chunks, so that what comes is the events and nothing else.
        write!(socket, "GET {path} HTTP/1.0\r\nHost: {host}\r\nCookie: {cookie}\r\n").unwrap();
        for (name, value) in headers {
            write!(socket, "{name}: {value}\r\n").unwrap();
        }
        write!(socket, "\r\n").unwrap();
        Self { socket, heard: Arc::default() }
    }

    /// Begins to read.
    pub(crate) fn listen(&self) {
        let (mut socket, heard) = (self.socket.try_clone().unwrap(), self.heard.clone());
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let count = socket.read(&mut buffer).unwrap_or(0);
                let mut heard = heard.lock().unwrap();
                heard.0.push_str(&String::from_utf8_lossy(&buffer[..count]));
                if count == 0 {
                    heard.1 = true;
                    return;
                }
            }
        });
    }

    /// All that came until now.
    pub(crate) fn text(&self) -> String {
        self.heard.lock().unwrap().0.clone()
    }

    /// Waits until this has come.
    pub(crate) fn hear(&self, text: &str) -> String {
        self.hear_times(text, 1)
    }

    /// Waits until this has come so often.
    pub(crate) fn hear_times(&self, text: &str, times: usize) -> String {
        wait_for(&format!("“{text}” {times} times"), || {
            let heard = self.text();
            (heard.matches(text).count() >= times).then_some(heard)
        })
    }

    /// Waits until the server ends it.
    pub(crate) fn end(&self) -> String {
        wait_for("the stream's end", || self.heard.lock().unwrap().1.then_some(()));
        self.text()
    }

    /// The newest event id.
    pub(crate) fn last_id(&self) -> String {
        let text = self.text();
        text.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap().to_owned()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}
