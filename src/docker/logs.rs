//! Logs: the engine's stream taken apart into lines. A terminal's stream is
//! raw; otherwise each message comes in a frame that says where it was written.

use bytes::Bytes;
use chrono::DateTime;
use futures::StreamExt;
use http_body_util::{BodyDataStream, BodyExt};
use hyper::{Method, body::Incoming};
use serde_json::Value;

use super::{
    client::{Docker, QUICK, escape},
    error::DockerError,
};
use crate::model::log::{LogLine, Source, Wanted};

/// What is kept of one line, bytes.
const LINE: usize = 8 * 1024;

/// A container as the reader of its logs needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// Full id.
    pub id: String,
    /// It writes to a terminal.
    tty: bool,
    /// It runs (or is paused, or restarting).
    pub running: bool,
    /// Nothing is kept: `--log-driver none`.
    pub silent: bool,
    /// When it was started last; changes with every start.
    pub started: String,
    /// How it ended.
    pub exit_code: i64,
}

impl Writer {
    /// It has never been started.
    pub fn is_fresh(&self) -> bool {
        self.started.starts_with("0001")
    }

    fn of(inspect: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            id: text(&inspect["Id"]),
            tty: inspect["Config"]["Tty"] == true,
            running: inspect["State"]["Running"] == true,
            silent: inspect["HostConfig"]["LogConfig"]["Type"] == "none",
            started: text(&inspect["State"]["StartedAt"]),
            exit_code: inspect["State"]["ExitCode"].as_i64().unwrap_or(0),
        }
    }
}

impl Docker {
    /// Who writes the logs that are asked for.
    pub async fn writer(&self, id: &str) -> Result<Writer, DockerError> {
        Ok(Writer::of(&self.inspect(id).await?))
    }

    /// Opens its logs; with `follow` the stream goes on until the container stops. Dropping it ends it.
    pub async fn logs(&self, of: &Writer, wanted: &Wanted, follow: bool) -> Result<LogStream, DockerError> {
        let tail = wanted.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let shown = |source| wanted.source.is_none_or(|only| only == source);
        let time = |name: &str, at: Option<i64>| match at {
            Some(at) => format!("&{name}={}.{:09}", at / 1_000_000_000, at % 1_000_000_000),
            None => String::new(),
        };
        let path = format!(
            "/containers/{}/logs?timestamps=1&follow={}&stdout={}&stderr={}&tail={tail}{}{}",
            escape(&of.id),
            u8::from(follow),
            u8::from(shown(Source::Stdout)),
            u8::from(shown(Source::Stderr)),
            time("since", wanted.since),
            time("until", wanted.until)
        );
        let answer = self.call(Method::GET, &path, None, QUICK).await?;
        Ok(LogStream {
            body: answer.into_body().into_data_stream(),
            decoder: Decoder::new(!of.tty),
            ended: false,
        })
    }
}

/// An open log.
pub struct LogStream {
    body: BodyDataStream<Incoming>,
    decoder: Decoder,
    ended: bool,
}

impl LogStream {
    /// The next lines, in the order they were written; `None` = the end. May be given up and asked again.
    pub async fn next(&mut self) -> Result<Option<Vec<LogLine>>, DockerError> {
        if self.ended {
            return Ok(None);
        }
        match self.body.next().await {
            Some(Ok(bytes)) => Ok(Some(self.decoder.feed(&bytes))),
            Some(Err(error)) => Err(DockerError::Answer(error.to_string())),
            None => {
                self.ended = true;
                Ok(Some(self.decoder.finish()))
            }
        }
    }
}

/// Bytes of the stream to lines. Holds at most one unfinished line of each source.
struct Decoder {
    framed: bool,
    head: Vec<u8>,
    left: usize,
    current: usize,
    unfinished: [Unfinished; 2],
}

/// A line that is being read.
#[derive(Default)]
struct Unfinished {
    stamp: Option<Vec<u8>>,
    at: i64,
    text: Vec<u8>,
    cut: u64,
    any: bool,
}

impl Decoder {
    fn new(framed: bool) -> Self {
        let mut decoder =
            Self { framed, head: Vec::new(), left: 0, current: 0, unfinished: <[Unfinished; 2]>::default() };
        decoder.unfinished[0].stamp = (!framed).then(Vec::new);
        decoder
    }

    fn feed(&mut self, bytes: &Bytes) -> Vec<LogLine> {
        let mut lines = Vec::new();
        let mut bytes: &[u8] = bytes;
        while !bytes.is_empty() {
            if !self.framed {
                self.unfinished[0].feed(bytes, Source::Stdout, true, &mut lines);
                break;
            }
            if self.left == 0 {
                let (head, rest) = bytes.split_at(bytes.len().min(8 - self.head.len()));
                self.head.extend_from_slice(head);
                bytes = rest;
                if let [kind, _, _, _, a, b, c, d] = self.head[..] {
                    self.current = usize::from(kind == 2);
                    self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                    self.unfinished[self.current].stamp = Some(Vec::new());
                    self.head.clear();
                }
                continue;
            }
            let (part, rest) = bytes.split_at(bytes.len().min(self.left));
            let source = if self.current == 1 { Source::Stderr } else { Source::Stdout };
            self.unfinished[self.current].feed(part, source, false, &mut lines);
            self.left -= part.len();
            bytes = rest;
        }
        lines
    }

    /// What had no line end.
    fn finish(&mut self) -> Vec<LogLine> {
        let mut lines = Vec::new();
        for (unfinished, source) in self.unfinished.iter_mut().zip([Source::Stdout, Source::Stderr]) {
            if unfinished.any {
                lines.push(unfinished.take(source));
            }
        }
        lines
    }
}

impl Unfinished {
    /// `stamped`: each line begins with its time; otherwise only each message.
    fn feed(&mut self, mut bytes: &[u8], source: Source, stamped: bool, lines: &mut Vec<LogLine>) {
        while !bytes.is_empty() {
            if let Some(mut stamp) = self.stamp.take() {
                let end = bytes.iter().position(|byte| *byte == b' ' || *byte == b'\n');
                let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                stamp.extend_from_slice(part.get(..part.len().min(64)).unwrap_or(part));
                if end.is_none() && stamp.len() <= 40 {
                    self.stamp = Some(stamp);
                    return;
                }
                if let Some(at) = time(&stamp) {
                    // A long line comes in several messages, each with a time.
                    if !self.any {
                        self.at = at;
                        self.any = true;
                    }
                    bytes = rest.strip_prefix(b" ").unwrap_or(rest);
                } else {
                    self.push(&stamp);
                    bytes = rest;
                }
                continue;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            self.push(&bytes[..end.unwrap_or(bytes.len())]);
            let Some(end) = end else { return };
            lines.push(self.take(source));
            self.stamp = stamped.then(Vec::new);
            bytes = &bytes[end + 1..];
        }
    }

    fn push(&mut self, part: &[u8]) {
        self.any = true;
        let room = part.len().min(LINE - self.text.len());
        self.text.extend_from_slice(&part[..room]);
        self.cut += (part.len() - room) as u64;
    }

    fn take(&mut self, source: Source) -> LogLine {
        let text = std::mem::take(&mut self.text);
        let text = text.strip_suffix(b"\r").unwrap_or(&text);
        self.any = false;
        LogLine {
            at: self.at,
            source,
            text: String::from_utf8_lossy(text).into_owned(),
            cut: std::mem::take(&mut self.cut),
        }
    }
}

fn time(stamp: &[u8]) -> Option<i64> {
    DateTime::parse_from_rfc3339(std::str::from_utf8(stamp).ok()?).ok()?.timestamp_nanos_opt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: &str = "2026-03-14T09:31:58.000000001Z ";

    fn frame(source: u8, text: &str) -> Vec<u8> {
        let mut frame = vec![source, 0, 0, 0];
        frame.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(text.as_bytes());
        frame
    }

    fn decode(framed: bool, bytes: &[u8], piece: usize) -> Vec<(Source, String, u64)> {
        let mut decoder = Decoder::new(framed);
        let mut lines: Vec<LogLine> = Vec::new();
        for part in bytes.chunks(piece) {
            lines.extend(decoder.feed(&Bytes::copy_from_slice(part)));
        }
        lines.extend(decoder.finish());
        assert!(lines.iter().all(|line| line.at == 1_773_480_718_000_000_001), "{lines:?}");
        lines.into_iter().map(|line| (line.source, line.text, line.cut)).collect()
    }

    #[test]
    fn frames_may_be_cut_anywhere() {
        let bytes = [
            frame(1, &format!("{STAMP}out\n")),
            frame(2, &format!("{STAMP}err 1\n")),
            // A long line: several messages, each with a time, and another source between.
            frame(1, &format!("{STAMP}long ")),
            frame(2, &format!("{STAMP}\n")),
            frame(1, &format!("{STAMP}line\n")),
            frame(1, &format!("{STAMP}no end")),
        ]
        .concat();
        let text = |source, text: &str| (source, text.to_owned(), 0);
        let expected = [
            text(Source::Stdout, "out"),
            text(Source::Stderr, "err 1"),
            text(Source::Stderr, ""),
            text(Source::Stdout, "long line"),
            text(Source::Stdout, "no end"),
        ];
        for piece in [1, 3, 7, 1000] {
            assert_eq!(decode(true, &bytes, piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_terminal_has_no_frames() {
        let bytes = format!("{STAMP}one\r\n{STAMP}\r\n{STAMP}two");
        for piece in [1, 5, 1000] {
            let lines: Vec<_> =
                decode(false, bytes.as_bytes(), piece).into_iter().map(|line| line.1).collect();
            assert_eq!(lines, ["one", "", "two"]);
        }
    }

    #[test]
    fn an_endless_line_is_cut() {
        let long = "x".repeat(100_000);
        let lines = decode(true, &frame(1, &format!("{STAMP}{long}\n")), 4096);
        assert_eq!((lines[0].1.len(), lines[0].2), (LINE, 100_000 - LINE as u64));
    }
}
