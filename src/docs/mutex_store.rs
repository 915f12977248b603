use std::collections::{BTreeMap, VecDeque};
use std::iter;
use std::mem;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use attuned_store::{
    AsOf, BoxStream, Expected, Result, Revision, StateSnapshot, StateStore, StoreError, Timestamp,
    VersionRange, Versioned, async_trait, validate_user_id,
};
use futures_util::stream;

/// All users behind one lock, which is never held across an `.await`.
pub struct MutexStore {
    users: Mutex<Users>,
    history: usize,
    max_users: usize,
}

#[derive(Default)]
struct Users {
    /// In the order of the ids, for listings.
    by_id: BTreeMap<String, User>,
    /// That of the last write, of whichever user: it outlives a deleted user.
    revision: u64,
    /// When that was.
    written_at: i64,
}

struct User {
    latest: Versioned<StateSnapshot>,
    /// Newest first.
    older: VecDeque<Versioned<StateSnapshot>>,
    /// Whether older ones have been evicted.
    has_lost_some: bool,
}

impl User {
    fn newest_first(&self) -> impl Iterator<Item = &Versioned<StateSnapshot>> {
        iter::once(&self.latest).chain(&self.older)
    }
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
        compare(&user_id, user.as_deref(), expected)?;

        let revision = Revision::from(users.revision + 1);
        // The clock may have been set back since the last write.
        let written_at = unix_ms_now().max(users.written_at);
        let latest = Versioned::new(snapshot, revision, written_at);
        if let Some(user) = user {
            let former = mem::replace(&mut user.latest, latest);
            user.older.push_front(former);
            let kept = self.history.saturating_sub(1);
            user.has_lost_some |= user.older.len() > kept;
            user.older.truncate(kept);
        } else if users.by_id.len() < self.max_users {
            let user = User {
                latest,
                older: VecDeque::new(),
                has_lost_some: false,
            };
            users.by_id.insert(user_id, user);
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

/// Whether what is there is what is expected.
fn compare(user_id: &str, user: Option<&User>, expected: Expected) -> Result<()> {
    let actual = user.map(|user| user.latest.revision);
    if expected.is_met_by(actual) {
        return Ok(());
    }
    Err(StoreError::Conflict {
        user_id: user_id.to_owned(),
        expected,
        actual,
    })
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
            let newest = user.newest_first().take(limit);
            newest.map(|version| version.value.clone()).collect()
        };
        Ok(self.read(user_id, newest)?.unwrap_or_default())
    }

    async fn get_versions(
        &self,
        user_id: &str,
        range: VersionRange,
    ) -> Result<Vec<Versioned<StateSnapshot>>> {
        let versions = self.read(user_id, |user| range.select(user.newest_first()))?;
        Ok(versions.unwrap_or_default())
    }

    async fn get_as_of(&self, user_id: &str, time: Timestamp) -> Result<AsOf<StateSnapshot>> {
        let then = self.read(user_id, |user| {
            let mut versions = user.newest_first();
            match versions.find(|version| version.written_at <= time.as_unix_ms()) {
                Some(version) => AsOf::Was(version.clone()),
                None if user.has_lost_some => AsOf::Evicted,
                None => AsOf::NotThere,
            }
        })?;
        Ok(then.unwrap_or(AsOf::NotThere))
    }

    async fn delete(&self, user_id: &str) -> Result<bool> {
        self.delete_if(user_id, Expected::Any).await
    }

    async fn delete_if(&self, user_id: &str, expected: Expected) -> Result<bool> {
        validate_user_id(user_id)?;
        let mut users = self.lock();
        compare(user_id, users.by_id.get(user_id), expected)?;
        Ok(users.by_id.remove(user_id).is_some())
    }

    fn list(&self) -> BoxStream<'_, Result<String>> {
        // The place in the listing is an id: it means the same whatever is written meanwhile.
        Box::pin(stream::unfold(String::new(), move |last| async move {
            let rest = (Bound::Excluded(last), Bound::Unbounded);
            let next = self.lock().by_id.range(rest).next()?.0.clone();
            Some((Ok(next.clone()), next))
        }))
    }
}
