//! Random programs: what each thread does to a store, all of it drawn from one
//! seed.

use std::fmt;

use crate::random::Random;

/// What identifies a snapshot: no two in a program are the same.
pub type Value = i64;

/// One of the users of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User(usize);

impl User {
    pub const ALL: &'static [Self; 3] = &[Self(0), Self(1), Self(2)];

    pub fn index(self) -> usize {
        self.0
    }

    pub fn id(self) -> &'static str {
        ["ada", "grace", "alan"][self.0]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Upsert(Value),
    GetLatest,
    GetHistory {
        limit: usize,
    },
    /// Reads the oldest snapshots that are kept.
    GetOldest {
        limit: usize,
    },
    /// Reads the snapshots that came after what the thread remembers of the user.
    GetSince,
    Delete,
    /// Reads the latest snapshot with its revision, which the thread remembers
    /// for what it does later.
    GetVersioned,
    /// Upserts, if what the thread remembers of the user is still the latest.
    UpsertIf(Value),
    /// Upserts in the place of whatever is the latest, which the operation reads itself.
    Update(Value),
    /// Deletes, if what the thread remembers of the user is still the latest.
    DeleteIf,
}

impl Operation {
    pub fn is_read(self) -> bool {
        matches!(
            self,
            Self::GetLatest
                | Self::GetHistory { .. }
                | Self::GetOldest { .. }
                | Self::GetSince
                | Self::GetVersioned
        )
    }

    pub fn stores_a_snapshot(self) -> bool {
        matches!(self, Self::Upsert(_) | Self::UpsertIf(_) | Self::Update(_))
    }

    /// The same without revisions, for stores that have none.
    fn unconditional(self) -> Self {
        match self {
            Self::GetVersioned => Self::GetLatest,
            Self::GetOldest { limit } => Self::GetHistory { limit },
            Self::GetSince => Self::GetHistory { limit: usize::MAX },
            Self::UpsertIf(value) | Self::Update(value) => Self::Upsert(value),
            Self::DeleteIf => Self::Delete,
            other => other,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upsert(value) => write!(f, "upsert {value}"),
            Self::GetLatest => write!(f, "get_latest"),
            Self::GetHistory { limit: usize::MAX } => write!(f, "get_history"),
            Self::GetHistory { limit } => write!(f, "get_history (limit {limit})"),
            Self::GetOldest { limit: usize::MAX } => write!(f, "get_versions (oldest first)"),
            Self::GetOldest { limit } => write!(f, "get_versions (oldest {limit})"),
            Self::GetSince => write!(f, "get_versions (after what is known)"),
            Self::Delete => write!(f, "delete"),
            Self::GetVersioned => write!(f, "get_versioned"),
            Self::UpsertIf(value) => write!(f, "upsert_if {value}"),
            Self::Update(value) => write!(f, "update to {value}"),
            Self::DeleteIf => write!(f, "delete_if"),
        }
    }
}

/// Which face of a store an operation goes through, if it has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// The synchronous methods.
    Inherent,
    /// `dyn StateStore`, and for a conditional removal, which it does not have,
    /// `retain`.
    Trait,
}

/// What a thread does before a step, outside the recorded operation. It lets
/// the threads drift against each other and, where they outnumber the cores,
/// take turns within a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    None,
    Spin(u32),
    Yield,
}

impl Pause {
    pub fn take(self) {
        match self {
            Self::None => {}
            Self::Spin(turns) => (0..turns).for_each(|_| std::hint::spin_loop()),
            Self::Yield => std::thread::yield_now(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub pause: Pause,
    pub user: User,
    pub operation: Operation,
    pub interface: Interface,
    /// Whether what it upserts is too large for the store to have it beside the user.
    pub large: bool,
}

/// A retention for which the store works in another way: it lets several snapshots go at
/// a time. It takes many to get there, so users are [written](Program::written_before)
/// before the program begins.
pub const LONG: usize = 18;

/// How many kinds of operations there are.
const KINDS: usize = 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub seed: u64,
    /// How many snapshots of a user the store keeps: 1 to 3, or [`LONG`].
    pub retention: usize,
    /// Whether the store is made to pause inside its operations, where it can be.
    pub pauses_inside: bool,
    /// 1 to 3.
    pub users: &'static [User],
    /// 2 to 8.
    pub threads: Vec<Vec<Step>>,
}

impl Program {
    pub const MOST_THREADS: usize = 8;

    /// The program that a seed stands for.
    pub fn from_seed(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let retention = [1, 2, 3, LONG][random.below(4)];
        let users = &User::ALL[..random.one_to(User::ALL.len())];
        let pauses_inside = random.one_in(2);
        let threads = 1 + random.one_to(Self::MOST_THREADS - 1);
        // Checking costs more than proportionally to the length of a user's
        // history, so more threads do less each.
        let longest = 40 / threads;
        // A program's own mixture: some mostly write, some mostly delete.
        let weights = [(); KINDS].map(|()| random.one_to(6));
        // All small, all large, or some of each.
        let large = random.below(3);
        let threads = (0..threads)
            .map(|thread| {
                let steps = 2 + random.one_to(longest - 2);
                (0..steps)
                    .map(|step| {
                        let value = (100 * thread + step) as Value;
                        Step::random(&mut random, users, weights, large, value)
                    })
                    .collect()
            })
            .collect();
        Self {
            seed,
            retention,
            pauses_inside,
            users,
            threads,
        }
    }

    /// What each user is written before the threads begin, in this order.
    pub fn written_before(&self) -> impl Iterator<Item = Value> + use<> {
        let count = if self.retention == LONG { 2 * LONG } else { 0 };
        (1..=count as Value).rev().map(|value| -value)
    }

    /// The program for a store that has no conditional operations, and no other way of
    /// working with a long history.
    pub fn unconditional(mut self) -> Self {
        self.retention = self.retention.min(3);
        for step in self.threads.iter_mut().flatten() {
            step.operation = step.operation.unconditional();
        }
        self
    }

    /// What it is and how to run it again.
    pub fn again(&self) -> String {
        format!("the program of ATTUNED_SEED={:#x}:\n{self}", self.seed)
    }
}

impl Step {
    fn random(
        random: &mut Random,
        users: &[User],
        weights: [usize; KINDS],
        large: usize,
        value: Value,
    ) -> Self {
        let mut drawn = random.below(weights.iter().sum());
        let kind = weights
            .iter()
            .position(|&weight| match drawn.checked_sub(weight) {
                Some(rest) => {
                    drawn = rest;
                    false
                }
                None => true,
            });
        let operation = match kind {
            Some(0) => Operation::Upsert(value),
            Some(1) => Operation::GetLatest,
            Some(2) => Operation::GetHistory {
                limit: [1, 2, usize::MAX][random.below(3)],
            },
            Some(3) => Operation::GetVersioned,
            Some(4) => Operation::UpsertIf(value),
            Some(5) => Operation::DeleteIf,
            Some(6) => Operation::Update(value),
            Some(7) => Operation::GetOldest {
                limit: [1, 2, usize::MAX][random.below(3)],
            },
            Some(8) => Operation::GetSince,
            _ => Operation::Delete,
        };
        let pause = match random.below(8) {
            0 => Pause::Yield,
            1..=3 => Pause::Spin(random.below(200) as u32),
            _ => Pause::None,
        };
        Self {
            pause,
            user: users[random.below(users.len())],
            operation,
            interface: [Interface::Inherent, Interface::Trait][random.below(2)],
            large: random.below(2) < large,
        }
    }
}

/// A line for each thread.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pauses = if self.pauses_inside {
            ", with pauses inside"
        } else {
            ""
        };
        let before = match self.written_before().count() {
            0 => String::new(),
            count => format!(", each user written {count} times before"),
        };
        writeln!(f, "  retention {}{before}{pauses}", self.retention)?;
        for (thread, steps) in self.threads.iter().enumerate() {
            let steps: Vec<_> = steps.iter().map(Step::to_string).collect();
            writeln!(f, "  thread {thread}: {}", steps.join("; "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interface = match self.interface {
            Interface::Inherent => "",
            Interface::Trait => "dyn ",
        };
        write!(f, "{}: {interface}{}", self.user.id(), self.operation)?;
        if self.large && self.operation.stores_a_snapshot() {
            write!(f, " (large)")?;
        }
        Ok(())
    }
}
