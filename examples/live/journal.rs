//! What a thread has written into one side.

/// Of each user: how many writes, and which state the last one wrote.
#[derive(Default)]
pub struct Journal {
    /// Writes in the upper half, the state's place in the lower. Zeros that nobody has
    /// written take no memory of their own on most systems.
    notes: Vec<u64>,
}

impl Journal {
    /// Makes room for so many users.
    pub fn reach(&mut self, users: usize) {
        if self.notes.is_empty() {
            self.notes = vec![0; users];
        } else {
            self.notes.resize(users, 0);
        }
    }

    pub fn note(&mut self, user: usize, state: usize) {
        let writes = self.notes[user] >> 32;
        self.notes[user] = (writes + 1) << 32 | state as u64;
    }

    pub fn writes(&self, user: usize) -> usize {
        (self.notes[user] >> 32) as usize
    }

    /// Which state was written last, if one was.
    pub fn last(&self, user: usize) -> Option<usize> {
        (self.writes(user) > 0).then_some(self.notes[user] as u32 as usize)
    }
}
