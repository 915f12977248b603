//! The variants keep the library's own contract, as far as they go.
//!
//! `papaya` stands for the ceiling of reads and keeps no history; the published
//! store has snapshots and a trait of its own.

use attuned_store::conformance::{Capabilities, check_all};
use attuned_store::{StateSnapshot, StateStore};
use attuned_store_benches::contenders::{
    Contender, DashMap, Papaya, ParkingLotRwLock, Scc, StdRwLock, ThroughTrait,
};
use tokio::runtime::Builder;

fn conforms<C>()
where
    C: Contender<Snapshot = StateSnapshot>,
    ThroughTrait<C>: StateStore,
{
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    for history in [None, Some(1), Some(8)] {
        let mut capabilities = Capabilities::new().delete();
        if let (Some(entries), true) = (history, C::KEEPS_HISTORY) {
            capabilities = capabilities.history(entries);
        }
        let store: Box<dyn StateStore> = Box::new(ThroughTrait(C::new(history, 0)));
        if let Err(failure) = runtime.block_on(check_all(&store, capabilities)) {
            panic!("{} with history {history:?}: {failure}", C::NAME);
        }
    }
}

#[test]
fn dashmap_conforms() {
    conforms::<DashMap>();
}

#[test]
fn std_rwlock_conforms() {
    conforms::<StdRwLock>();
}

#[test]
fn parking_lot_rwlock_conforms() {
    conforms::<ParkingLotRwLock>();
}

#[test]
fn scc_conforms() {
    conforms::<Scc>();
}

#[test]
fn papaya_conforms() {
    conforms::<Papaya<StateSnapshot>>();
}
