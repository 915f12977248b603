//! What holds while threads race on the primitives that are shipped.
//!
//! Every snapshot carries who wrote it and its number among those of that writer,
//! so a history can be checked against what each writer did. One in three is too large
//! to be read from the mirror. All checks are of
//! things that hold at every moment of every interleaving; none depends on how
//! the threads happen to run. Where operations meet in the map of users, which
//! takes an instant, the map's hasher makes the instant longer ([`GivesWay`]).

mod common;
#[path = "common/depth.rs"]
mod depth;
#[path = "common/gives_way.rs"]
mod gives_way;

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::hint;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;

use attuned_store::{MemoryStore, Revision, State, StateSnapshot};
use common::{large, snapshot};
use depth::Depth;
use gives_way::GivesWay;

/// Which writer wrote a snapshot, and its number among those of that writer, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Stamp {
    writer: usize,
    number: u64,
}

impl Stamp {
    fn snapshot(self, user_id: &str) -> StateSnapshot {
        let snapshot = snapshot(user_id, ((self.writer as i64) << 32) | self.number as i64);
        if self.number.is_multiple_of(3) {
            large(&snapshot)
        } else {
            snapshot
        }
    }

    fn of(state: &State) -> Self {
        let at = state.updated_at_unix_ms();
        Self {
            writer: (at >> 32) as usize,
            number: at as u64 & 0xffff_ffff,
        }
    }
}

fn latest<S: BuildHasher + Send + Sync>(store: &MemoryStore<S>, user_id: &str) -> Option<Stamp> {
    store.with(user_id, Stamp::of)
}

fn history<S: BuildHasher + Send + Sync>(store: &MemoryStore<S>, user_id: &str) -> Vec<Stamp> {
    store
        .history(user_id, usize::MAX)
        .iter()
        .map(|entry| Stamp::of(&entry.value))
        .collect()
}

fn with_history(entries: usize) -> MemoryStore {
    MemoryStore::builder().history(entries).build().unwrap()
}

fn giving_way(entries: usize) -> MemoryStore<GivesWay> {
    MemoryStore::builder()
        .history(entries)
        .hasher(GivesWay::default())
        .build()
        .unwrap()
}

/// How far each writer is: a number is begun before its upsert is called, and
/// done after it has returned.
struct Progress {
    begun: Vec<AtomicU64>,
    done: Vec<AtomicU64>,
    writing: AtomicUsize,
}

impl Progress {
    fn new(writers: usize) -> Self {
        let zeros = || (0..writers).map(|_| AtomicU64::new(0)).collect();
        Self {
            begun: zeros(),
            done: zeros(),
            writing: AtomicUsize::new(writers),
        }
    }

    fn begun(&self) -> Vec<u64> {
        self.begun
            .iter()
            .map(|number| number.load(SeqCst))
            .collect()
    }

    fn done(&self) -> Vec<u64> {
        self.done.iter().map(|number| number.load(SeqCst)).collect()
    }

    /// Writes the numbers 1 to `writes`, each to the user that `user_of` names.
    fn write<'a, S: BuildHasher + Send + Sync>(
        &self,
        store: &MemoryStore<S>,
        writer: usize,
        writes: u64,
        mut user_of: impl FnMut(u64) -> &'a str,
        mut after_each: impl FnMut(Stamp),
    ) {
        let _finished = OnDrop(|| {
            self.writing.fetch_sub(1, SeqCst);
        });
        // Made beforehand, so that the writers do nothing but write.
        let snapshots: Vec<StateSnapshot> = (1..=writes)
            .map(|number| Stamp { writer, number }.snapshot(user_of(number)))
            .collect();
        for (number, snapshot) in (1..).zip(snapshots) {
            self.begun[writer].store(number, SeqCst);
            store.insert(snapshot).unwrap();
            self.done[writer].store(number, SeqCst);
            after_each(Stamp { writer, number });
        }
    }

    fn is_writing(&self) -> bool {
        self.writing.load(SeqCst) > 0
    }
}

/// Runs on a panic, too: else those who wait for a writer would not end.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Fails unless a history of a user to which all numbers of its writers went is
/// in the order of the writes.
fn assert_in_order(history: &[Stamp]) {
    for (position, newer) in history.iter().enumerate() {
        let older = history[position + 1..]
            .iter()
            .find(|older| older.writer == newer.writer);
        if let Some(older) = older {
            // One writer's numbers do not go down by one. But each was written
            // when the one before had been, so they take effect in that order,
            // and a history has no gaps: one entry is missing, twice there, or
            // in the wrong place.
            assert_eq!(newer.number, older.number + 1, "{history:?}");
        }
    }
}

/// Fails unless a history that was read after `stamp` had been stored has it, or
/// is full of what came after it.
fn assert_has_or_overtook(history: &[Stamp], stamp: Stamp, bound: usize) {
    if history.contains(&stamp) {
        return;
    }
    // A snapshot that took effect before the history was read is not in it. Only
    // eviction could have taken it out, and for that there must be as many later
    // ones as fit, none of them an earlier one of the same writer.
    assert_eq!(history.len(), bound, "{stamp:?} is lost: {history:?}");
    assert!(
        history
            .iter()
            .all(|other| other.writer != stamp.writer || other.number > stamp.number),
        "{stamp:?} was evicted before an older one: {history:?}"
    );
}

/// Fails unless the second of two histories that one thread read one after the
/// other is the first with newer entries before it, as far as there is room.
fn assert_continues(first: &[Stamp], second: &[Stamp], bound: usize) {
    let Some(newest) = first.first() else {
        return;
    };
    let Some(newer) = second.iter().position(|stamp| stamp == newest) else {
        return assert_has_or_overtook(second, *newest, bound);
    };
    let expected = (newer + first.len()).min(bound);
    // What was in the first history and has not been evicted is gone or in
    // another order, although the past of a snapshot is fixed once it is stored.
    assert_eq!(second.len(), expected, "{first:?}, then {second:?}");
    assert_eq!(
        second[newer..],
        first[..expected - newer],
        "{first:?}, then {second:?}"
    );
}

/// Fails unless the store is at rest in a state that the writers can have left.
fn assert_consistent<S: BuildHasher + Send + Sync>(store: &MemoryStore<S>, user_id: &str) {
    let (latest, history) = (latest(store, user_id), history(store, user_id));
    // Both come from the same place, and nobody is writing any more.
    assert_eq!(latest.as_ref(), history.first());
    assert_eq!(latest.is_some(), store.contains(user_id));
}

/// Lets threads begin a round together. It spins, because to wake a thread takes
/// longer than the operations that are to meet. Nothing between two rounds may
/// panic, or the others wait for ever.
struct StartingLine {
    arrived: AtomicUsize,
    threads: usize,
}

impl StartingLine {
    fn line_up(&self, round: usize) {
        let all = self.threads * (round + 1);
        self.arrived.fetch_add(1, SeqCst);
        for spins in 1.. {
            if self.arrived.load(SeqCst) >= all {
                return;
            }
            // There may be fewer cores than threads.
            if spins % 256 == 0 {
                thread::yield_now();
            }
            hint::spin_loop();
        }
    }
}

/// In each round, does all the actions at once, each on a thread of its own.
/// What they returned is by action, then by round.
fn race<R: Send>(rounds: usize, actions: &[&(dyn Fn(usize) -> R + Sync)]) -> Vec<Vec<R>> {
    let line = StartingLine {
        arrived: AtomicUsize::new(0),
        threads: actions.len(),
    };
    let line = &line;
    thread::scope(|scope| {
        let threads: Vec<_> = actions
            .iter()
            .map(|action| {
                scope.spawn(move || {
                    (0..rounds)
                        .map(|round| {
                            line.line_up(round);
                            action(round)
                        })
                        .collect()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// How often something is to happen that takes this many times at the plain depth.
fn so_often(times: usize) -> usize {
    times * Depth::of_this_run().choose(1, 10)
}

fn user_ids(users: usize) -> Vec<String> {
    (0..users).map(|n| format!("user-{n}")).collect()
}

mod one_user {
    use super::*;

    const USER: &str = "ada";
    const WRITERS: usize = 3;

    fn writes() -> u64 {
        so_often(2_500) as u64
    }

    fn read_until_written(
        progress: &Progress,
        bound: usize,
        latest: impl Fn() -> Option<Stamp>,
        history: impl Fn() -> Vec<Stamp>,
    ) {
        let mut before = Vec::new();
        while progress.is_writing() {
            let done = progress.done();
            let latest_before = latest();
            let now = history();
            let latest_after = latest();
            let begun = progress.begun();

            assert_in_order(&now);
            assert_continues(&before, &now, bound);

            let at_least = bound.min(done.iter().sum::<u64>() as usize);
            let at_most = bound.min(begun.iter().sum::<u64>() as usize);
            // Shorter than what had been stored before it was read, or longer
            // than what anybody had begun to store by then. Once it is full, it
            // is exactly full for ever.
            assert!(
                (at_least..=at_most).contains(&now.len()),
                "{} entries, not {at_least} to {at_most}",
                now.len()
            );

            for (writer, &number) in done.iter().enumerate() {
                if number > 0 {
                    assert_has_or_overtook(&now, Stamp { writer, number }, bound);
                }
            }
            match latest_before {
                Some(stamp) => assert_has_or_overtook(&now, stamp, bound),
                // There was no user, though a write of it had returned.
                None => assert_eq!(done, [0; WRITERS]),
            }
            // What is the latest now was not the latest when the history was
            // read, yet was in it: time went backwards.
            assert!(
                latest_after.is_none_or(|stamp| !now.iter().skip(1).any(|older| *older == stamp)),
                "{latest_after:?} after {now:?}"
            );
            before = now;
        }
    }

    #[test]
    fn every_history_read_among_writers_is_one_that_there_was() {
        for bound in [1, 2, 3, 8, 40] {
            let store = with_history(bound);
            let progress = Progress::new(WRITERS);
            let start = Barrier::new(WRITERS + 2);
            let (store, progress, start) = (&store, &progress, &start);

            thread::scope(|scope| {
                for writer in 0..WRITERS {
                    scope.spawn(move || {
                        start.wait();
                        progress.write(store, writer, writes(), |_| USER, |_| {});
                    });
                }
                scope.spawn(move || {
                    start.wait();
                    read_until_written(
                        progress,
                        bound,
                        || latest(store, USER),
                        || history(store, USER),
                    );
                });
                scope.spawn(move || {
                    start.wait();
                    store.pin(|view| {
                        read_until_written(
                            progress,
                            bound,
                            || view.get(USER).as_ref().map(Stamp::of),
                            || {
                                let history = view.history(USER, bound);
                                let stamps = history.iter().map(|entry| Stamp::of(&entry.value));
                                stamps.collect()
                            },
                        );
                    });
                });
            });

            assert_consistent(store, USER);
            let end = history(store, USER);
            assert_in_order(&end);
            assert_eq!(end.len(), bound);
            for writer in 0..WRITERS {
                if let Some(newest) = end.iter().find(|stamp| stamp.writer == writer) {
                    // A writer's last snapshot is missing where an earlier one
                    // is, which was evicted before it.
                    assert_eq!(newest.number, writes(), "{end:?}");
                }
            }
        }
    }

    #[test]
    fn a_writer_reads_its_own_write_or_one_that_came_after_it() {
        for bound in [1, 2, 8, 40] {
            let store = with_history(bound);
            let progress = Progress::new(WRITERS);
            let start = Barrier::new(WRITERS);
            let (store, progress, start) = (&store, &progress, &start);

            thread::scope(|scope| {
                for writer in 0..WRITERS {
                    scope.spawn(move || {
                        start.wait();
                        progress.write(
                            store,
                            writer,
                            writes(),
                            |_| USER,
                            |own| {
                                let latest = latest(store, USER).unwrap();
                                // It is an earlier one of this writer's, though
                                // a later one had been stored.
                                assert!(latest.writer != writer || latest == own);
                                assert_has_or_overtook(&history(store, USER), own, bound);
                            },
                        );
                    });
                }
            });
        }
    }

    #[test]
    fn nothing_is_lost_where_there_is_room_for_everything() {
        const WRITES: u64 = 2_000;
        let store = with_history(WRITERS * WRITES as usize);
        let progress = Progress::new(WRITERS);
        let start = Barrier::new(WRITERS);
        let (store, progress, start) = (&store, &progress, &start);

        thread::scope(|scope| {
            for writer in 0..WRITERS {
                scope.spawn(move || {
                    start.wait();
                    progress.write(store, writer, WRITES, |_| USER, |_| {});
                });
            }
        });

        assert_consistent(store, USER);
        for writer in 0..WRITERS {
            let own: Vec<u64> = history(store, USER)
                .into_iter()
                .filter(|stamp| stamp.writer == writer)
                .map(|stamp| stamp.number)
                .collect();
            // There was room, so whatever is missing was lost, and whatever is
            // out of order did not take effect when it was called.
            assert!(own.into_iter().eq((1..=WRITES).rev()), "writer {writer}");
        }
    }
}

mod many_users {
    use super::*;

    /// xorshift64: the same sequence in every run, another for every seed.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 16) as usize % bound
        }

        /// Falls off about as Zipf's law does: the first ones are the popular ones.
        fn skewed_below(&mut self, bound: usize) -> usize {
            let most = 1 + self.below(bound);
            self.below(most)
        }
    }

    #[test]
    fn a_new_user_has_what_each_of_the_threads_wrote_that_raced_to_create_it() {
        const THREADS: usize = 4;
        let rounds = so_often(1_200);

        // From empty, so that the map grows under the races.
        let store = giving_way(THREADS);
        let users = user_ids(rounds);
        let create: Vec<_> = (0..THREADS)
            .map(|writer| {
                let (store, users) = (&store, &users);
                move |round: usize| {
                    store
                        .insert(Stamp { writer, number: 1 }.snapshot(&users[round]))
                        .unwrap();
                }
            })
            .collect();
        let actions: Vec<&(dyn Fn(usize) + Sync)> =
            create.iter().map(|action| action as _).collect();
        race(rounds, &actions);

        assert_eq!(store.len(), rounds);
        for user_id in &users {
            let writers: HashSet<usize> = history(&store, user_id)
                .into_iter()
                .map(|stamp| stamp.writer)
                .collect();
            // There is room for all of them, so a writer that is missing had its
            // snapshot replaced with the user that another one created.
            assert_eq!(writers.len(), THREADS, "{user_id}");
            assert_consistent(&store, user_id);
        }
    }

    #[test]
    fn each_user_has_what_each_thread_wrote_in_the_order_of_that_thread() {
        const THREADS: usize = 4;
        const USERS: usize = 200;
        const WRITES: u64 = 4_000;

        let store = giving_way(THREADS * WRITES as usize);
        let users = user_ids(USERS);
        // For each writer, the user that each of its numbers goes to.
        let choices: Vec<Vec<usize>> = (1..=THREADS as u64)
            .map(|seed| {
                let mut random = Random(seed << 32 | seed);
                (0..WRITES).map(|_| random.skewed_below(USERS)).collect()
            })
            .collect();
        let progress = Progress::new(THREADS);
        let start = Barrier::new(THREADS);

        thread::scope(|scope| {
            for (writer, choices) in choices.iter().enumerate() {
                let (store, users, progress, start) = (&store, &users, &progress, &start);
                scope.spawn(move || {
                    start.wait();
                    let user_of = |number| users[choices[number as usize - 1]].as_str();
                    progress.write(store, writer, WRITES, user_of, |_| {});
                });
            }
        });

        for (user, user_id) in users.iter().enumerate() {
            assert_consistent(&store, user_id);
            let history = history(&store, user_id);
            for (writer, choices) in choices.iter().enumerate() {
                let found = history.iter().filter(|stamp| stamp.writer == writer);
                let expected = choices
                    .iter()
                    .enumerate()
                    .filter(|&(_, choice)| *choice == user)
                    .map(|(index, _)| Stamp {
                        writer,
                        number: index as u64 + 1,
                    });
                // There was room for everything: a snapshot was lost, stored
                // twice or under another user, or overtaken by a later one of
                // the same thread.
                assert!(found.copied().eq(expected.rev()), "{writer} to {user_id}");
            }
        }
    }
}

/// Races at the worst of moments, one thread at a time: whatever another thread
/// could do between two lookups of an operation in the map is done there by the
/// map's hasher.
mod between_two_lookups {
    use std::cell::RefCell;

    use super::*;

    const USER: &str = "ada";

    fn stamp(number: u64) -> Stamp {
        Stamp { writer: 0, number }
    }

    type Interruption = Box<dyn FnOnce()>;

    thread_local! {
        /// What to do at which of the lookups to come, counted from 1.
        static NEXT: RefCell<Option<(usize, Interruption)>> = const { RefCell::new(None) };
    }

    #[derive(Default)]
    struct Interrupts(RandomState);

    impl BuildHasher for Interrupts {
        type Hasher = <RandomState as BuildHasher>::Hasher;

        fn build_hasher(&self) -> Self::Hasher {
            match NEXT.take() {
                Some((1, interruption)) => interruption(),
                Some((lookup, interruption)) => NEXT.set(Some((lookup - 1, interruption))),
                None => {}
            }
            self.0.build_hasher()
        }
    }

    type Store = MemoryStore<Interrupts>;

    /// Empty, but with a table: without one there is nothing to look up.
    fn store() -> Store {
        let store = MemoryStore::builder()
            .history(8)
            .hasher(Interrupts::default())
            .build()
            .unwrap();
        store.insert(stamp(0).snapshot("the-first")).unwrap();
        store.clear();
        store
    }

    /// Does `operation` on the store, and before its lookup of this number does
    /// `meanwhile`.
    fn interrupt<R>(
        store: &Store,
        operation: impl FnOnce(&Store) -> R,
        lookup: usize,
        meanwhile: impl FnOnce(&Store) + 'static,
    ) -> R {
        let shared = store.clone();
        NEXT.set(Some((lookup, Box::new(move || meanwhile(&shared)))));
        let result = operation(store);
        assert!(NEXT.take().is_none(), "there was no such lookup");
        result
    }

    fn upsert(number: u64) -> impl Fn(&Store) {
        move |store| {
            store.insert(stamp(number).snapshot(USER)).unwrap();
        }
    }

    fn remove(store: &Store) -> bool {
        store.remove(USER).unwrap()
    }

    fn assert_history(store: &Store, numbers: &[u64]) {
        let expected: Vec<Stamp> = numbers.iter().copied().map(stamp).collect();
        assert_eq!(history(store, USER), expected);
        assert_eq!(store.len(), usize::from(!numbers.is_empty()));
        assert_consistent(store, USER);
    }

    #[test]
    fn a_user_who_appears_just_before_it_is_created_is_updated() {
        let store = store();
        interrupt(&store, upsert(3), 2, |store| {
            upsert(1)(store);
            upsert(2)(store);
        });
        assert_history(&store, &[3, 2, 1]);
    }

    #[test]
    fn a_user_who_appears_and_is_removed_just_before_it_is_created_is_new() {
        let store = store();
        interrupt(&store, upsert(2), 2, |store| {
            upsert(1)(store);
            assert!(remove(store));
        });
        assert_history(&store, &[2]);
    }

    #[test]
    fn a_user_is_gone_before_the_removal_has_taken_it_out_of_the_map() {
        let store = store();
        upsert(1)(&store);
        upsert(2)(&store);
        let removed = interrupt(&store, remove, 2, |store| {
            assert_eq!(latest(store, USER), None);
            assert!(store.get(USER).is_none());
            assert!(store.get_versioned(USER).is_none());
            assert!(!store.contains(USER));
            assert_eq!(history(store, USER), []);
            assert!(!remove(store));
        });
        assert!(removed);
        assert_history(&store, &[]);
    }

    #[test]
    fn a_removal_that_is_under_way_does_not_take_what_is_written_after_it_took_effect() {
        let store = store();
        upsert(1)(&store);
        let before = store.get_versioned(USER).unwrap().revision;
        let removed = interrupt(&store, remove, 2, |store| {
            upsert(2)(store);
            assert_history(store, &[2]);
            upsert(3)(store);
        });
        assert!(removed);
        assert_history(&store, &[3, 2]);
        assert!(store.get_versioned(USER).unwrap().revision > before);
    }

    #[test]
    fn a_removal_that_is_under_way_leaves_what_comes_and_goes_after_it_to_others() {
        let store = store();
        upsert(1)(&store);
        let removed = interrupt(&store, remove, 2, |store| {
            upsert(2)(store);
            assert!(remove(store));
            upsert(3)(store);
        });
        assert!(removed);
        assert_history(&store, &[3]);
    }

    /// Two upserts meet the closed timeline of a removal that is under way, and
    /// the second one is done before the first one has got it out of the map.
    #[test]
    fn upserts_that_help_a_removal_do_not_take_each_others_users_out() {
        let store = store();
        upsert(1)(&store);
        let removed = interrupt(&store, remove, 2, |store| {
            interrupt(store, upsert(3), 2, upsert(2));
            assert_history(store, &[3, 2]);
        });
        assert!(removed);
        assert_history(&store, &[3, 2]);
    }

    /// Clearing may come by once more and find what was written meanwhile.
    #[test]
    fn clearing_takes_a_user_with_its_history_or_leaves_what_came_after_it() {
        let store = store();
        upsert(1)(&store);
        interrupt(&store, Store::clear, 1, |store| {
            assert!(!store.contains(USER));
            upsert(2)(store);
            assert_history(store, &[2]);
        });
        if store.contains(USER) {
            assert_history(&store, &[2]);
        } else {
            assert_history(&store, &[]);
        }
    }
}

mod removal {
    use super::*;

    const OLD: Stamp = Stamp {
        writer: 9,
        number: 1,
    };
    const A: Stamp = Stamp {
        writer: 0,
        number: 1,
    };
    const B: Stamp = Stamp {
        writer: 1,
        number: 1,
    };

    fn rounds() -> usize {
        so_often(1_200)
    }

    fn present_users<S: BuildHasher + Send + Sync>(store: &MemoryStore<S>) -> Vec<String> {
        let users = user_ids(rounds());
        for user_id in &users {
            store.insert(OLD.snapshot(user_id)).unwrap();
        }
        users
    }

    #[test]
    fn one_of_the_threads_that_race_to_remove_a_user_has_removed_it() {
        let store = giving_way(4);
        let users = present_users(&store);
        let remove = |round: usize| store.remove(&users[round]).unwrap();
        let removed = race(rounds(), &[&remove, &remove, &remove]);

        for round in 0..rounds() {
            let winners = removed.iter().filter(|removed| removed[round]).count();
            // Nobody removed what was there, or several removed the same thing.
            assert_eq!(winners, 1, "{}", users[round]);
            assert_consistent(&store, &users[round]);
        }
        assert!(store.is_empty());
    }

    #[test]
    fn all_reads_agree_that_a_user_who_is_gone_is_gone() {
        let store = giving_way(4);
        let users = present_users(&store);
        let look = |round: usize| -> Vec<bool> {
            let user_id = &users[round];
            let reads: [&dyn Fn() -> bool; 4] = [
                &|| store.get(user_id).is_some(),
                &|| store.contains(user_id),
                &|| !store.history(user_id, 1).is_empty(),
                &|| store.get_versioned(user_id).is_some(),
            ];
            // Over and over, so that each comes after each of the others.
            (0..4)
                .flat_map(|first| (first..first + 4).map(|read| reads[read % 4]()))
                .collect()
        };
        let seen = race(
            rounds(),
            &[&look, &look, &|round| {
                vec![store.remove(&users[round]).unwrap()]
            }],
        );
        for looks in seen[..2].iter().flatten() {
            // The user was absent and then present, but nobody writes it.
            assert!(looks.is_sorted_by(|a, b| a >= b), "{looks:?}");
        }
    }

    /// What a writer reads after its own write says on which side of the only
    /// removal that write was, and with that what must be left in the end.
    #[test]
    fn what_a_writer_sees_after_the_only_removal_stays() {
        let store = giving_way(4);
        let users = present_users(&store);
        let results = race(
            rounds(),
            &[
                &|round| {
                    let user_id = &users[round];
                    // In half of the rounds, tries to begin right after the
                    // removal took effect, while it is still under way.
                    let tries = if round % 2 == 0 { 1 } else { 20 };
                    let gone = (0..tries).any(|_| latest(&store, user_id).is_none());
                    store.insert(A.snapshot(user_id)).unwrap();
                    (gone, history(&store, user_id))
                },
                &|round| (store.remove(&users[round]).unwrap(), Vec::new()),
            ],
        );

        for (round, user_id) in users.iter().enumerate() {
            let (gone, seen) = &results[0][round];
            let (removed, _) = results[1][round];
            // The user was there from the beginning of the round to the removal.
            assert!(removed, "{user_id}");
            let end = history(&store, user_id);
            match seen[..] {
                // The old snapshot was gone already, and there is no other
                // removal that could have taken the new one.
                [A] => assert_eq!(end, [A], "{user_id}"),
                // The removal was yet to come, or had just taken both.
                [A, OLD] | [] => {
                    assert!(!gone, "{user_id} lost what came after the removal");
                    assert_eq!(end, [], "{user_id}");
                }
                _ => panic!("{user_id}: there was never such a history: {seen:?}"),
            }
            assert_consistent(&store, user_id);
        }
        let present = users.iter().filter(|id| store.contains(id)).count();
        assert_eq!(store.len(), present);
    }

    #[test]
    fn removing_among_upserts_takes_all_that_came_before() {
        let store = giving_way(4);
        let users = present_users(&store);
        let removed = race(
            rounds(),
            &[
                &|round| {
                    store.insert(A.snapshot(&users[round])).unwrap();
                    true
                },
                &|round| {
                    store.insert(B.snapshot(&users[round])).unwrap();
                    true
                },
                &|round| store.remove(&users[round]).unwrap(),
            ],
        );

        for (user_id, removed) in users.iter().zip(&removed[2]) {
            // The user was there from the beginning of the round to the removal.
            assert!(removed, "{user_id}");
            let end = history(&store, user_id);
            // What was there before the removal began has come back, or one
            // upsert has stored its snapshot twice.
            assert!(
                matches!(end[..], [] | [A] | [B] | [A, B] | [B, A]),
                "{user_id}: {end:?}"
            );
            assert_consistent(&store, user_id);
        }
    }

    #[test]
    fn two_removals_that_race_with_an_upsert_account_for_what_is_left() {
        let store = giving_way(4);
        let users = present_users(&store);
        let remove = |round: usize| store.remove(&users[round]).unwrap();
        let results = race(
            rounds(),
            &[
                &|round| {
                    store.insert(A.snapshot(&users[round])).unwrap();
                    true
                },
                &remove,
                &remove,
            ],
        );

        for (round, user_id) in users.iter().enumerate() {
            let removals = results[1..].iter().filter(|removed| removed[round]).count();
            let end = history(&store, user_id);
            match removals {
                // One removal was of the old snapshot, so the other one, which
                // also found something, was of the new one.
                2 => assert_eq!(end, [], "{user_id}"),
                // Either it took both snapshots, or the new one came later.
                1 => assert!(end.is_empty() || end == [A], "{user_id}: {end:?}"),
                // The user was there from the beginning of the round.
                _ => panic!("{user_id}: nobody removed it, and there is {end:?}"),
            }
            assert_consistent(&store, user_id);
        }
    }

    #[test]
    fn an_upsert_of_an_absent_user_that_races_with_a_removal_is_kept_or_was_removed() {
        let store = giving_way(4);
        let users = user_ids(rounds());
        let results = race(
            rounds(),
            &[
                &|round| {
                    store.insert(A.snapshot(&users[round])).unwrap();
                    true
                },
                &|round| store.remove(&users[round]).unwrap(),
            ],
        );
        for (user_id, &removed) in users.iter().zip(&results[1]) {
            // The snapshot is neither there nor was it removed, or both.
            assert_eq!(history(&store, user_id).is_empty(), removed, "{user_id}");
            assert_consistent(&store, user_id);
        }
    }

    /// How far each writer was when a removal began that has since returned:
    /// nothing up to there can be seen any more.
    struct Erased(Vec<AtomicU64>);

    impl Erased {
        fn new(writers: usize) -> Self {
            Self((0..writers).map(|_| AtomicU64::new(0)).collect())
        }

        fn advance(&self, done: &[u64]) {
            for (erased, &number) in self.0.iter().zip(done) {
                erased.fetch_max(number, SeqCst);
            }
        }

        fn load(&self) -> Vec<u64> {
            self.0.iter().map(|number| number.load(SeqCst)).collect()
        }
    }

    fn assert_nothing_erased(seen: &[Stamp], erased: &[u64]) {
        for stamp in seen {
            // It had been stored when a removal began, and that removal had
            // returned when it was seen.
            assert!(
                stamp.number > erased[stamp.writer],
                "{stamp:?} has come back, in {seen:?}"
            );
        }
    }

    #[test]
    fn no_reader_sees_what_a_removal_has_removed() {
        const WRITERS: usize = 2;
        let writes = so_often(15_000) as u64;
        const BOUND: usize = 8;
        const USER: &str = "ada";

        let store = with_history(BOUND);
        let progress = Progress::new(WRITERS);
        let erased = Erased::new(WRITERS);
        let start = Barrier::new(WRITERS + 2);

        let removals = thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (store, progress, start) = (&store, &progress, &start);
                scope.spawn(move || {
                    start.wait();
                    progress.write(store, writer, writes, |_| USER, |_| {});
                });
            }
            scope.spawn(|| {
                start.wait();
                while progress.is_writing() {
                    let before = erased.load();
                    let seen = history(&store, USER);
                    assert_in_order(&seen);
                    assert_nothing_erased(&seen, &before);
                    let before = erased.load();
                    assert_nothing_erased(latest(&store, USER).as_slice(), &before);
                }
            });
            let remover = scope.spawn(|| {
                start.wait();
                let mut removals = 0;
                let mut begun_by_last_removal = vec![0; WRITERS];
                while progress.is_writing() {
                    let done = progress.done();
                    let removed = store.remove(USER).unwrap();
                    let begun = progress.begun();
                    erased.advance(&done);
                    assert_nothing_erased(&history(&store, USER), &done);
                    if removed {
                        removals += 1;
                    } else {
                        for (done, begun) in done.iter().zip(&begun_by_last_removal) {
                            // An upsert that began after the last removal had
                            // returned before this one was called, and nobody
                            // else removes: there was something to remove.
                            assert!(done <= begun);
                        }
                    }
                    begun_by_last_removal = begun;
                    thread::yield_now();
                }
                removals
            });
            remover.join().unwrap()
        });

        assert_consistent(&store, USER);
        let left = u64::from(store.remove(USER).unwrap());
        // Each removal ended a life that an upsert had begun.
        assert!(removals + left <= WRITERS as u64 * writes);
        assert!(store.is_empty());
    }

    #[test]
    fn clearing_among_writers_takes_all_that_came_before() {
        const WRITERS: usize = 2;
        let writes = so_often(15_000) as u64;
        const USERS: usize = 48;

        let store = with_history(4);
        let users = user_ids(USERS);
        let progress = Progress::new(WRITERS);
        let start = Barrier::new(WRITERS + 1);

        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (store, progress, start, users) = (&store, &progress, &start, &users);
                scope.spawn(move || {
                    start.wait();
                    // Strides that have nothing in common, so that the writers
                    // meet at a different user each time.
                    let stride = [5, 7][writer];
                    let user_of = |number| users[number as usize * stride % USERS].as_str();
                    progress.write(store, writer, writes, user_of, |_| {});
                });
            }
            scope.spawn(|| {
                start.wait();
                while progress.is_writing() {
                    let done = progress.done();
                    store.clear();
                    for user_id in &users {
                        assert_nothing_erased(&history(&store, user_id), &done);
                        assert_nothing_erased(latest(&store, user_id).as_slice(), &done);
                    }
                    thread::yield_now();
                }
            });
        });

        for user_id in &users {
            assert_consistent(&store, user_id);
        }
        // At rest, the count is exact.
        let present = users.iter().filter(|id| store.contains(id)).count();
        assert_eq!(store.len(), present);
        store.clear();
        assert!(store.is_empty());
        assert!(
            users
                .iter()
                .all(|user_id| latest(&store, user_id).is_none())
        );
    }
}

mod revisions {
    use super::*;

    const WRITERS: usize = 2;

    fn writes() -> u64 {
        so_often(8_000) as u64
    }

    const USER: &str = "ada";

    /// What a reader sees, without repetitions, until the writers are done.
    fn read<S: BuildHasher + Send + Sync>(
        store: &MemoryStore<S>,
        progress: &Progress,
    ) -> Vec<(Revision, Stamp)> {
        let mut seen: Vec<(Revision, Stamp)> = Vec::new();
        while progress.is_writing() {
            let versioned = store.get_versioned(USER);
            let next = versioned.map(|read| (read.revision, Stamp::of(&read.value)));
            if next.is_some() && next.as_ref() != seen.last() {
                seen.extend(next);
            }
        }
        seen
    }

    fn check(removals: bool) {
        let store = giving_way(4);
        let progress = Progress::new(WRITERS);
        let start = Barrier::new(WRITERS + 2);

        let readers = thread::scope(|scope| {
            let (store, progress, start) = (&store, &progress, &start);
            for writer in 0..WRITERS {
                scope.spawn(move || {
                    start.wait();
                    progress.write(
                        store,
                        writer,
                        writes(),
                        |_| USER,
                        |own| {
                            if removals && own.number % 16 == 0 {
                                store.remove(USER).unwrap();
                            }
                        },
                    );
                });
            }
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(move || {
                        start.wait();
                        read(store, progress)
                    })
                })
                .collect();
            readers
                .into_iter()
                .map(|reader| reader.join().unwrap())
                .collect::<Vec<_>>()
        });

        let mut stamps = BTreeMap::new();
        for seen in &readers {
            // A reader saw an earlier write after a later one, or one revision
            // on two snapshots.
            assert!(seen.is_sorted_by(|(a, _), (b, _)| a < b));
            for &(revision, stamp) in seen {
                let before = stamps.insert(revision, stamp);
                // Two readers saw two writes under one revision.
                assert!(
                    before.is_none_or(|before| before == stamp),
                    "{before:?}, {stamp:?}"
                );
            }
        }
        let mut last = [0; WRITERS];
        for (revision, stamp) in stamps {
            // A writer's later write has a lower revision than an earlier one, or
            // one write has two.
            assert!(stamp.number > last[stamp.writer], "{revision}: {stamp:?}");
            last[stamp.writer] = stamp.number;
        }
    }

    #[test]
    fn revisions_tell_writes_apart_and_order_them() {
        check(false);
    }

    #[test]
    fn revisions_tell_writes_apart_and_order_them_across_removals() {
        check(true);
    }
}

/// Threads that end while others work, and use the store to the last: in destructors of
/// their thread-local variables. On Windows they may not.
#[cfg(not(windows))]
mod threads_that_end {
    use std::cell::RefCell;
    use std::sync::mpsc;

    use super::*;

    /// Does something when it is dropped.
    struct Last(Option<Box<dyn FnOnce()>>);

    impl Drop for Last {
        fn drop(&mut self) {
            if let Some(action) = self.0.take() {
                action();
            }
        }
    }

    thread_local! {
        static LAST: RefCell<Last> = const { RefCell::new(Last(None)) };
    }

    /// Has this thread do it when it ends.
    fn at_last(action: impl FnOnce() + 'static) {
        LAST.with_borrow_mut(|last| last.0 = Some(Box::new(action)));
    }

    const USER: &str = "ada";

    /// Everything that can be done, in an order in which each sees the one before. Others
    /// write the shared user meanwhile, and only this thread its own.
    fn everything(store: &MemoryStore, own: &str, stamp: Stamp) {
        store.insert(stamp.snapshot(USER)).unwrap();
        assert_has_or_overtook(&history(store, USER), stamp, 8);
        assert!(latest(store, USER).is_some());

        store.insert(stamp.snapshot(own)).unwrap();
        assert_eq!(latest(store, own), Some(stamp));
        let read = store.get_versioned(own).unwrap();
        assert_eq!(Stamp::of(&read.value), stamp);
        let changed = store.update(own, |state| state.map(common::copy));
        let changed = changed.unwrap().unwrap();
        assert!(changed.revision > read.revision);
        assert_eq!(history(store, own), [stamp, stamp]);
        assert!(store.contains(own));
        assert!(store.remove(own).unwrap());
        assert_eq!(latest(store, own), None);
        store.insert(stamp.snapshot(own)).unwrap();
        assert_eq!(history(store, own), [stamp]);
    }

    #[test]
    fn a_thread_can_use_the_store_to_the_last_while_others_work() {
        const WRITERS: usize = 2;

        let threads = so_often(100);
        let store = with_history(8);
        let progress = Progress::new(WRITERS);
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (store, progress) = (&store, &progress);
                let writes = so_often(2_000) as u64;
                scope.spawn(move || progress.write(store, writer, writes, |_| USER, |_| {}));
            }
            let reader = scope.spawn(|| {
                while progress.is_writing() {
                    assert_in_order(&history(&store, USER));
                }
            });
            for number in 0..threads {
                let own = format!("user-{number}");
                let of_thread = store.clone();
                let stamp = Stamp {
                    writer: WRITERS + number,
                    number: 1 + number as u64 % 3,
                };
                let (ended, wait) = mpsc::channel();
                let thread = thread::spawn(move || {
                    let act = {
                        let (store, own) = (of_thread.clone(), own.clone());
                        move || {
                            everything(&store, &own, stamp);
                            ended.send(()).unwrap();
                        }
                    };
                    // std destroys the variable that was registered last first: the
                    // store's own variables are still there, or are gone.
                    if number % 2 == 0 {
                        at_last(act);
                        let _ = of_thread.get(USER);
                    } else {
                        let _ = of_thread.get(USER);
                        at_last(act);
                    }
                });
                thread.join().unwrap();
                wait.recv().expect("its destructor has run");
            }
            reader.join().unwrap();
        });
        assert_eq!(store.len(), threads + 1);
        for number in 0..threads {
            assert_consistent(&store, &format!("user-{number}"));
        }
        assert_consistent(&store, USER);
    }
}
