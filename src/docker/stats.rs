//! Statistics of one container, as the engine streams them: one JSON object about every second.

use http_body_util::BodyExt;
use hyper::{Method, body::Incoming};
use serde_json::Value;

use super::{
    client::{Docker, QUICK, escape},
    error::DockerError,
};

/// No sample is as long as this.
const MOST: usize = 4 * 1024 * 1024;

/// A running stream; dropping it closes its connection.
pub struct StatsStream {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Docker {
    /// Begins to stream.
    pub async fn stats_stream(&self, id: &str) -> Result<StatsStream, DockerError> {
        let path = format!("/containers/{}/stats?stream=1", escape(id));
        let answer = self.call(Method::GET, &path, None, QUICK).await?;
        Ok(StatsStream { body: answer.into_body(), buffer: Vec::new() })
    }

    /// One sample with the one before; takes the engine a second or two.
    pub async fn stats(&self, id: &str) -> Result<Value, DockerError> {
        self.get(&format!("/containers/{}/stats?stream=0", escape(id))).await
    }
}

impl StatsStream {
    /// The next sample; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Value>, DockerError> {
        let broken = |error: &dyn std::error::Error| DockerError::Answer(error.to_string());
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return serde_json::from_slice(&line).map(Some).map_err(|error| broken(&error));
            }
            if self.buffer.len() > MOST {
                return Err(DockerError::Answer("a sample without an end".to_owned()));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(&error)),
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.buffer.extend_from_slice(bytes);
                    }
                }
            }
        }
    }
}
