//! Recorded histories and the judgement of them.

use std::fmt;

use todc_utils::{Action, History, Specification, WGLChecker};

use crate::program::{LONG, Operation, User};
use crate::specification::{OneUser, Outcome, Performed};

/// An operation as a thread saw it. See [`Clock`](crate::recorder::Clock) for
/// the times.
#[derive(Clone, Debug)]
pub struct Observed {
    pub thread: usize,
    pub user: User,
    pub performed: Performed,
    /// How many operations had returned when this one was called.
    pub called: usize,
    /// How many had returned before this one did.
    pub returned: usize,
}

impl Observed {
    /// Whether neither had returned when the other was called.
    fn overlaps(&self, other: &Self) -> bool {
        self.called <= other.returned && other.called <= self.returned
    }
}

/// All that was done to one user, from the beginning of the program on.
///
/// Users are judged one at a time. That is sound and loses nothing:
/// linearizability is local (Herlihy and Wing 1990, theorem 1), that is, a
/// history is linearizable if and only if the part of each object in it is. A
/// user is an object, because no operation recorded here concerns two. (A
/// conditional delete may visit all, but decides about one.)
#[derive(Clone)]
pub struct UserHistory {
    retention: usize,
    /// In the order of their calls.
    observed: Vec<Observed>,
}

impl UserHistory {
    /// Of what was observed, what concerns the user.
    pub fn new(retention: usize, user: User, observed: &[Observed]) -> Self {
        let mut observed: Vec<_> = observed
            .iter()
            .filter(|observed| observed.user == user)
            .cloned()
            .collect();
        observed.sort_by_key(|observed| (observed.called, observed.returned));
        Self {
            retention,
            observed,
        }
    }

    /// The history without some of its reads. If it is not linearizable, the
    /// whole is not either, because a read changes nothing.
    pub fn without(mut self, read: impl Fn(Operation) -> bool) -> Self {
        self.observed.retain(|observed| {
            let operation = observed.performed.operation;
            !(operation.is_read() && read(operation))
        });
        self
    }

    pub fn len(&self) -> usize {
        self.observed.len()
    }

    /// Whether some order of the operations explains what each returned and
    /// has none before one that had returned when it was called.
    pub fn is_linearizable(&self) -> bool {
        match self.retention {
            1 => self.satisfies::<OneUser<1>>(),
            2 => self.satisfies::<OneUser<2>>(),
            3 => self.satisfies::<OneUser<3>>(),
            LONG => self.satisfies::<OneUser<LONG>>(),
            other => unreachable!("no program has a retention of {other}"),
        }
    }

    fn satisfies<S: Specification<Operation = Performed>>(&self) -> bool {
        if self.observed.is_empty() {
            // The checker does not take an empty history.
            return true;
        }
        let actions = self.events().into_iter().map(|(event, observed)| {
            let performed = observed.performed.clone();
            let action = match event {
                Event::Call => Action::Call(performed),
                Event::Return => Action::Response(performed),
            };
            (observed.thread, action)
        });
        WGLChecker::<S>::is_linearizable(History::from_actions(actions.collect()))
    }

    /// Calls and returns in the order in which they happened. A call that found
    /// `n` returned comes before the return that has `n` before it.
    fn events(&self) -> Vec<(Event, &Observed)> {
        let mut events: Vec<_> = self
            .observed
            .iter()
            .flat_map(|observed| [(Event::Call, observed), (Event::Return, observed)])
            .collect();
        events.sort_by_key(|&(event, observed)| match event {
            Event::Call => (observed.called, event),
            Event::Return => (observed.returned, event),
        });
        events
    }

    /// How many conditional operations took effect, or did not.
    pub fn conditional(&self, as_done: bool) -> usize {
        let outcomes = self.observed.iter().map(|of| &of.performed.outcome);
        outcomes
            .filter(|outcome| matches!(outcome, Outcome::If { done, .. } if *done == as_done))
            .count()
    }

    /// How many operations overlapped another one of the user.
    pub fn overlapping(&self) -> usize {
        let overlaps = |index: usize, observed: &Observed| {
            self.observed
                .iter()
                .enumerate()
                .any(|(other, concurrent)| other != index && observed.overlaps(concurrent))
        };
        self.observed
            .iter()
            .enumerate()
            .filter(|&(index, observed)| overlaps(index, observed))
            .count()
    }

    /// Whether the outcomes give away that operations took effect in another
    /// order than that in which they returned.
    pub fn shows_overtaking(&self) -> bool {
        !match self.retention {
            1 => self.is_explained_by_returns::<OneUser<1>>(),
            2 => self.is_explained_by_returns::<OneUser<2>>(),
            3 => self.is_explained_by_returns::<OneUser<3>>(),
            _ => self.is_explained_by_returns::<OneUser<LONG>>(),
        }
    }

    fn is_explained_by_returns<S: Specification<Operation = Performed>>(&self) -> bool {
        let mut by_return: Vec<_> = self.observed.iter().collect();
        by_return.sort_by_key(|observed| observed.returned);
        let mut state = S::init();
        by_return.into_iter().all(|observed| {
            let (explained, after) = S::apply(&observed.performed, &state);
            state = after;
            explained
        })
    }

    /// Less to read: a history that is not linearizable without what is not
    /// needed for that. What remains is a reason why the whole is not, because
    /// only this is left out:
    /// - a read, which changes nothing;
    /// - an operation that began after all others had ended, which none of them
    ///   can have seen.
    pub fn reduced(mut self) -> Self {
        for index in (0..self.observed.len()).rev() {
            let candidate = self.observed.remove(index);
            let dispensable = candidate.performed.operation.is_read()
                || self
                    .observed
                    .iter()
                    .all(|other| other.returned < candidate.called);
            if !dispensable || self.is_linearizable() {
                self.observed.insert(index, candidate);
            }
        }
        self
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Call,
    Return,
}

/// A line for each operation, with a bar from its call to its return.
impl fmt::Display for UserHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = self.events();
        let column = |event: Event, observed: &Observed| {
            events
                .iter()
                .position(|&(at, other)| at == event && std::ptr::eq(other, observed))
                .unwrap_or_default()
        };
        let labels: Vec<_> = self
            .observed
            .iter()
            .map(|observed| format!("thread {}: {}", observed.thread, observed.performed))
            .collect();
        let width = labels.iter().map(String::len).max().unwrap_or_default();
        for (label, observed) in labels.iter().zip(&self.observed) {
            let call = column(Event::Call, observed);
            let between = column(Event::Return, observed) - call - 1;
            writeln!(f, "  {label:width$}  {:call$}|{:->between$}|", "", "")?;
        }
        Ok(())
    }
}
