//! A store that is swept again and again, by a future on any runtime.

use std::future;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_timer::Delay;

use super::MemoryStore;
use crate::map::Walk;
use crate::yield_now::yield_now;

/// The limits of what can be asked for. Less would be a loop without a pause; more could be
/// later than the platform's clock can tell.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl<S: BuildHasher + Send + Sync + 'static> MemoryStore<S> {
    /// A future that [sweeps](Self::sweep) the store every `period`, to be spawned on any
    /// runtime. Needs the feature `sweep`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use attuned_store::MemoryStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let half_an_hour = Duration::from_secs(30 * 60);
    /// let store = MemoryStore::builder().time_to_live(half_an_hour).build()?;
    /// let sweeping = tokio::spawn(store.sweep_every(Duration::from_secs(60)));
    /// // … the service runs, and when the last handle of the store is gone:
    /// drop(store);
    /// sweeping.await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It does not keep the store alive, and is ready as soon as the last handle of the store
    /// is gone. A store without a [time to live](crate::MemoryStoreBuilder::time_to_live) it
    /// leaves alone.
    ///
    /// The first sweep comes within one `period`, at random, and each other one three
    /// to five quarters of a `period` after the one before: stores and processes that start
    /// together do not sweep together. Less than 1 ms counts as 1 ms, more than a year as a
    /// year.
    ///
    /// A sweep is made in up to 64 portions, of at least 1,024 users each, and the future
    /// gives way to other tasks after each of them. With a million users a portion takes
    /// some milliseconds.
    ///
    /// The time comes from `futures-timer`, which has one thread for all its timers in the
    /// process. The runtime need not have a timer.
    pub fn sweep_every(&self, period: Duration) -> impl Future<Output = ()> + Send + use<S> {
        let period = period.clamp(SHORTEST, LONGEST);
        let store = Arc::downgrade(&self.0);
        let mut end = self.0.end.watched();
        let has_something_to_sweep = self.users().time_to_live().is_some();
        async move {
            if !has_something_to_sweep {
                return future::poll_fn(|context| end.poll(context)).await;
            }
            let random = RandomState::new();
            let mut pause = period.mul_f64(fraction(random.hash_one(0)));
            for sweep in 1_u64.. {
                if end.comes_within(pause).await {
                    return;
                }
                let mut walk = Walk::default();
                while let Some(store) = store.upgrade()
                    && store.users.sweep_portion(&mut walk).is_some()
                {
                    drop(store);
                    yield_now().await;
                }
                pause = period.mul_f64(0.75 + fraction(random.hash_one(sweep)) / 2.0);
            }
        }
    }
}

/// A number from 0 to 1, from random bits.
fn fraction(bits: u64) -> f64 {
    f64::from((bits >> 32) as u32) / f64::from(u32::MAX)
}

/// The end of a store, when this is dropped, for those who sleep till then.
#[derive(Default)]
pub(super) struct End(Arc<Mutex<Sleepers>>);

#[derive(Default)]
struct Sleepers {
    has_come: bool,
    /// How many there have been.
    numbered: u64,
    wakers: Vec<(u64, Waker)>,
}

impl Sleepers {
    /// What was there is for the caller to drop, when nothing is locked: wakers are
    /// strangers, and one may be the last owner of a task that sleeps here.
    fn exchange(&mut self, number: u64, waker: Option<Waker>) -> Option<Waker> {
        let place = self.wakers.iter().position(|(n, _)| *n == number);
        let former = place.map(|place| self.wakers.swap_remove(place).1);
        self.wakers.extend(waker.map(|waker| (number, waker)));
        former
    }
}

impl End {
    fn watched(&self) -> Watched {
        let mut sleepers = lock(&self.0);
        sleepers.numbered += 1;
        Watched {
            number: sleepers.numbered,
            sleepers: Arc::clone(&self.0),
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut sleepers = lock(&self.0);
        sleepers.has_come = true;
        let wakers = mem::take(&mut sleepers.wakers);
        // Nothing of a waker may run under the lock.
        drop(sleepers);
        for (_, waker) in wakers {
            waker.wake();
        }
    }
}

/// One who sleeps till the end.
struct Watched {
    number: u64,
    sleepers: Arc<Mutex<Sleepers>>,
}

impl Watched {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let waker = context.waker().clone();
        let former;
        {
            let mut sleepers = lock(&self.sleepers);
            if sleepers.has_come {
                return Poll::Ready(());
            }
            former = sleepers.exchange(self.number, Some(waker));
        }
        drop(former);
        Poll::Pending
    }

    /// Whether the end comes before the pause is over.
    async fn comes_within(&mut self, pause: Duration) -> bool {
        let mut delay = Delay::new(pause);
        future::poll_fn(|context| {
            if self.poll(context).is_ready() {
                return Poll::Ready(true);
            }
            Pin::new(&mut delay).poll(context).map(|()| false)
        })
        .await
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let former = lock(&self.sleepers).exchange(self.number, None);
        drop(former);
    }
}

fn lock(sleepers: &Mutex<Sleepers>) -> MutexGuard<'_, Sleepers> {
    sleepers.lock().unwrap_or_else(PoisonError::into_inner)
}
