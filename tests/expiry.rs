//! A time to live by the system's clock, through both interfaces of the store. The exact
//! meaning has tests beside the code, under a clock that those set.

mod common;
#[path = "common/ready.rs"]
mod ready;

use std::thread;
use std::time::{Duration, Instant};

use attuned_store::{
    Expected, MAX_TIME_TO_LIVE, MemoryStore, StateStore, StateStoreExt, StoreError,
};

use common::{large, snapshot};
use ready::ready;

const SHORT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(3_600);

fn living(time_to_live: Duration) -> MemoryStore {
    let builder = MemoryStore::builder().history(5);
    builder.time_to_live(time_to_live).build().unwrap()
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < give_up, "{what}");
        thread::yield_now();
    }
}

#[test]
fn nobody_goes_before_the_time() {
    for time_to_live in [LONG, MAX_TIME_TO_LIVE] {
        let store = living(time_to_live);
        // The time in the snapshot does not count.
        for at in [i64::MIN, 0, i64::MAX] {
            store.insert(snapshot("ada", at)).unwrap();
            store.insert(large(&snapshot("grace", at))).unwrap();
        }
        assert_eq!(store.sweep(), 0);
        assert_eq!(store.expire_older_than(LONG), 0);
        for id in ["ada", "grace"] {
            assert!(store.get(id).is_some());
            assert_eq!(store.history(id, 9).len(), 3);
            assert_eq!(ready(store.get_history(id, 9)).unwrap().len(), 3);
        }
    }
}

#[test]
fn the_contract_finds_nobody_either() {
    let store = living(SHORT);
    for make in [|at| snapshot("ada", at), |at| large(&snapshot("ada", at))] {
        let seen = ready(store.upsert_if(make(1), Expected::Any)).unwrap();
        eventually("ada expires", || {
            ready(store.get_latest("ada")).unwrap().is_none()
        });
        assert_eq!(ready(store.get_latest_versioned("ada")).unwrap(), None);
        assert!(ready(store.get_history("ada", 9)).unwrap().is_empty());
        assert_eq!(
            ready(store.get_many(&["ada", "ada"])).unwrap(),
            [None, None]
        );
        assert!(matches!(
            ready(store.require_latest("ada")),
            Err(StoreError::UserNotFound { .. })
        ));
        assert!(store.user_ids().is_empty());
        let expected = Expected::At(seen);
        assert!(matches!(
            ready(store.upsert_if(make(2), expected)),
            Err(StoreError::Conflict { actual: None, .. })
        ));
        assert!(!ready(store.delete("ada")).unwrap());
        let anew = ready(store.upsert_if(make(3), Expected::Absent)).unwrap();
        assert!(anew > seen);
    }
}

#[test]
fn a_store_that_had_expired_users_only_takes_in_as_many_as_before() {
    const USERS: usize = 50;
    let builder = MemoryStore::builder().max_users(USERS);
    let store = builder.time_to_live(SHORT).build().unwrap();
    for round in 0..5 {
        for n in 0..USERS {
            let newcomer = snapshot(&format!("user-{round}-{n}"), 1);
            eventually("there is room", || store.insert(newcomer.clone()).is_ok());
        }
    }
    eventually("all are gone", || {
        store.sweep();
        store.is_empty()
    });
    assert_eq!(store.stats().expirations, 5 * USERS as u64);
    assert_eq!(store.stats().removals, 0);
}

/// Also where nobody reads or sweeps: the next write begins anew.
#[test]
fn a_user_who_comes_back_has_no_past() {
    let store = living(SHORT);
    let mut last = store.insert(snapshot("ada", 0)).unwrap();
    for at in 1..20 {
        let written_at = store.get_versioned("ada").map(|latest| latest.written_at);
        let begun = Instant::now();
        eventually("time passes", || begun.elapsed() > 3 * SHORT);
        let revision = store.insert(snapshot("ada", at)).unwrap();
        assert!(revision > last);
        last = revision;
        let history = store.history("ada", 9);
        assert!(history.len() <= 1, "{history:?}, after {written_at:?}");
    }
}

#[cfg(feature = "sweep")]
mod sweeping {
    use std::future::poll_fn;
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::task::{Context, Poll, Wake, Waker};
    use std::thread::{self, Thread};

    use super::*;

    /// An executor of one task.
    fn block_on<F: Future>(future: F) -> F::Output {
        struct Unpark(Thread);

        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }

        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    }

    fn is_sendable_and_owns_all<F: Future<Output = ()> + Send + 'static>(future: F) -> F {
        future
    }

    fn fill(store: &MemoryStore, users: usize) {
        for n in 0..users {
            store.insert(snapshot(&format!("user-{n}"), 1)).unwrap();
        }
    }

    /// tokio's timer is switched off here.
    #[tokio::test]
    async fn a_task_of_tokio_takes_out_who_has_expired_and_ends_with_the_store() {
        let store = living(SHORT);
        let sweeping = tokio::spawn(is_sendable_and_owns_all(store.sweep_every(SHORT)));
        for _ in 0..3 {
            fill(&store, 3_000);
            while !store.is_empty() {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(store.stats().expirations, 9_000);
        assert!(!sweeping.is_finished());
        drop(store);
        sweeping.await.unwrap();
    }

    #[test]
    fn so_does_a_thread_of_another_executor() {
        let store = living(SHORT);
        let other = store.clone();
        let sweeping = store.sweep_every(SHORT);
        let sweeper = thread::spawn(|| block_on(sweeping));
        fill(&store, 3_000);
        drop(store);
        eventually("all are gone", || other.is_empty());
        assert!(!sweeper.is_finished());
        drop(other);
        sweeper.join().unwrap();
    }

    #[test]
    fn the_end_of_the_store_does_not_wait_for_the_period() {
        // One with nothing to sweep ends as well.
        for store in [living(SHORT), living(LONG), MemoryStore::default()] {
            for period in [LONG, Duration::MAX] {
                let sweeping = store.sweep_every(period);
                thread::spawn(move || block_on(sweeping));
            }
            let (first, second) = (store.sweep_every(LONG), store.sweep_every(LONG));
            let sweepers = [first, second].map(|sweeping| thread::spawn(|| block_on(sweeping)));
            drop(store);
            for sweeper in sweepers {
                sweeper.join().unwrap();
            }
        }
    }

    #[test]
    fn a_future_of_a_store_that_is_gone_is_ready_at_once() {
        for time_to_live in [Some(SHORT), None] {
            let mut builder = MemoryStore::builder();
            if let Some(time_to_live) = time_to_live {
                builder = builder.time_to_live(time_to_live);
            }
            let store = builder.build().unwrap();
            let sweeping = store.sweep_every(LONG);
            drop(store);
            ready(sweeping);
        }
    }

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    fn poll(future: Pin<&mut impl Future<Output = ()>>, count: &Arc<Count>) -> Poll<()> {
        let waker = Waker::from(Arc::clone(count));
        future.poll(&mut Context::from_waker(&waker))
    }

    #[test]
    fn nothing_of_a_future_that_was_dropped_is_woken() {
        let store = living(LONG);
        let count = Arc::new(Count::default());
        {
            let mut sweeping = pin!(store.sweep_every(LONG));
            assert!(poll(sweeping.as_mut(), &count).is_pending());
            assert!(Arc::strong_count(&count) > 1);
        }
        eventually("the waker is let go of", || Arc::strong_count(&count) == 1);
        drop(store);
        assert_eq!(count.0.load(SeqCst), 0);
    }

    /// The one that it was polled with last, as futures have to.
    #[test]
    fn the_end_wakes_the_last_waker() {
        let store = living(LONG);
        let (former, last) = (Arc::<Count>::default(), Arc::<Count>::default());
        let mut sweeping = pin!(store.sweep_every(LONG));
        for _ in 0..3 {
            assert!(poll(sweeping.as_mut(), &former).is_pending());
        }
        assert!(poll(sweeping.as_mut(), &last).is_pending());
        drop(store);
        assert_eq!((former.0.load(SeqCst), last.0.load(SeqCst)), (0, 1));
        assert!(poll(sweeping.as_mut(), &last).is_ready());
    }

    /// Between two portions, of which many users need several.
    #[test]
    fn a_sweep_gives_way_between_its_portions() {
        let store = living(SHORT);
        fill(&store, 5_000);
        eventually("all have expired", || store.user_ids().is_empty());
        let mut sweeping = pin!(store.sweep_every(SHORT));
        let mut lens = vec![store.len()];
        block_on(poll_fn(|context| {
            // Each time that it gives way, or sleeps.
            assert!(sweeping.as_mut().poll(context).is_pending());
            lens.push(store.len());
            if store.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        lens.dedup();
        assert!(lens.len() > 4, "{lens:?}");
        assert!(lens.is_sorted_by(|a, b| a > b), "{lens:?}");
    }
}
