//! Sizes of volumes. The engine measures them by walking through all files of
//! all volumes, so that happens only when asked for, in the background, and is
//! remembered.

use std::{collections::HashMap, sync::LazyLock};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::app::App;

/// What is known.
#[derive(Debug, Clone, Default)]
pub struct Sizes {
    /// Bytes by volume, and when they were measured.
    pub known: Option<(HashMap<String, u64>, DateTime<Utc>)>,
    /// The engine is measuring now.
    pub measuring: bool,
    /// Why the last measurement failed.
    pub problem: Option<String>,
}

static SIZES: LazyLock<watch::Sender<Sizes>> = LazyLock::new(|| watch::Sender::new(Sizes::default()));

/// What is known now.
pub fn now() -> Sizes {
    SIZES.borrow().clone()
}

/// Has the engine measure, unless it does so already. Returns at once.
pub fn measure(app: &App) {
    let begun = SIZES.send_if_modified(|sizes| !std::mem::replace(&mut sizes.measuring, true));
    if !begun {
        return;
    }
    let app = app.clone();
    tokio::spawn(async move {
        let measured = tokio::select! {
            measured = app.docker.volume_sizes() => measured.map_err(|error| error.to_string()),
            () = app.shutdown.cancelled() => Err("The server stops.".to_owned()),
        };
        SIZES.send_modify(|sizes| {
            sizes.measuring = false;
            match measured {
                Ok(bytes) => {
                    sizes.known = Some((bytes, Utc::now()));
                    sizes.problem = None;
                }
                Err(problem) => sizes.problem = Some(problem),
            }
        });
    });
}

/// Waits until a measurement has ended.
pub async fn measured() {
    let _ = SIZES.subscribe().wait_for(|sizes| !sizes.measuring).await;
}
