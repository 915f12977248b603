//! When retired versions are reclaimed, and what a thread can still do when it ends.
//!
//! sdd reclaims by epochs: what a thread retires waits in a bag of that thread until
//! the epoch has advanced three times, and is dropped when the thread makes its next
//! guard. Left alone, a thread asks for an advance once in 128 guards, and then drops
//! some hundreds of versions at once, while somebody waits for the write that it is
//! in. So this module asks sooner, and by what was retired: the portions are small,
//! and a thread that goes to sleep leaves few versions behind.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use sdd::{Epoch, Guard};

/// How many retired versions a thread lets come together before it asks for an
/// advance, at the least and at the most. To advance, sdd looks at every thread, so the
/// interval grows with their number.
const INTERVAL: (usize, usize) = (4, 32);
const THREADS_PER_VERSION: usize = 8;

/// How many rounds of guard and advance [`drive`] goes. Three advances are needed, and
/// one more for what a thread that ended has left. More rounds do not help: then some
/// other thread is inside a guard and perhaps without a processor.
const ROUNDS: usize = 8;
const ADVANCES: usize = 4;

/// After [`ROUNDS`] guards that found somebody still inside, one in so many asks again.
const SELDOM: usize = 16;

/// What a thread can do with thread-local variables of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It has not used a map yet.
    New,
    /// It can use those of seize (which reclaims the map's entries) and of sdd.
    Running,
    /// It is about to end, and they are gone or about to go.
    Ending,
    /// No thread is like that.
    Unreached,
}

/// Whether a read can go the quick way: never, or in a thread that is running. One
/// comparison for both questions, because every read asks them.
pub(crate) struct Quick(Phase);

impl Quick {
    pub(crate) const NEVER: Self = Self(Phase::Unreached);
    pub(crate) const IF_RUNNING: Self = Self(Phase::Running);

    #[inline]
    pub(crate) fn holds(&self) -> bool {
        PHASE.get() == self.0
    }
}

thread_local! {
    // None of these four has a destructor, so they can be used at any time.
    static PHASE: Cell<Phase> = const { Cell::new(Phase::New) };
    static RETIRED: Cell<usize> = const { Cell::new(0) };
    /// Advances that the next guards are to ask for, because a removal could not wait for
    /// them.
    static OWED: Cell<usize> = const { Cell::new(0) };
    /// How many guards there have been since, and the last epoch that was seen.
    static WAITING: Cell<(usize, Option<Epoch>)> = const { Cell::new((0, None)) };
    // Registered after those of seize and sdd. std destroys the last registered
    // first, on Linux; so as long as it is there, so are they.
    static PROBE: Probe = const { Probe };
}

struct Probe;

impl Drop for Probe {
    /// Leaves nothing behind, if it can.
    ///
    /// What a thread leaves when it ends waits until another thread asks for an advance,
    /// and then until that one has seen three more. If all threads are short, each would
    /// end before that and leave it to the next, together with what it has itself: more and
    /// more would wait, each thread's share inside that of the next, and dropping it at
    /// last would need a level of the stack for each thread.
    fn drop(&mut self) {
        // On a platform where sdd's variables should be gone by now, this panics.
        let left_nothing = catch_unwind(drive_until_empty).unwrap_or(true);
        if !left_nothing
            && (LEFT.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(LEFT_TO_EACH_OTHER)
        {
            start_heir();
        }
        PHASE.set(Phase::Ending);
        THREADS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Has everything dropped that this thread has let go of, also by values' `Drop`, and
/// returns whether it was.
fn drive_until_empty() -> bool {
    let is_empty = || RETIRED.get() == 0 && OWED.get() == 0 && !Guard::new().has_garbage();
    (0..ROUNDS).any(|_| is_empty() || !drive()) && is_empty()
}

/// How many threads have ended that could not leave nothing, since another thread was
/// inside a guard.
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// How many of them may leave it to each other: as many levels of the stack are no
/// problem.
const LEFT_TO_EACH_OTHER: usize = 256;

/// Starts a thread that takes what ended threads have left, and lives until it is dropped.
/// It takes their shares one beside the other.
#[cold]
fn start_heir() {
    static THERE: AtomicBool = AtomicBool::new(false);
    if THERE.swap(true, Ordering::Relaxed) {
        return;
    }
    let heir = || {
        while !drive_until_empty() {
            thread::sleep(Duration::from_millis(1));
        }
        THERE.store(false, Ordering::Relaxed);
    };
    let named = thread::Builder::new().name("attuned-store-heir".to_owned());
    if named.spawn(heir).is_err() {
        THERE.store(false, Ordering::Relaxed);
    }
}

/// Threads that have used a map and have not ended.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Whether this thread can use guards, those of the map and those of sdd.
///
/// A thread that ends cannot: while its thread-local variables are destroyed, seize
/// has given its place away, and sdd's collector is gone. `touch_map` makes and drops a
/// guard of the map, so that seize's variable is registered before the probe.
#[inline]
pub(crate) fn usable(touch_map: impl FnOnce()) -> bool {
    match PHASE.get() {
        Phase::Running => true,
        Phase::Ending | Phase::Unreached => false,
        Phase::New => begin(touch_map),
    }
}

#[cold]
fn begin(touch_map: impl FnOnce()) -> bool {
    // Both panic if this is the destructor of a thread-local variable, and another
    // crate has used them in this thread before.
    let touched = catch_unwind(AssertUnwindSafe(|| {
        touch_map();
        drop(Guard::new());
    }));
    let usable = touched.is_ok() && PROBE.try_with(|_| ()).is_ok();
    if usable {
        THREADS.fetch_add(1, Ordering::Relaxed);
        PHASE.set(Phase::Running);
    } else {
        PHASE.set(Phase::Ending);
    }
    usable
}

/// Whether [`usable`] has been asked in this thread, and the answer still holds.
#[inline]
pub(crate) fn is_running() -> bool {
    PHASE.get() == Phase::Running
}

/// A guard: what is reached under it stays in memory as long as it lives.
#[inline]
pub(crate) fn enter() -> Guard {
    let guard = Guard::new();
    if OWED.get() > 0 {
        go_on(&guard);
    }
    guard
}

/// Goes on with what [`drive`] could not finish.
///
/// A thread that is inside is most often gone soon, or when it has its processor again. One
/// that stays must not make every operation of this thread ask in vain, since asking takes
/// time.
#[cold]
fn go_on(guard: &Guard) {
    let (guards, last) = WAITING.get();
    let guards = guards + 1;
    WAITING.set((guards, last));
    if guards > ROUNDS && !guards.is_multiple_of(SELDOM) {
        return;
    }
    let epoch = guard.epoch();
    if last != Some(epoch) {
        WAITING.set((guards, Some(epoch)));
        OWED.set(OWED.get() - 1);
    }
    if OWED.get() > 0 {
        guard.accelerate();
    }
}

/// Takes account of versions that this thread has let go of under `guard`, and asks for
/// an advance if enough have come together. It happens when the outermost guard goes.
#[inline]
pub(crate) fn retired(versions: usize, guard: &Guard) {
    let so_far = RETIRED.get() + versions;
    let (least, most) = INTERVAL;
    let interval = (THREADS.load(Ordering::Relaxed) / THREADS_PER_VERSION).clamp(least, most);
    if so_far >= interval {
        RETIRED.set(0);
        guard.accelerate();
    } else {
        RETIRED.set(so_far);
    }
}

/// Has everything dropped that this thread has let go of, and returns whether it was.
///
/// It was not if somebody else is inside a guard, or this thread is; then [this thread's
/// next guards](enter) go on with it. Costs some 0.1 microseconds a round, and more with
/// each thread that sdd has to look at.
pub(crate) fn drive() -> bool {
    let mut advances = 0;
    let mut last = None;
    for _ in 0..ROUNDS {
        let guard = Guard::new();
        let is_empty = !guard.has_garbage();
        guard.accelerate();
        let epoch = guard.epoch();
        if last.is_some_and(|last| last != epoch) {
            advances += 1;
        }
        // The epoch is that of all threads. Where others advance it, too, it can go on twice
        // between two guards of this thread, which then drops only a third of its bag.
        if advances >= ADVANCES && is_empty {
            RETIRED.set(0);
            OWED.set(0);
            return true;
        }
        last = Some(epoch);
    }
    OWED.set(ADVANCES);
    WAITING.set((0, last));
    false
}

/// Does the work in a thread of its own, for a thread that is about to end. `None` if
/// there can be no such thread.
///
/// On Windows there never is: destructors of thread-local variables run under a lock
/// there that a new thread needs to start, so waiting for one would never end.
#[cold]
pub(crate) fn elsewhere<R: Send>(work: impl FnOnce() -> R + Send) -> Option<R> {
    if cfg!(windows) {
        return None;
    }
    thread::scope(|scope| {
        let worker = thread::Builder::new().spawn_scoped(scope, work).ok()?;
        match worker.join() {
            Ok(result) => Some(result),
            Err(panic) => panic::resume_unwind(panic),
        }
    })
}

#[cfg(all(test, not(attuned_loom)))]
mod tests {
    use std::sync::Arc;

    use sdd::Shared;

    use super::*;

    #[test]
    fn what_was_driven_is_dropped_though_others_advance_the_epoch() {
        let drive_often = || {
            let mut driven = 0;
            while driven < 20_000 {
                let value = Arc::new(());
                drop(Shared::new(Arc::clone(&value)));
                if drive() {
                    assert_eq!(Arc::strong_count(&value), 1, "after {driven}");
                    driven += 1;
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(drive_often);
            }
        });
    }
}
