//! The ids of all users, a part at a time.
//!
//! The parts are those of [`memory::listing`](crate::memory::listing): intervals of a hash of
//! the id. Each part is one pass, over what there is.
//!
//! **Over the replica**, which first comes to have all who are there. From then on it loses
//! only those who go, so the argument of that room holds; unless it starts over, which ends
//! the listing with an error.
//!
//! **Over the log**, in a store that follows nobody. The pass is a replica of the ids of its
//! part: a message with a state brings an id in, a removal takes it out. When the
//! [scan](super::scan) has caught up, the ids are those who were there at one place in the
//! log, which is behind the call. So who is there all the time is in their part, and in no
//! other. More users than fit into a part cost another pass over the headers of all users'
//! last messages. If the stream was made anew between two parts, the listing ends with an
//! error, too: users of the first would be missing, or there twice.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::mem;
use std::ops::RangeInclusive;
use std::sync::Arc;

use futures_core::Stream;
use futures_util::stream::{self, TryStreamExt};
use smol_str::SmolStr;
use tracing::Instrument;

use super::Core;
use super::error::JetStreamError;
use super::kept::Kept;
use super::message::has_no_payload;
use super::replica::Replica;
use super::scan::Scan;
use super::stream::info;
use crate::map::DefaultHashBuilder;
use crate::memory::listing::part_from;
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
    /// The stream that the parts before were of. What is kept in memory notices only now and
    /// then that there is another one.
    created: Option<String>,
}

impl Core {
    pub(super) fn list(self: &Arc<Self>) -> impl Stream<Item = Result<String>> + Send + '_ {
        let parts = stream::try_unfold(Listing::NotBegun, move |listing| async move {
            let place = match listing {
                Listing::NotBegun => self.first_part().await?,
                Listing::At(place) => place,
                Listing::Ended => return Ok(None),
            };
            match &self.kept {
                Kept::All(replica) => {
                    // A pass takes long enough to let other tasks go first.
                    tokio::task::yield_now().await;
                    self.part_of_replica(replica, place).map(Some)
                }
                Kept::Hot(_) => self.part_of_log(place).await.map(Some),
            }
        });
        let ids = parts.map_ok(|ids: Vec<String>| stream::iter(ids.into_iter().map(Ok)));
        ids.try_flatten()
    }

    async fn first_part(&self) -> Result<Place> {
        if let Kept::All(replica) = &self.kept {
            self.all_users(replica, self.deadline()).await?;
        }
        Ok(Place {
            hasher: DefaultHashBuilder::default(),
            next: 0,
            starts_over: self.starts_over(),
            created: None,
        })
    }

    /// One pass over the replica, and what is left.
    fn part_of_replica(&self, replica: &Replica, place: Place) -> Result<(Vec<String>, Listing)> {
        let users = replica.users();
        let hashes = part_from(place.next, users.len(), self.users_of_a_part);
        let span = spans::list();
        let _entered = span.enter();
        let ids = users.keys_where(|id| hashes.contains(&place.hash(id)));
        let ids = ids.map_err(StoreError::internal)?;
        if self.starts_over() != place.starts_over {
            return Err(JetStreamError::ReplicaBehind.into());
        }
        span.record("users", ids.len());
        let is_over = |id: &str| users.with(id, |latest| self.clock.is_over(latest));
        let ids = ids.into_iter().filter(|id| is_over(id) != Some(true));
        let ids = ids.map(String::from).collect();
        Ok((ids, place.rest(&hashes)))
    }

    /// One pass over the log, and what is left.
    async fn part_of_log(self: &Arc<Self>, mut place: Place) -> Result<(Vec<String>, Listing)> {
        let users = info(&self.link, self.link.request_timeout()).await?;
        let hashes = part_from(place.next, users.subjects(), self.users_of_a_part);
        let span = spans::list();
        let pass = async {
            let mut times: HashMap<SmolStr, i64> = HashMap::new();
            let mut scan = Scan::new(Arc::clone(self), true, self.operation_timeout);
            while let Some(messages) = scan.next_until_caught_up().await? {
                for (position, message) in messages {
                    let user_id = self.link.subjects().user_of(&message.subject);
                    let Some(user_id) = user_id.filter(|id| hashes.contains(&place.hash(id)))
                    else {
                        continue;
                    };
                    if has_no_payload(message.headers.as_ref()) {
                        times.remove(user_id);
                    } else {
                        times.insert(user_id.into(), position.written_at);
                    }
                }
            }
            Ok::<_, StoreError>((times, scan.created().map(str::to_owned)))
        };
        let (times, created) = pass.instrument(span.clone()).await?;
        place.is_of_stream(created)?;
        span.record("users", times.len());
        let is_there = |time: &i64| !self.clock.is_over_since(*time);
        let ids = times.into_iter().filter(|(_, time)| is_there(time));
        let ids = ids.map(|(id, _)| id.into()).collect();
        Ok((ids, place.rest(&hashes)))
    }

    /// How often what is in memory has begun anew.
    pub(super) fn starts_over(&self) -> u64 {
        match &self.kept {
            Kept::All(replica) => replica.figures().starts_over,
            Kept::Hot(hot) => hot.epoch(),
        }
    }
}

impl Place {
    /// A part is of this stream, and must not be of another one than those before.
    fn is_of_stream(&mut self, created: Option<String>) -> Result<(), JetStreamError> {
        let before = mem::replace(&mut self.created, created);
        if before.is_some() && before != self.created {
            return Err(JetStreamError::StreamReplaced);
        }
        Ok(())
    }

    fn hash(&self, user_id: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(user_id.as_bytes());
        hasher.finish()
    }

    fn rest(self, hashes: &RangeInclusive<u64>) -> Listing {
        match hashes.end().checked_add(1) {
            Some(next) => Listing::At(Self { next, ..self }),
            None => Listing::Ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_are_of_one_stream() {
        let mut place = Place {
            hasher: DefaultHashBuilder::default(),
            next: 0,
            starts_over: 0,
            created: None,
        };
        let of = |created: &str| Some(created.to_owned());
        assert!(place.is_of_stream(of("2026-11-26")).is_ok());
        assert!(place.is_of_stream(of("2026-11-26")).is_ok());
        let replaced = place.is_of_stream(of("2026-11-27"));
        assert!(matches!(replaced, Err(JetStreamError::StreamReplaced)));
    }
}
