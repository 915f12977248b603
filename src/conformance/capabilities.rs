//! What a backend says that it can do.

/// What a backend can do beyond the two methods that every backend has.
///
/// What is declared is checked. What is not declared must answer as the
/// defaults of [`StateStore`](crate::StateStore) document: with
/// [`Unsupported`](crate::StoreError::Unsupported), or with an empty history.
///
/// ```
/// use attuned_store::conformance::Capabilities;
///
/// let capabilities = Capabilities::new()
///     .history(100)
///     .delete()
///     .conditional_writes()
///     .versions();
/// # let _ = capabilities;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Capabilities {
    /// The bound, or `None` if no history is kept.
    pub(super) history: Option<usize>,
    pub(super) delete: bool,
    pub(super) revisions: bool,
    pub(super) conditional_writes: bool,
    pub(super) watching: bool,
    pub(super) conditional_deletes: bool,
    pub(super) versions: bool,
    pub(super) list: bool,
}

impl Capabilities {
    /// Those of a backend that has only `upsert_latest` and `get_latest`.
    pub fn new() -> Self {
        Self::default()
    }

    /// The backend keeps the newest `bound` snapshots of each user.
    ///
    /// Filling a history takes `bound` writes, and up to 1,000 are made; that the
    /// oldest entries of a longer one are evicted is not checked. Set the backend
    /// under test to some eight entries. Fewer make lost writes harder to see,
    /// because what was evicted looks the same.
    pub fn history(mut self, bound: usize) -> Self {
        self.history = Some(bound);
        self
    }

    /// The backend keeps a history and does not say how many entries: at least
    /// 100. That the oldest ones are evicted is then not checked.
    pub fn history_of_unknown_bound(self) -> Self {
        self.history(usize::MAX)
    }

    /// The backend has [`delete`](crate::StateStore::delete).
    pub fn delete(mut self) -> Self {
        self.delete = true;
        self
    }

    /// The backend has [`get_latest_versioned`](crate::StateStore::get_latest_versioned).
    pub fn revisions(mut self) -> Self {
        self.revisions = true;
        self
    }

    /// The backend has [`upsert_if`](crate::StateStore::upsert_if), and with it
    /// revisions.
    pub fn conditional_writes(mut self) -> Self {
        self.conditional_writes = true;
        self.revisions()
    }

    /// The backend has [`watch`](crate::StateStore::watch) and
    /// [`watch_all`](crate::StateStore::watch_all), and with them revisions.
    ///
    /// A watch that stays silent makes the suite wait for ever: give the run a time limit.
    pub fn watching(mut self) -> Self {
        self.watching = true;
        self.revisions()
    }

    /// The backend has [`delete_if`](crate::StateStore::delete_if), and with it
    /// [`delete`](Self::delete) and revisions.
    pub fn conditional_deletes(mut self) -> Self {
        self.conditional_deletes = true;
        self.delete().revisions()
    }

    /// The backend has [`get_versions`](crate::StateStore::get_versions) and
    /// [`get_as_of`](crate::StateStore::get_as_of), and with them revisions.
    pub fn versions(mut self) -> Self {
        self.versions = true;
        self.revisions()
    }

    /// The backend has [`list`](crate::StateStore::list).
    pub fn list(mut self) -> Self {
        self.list = true;
        self
    }
}
