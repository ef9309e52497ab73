//! The output of a process, as the engine carries it: bare bytes of a terminal, or pieces of both outputs, each behind
//! a head that says whose it is and how long.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// What is read at once, bytes.
const READ: usize = 16 * 1024;

/// A piece of output.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// From standard error.
    pub(super) is_error: bool,
    /// What was written.
    pub(super) bytes: Bytes,
}

/// Reads pieces; holds no more than was read at once, however long a piece is said to be.
pub(super) struct Streams {
    from: Box<dyn AsyncRead + Send + Unpin>,
    buffer: BytesMut,
    /// No heads: a terminal, or an engine that sends its complaint as it is.
    bare: bool,
    /// What is left of the present piece, and whose it is.
    left: usize,
    is_error: bool,
}

impl Streams {
    pub(super) fn new(from: impl AsyncRead + Send + Unpin + 'static, terminal: bool) -> Self {
        Self { from: Box::new(from), buffer: BytesMut::new(), bare: terminal, left: 0, is_error: false }
    }

    /// The next piece; `None` = the end. May be given up and asked again.
    pub(super) async fn next(&mut self) -> io::Result<Option<Piece>> {
        loop {
            if let Some(piece) = self.take() {
                return Ok(Some(piece));
            }
            self.buffer.reserve(READ);
            if self.from.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn take(&mut self) -> Option<Piece> {
        while !self.bare && self.left == 0 {
            if self.buffer.first().is_some_and(|kind| *kind > 2) {
                self.bare = true;
                break;
            }
            let head = self.buffer.get(..8)?;
            self.is_error = head[0] == 2;
            self.left = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
            self.buffer.advance(8);
        }
        let length = if self.bare { self.buffer.len() } else { self.buffer.len().min(self.left) };
        if length == 0 {
            return None;
        }
        self.left = self.left.saturating_sub(length);
        Some(Piece { is_error: self.is_error && !self.bare, bytes: self.buffer.split_to(length).freeze() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that comes, both outputs apart, from a sender that sends in pieces of this length.
    async fn read(bytes: &[u8], terminal: bool, piece: usize) -> (Vec<u8>, Vec<u8>) {
        let (mut here, there) = tokio::io::duplex(piece);
        let bytes = bytes.to_vec();
        let send = async move {
            tokio::io::AsyncWriteExt::write_all(&mut here, &bytes).await.unwrap();
        };
        let read = async {
            let mut streams = Streams::new(there, terminal);
            let mut all = (Vec::new(), Vec::new());
            while let Some(piece) = streams.next().await.unwrap() {
                assert!(!piece.bytes.is_empty() && piece.bytes.len() <= 2 * READ);
                let whose = if piece.is_error { &mut all.1 } else { &mut all.0 };
                whose.extend_from_slice(&piece.bytes);
            }
            all
        };
        tokio::join!(send, read).1
    }

    fn head(kind: u8, length: u32) -> Vec<u8> {
        [&[kind, 0, 0, 0][..], &length.to_be_bytes()].concat()
    }

    #[tokio::test]
    async fn a_terminal_may_write_any_bytes() {
        // As the head of a piece of four gigabytes.
        let bytes = [&b"\x01abc\xff\xff\xff\xff"[..], &b"\x00\x02".repeat(50_000)[..]].concat();
        for piece in [1, 7, 100_000] {
            assert_eq!(read(&bytes, true, piece).await, (bytes.clone(), Vec::new()));
        }
    }

    #[tokio::test]
    async fn pieces_may_be_cut_anywhere() {
        let long = "x".repeat(100_000);
        let bytes = [
            &head(1, 3)[..],
            b"out",
            &head(2, 0),
            &head(2, 4),
            b"err\x01",
            &head(1, 100_000),
            long.as_bytes(),
        ]
        .concat();
        for piece in [1, 7, 1_000_000] {
            let (out, errors) = read(&bytes, false, piece).await;
            assert!(out == format!("out{long}").into_bytes() && errors == b"err\x01", "pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn a_complaint_without_a_head_is_read() {
        let words = b"OCI runtime exec failed";
        assert_eq!(read(words, false, 5).await, (words.to_vec(), Vec::new()));
    }
}
