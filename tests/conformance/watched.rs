//! A store that can be watched, and others whose watches go wrong, each in one way.

use std::collections::HashSet;

use attuned_store::{
    AnyEvent, Event, Expected, MemoryStore, Result, Revision, StateSnapshot, StateStore, Versioned,
    Watch, async_trait, validate_user_id,
};
use futures_util::{StreamExt, stream};

/// What a watch does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    Nothing,
    BeginsWithOlder,
    EndsAfterThree,
    EndsIfAbsent,
    GoesBack,
    LastIsStale,
    RemovalHasRevisionZero,
    RemovalIsSilent,
    IsOfEverybody,
    TakesAnyId,
    CaughtUpAtOnce,
    NewUsersAreMissed,
}

use Fault::*;

/// A faulty store in memory.
pub struct Watched {
    fault: Fault,
    right: MemoryStore,
}

impl Watched {
    pub fn new(fault: Fault, history: usize) -> Self {
        let right = MemoryStore::builder().history(history).build().unwrap();
        Self { fault, right }
    }
}

/// The same event of an older snapshot.
fn older(event: Event<StateSnapshot>) -> Event<StateSnapshot> {
    event.map(|snapshot| {
        let at = snapshot.updated_at_unix_ms() - 1;
        snapshot.to_builder().updated_at(at).build().unwrap()
    })
}

#[async_trait]
impl StateStore for Watched {
    async fn upsert_latest(&self, snapshot: StateSnapshot) -> Result<()> {
        self.right.upsert_latest(snapshot).await
    }

    async fn get_latest(&self, user_id: &str) -> Result<Option<StateSnapshot>> {
        self.right.get_latest(user_id).await
    }

    async fn get_latest_versioned(
        &self,
        user_id: &str,
    ) -> Result<Option<Versioned<StateSnapshot>>> {
        self.right.get_latest_versioned(user_id).await
    }

    async fn upsert_if(&self, snapshot: StateSnapshot, expected: Expected) -> Result<Revision> {
        self.right.upsert_if(snapshot, expected).await
    }

    async fn get_history(&self, user_id: &str, limit: usize) -> Result<Vec<StateSnapshot>> {
        self.right.get_history(user_id, limit).await
    }

    async fn delete(&self, user_id: &str) -> Result<bool> {
        self.right.delete(user_id).await
    }

    async fn watch(&self, user_id: &str) -> Result<Watch<Event<StateSnapshot>>> {
        if self.fault == TakesAnyId && validate_user_id(user_id).is_err() {
            return Ok(Watch::new(stream::empty()));
        }
        let events = self.right.watch(user_id).await?;
        Ok(match self.fault {
            BeginsWithOlder => {
                let events = events.enumerate();
                Watch::new(events.map(|(n, event)| if n == 0 { older(event) } else { event }))
            }
            EndsAfterThree => Watch::new(events.take(3)),
            EndsIfAbsent if self.right.get(user_id).is_none() => Watch::new(stream::empty()),
            GoesBack => {
                let twice = |event: Event<StateSnapshot>| stream::iter([event.clone(), event]);
                Watch::new(events.flat_map(twice))
            }
            LastIsStale => Watch::new(events.map(older)),
            RemovalHasRevisionZero => Watch::new(events.map(|event| match event {
                Event::Removed { cause, .. } => {
                    let revision = Revision::from(0);
                    Event::Removed { revision, cause }
                }
                put => put,
            })),
            RemovalIsSilent => Watch::new(events.take_while(|event| {
                let removed = matches!(event, Event::Removed { .. });
                std::future::ready(!removed)
            })),
            IsOfEverybody => {
                let all = self.right.watch_all().await?;
                Watch::new(all.filter_map(|event| {
                    std::future::ready(match event {
                        AnyEvent::Of { event, .. } => Some(event),
                        AnyEvent::CaughtUp => None,
                    })
                }))
            }
            _ => events,
        })
    }

    async fn watch_all(&self) -> Result<Watch<AnyEvent<StateSnapshot>>> {
        let events = self.right.watch_all().await?;
        Ok(match self.fault {
            CaughtUpAtOnce => Watch::new(stream::iter([AnyEvent::CaughtUp]).chain(events)),
            NewUsersAreMissed => {
                let known: HashSet<_> = self.right.user_ids().into_iter().collect();
                Watch::new(events.take_while(move |event| {
                    std::future::ready(match event {
                        AnyEvent::Of { key, .. } => known.contains(key),
                        AnyEvent::CaughtUp => true,
                    })
                }))
            }
            _ => events,
        })
    }
}
