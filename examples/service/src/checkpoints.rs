//! What a restart does not lose.

use attuned_store::{Checkpoint, CheckpointError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::settings::Settings;

/// Checkpoints that are written now and then, if the settings name a file.
pub struct Checkpoints {
    end: oneshot::Sender<()>,
    written: Option<JoinHandle<Result<(), CheckpointError>>>,
}

impl Checkpoints {
    /// Writes the first one, and goes on on the runtime that this is called in.
    ///
    /// # Errors
    ///
    /// What kept the first one from being written: a folder that does not exist, say. At the end
    /// it would be too late to learn that.
    pub async fn start(app: &App, settings: &Settings) -> Result<Self, CheckpointError> {
        let (end, ended) = oneshot::channel();
        // A store on a log outlives the service anyway.
        let written = match app.memory().zip(settings.checkpoint.as_ref()) {
            Some((memory, path)) => {
                memory.checkpoint_in_background(path).await?;
                let every = memory
                    .checkpoint_every(settings.checkpoint_every, path)
                    .on_each(report)
                    .until(async { drop(ended.await) });
                Some(tokio::spawn(every))
            }
            None => None,
        };
        Ok(Self { end, written })
    }

    /// Writes the last one.
    ///
    /// # Errors
    ///
    /// What kept it from being written.
    pub async fn end(self) -> Result<(), CheckpointError> {
        drop(self.end);
        match self.written {
            Some(written) => written.await.expect("the task is not cancelled"),
            None => Ok(()),
        }
    }
}

fn report(written: &Result<Checkpoint, CheckpointError>) {
    // The store itself warns of one that failed.
    if let Ok(checkpoint) = written {
        tracing::info!(users = checkpoint.users, "checkpoint written");
    }
}
