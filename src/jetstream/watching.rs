//! Watching users: through the replica, or, in a store that follows nobody, through
//! [consumers of the log](super::watching_log).
//!
//! The replica's map tells of changes in its own revisions, which are not those of the stream.
//! So what it tells is translated: a state has its sequence beside it, and when a user is gone
//! the replica knows the marker.
//!
//! **The events of a user are in the order of the log.** The replica applies it in that order,
//! so the map does not go back. When the map tells of a removal, the user may be back, or may
//! be back and gone once more. In the first case the removal is left out: the map tells of the
//! return next. In the second, what is given is the last removal, and the map can tell of
//! nothing before it any more.

use std::future;
use std::sync::{Arc, Weak};

use futures_util::StreamExt;
use smol_str::SmolStr;

use super::Core;
use super::kept::Kept;
use super::message::Entry;
use super::removed::Removal;
use super::replica::Replica;
use crate::map::Look;
use crate::revision::Revision;
use crate::snapshot::{StateSnapshot, validate_user_id};
use crate::store::Result;
use crate::versioned::Versioned;
use crate::watch::{AnyEvent, Event, Watch};

impl Core {
    /// Begins when the replica has all of the user that is there now.
    pub(super) async fn watch(
        self: &Arc<Self>,
        user_id: &str,
    ) -> Result<Watch<Event<StateSnapshot>>> {
        validate_user_id(user_id)?;
        let Kept::All(replica) = &self.kept else {
            return self.watch_log(user_id).await;
        };
        self.keep_up_with(replica, user_id, self.deadline()).await?;
        let user_id = SmolStr::new(user_id);
        let followed = Arc::downgrade(replica);
        let events = replica.users().watch_with(&user_id, look(&followed));
        let translate = move |event| followed.upgrade()?.translate(&user_id, event);
        Ok(Watch::new(
            events.filter_map(move |event| future::ready(translate(event))),
        ))
    }

    pub(super) async fn watch_all(self: &Arc<Self>) -> Result<Watch<AnyEvent<StateSnapshot>>> {
        let Kept::All(replica) = &self.kept else {
            return self.watch_all_of_log().await;
        };
        self.all_users(replica, self.deadline()).await?;
        let followed = Arc::downgrade(replica);
        let events = replica.users().watch_all_with(look(&followed));
        let translate = move |event| match event {
            AnyEvent::CaughtUp => Some(AnyEvent::CaughtUp),
            AnyEvent::Of { key, event } => {
                let event = followed.upgrade()?.translate(&SmolStr::new(&key), event)?;
                Some(AnyEvent::Of { key, event })
            }
        };
        Ok(Watch::new(
            events.filter_map(move |event| future::ready(translate(event))),
        ))
    }
}

fn look(replica: &Weak<Replica>) -> impl Fn(&SmolStr) -> Option<Look<Entry>> + Send + use<> {
    let replica = Weak::clone(replica);
    move |user_id| Some(replica.upgrade()?.users().look(user_id))
}

impl Replica {
    /// `None` for a removal that is not the last word, and for what is no snapshot.
    fn translate(&self, user_id: &SmolStr, event: Event<Entry>) -> Option<Event<StateSnapshot>> {
        match event {
            Event::Put(Versioned { value: entry, .. }) => {
                let snapshot = StateSnapshot::from_parts(user_id.clone(), entry.state?);
                let revision = Revision::from(entry.revision);
                Some(Event::Put(Versioned::new(
                    snapshot,
                    revision,
                    entry.written_at,
                )))
            }
            Event::Removed { .. } => {
                let Removal { sequence, cause } = self.removal_of(user_id)?;
                let revision = Revision::from(sequence);
                Some(Event::Removed { revision, cause })
            }
        }
    }
}
