//! Pointers to a store are stores.

use std::sync::Arc;

use super::{BoxFuture, Result, StateStore};
use crate::revision::{Expected, Revision};
use crate::snapshot::StateSnapshot;
use crate::versioned::Versioned;

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
