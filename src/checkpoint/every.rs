//! Checkpoints again and again.

use std::fmt;
use std::future::poll_fn;
use std::hash::BuildHasher;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_timer::Delay;

use super::checkpointer::{Checkpointer, Options};
use super::error::CheckpointError;
use super::write::Checkpoint;
use crate::map::DefaultHashBuilder;
use crate::memory::{MemoryStore, WeakStore};
use crate::store::BoxFuture;

/// More often makes no sense.
const LEAST_PERIOD: Duration = Duration::from_millis(1);

/// A future that writes a checkpoint of a store again and again; made by
/// [`MemoryStore::checkpoint_every`](crate::MemoryStore::checkpoint_every).
///
/// Spawn it on any executor, or poll it in a thread. Unless it is told [its end](Self::until),
/// it does not keep the store in memory: when a period ends and the last handle to the store
/// is gone, it is ready, and writes nothing more. A checkpoint that fails is told by the event `checkpoint failed` on the level
/// `WARN`, and to [`on_each`](Self::on_each). The next one is tried when its time has come.
///
/// The output is that of the last checkpoint: an error if there was to be one [at the
/// end](Self::until) and it failed.
#[must_use = "futures do nothing unless polled"]
pub struct CheckpointEvery<S = DefaultHashBuilder>
where
    S: BuildHasher + Send + Sync + 'static,
{
    /// Until it is polled for the first time.
    job: Option<Job<S>>,
    running: Option<BoxFuture<'static, Result<(), CheckpointError>>>,
}

type OnEach = Box<dyn FnMut(&Result<Checkpoint, CheckpointError>) + Send>;

struct Job<S: BuildHasher + Send + Sync> {
    store: WeakStore<S>,
    /// For the last checkpoint, if there is to be one.
    kept: Option<MemoryStore<S>>,
    options: Options,
    period: Duration,
    path: PathBuf,
    end: Option<BoxFuture<'static, ()>>,
    on_each: Option<OnEach>,
}

impl<S: BuildHasher + Send + Sync + 'static> CheckpointEvery<S> {
    pub(super) fn new(
        store: WeakStore<S>,
        options: Options,
        period: Duration,
        path: PathBuf,
    ) -> Self {
        Self {
            job: Some(Job {
                store,
                kept: None,
                options,
                period: period.max(LEAST_PERIOD),
                path,
                end: None,
                on_each: None,
            }),
            running: None,
        }
    }

    /// When `end` is ready, writes a last checkpoint, with all that was written into the store
    /// before, and then is ready itself. So shut down what writes first, and wait for this
    /// future last. A checkpoint that is just being written is finished before. Until then it
    /// keeps the store in memory, so that nothing is lost if the last other handle goes first.
    ///
    /// ```
    /// use std::time::Duration;
    /// use attuned_store::{MemoryStore, StateSnapshot};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = std::env::temp_dir().join(format!("attuned-until-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// # let path = folder.join("users.checkpoint");
    /// let store = MemoryStore::default();
    /// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    /// let checkpoints = store
    ///     .checkpoint_every(Duration::from_secs(60), &path)
    ///     .until(async { drop(stopped.await) });
    /// let checkpoints = tokio::spawn(checkpoints);
    ///
    /// store.insert(StateSnapshot::builder().user_id("ada").build()?)?;
    /// drop(stop);
    /// checkpoints.await??;
    /// assert!(MemoryStore::builder().restore_from(&path)?.contains("ada"));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn until(mut self, end: impl Future<Output = ()> + Send + 'static) -> Self {
        if let Some(job) = &mut self.job {
            job.kept = job.store.upgrade();
            job.end = Some(Box::pin(end));
        }
        self
    }

    /// Calls `tell` with what came of each checkpoint.
    pub fn on_each(
        mut self,
        tell: impl FnMut(&Result<Checkpoint, CheckpointError>) + Send + 'static,
    ) -> Self {
        if let Some(job) = &mut self.job {
            job.on_each = Some(Box::new(tell));
        }
        self
    }
}

impl<S: BuildHasher + Send + Sync + 'static> Job<S> {
    async fn run(mut self) -> Result<(), CheckpointError> {
        loop {
            let is_last = self.wait().await;
            let store = self.kept.clone().or_else(|| self.store.upgrade());
            let Some(store) = store else {
                return Ok(());
            };
            let checkpoints = Checkpointer::with_options(store, self.options.clone());
            let written = checkpoints.write_in_background(&self.path).await;
            if let Err(error) = &written {
                tracing::warn!(%error, "checkpoint failed");
            }
            if let Some(tell) = &mut self.on_each {
                tell(&written);
            }
            if is_last {
                return written.map(drop);
            }
        }
    }

    /// Waits for the time of the next checkpoint; true if it is to be the last one.
    async fn wait(&mut self) -> bool {
        let mut delay = Delay::new(self.period);
        poll_fn(|context| {
            if let Some(end) = &mut self.end
                && end.as_mut().poll(context).is_ready()
            {
                return Poll::Ready(true);
            }
            Pin::new(&mut delay).poll(context).map(|()| false)
        })
        .await
    }
}

impl<S: BuildHasher + Send + Sync + 'static> Future for CheckpointEvery<S> {
    type Output = Result<(), CheckpointError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(job) = self.job.take() {
            self.running = Some(Box::pin(job.run()));
        }
        match &mut self.running {
            Some(running) => running.as_mut().poll(context),
            None => unreachable!("the job runs as soon as it is taken"),
        }
    }
}

impl<S: BuildHasher + Send + Sync + 'static> fmt::Debug for CheckpointEvery<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointEvery").finish_non_exhaustive()
    }
}
