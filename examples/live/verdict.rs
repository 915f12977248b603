//! Whether both hold in the end what was written.

use crate::Result;
use crate::check::Audit;
use crate::format::counted;
use crate::load::{Course, Load};
use crate::names::name;
use crate::pair::Which;
use crate::screen::Screen;
use crate::side::{Side, Sides};

/// What it means that all is well.
const MEANING: [&str; 3] = [
    "  Every read found its user. Both have counted every write. Each history is as",
    "  long as the writes make it, in order, and of what was written; its newest is",
    "  the latest state, and was written last.",
];

/// Shows what both hold in the end; returns whether that is what was written.
pub fn show<A: Side, B: Side>(
    bound: usize,
    sides: &Sides<A, B>,
    load: &Load<'_, A, B>,
    courses: &[Course],
    screen: &mut Screen,
) -> Result<bool> {
    let audit = |which| match which {
        Which::Attuned => Audit::of(&sides.attuned, which, load, bound),
        Which::DashMap => Audit::of(&sides.dashmap, which, load, bound),
    };
    screen.line("")?;
    let mut all_well = true;
    for which in [Which::Attuned, Which::DashMap] {
        let audit = audit(which);
        let missed: u64 = courses
            .iter()
            .map(|course| course.done.get(which).missed)
            .sum();
        let verdict = if audit.wrong == 0 && audit.miscounted == 0 && missed == 0 {
            "ok".to_owned()
        } else {
            all_well = false;
            format!(
                "FAILED: {} found no user; {} wrong; {} lost or made up",
                counted(missed, "read"),
                counted(audit.wrong, "user"),
                counted(audit.miscounted, "write"),
            )
        };
        screen.line(format_args!(
            "check  {:<14} {}, {} kept: {verdict}",
            name(which),
            counted(audit.users, "user"),
            counted(audit.states, "state"),
        ))?;
    }
    if all_well {
        for line in MEANING {
            screen.line(line)?;
        }
    }
    Ok(all_well)
}
