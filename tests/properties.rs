//! The whole sequential behaviour of [`MemoryStore`], against a plain model: a
//! map of queues.
//!
//! # Properties
//!
//! 1. *Every operation returns what the model returns*, in any program of
//!    writes, conditional ones among them, reads, removals and walks over a few
//!    users, under any retention, whichever interface each step goes through: the
//!    store's own methods, a view that is as old as the program, or the trait object.
//! 2. *After every step the whole store equals the whole model*: the latest
//!    state, the history for all limits and the presence of every user, and
//!    the number of users.
//! 3. *What a caller holds never changes*, whatever is done to the store; and it can
//!    be stored again at any time, with the effect that a fresh copy of it has.
//! 4. *A revision belongs to one write of a user*: it is the same until the next
//!    write of that user, and greater from then on, whatever was removed.
//! 5. *A conditional write succeeds if and only if* the revision that it expects
//!    is that of the user's last write, and the user is still there; or if none
//!    is expected and the user is not there.
//! 6. *The entries of a history are in order*: from the oldest to the newest, no
//!    revision is repeated or goes down, and no time of writing goes down.
//! 7. *A text is refused by the trait if and only if it is no user id*, and is
//!    an absent user to the inherent methods.
//!
//! Failures are printed as the shortest program that shows them. They are not
//! written to a file: such a program is better kept as a test with a name.

mod common;

use std::collections::{HashMap, VecDeque};

use attuned_store::{
    DefaultHashBuilder, Expected, MemoryStore, Mirrored, Revision, State, StateSnapshotBuilder,
    StateStore, StateStoreExt, StoreError, Versioned, View, validate_user_id,
};
use common::state;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// One short, one with wide characters, one too long to be held in place.
const USERS: [&str; 3] = [
    "ada",
    "größe-語",
    "a-user-whose-id-takes-an-allocation-of-its-own",
];

/// The model: each user's history, newest first. It has all that was written
/// since the user appeared; how much of it is kept is a matter of reading.
#[derive(Default)]
struct Model {
    users: HashMap<String, VecDeque<State>>,
    /// How often each user was ever written.
    writes: HashMap<String, u64>,
    retention: Option<usize>,
}

impl Model {
    fn insert(&mut self, user_id: &str, state: State) {
        *self.writes.entry(user_id.to_owned()).or_default() += 1;
        let history = self.users.entry(user_id.to_owned()).or_default();
        history.push_front(state);
        history.truncate(self.retention.unwrap_or(1));
    }

    fn latest(&self, user_id: &str) -> Option<State> {
        self.users.get(user_id)?.front().cloned()
    }

    fn history(&self, user_id: &str, limit: usize) -> Vec<State> {
        match (self.retention, self.users.get(user_id)) {
            (Some(_), Some(history)) => history.iter().take(limit).cloned().collect(),
            _ => Vec::new(),
        }
    }

    fn remove(&mut self, user_id: &str) -> bool {
        self.users.remove(user_id).is_some()
    }
}

/// What a step goes through. A view cannot write; there the store does.
#[derive(Clone, Copy, Debug)]
enum Interface {
    Store,
    View,
    Trait,
}

/// Whether a conditional write expects nothing.
type Absent = bool;

/// Whether an update leaves things as they are.
type Declines = bool;

#[derive(Clone, Debug)]
enum Step {
    /// A state that is like no other.
    Insert(&'static str),
    /// Reads, and holds on to what was read.
    Get(&'static str),
    With(&'static str),
    Versioned(&'static str),
    /// Reads, and holds on to the last of what was read.
    History(&'static str, usize),
    /// Stores one of the states held, for its user or another.
    InsertHeld(&'static str, usize),
    /// Stores a state if the user is absent, or else if the last revision
    /// that was read is still that of the latest one.
    InsertIf(&'static str, Absent),
    /// Makes a state from what is there, or declines.
    Update(&'static str, Declines),
    GetMany(Vec<&'static str>),
    /// Keeps the users whose latest states have a time that leaves a rest.
    Retain(i64),
    UserIds,
    Contains(&'static str),
    Remove(&'static str),
    Count,
    Clear,
    Health,
}

fn step() -> impl Strategy<Value = Step> {
    let user = || select(USERS.as_slice());
    let limit = prop_oneof![6 => 0..9_usize, 1 => Just(usize::MAX)];
    prop_oneof![
        10 => user().prop_map(Step::Insert),
        2 => user().prop_map(Step::Get),
        1 => user().prop_map(Step::With),
        3 => user().prop_map(Step::Versioned),
        3 => (user(), limit).prop_map(|(user, limit)| Step::History(user, limit)),
        3 => (user(), any::<usize>()).prop_map(|(user, held)| Step::InsertHeld(user, held)),
        4 => (user(), any::<Absent>()).prop_map(|(user, absent)| Step::InsertIf(user, absent)),
        2 => (user(), any::<Declines>()).prop_map(|(user, declines)| Step::Update(user, declines)),
        1 => vec(user(), 0..5).prop_map(Step::GetMany),
        1 => (2..5_i64).prop_map(Step::Retain),
        1 => Just(Step::UserIds),
        1 => user().prop_map(Step::Contains),
        2 => user().prop_map(Step::Remove),
        1 => Just(Step::Count),
        1 => Just(Step::Clear),
        1 => Just(Step::Health),
    ]
}

fn interface() -> impl Strategy<Value = Interface> {
    select(&[Interface::Store, Interface::View, Interface::Trait][..])
}

fn retention() -> impl Strategy<Value = Option<usize>> {
    select(&[None, Some(1), Some(2), Some(3), Some(7)][..])
}

fn store_with(retention: Option<usize>) -> MemoryStore {
    let builder = MemoryStore::builder();
    match retention {
        Some(entries) => builder.history(entries),
        None => builder,
    }
    .build()
    .unwrap()
}

/// A state in the caller's hands, and an independent copy of what it was.
struct Held {
    state: State,
    copy: State,
}

impl Held {
    fn new(state: State) -> Self {
        let copy = common::copy(&state).build_state().unwrap();
        Self { state, copy }
    }
}

/// The three interfaces to one store, and the model of it.
struct Session<'a> {
    store: &'a MemoryStore,
    view: &'a View<'a, State, Mirrored, DefaultHashBuilder>,
    contract: &'a dyn StateStore,
    runtime: &'a tokio::runtime::Runtime,
    model: Model,
    held: Vec<Held>,
    /// The last revision that was read of each user, and of which write.
    revisions: HashMap<&'static str, (u64, Revision)>,
    /// The time of the next state, so that no two are alike.
    clock: i64,
}

fn values(history: Vec<Versioned<State>>) -> Vec<State> {
    history.into_iter().map(|entry| entry.value).collect()
}

impl Session<'_> {
    fn run(&mut self, interface: Interface, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Insert(user) => {
                self.clock += 1;
                let state = self.new_state();
                self.insert(interface, user, state)?;
            }
            Step::InsertHeld(user, index) => {
                if let Some(held) = pick(&self.held, index) {
                    let state = self.held[held].state.clone();
                    self.insert(interface, user, state)?;
                }
            }
            Step::Get(user) => {
                let latest = match interface {
                    Interface::Store => self.store.get(user),
                    Interface::View => self.view.get(user),
                    Interface::Trait => {
                        let latest = self.wait(self.contract.get_latest(user)).unwrap();
                        prop_assert!(latest.iter().all(|latest| latest.user_id() == user));
                        latest.map(|latest| latest.into_state())
                    }
                };
                prop_assert_eq!(&latest, &self.model.latest(user));
                self.held.extend(latest.map(Held::new));
            }
            Step::With(user) => {
                let read = State::updated_at_unix_ms;
                let at = match interface {
                    Interface::Store | Interface::Trait => self.store.with(user, read),
                    Interface::View => self.view.with(user, read),
                };
                prop_assert_eq!(at, self.model.latest(user).as_ref().map(read));
            }
            Step::Versioned(user) => {
                let versioned = match interface {
                    Interface::Store => self.store.get_versioned(user),
                    Interface::View => self.view.get_versioned(user),
                    Interface::Trait => {
                        let latest = self.wait(self.contract.get_latest_versioned(user));
                        let latest = latest.unwrap();
                        latest.map(|latest| latest.map(|snapshot| snapshot.into_state()))
                    }
                };
                let read = versioned.as_ref().map(|read| read.value.clone());
                prop_assert_eq!(read, self.model.latest(user));
                if let Some(versioned) = versioned {
                    self.saw(user, versioned.revision)?;
                }
            }
            Step::History(user, limit) => {
                let mut history = match interface {
                    Interface::Store => values(self.store.history(user, limit)),
                    Interface::View if self.model.retention.is_none() => {
                        // A map without history has the latest value in it.
                        let latest = self.model.latest(user).into_iter().take(limit);
                        let latest: Vec<_> = latest.collect();
                        prop_assert_eq!(values(self.view.history(user, limit)), latest);
                        Vec::new()
                    }
                    Interface::View => values(self.view.history(user, limit)),
                    Interface::Trait => {
                        let history = self.wait(self.contract.get_history(user, limit)).unwrap();
                        prop_assert!(history.iter().all(|entry| entry.user_id() == user));
                        history
                            .into_iter()
                            .map(|entry| entry.into_state())
                            .collect()
                    }
                };
                prop_assert_eq!(&history, &self.model.history(user, limit));
                self.held.extend(history.pop().map(Held::new));
            }
            Step::InsertIf(user, absent) => {
                let expected = match self.revisions.get(user) {
                    Some(&(_, revision)) if !absent => Expected::At(revision),
                    _ => Expected::Absent,
                };
                let fits = match (expected, self.model.users.contains_key(user)) {
                    (Expected::At(_), true) => self.revisions[user].0 == self.model.writes[user],
                    (Expected::At(_), false) => false,
                    (_, present) => !present,
                };
                self.clock += 1;
                let state = self.new_state();
                let snapshot = state.clone().into_snapshot(user).unwrap();
                let written = match interface {
                    Interface::Store | Interface::View => self.store.insert_if(snapshot, expected),
                    Interface::Trait => self.wait(self.contract.upsert_if(snapshot, expected)),
                };
                match written {
                    Ok(revision) => {
                        prop_assert!(fits, "{expected:?} was accepted");
                        self.model.insert(user, state);
                        self.saw(user, revision)?;
                    }
                    Err(StoreError::Conflict { actual, .. }) => {
                        prop_assert!(!fits, "{expected:?} was refused");
                        prop_assert_eq!(actual.is_some(), self.model.users.contains_key(user));
                        if let Some(revision) = actual {
                            self.saw(user, revision)?;
                        }
                    }
                    Err(error) => prop_assert!(false, "{error}"),
                }
            }
            Step::Update(user, declines) => {
                self.clock += 1;
                let (state, current) = (self.new_state(), self.model.latest(user));
                let mut read = None;
                let change = |latest: Option<&State>| -> Option<StateSnapshotBuilder> {
                    read = latest.cloned();
                    (!declines).then(|| common::copy(&state).user_id("another"))
                };
                let written = match interface {
                    Interface::Store | Interface::View => {
                        let written = self.store.update(user, change).unwrap();
                        written.map(|written| (written.value, written.revision))
                    }
                    Interface::Trait => {
                        let written = self.wait(self.contract.update_latest(user, change));
                        let written = written.unwrap();
                        written.map(|(snapshot, revision)| (snapshot.into_state(), revision))
                    }
                };
                prop_assert_eq!(read, current);
                prop_assert_eq!(written.is_none(), declines);
                if let Some((written, revision)) = written {
                    prop_assert_eq!(&written, &state);
                    self.model.insert(user, state);
                    self.saw(user, revision)?;
                    self.held.push(Held::new(written));
                }
            }
            Step::GetMany(users) => {
                let expected: Vec<_> = users.iter().map(|user| self.model.latest(user)).collect();
                let snapshots = self.wait(self.contract.get_many(&users)).unwrap();
                let states: Vec<_> = snapshots
                    .into_iter()
                    .map(|snapshot| snapshot.map(|snapshot| snapshot.into_state()))
                    .collect();
                prop_assert_eq!(states, expected);
            }
            Step::Retain(divisor) => {
                let keep = |latest: &State| latest.updated_at_unix_ms() % divisor != 0;
                let removed = self.store.retain(|_, latest| keep(latest));
                let before = self.model.users.len();
                self.model.users.retain(|_, history| keep(&history[0]));
                prop_assert_eq!(removed, before - self.model.users.len());
            }
            Step::UserIds => {
                let mut user_ids = self.store.user_ids();
                user_ids.sort_unstable();
                let mut expected: Vec<_> = self.model.users.keys().cloned().collect();
                expected.sort_unstable();
                prop_assert_eq!(user_ids, expected);
            }
            Step::Contains(user) => {
                let contains = match interface {
                    Interface::Store | Interface::Trait => self.store.contains(user),
                    Interface::View => self.view.contains(user),
                };
                prop_assert_eq!(contains, self.model.users.contains_key(user));
            }
            Step::Remove(user) => {
                let removed = match interface {
                    Interface::Store => self.store.remove(user),
                    Interface::View => self.store.remove_if(user, Expected::Any),
                    Interface::Trait => self.wait(self.contract.delete(user)),
                };
                prop_assert_eq!(removed.unwrap(), self.model.remove(user));
            }
            Step::Count => {
                prop_assert_eq!(self.store.len(), self.model.users.len());
                prop_assert_eq!(self.store.is_empty(), self.model.users.is_empty());
            }
            Step::Clear => {
                self.store.clear();
                self.model.users.clear();
            }
            Step::Health => prop_assert!(self.wait(self.contract.health_check()).is_ok()),
        }
        Ok(())
    }

    /// A small one or a large one.
    fn new_state(&self) -> State {
        if self.clock % 3 == 0 {
            let axes = (0..20).map(|axis| (format!("axis_{axis}"), 0.25));
            let state = State::builder().updated_at(self.clock).axes(axes);
            return state.build_state().unwrap();
        }
        state(self.clock)
    }

    /// A revision of the user's latest state, against the one before it.
    fn saw(&mut self, user: &'static str, revision: Revision) -> Result<(), TestCaseError> {
        let this = (self.model.writes[user], revision);
        if let Some(last) = self.revisions.insert(user, this) {
            prop_assert_eq!(this.0.cmp(&last.0), this.1.cmp(&last.1));
        }
        Ok(())
    }

    fn insert(
        &mut self,
        interface: Interface,
        user: &'static str,
        state: State,
    ) -> Result<(), TestCaseError> {
        let snapshot = state.clone().into_snapshot(user).unwrap();
        self.model.insert(user, state);
        match interface {
            Interface::Store | Interface::View => {
                let revision = self.store.insert(snapshot).unwrap();
                self.saw(user, revision)?;
            }
            Interface::Trait => self.wait(self.contract.upsert_latest(snapshot)).unwrap(),
        }
        Ok(())
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    fn compare_everything(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.store.len(), self.model.users.len());
        prop_assert_eq!(self.store.is_empty(), self.model.users.is_empty());
        for user in USERS {
            prop_assert_eq!(self.store.get(user), self.model.latest(user));
            prop_assert_eq!(
                self.store.contains(user),
                self.model.users.contains_key(user)
            );
            for limit in (0..=8).chain([usize::MAX]) {
                let history = self.store.history(user, limit);
                for pair in history.windows(2) {
                    prop_assert!(pair[0].revision > pair[1].revision);
                    prop_assert!(pair[0].written_at >= pair[1].written_at);
                }
                prop_assert_eq!(
                    values(history),
                    self.model.history(user, limit),
                    "limit {}",
                    limit
                );
            }
        }
        for held in &self.held {
            prop_assert_eq!(&held.state, &held.copy);
        }
        Ok(())
    }
}

/// One of the elements, if there is any.
fn pick<T>(of: &[T], index: usize) -> Option<usize> {
    index.checked_rem(of.len())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Properties 1 to 6.
    #[test]
    fn a_store_does_what_a_map_of_queues_does(
        retention in retention(),
        program in vec((interface(), step()), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = store_with(retention);
        store.pin(|view| {
            let mut session = Session {
                store: &store,
                view,
                contract: &store,
                runtime: &runtime,
                model: Model { retention, ..Model::default() },
                held: Vec::new(),
                revisions: HashMap::new(),
                clock: 0,
            };
            for (interface, step) in program {
                session.run(interface, step)?;
                session.compare_everything()?;
            }
            Ok::<_, TestCaseError>(())
        })?;
    }

    /// Property 7.
    #[test]
    fn the_trait_refuses_exactly_what_is_no_user_id(
        text in prop_oneof![any::<String>(), "[\\w -]{0,20}", "[a-zé_-]{250,260}"],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = store_with(Some(2));
        let contract: &dyn StateStore = &store;
        let answers = [
            runtime.block_on(contract.get_latest(&text)).map(|latest| latest.is_some()),
            runtime.block_on(contract.get_history(&text, 9)).map(|history| !history.is_empty()),
            runtime.block_on(contract.delete(&text)),
            runtime.block_on(contract.get_latest_versioned(&text)).map(|latest| latest.is_some()),
            runtime.block_on(contract.get_many(&[&text])).map(|latest| latest[0].is_some()),
            store
                .update(&text, |_| None::<StateSnapshotBuilder>)
                .map(|written| written.is_some()),
        ];
        for answer in answers {
            match (answer, validate_user_id(&text)) {
                (Ok(found), Ok(())) => prop_assert!(!found),
                (Err(StoreError::InvalidUserId(error)), Err(reason)) => {
                    prop_assert_eq!(error, reason);
                }
                (answer, validity) => {
                    prop_assert!(false, "{answer:?} although the id is {validity:?}");
                }
            }
        }
        prop_assert_eq!(store.get(&text), None);
        prop_assert_eq!(store.history(&text, 9), []);
        prop_assert!(!store.contains(&text));
        prop_assert!(!store.remove(&text).unwrap());
    }
}
