//! What a restart does not lose.

use attuned_store::CheckpointError;
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
    /// Begins with them, on the runtime that this is called in.
    pub fn start(app: &App, settings: &Settings) -> Self {
        let (end, ended) = oneshot::channel();
        // A store on a log outlives the service anyway.
        let written = app.memory().zip(settings.checkpoint.as_ref());
        let written = written.map(|(memory, path)| {
            let every = memory.checkpoint_every(settings.checkpoint_every, path);
            tokio::spawn(every.until(async { drop(ended.await) }))
        });
        Self { end, written }
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
