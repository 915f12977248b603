//! Pointers to a store are stores.

use std::sync::Arc;

use super::{BoxFuture, BoxStream, Result, StateStore};
use crate::range::{AsOf, VersionRange};
use crate::revision::{Expected, Revision};
use crate::snapshot::StateSnapshot;
use crate::timestamp::Timestamp;
use crate::versioned::Versioned;
use crate::watch::{AnyEvent, Event, Watch};

// The pointers hand on the future of what they point to. As `async fn`s they
// would box a second future around it, at every call through an `Arc<dyn …>`:
// the method that is found there is the one of `Arc`.
macro_rules! forward_to_target {
    ($($pointer:ty),*) => {$(
        // A method that is added to the trait and forgotten here would fall
        // back to its default behind every pointer.
        #[deny(clippy::missing_trait_methods)]
        impl<T: StateStore + ?Sized> StateStore for $pointer {
            fn upsert_latest<'s, 'f>(
                &'s self,
                snapshot: StateSnapshot,
            ) -> BoxFuture<'f, Result<()>>
            where
                's: 'f,
                Self: 'f,
            {
                (**self).upsert_latest(snapshot)
            }

            fn get_latest<'s, 'u, 'f>(
                &'s self,
                user_id: &'u str,
            ) -> BoxFuture<'f, Result<Option<StateSnapshot>>>
            where
                's: 'f,
                'u: 'f,
                Self: 'f,
            {
                (**self).get_latest(user_id)
            }

            fn get_latest_versioned<'s, 'u, 'f>(
                &'s self,
                user_id: &'u str,
            ) -> BoxFuture<'f, Result<Option<Versioned<StateSnapshot>>>>
            where
                's: 'f,
                'u: 'f,
                Self: 'f,
            {
                (**self).get_latest_versioned(user_id)
            }

            fn upsert_if<'s, 'f>(
                &'s self,
                snapshot: StateSnapshot,
                expected: Expected,
            ) -> BoxFuture<'f, Result<Revision>>
            where
                's: 'f,
                Self: 'f,
            {
                (**self).upsert_if(snapshot, expected)
            }

            fn get_many<'s, 'i, 'u, 'f>(
                &'s self,
                user_ids: &'i [&'u str],
            ) -> BoxFuture<'f, Result<Vec<Option<StateSnapshot>>>>
            where
                's: 'f,
                'i: 'f,
                'u: 'f,
                Self: 'f,
            {
                (**self).get_many(user_ids)
            }

            fn upsert_many<'s, 'f>(
                &'s self,
                snapshots: Vec<StateSnapshot>,
            ) -> BoxFuture<'f, Vec<Result<()>>>
            where
                's: 'f,
                Self: 'f,
            {
                (**self).upsert_many(snapshots)
            }

            fn get_history<'s, 'u, 'f>(
                &'s self,
                user_id: &'u str,
                limit: usize,
            ) -> BoxFuture<'f, Result<Vec<StateSnapshot>>>
            where
                's: 'f,
                'u: 'f,
                Self: 'f,
            {
                (**self).get_history(user_id, limit)
            }

            fn delete<'s, 'u, 'f>(
                &'s self,
                user_id: &'u str,
            ) -> BoxFuture<'f, Result<bool>>
            where
                's: 'f,
                'u: 'f,
                Self: 'f,
            {
                (**self).delete(user_id)
            }

            fn delete_if<'s, 'u, 'f>(
                &'s self,
                user_id: &'u str,
                expected: Expected,
            ) -> BoxFuture<'f, Result<bool>>
            where
                's: 'f,
                'u: 'f,
                Self: 'f,
            {
                (**self).delete_if(user_id, expected)
            }

            fn get_versions<'s, 'u, 'f>(
                &'s self,
                user_id: &'u str,
                range: VersionRange,
            ) -> BoxFuture<'f, Result<Vec<Versioned<StateSnapshot>>>>
            where
                's: 'f,
                'u: 'f,
                Self: 'f,
            {
                (**self).get_versions(user_id, range)
            }

            fn get_as_of<'s, 'u, 'f>(
                &'s self,
                user_id: &'u str,
                time: Timestamp,
            ) -> BoxFuture<'f, Result<AsOf<StateSnapshot>>>
            where
                's: 'f,
                'u: 'f,
                Self: 'f,
            {
                (**self).get_as_of(user_id, time)
            }

            fn list(&self) -> BoxStream<'_, Result<String>> {
                (**self).list()
            }

            fn watch<'s, 'u, 'f>(
                &'s self,
                user_id: &'u str,
            ) -> BoxFuture<'f, Result<Watch<Event<StateSnapshot>>>>
            where
                's: 'f,
                'u: 'f,
                Self: 'f,
            {
                (**self).watch(user_id)
            }

            fn watch_all<'s, 'f>(
                &'s self,
            ) -> BoxFuture<'f, Result<Watch<AnyEvent<StateSnapshot>>>>
            where
                's: 'f,
                Self: 'f,
            {
                (**self).watch_all()
            }

            fn health_check<'s, 'f>(&'s self) -> BoxFuture<'f, Result<()>>
            where
                's: 'f,
                Self: 'f,
            {
                (**self).health_check()
            }
        }
    )*};
}

forward_to_target!(&T, Box<T>, Arc<T>);
