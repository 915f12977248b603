use std::collections::{HashMap, VecDeque};
use std::iter;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use attuned_store::{
    Expected, Result, Revision, StateSnapshot, StateStore, StoreError, Versioned, async_trait,
    validate_user_id,
};

/// All users behind one lock, which is never held across an `.await`.
pub struct MutexStore {
    users: Mutex<Users>,
    history: usize,
    max_users: usize,
}

#[derive(Default)]
struct Users {
    by_id: HashMap<String, User>,
    /// That of the last write, of whichever user: it outlives a deleted user.
    revision: u64,
    /// When that was.
    written_at: i64,
}

struct User {
    latest: Versioned<StateSnapshot>,
    /// Newest first.
    older: VecDeque<StateSnapshot>,
}

impl MutexStore {
    /// Keeps `history` snapshots, at least one, of each of `max_users` users.
    pub fn new(history: usize, max_users: usize) -> Self {
        let users = Mutex::default();
        Self {
            users,
            history,
            max_users,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Users> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, snapshot: StateSnapshot, expected: Expected) -> Result<Revision> {
        let user_id = snapshot.user_id().to_owned();
        let users = &mut *self.lock();
        let user = users.by_id.get_mut(&user_id);
        let actual = user.as_ref().map(|user| user.latest.revision);
        if expected != Expected::Any && expected != Expected::from(actual) {
            return Err(StoreError::Conflict {
                user_id,
                expected,
                actual,
            });
        }

        let revision = Revision::from(users.revision + 1);
        // The clock may have been set back since the last write.
        let written_at = unix_ms_now().max(users.written_at);
        let latest = Versioned::new(snapshot, revision, written_at);
        if let Some(user) = user {
            let former = mem::replace(&mut user.latest, latest);
            user.older.push_front(former.value);
            user.older.truncate(self.history.saturating_sub(1));
        } else if users.by_id.len() < self.max_users {
            let older = VecDeque::new();
            users.by_id.insert(user_id, User { latest, older });
        } else {
            let max_users = self.max_users;
            return Err(StoreError::CapacityExceeded { max_users });
        }
        users.revision += 1;
        users.written_at = written_at;
        Ok(revision)
    }

    fn read<T>(&self, user_id: &str, read: impl FnOnce(&User) -> T) -> Result<Option<T>> {
        validate_user_id(user_id)?;
        Ok(self.lock().by_id.get(user_id).map(read))
    }
}

/// Milliseconds since the Unix epoch.
fn unix_ms_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

#[async_trait]
impl StateStore for MutexStore {
    async fn upsert_latest(&self, snapshot: StateSnapshot) -> Result<()> {
        self.write(snapshot, Expected::Any).map(drop)
    }

    async fn get_latest(&self, user_id: &str) -> Result<Option<StateSnapshot>> {
        self.read(user_id, |user| user.latest.value.clone())
    }

    async fn get_latest_versioned(
        &self,
        user_id: &str,
    ) -> Result<Option<Versioned<StateSnapshot>>> {
        self.read(user_id, |user| user.latest.clone())
    }

    async fn upsert_if(&self, snapshot: StateSnapshot, expected: Expected) -> Result<Revision> {
        self.write(snapshot, expected)
    }

    async fn get_history(&self, user_id: &str, limit: usize) -> Result<Vec<StateSnapshot>> {
        let newest = |user: &User| {
            let all = iter::once(&user.latest.value).chain(&user.older);
            all.take(limit).cloned().collect()
        };
        Ok(self.read(user_id, newest)?.unwrap_or_default())
    }

    async fn delete(&self, user_id: &str) -> Result<bool> {
        validate_user_id(user_id)?;
        Ok(self.lock().by_id.remove(user_id).is_some())
    }
}
