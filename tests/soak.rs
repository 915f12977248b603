//! A short soak: after each of some rounds of work, nothing is in memory that should not.
//!
//! `examples/soak` does the same for as long as it is told, and looks at the memory of the
//! process as well. This counts values, so it does not depend on the allocator or on time.

#[path = "common/depth.rs"]
mod depth;
#[path = "../examples/soak/work.rs"]
mod work;

use std::ops::ControlFlow;
use std::time::Duration;

use depth::Depth;
use work::{Counted, Plan, Round, Soak};

#[test]
fn rounds_of_work_leave_nothing_behind() {
    let rounds = Depth::of_this_run().choose(8, 80);
    // A history of each kind: the map lets versions go one by one, or several at a time.
    for history in [5, 40] {
        let soak = Soak::new(Plan {
            workers: 3,
            keys: 100,
            history,
            round: Round {
                lasts: Duration::ZERO,
                times: 10,
            },
        })
        .expect("a valid configuration");
        let mut round = 0;
        soak.run(|soak| {
            round += 1;
            let (_, shown) = soak.shown();
            let hidden = Counted::live() - shown;
            assert!(
                hidden <= soak.may_be_hidden(),
                "round {round}: {hidden} values that no history shows"
            );
            soak.empty();
            let left = Counted::live();
            assert!(
                left <= soak.may_be_left(),
                "round {round}: {left} values that the map does not have"
            );
            if round == rounds {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        // The threads are gone, also the one that slept, and then the map.
        drop(soak);
        assert_eq!(Counted::live(), 0);
    }
}
