//! A clock that the models set.

use std::sync::Arc;

use super::{Step, Unseen, lock};

/// It stands still until it is set. To read it is a step, and no reading is earlier than
/// one that came before it, in whichever thread. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub struct SetClock(Arc<Face>);

#[derive(Debug, Default)]
struct Face {
    step: Step,
    now: Unseen<i64>,
}

impl SetClock {
    pub fn now(&self) -> i64 {
        self.0.step.take();
        *lock(&self.0.now)
    }

    /// What [`now`](Self::now) would say, for the record: no step.
    pub fn peek(&self) -> i64 {
        *lock(&self.0.now)
    }

    pub fn advance(&self, by: i64) {
        self.0.step.take();
        *lock(&self.0.now) += by;
    }
}
