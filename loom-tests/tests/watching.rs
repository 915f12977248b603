//! Models of watching: a watcher learns of every change, no matter what comes between the
//! change and the notification, or between the subscription and the look.
//!
//! Each model has one or two watches and some threads that write and remove. In each execution
//! a watch is asked for events until it has none, and again only if its waker was called. When
//! all threads are done,
//! - its last event is what is there: nothing was missed;
//! - the revisions of its events rise, and nobody is removed who was not given before, or
//!   for a cause that they cannot have.
//!
//! In some of them the user's time to live ends while the threads are at work: one of them
//! sets the store's clock. At the end somebody sweeps, as nobody is told at the deadline.
//!
//! Retention is 2. Preemptions are bounded as said with each model.

#[path = "models/depth.rs"]
mod depth;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use attuned_store::sync::SetClock;
use attuned_store::{
    AnyEvent, Event, MemoryStore, RemovalCause, Revision, StateSnapshot, StateStore, Watch,
};
use depth::{Depth, Preemptions};
use futures_core::Stream;

fn explore(name: &str, preemptions: Preemptions, model: impl Fn() + Sync + Send + 'static) {
    let executions = Arc::new(AtomicUsize::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions.at(Depth::of_this_run());
    builder.max_branches = 10_000;
    builder.check({
        let executions = Arc::clone(&executions);
        move || {
            executions.fetch_add(1, Ordering::Relaxed);
            model();
        }
    });
    println!("{name}: {} executions", executions.load(Ordering::Relaxed));
}

fn now<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("nothing in memory is waited for"),
    }
}

#[derive(Clone, Copy)]
enum Size {
    Large,
    Small,
}

fn snapshot(size: Size, at: i64) -> StateSnapshot {
    let snapshot = StateSnapshot::builder().user_id("ada").updated_at(at);
    let snapshot = match size {
        Size::Small => snapshot.axis("warmth", 0.5),
        // Together too large for the mirror.
        Size::Large => snapshot
            .axis("first_axis", 0.5)
            .axis("second_axis", 0.5)
            .axis("third_axis", 0.5)
            .axis("fourth_axis", 0.5),
    };
    snapshot.build().expect("a valid snapshot")
}

/// A waker that only says that it was called. loom does not see it, so it orders nothing.
#[derive(Default)]
struct Called(AtomicBool);

impl Wake for Called {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A watch of one user or of all, and what it has been told.
struct Watcher<E> {
    watch: Watch<E>,
    called: Arc<Called>,
    newest: Option<Revision>,
    present: Option<Revision>,
    causes: &'static [RemovalCause],
}

impl<E: Told> Watcher<E> {
    /// With the causes that a removal can have.
    fn new(watch: Watch<E>, causes: &'static [RemovalCause]) -> Self {
        let called = Arc::new(Called(AtomicBool::new(true)));
        Self {
            watch,
            called,
            newest: None,
            present: None,
            causes,
        }
    }

    /// Takes what there is, if the waker was called.
    fn turn(&mut self) {
        while self.called.0.swap(false, Ordering::SeqCst) {
            let waker = Waker::from(Arc::clone(&self.called));
            let mut context = Context::from_waker(&waker);
            while let Poll::Ready(event) = Pin::new(&mut self.watch).poll_next(&mut context) {
                let event = event.expect("the store is still there");
                let Some(change) = event.of_ada() else {
                    continue;
                };
                assert!(Some(change.revision()) > self.newest, "it went back");
                self.newest = Some(change.revision());
                let before = self.present;
                self.present = match change {
                    Event::Put(found) => Some(found.revision),
                    Event::Removed { cause, .. } => {
                        assert!(self.causes.contains(cause), "{cause}: nobody did that");
                        None
                    }
                };
                assert!(
                    before.is_some() || self.present.is_some(),
                    "removed, but was not there"
                );
            }
        }
    }

    /// When nothing changes any more.
    fn settle(&mut self, store: &MemoryStore) {
        store.sweep();
        self.turn();
        let there = store.get_versioned("ada").map(|found| found.revision);
        assert_eq!(self.present, there, "a change was missed");
    }
}

trait Told {
    fn of_ada(&self) -> Option<&Event<StateSnapshot>>;
}

impl Told for Event<StateSnapshot> {
    fn of_ada(&self) -> Option<&Event<StateSnapshot>> {
        Some(self)
    }
}

impl Told for AnyEvent<StateSnapshot> {
    fn of_ada(&self) -> Option<&Event<StateSnapshot>> {
        match self {
            Self::Of { event, .. } => Some(event),
            Self::CaughtUp => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Do {
    Upsert,
    Update,
    Delete,
    Retain,
    /// A reader, who announces what it meets, and seals what it finds expired.
    Read,
    /// The clock goes on by one tick.
    TimePasses,
    Sweep,
}

/// In ticks of the clock.
const TIME_TO_LIVE: Duration = Duration::from_millis(2);

/// The next tick ends the time of who is there, and not of who is written meanwhile.
const EXPIRING: &[Do] = &[Do::Upsert, Do::TimePasses];

fn perform(store: &MemoryStore, clock: &SetClock, size: Size, operations: &[Do]) {
    for (at, operation) in operations.iter().enumerate() {
        let at = at as i64;
        match operation {
            Do::Upsert => now(store.upsert_latest(snapshot(size, at))).expect("there is room"),
            Do::Update => {
                let change = |_: Option<&_>| snapshot(size, at).to_builder();
                let _ = store.update("ada", change).expect("there is room");
            }
            Do::Delete => drop(now(store.delete("ada")).expect("it can")),
            Do::Retain => drop(store.retain(|_, _| false)),
            Do::Read => drop(now(store.get_history("ada", 2)).expect("it can")),
            Do::TimePasses => clock.advance(1),
            Do::Sweep => drop(store.sweep()),
        }
    }
}

/// Runs the threads beside a watcher of the user, one of all users, or both.
fn beside(
    name: &'static str,
    preemptions: Preemptions,
    watchers: Watchers,
    present: bool,
    threads: &'static [&'static [Do]],
) {
    let start = if present { &[Do::Upsert][..] } else { &[] };
    let causes = &[RemovalCause::Deleted];
    for size in [Size::Large, Size::Small] {
        run(name, preemptions, watchers, size, start, causes, threads);
    }
}

/// The same where the next tick of the clock ends the time to live of the user. Nothing is
/// mirrored then, so it is all the same how large the states are.
fn beside_expiry(
    name: &'static str,
    preemptions: Preemptions,
    watchers: Watchers,
    threads: &'static [&'static [Do]],
) {
    let causes = &[RemovalCause::Expired];
    let size = Size::Small;
    run(name, preemptions, watchers, size, EXPIRING, causes, threads);
}

/// There is a time to live if removals can have that cause.
fn run(
    name: &'static str,
    preemptions: Preemptions,
    watchers: Watchers,
    size: Size,
    start: &'static [Do],
    causes: &'static [RemovalCause],
    threads: &'static [&'static [Do]],
) {
    explore(name, preemptions, move || {
        let clock = SetClock::default();
        let mut builder = MemoryStore::builder().history(2);
        if causes.contains(&RemovalCause::Expired) {
            builder = builder.time_to_live(TIME_TO_LIVE).clock(clock.clone());
        }
        let store = builder.build().expect("valid");
        perform(&store, &clock, size, start);
        let writers: Vec<_> = threads
            .iter()
            .map(|operations| {
                let (store, clock) = (store.clone(), clock.clone());
                loom::thread::spawn(move || perform(&store, &clock, size, operations))
            })
            .collect();
        let mut of_ada = None;
        let mut of_all = None;
        if watchers != Watchers::OfAll {
            of_ada = Some(Watcher::new(
                now(store.watch("ada")).expect("it can"),
                causes,
            ));
        }
        if let Some(watcher) = &mut of_ada {
            watcher.turn();
        }
        if watchers != Watchers::OfUser {
            of_all = Some(Watcher::new(
                now(store.watch_all()).expect("it can"),
                causes,
            ));
        }
        if let Some(watcher) = &mut of_all {
            watcher.turn();
        }
        if let Some(watcher) = &mut of_ada {
            watcher.turn();
        }
        for writer in writers {
            writer.join().expect("a model thread does not panic");
        }
        if let Some(watcher) = &mut of_ada {
            watcher.settle(&store);
        }
        if let Some(watcher) = &mut of_all {
            watcher.settle(&store);
        }
    });
}

/// At the full depth one more than the plain one.
const THREE: Preemptions = Preemptions {
    plain: Some(3),
    full: Some(4),
};

const TWO: Preemptions = Preemptions {
    plain: Some(2),
    full: Some(3),
};

#[derive(Clone, Copy, PartialEq)]
enum Watchers {
    OfUser,
    OfAll,
    Both,
}

use Watchers::{Both, OfAll, OfUser};

#[test]
fn of_one_user_beside_one_writer() {
    let bound = THREE;
    beside(
        "watch | upsert, upsert",
        bound,
        OfUser,
        true,
        &[&[Do::Upsert, Do::Upsert]],
    );
    beside("watch | update", bound, OfUser, true, &[&[Do::Update]]);
    beside("watch | delete", bound, OfUser, true, &[&[Do::Delete]]);
    beside("watch | retain", bound, OfUser, true, &[&[Do::Retain]]);
    beside(
        "watch | delete, upsert",
        bound,
        OfUser,
        true,
        &[&[Do::Delete, Do::Upsert]],
    );
}

#[test]
fn of_one_user_who_comes_beside_the_watch() {
    let bound = THREE;
    beside(
        "absent: watch | upsert",
        bound,
        OfUser,
        false,
        &[&[Do::Upsert]],
    );
    beside(
        "absent: watch | update",
        bound,
        OfUser,
        false,
        &[&[Do::Update]],
    );
    beside(
        "absent: watch | upsert, delete",
        bound,
        OfUser,
        false,
        &[&[Do::Upsert, Do::Delete]],
    );
}

#[test]
fn of_one_user_beside_two_threads() {
    let bound = TWO;
    let two: [(&'static str, &'static [&'static [Do]]); 4] = [
        ("watch | upsert | upsert", &[&[Do::Upsert], &[Do::Upsert]]),
        ("watch | upsert | read", &[&[Do::Upsert], &[Do::Read]]),
        ("watch | upsert | delete", &[&[Do::Upsert], &[Do::Delete]]),
        (
            "watch | delete, upsert | delete",
            &[&[Do::Delete, Do::Upsert], &[Do::Delete]],
        ),
    ];
    for (name, threads) in two {
        beside(name, bound, OfUser, true, threads);
    }
    beside(
        "absent: watch | upsert | delete",
        bound,
        OfUser,
        false,
        &[&[Do::Upsert], &[Do::Delete]],
    );
    beside(
        "absent: watch | upsert | upsert",
        bound,
        OfUser,
        false,
        &[&[Do::Upsert], &[Do::Upsert]],
    );
}

#[test]
fn of_all_users() {
    let bound = TWO;
    beside("watch all | upsert", bound, OfAll, true, &[&[Do::Upsert]]);
    beside(
        "watch all | delete, upsert",
        bound,
        OfAll,
        true,
        &[&[Do::Delete, Do::Upsert]],
    );
    beside(
        "absent: watch all | upsert",
        bound,
        OfAll,
        false,
        &[&[Do::Upsert]],
    );
    beside(
        "absent: watch all | upsert, delete",
        bound,
        OfAll,
        false,
        &[&[Do::Upsert, Do::Delete]],
    );
    beside(
        "watch all | upsert | delete",
        bound,
        OfAll,
        true,
        &[&[Do::Upsert], &[Do::Delete]],
    );
}

#[test]
fn of_one_user_and_of_all() {
    let bound = TWO;
    beside(
        "watch, watch all | upsert",
        bound,
        Both,
        true,
        &[&[Do::Upsert]],
    );
    beside(
        "watch, watch all | delete",
        bound,
        Both,
        true,
        &[&[Do::Delete]],
    );
    beside(
        "absent: watch, watch all | upsert",
        bound,
        Both,
        false,
        &[&[Do::Upsert]],
    );
}

/// The thread that takes out a user who has expired tells it, and no other does.
#[test]
fn of_one_user_who_expires_beside_one_thread() {
    let one: [(&'static str, &'static [&'static [Do]]); 6] = [
        ("watch | tick, sweep", &[&[Do::TimePasses, Do::Sweep]]),
        ("watch | tick, read", &[&[Do::TimePasses, Do::Read]]),
        ("watch | tick, upsert", &[&[Do::TimePasses, Do::Upsert]]),
        ("watch | tick, update", &[&[Do::TimePasses, Do::Update]]),
        ("watch | tick, delete", &[&[Do::TimePasses, Do::Delete]]),
        ("watch | tick, retain", &[&[Do::TimePasses, Do::Retain]]),
    ];
    for (name, threads) in one {
        beside_expiry(name, THREE, OfUser, threads);
        beside_expiry(name, TWO, OfAll, threads);
    }
}

#[test]
fn of_one_user_who_expires_beside_two_threads() {
    let two: [(&'static str, &'static [&'static [Do]]); 4] = [
        (
            "watch | tick, sweep | upsert",
            &[&[Do::TimePasses, Do::Sweep], &[Do::Upsert]],
        ),
        (
            "watch | tick, upsert | sweep",
            &[&[Do::TimePasses, Do::Upsert], &[Do::Sweep]],
        ),
        (
            "watch | tick, read | sweep",
            &[&[Do::TimePasses, Do::Read], &[Do::Sweep]],
        ),
        ("watch | tick | upsert", &[&[Do::TimePasses], &[Do::Upsert]]),
    ];
    for (name, threads) in two {
        beside_expiry(name, TWO, OfUser, threads);
    }
    // The one who comes back can be deleted.
    run(
        "watch | tick, delete | upsert",
        TWO,
        OfUser,
        Size::Small,
        EXPIRING,
        &[RemovalCause::Expired, RemovalCause::Deleted],
        &[&[Do::TimePasses, Do::Delete], &[Do::Upsert]],
    );
}

/// One goes while another comes, and a writer who finds nobody takes the mark back.
#[test]
fn one_goes_while_another_comes() {
    for size in [Size::Large, Size::Small] {
        explore("watch, drop | watch | upsert", TWO, move || {
            let store = MemoryStore::builder().history(2).build().expect("valid");
            perform(&store, &SetClock::default(), size, &[Do::Upsert]);
            let mut goes = Watcher::new(now(store.watch("ada")).expect("it can"), &[]);
            goes.turn();
            let writer = {
                let store = store.clone();
                loom::thread::spawn(move || {
                    perform(&store, &SetClock::default(), size, &[Do::Upsert])
                })
            };
            let going = loom::thread::spawn(move || drop(goes));
            let mut comes = Watcher::new(now(store.watch("ada")).expect("it can"), &[]);
            comes.turn();
            writer.join().expect("a model thread does not panic");
            going.join().expect("a model thread does not panic");
            comes.settle(&store);
        });
    }
}

/// One has gone and left the mark, another comes, and a writer finds nobody in between: what
/// it then takes back must not be the mark of the one who has come.
#[test]
fn one_comes_when_another_has_gone() {
    for size in [Size::Large, Size::Small] {
        explore("gone; watch | upsert, upsert", TWO, move || {
            let store = MemoryStore::builder().history(2).build().expect("valid");
            perform(&store, &SetClock::default(), size, &[Do::Upsert]);
            let mut gone = Watcher::new(now(store.watch("ada")).expect("it can"), &[]);
            gone.turn();
            drop(gone);
            let writer = {
                let store = store.clone();
                loom::thread::spawn(move || {
                    perform(
                        &store,
                        &SetClock::default(),
                        size,
                        &[Do::Upsert, Do::Upsert],
                    )
                })
            };
            let mut comes = Watcher::new(now(store.watch("ada")).expect("it can"), &[]);
            comes.turn();
            writer.join().expect("a model thread does not panic");
            comes.settle(&store);
        });
    }
}
