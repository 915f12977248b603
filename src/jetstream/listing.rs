//! The ids of all users, a part at a time.
//!
//! The replica first comes to have all who are there. From then on it loses only those who
//! go, so the argument of [`memory::listing`](crate::memory::listing) holds, whose parts these
//! are; unless it starts over, which ends the listing with an error.

use std::hash::{BuildHasher, Hasher};

use futures_core::Stream;
use futures_util::stream::{self, TryStreamExt};

use super::Core;
use super::error::JetStreamError;
use crate::map::DefaultHashBuilder;
use crate::memory::listing::{PART, part_from};
use crate::memory::spans;
use crate::store::{Result, StoreError};

/// How far a listing has come.
enum Listing {
    NotBegun,
    At(Place),
    Ended,
}

struct Place {
    hasher: DefaultHashBuilder,
    /// Where the next part begins.
    next: u64,
    starts_over: u64,
}

impl Core {
    pub(super) fn list(&self) -> impl Stream<Item = Result<String>> + Send + '_ {
        let parts = stream::try_unfold(Listing::NotBegun, move |listing| async move {
            let place = match listing {
                Listing::NotBegun => self.first_part().await?,
                Listing::At(place) => place,
                Listing::Ended => return Ok(None),
            };
            // A pass takes long enough to let other tasks go first.
            tokio::task::yield_now().await;
            self.part(place).map(Some)
        });
        let ids = parts.map_ok(|ids: Vec<String>| stream::iter(ids.into_iter().map(Ok)));
        ids.try_flatten()
    }

    async fn first_part(&self) -> Result<Place> {
        self.all_users(self.deadline()).await?;
        Ok(Place {
            hasher: DefaultHashBuilder::default(),
            next: 0,
            starts_over: self.replica.figures().starts_over,
        })
    }

    /// One pass over the replica, and what is left.
    fn part(&self, place: Place) -> Result<(Vec<String>, Listing)> {
        let users = self.replica.users();
        let hashes = part_from(place.next, users.len(), PART);
        let next = hashes.end().checked_add(1);
        let span = spans::list();
        let _entered = span.enter();
        let ids = users.keys_where(|id| {
            let mut hasher = place.hasher.build_hasher();
            hasher.write(id.as_bytes());
            hashes.contains(&hasher.finish())
        });
        let ids = ids.map_err(StoreError::internal)?;
        if self.replica.figures().starts_over != place.starts_over {
            return Err(JetStreamError::ReplicaBehind.into());
        }
        span.record("users", ids.len());
        let clock = self.replica.clock();
        let is_over = |id: &str| users.with(id, |latest| clock.is_over(latest));
        let ids = ids.into_iter().filter(|id| is_over(id) != Some(true));
        let ids = ids.map(String::from).collect();
        let rest = match next {
            Some(next) => Listing::At(Place { next, ..place }),
            None => Listing::Ended,
        };
        Ok((ids, rest))
    }
}
