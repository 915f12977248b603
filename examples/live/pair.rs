//! The same thing of both sides.

/// One of the two that are shown.
#[derive(Clone, Copy)]
pub enum Which {
    Attuned,
    DashMap,
}

#[derive(Clone, Copy, Default)]
pub struct Pair<T> {
    pub attuned: T,
    pub dashmap: T,
}

impl<T> Pair<T> {
    pub fn of(mut make: impl FnMut() -> T) -> Self {
        Self::by(|_| make())
    }

    pub fn by(mut make: impl FnMut(Which) -> T) -> Self {
        Self {
            attuned: make(Which::Attuned),
            dashmap: make(Which::DashMap),
        }
    }

    pub fn get(&self, which: Which) -> &T {
        match which {
            Which::Attuned => &self.attuned,
            Which::DashMap => &self.dashmap,
        }
    }

    pub fn get_mut(&mut self, which: Which) -> &mut T {
        match which {
            Which::Attuned => &mut self.attuned,
            Which::DashMap => &mut self.dashmap,
        }
    }

    pub fn map<U>(&self, mut of: impl FnMut(&T) -> U) -> Pair<U> {
        Pair {
            attuned: of(&self.attuned),
            dashmap: of(&self.dashmap),
        }
    }

    pub fn both(&self) -> [&T; 2] {
        [&self.attuned, &self.dashmap]
    }
}

impl Pair<f64> {
    /// That of the first by that of the second, if both are there.
    pub fn ratio(&self) -> Option<f64> {
        (self.attuned > 0.0 && self.dashmap > 0.0).then(|| self.attuned / self.dashmap)
    }
}
