//! Whole programs: what is lost at their end, and what other leak checkers say of the same.

use std::sync::Arc;

use super::verdicts::own_function;
use crate::command::Exec;
use crate::program::Program;

/// Blocks and their requested bytes.
pub type Total = (u64, u64);

/// A program that runs once, and what is lost at its end.
#[derive(Debug, Clone, Copy)]
pub struct Whole {
    /// A file of `fixtures/programs`.
    pub source: &'static str,
    /// Its argument; none where empty.
    pub how: &'static str,
    /// What no pointer leads to.
    pub lost: Total,
    /// What only lost blocks lead to.
    pub indirect: Total,
    /// The innermost own function of all that; where empty it is not compared.
    pub by: &'static str,
    /// What LeakSanitizer says.
    pub lsan: Peer,
    /// What valgrind says.
    pub valgrind: Peer,
}

/// What another leak checker says of a program.
#[derive(Debug, Clone, Copy)]
pub enum Peer {
    /// The same.
    Agrees,
    /// Always this, for a reason.
    Says(Total, &'static str),
    /// Less, or the same, for a reason.
    SaysLess(&'static str),
}

impl Whole {
    const fn new(source: &'static str, how: &'static str) -> Self {
        let (lost, indirect, by) = ((0, 0), (0, 0), "");
        Self { source, how, lost, indirect, by, lsan: Peer::Agrees, valgrind: Peer::Agrees }
    }

    const fn loses(self, by: &'static str, lost: Total, indirect: Total) -> Self {
        Self { by, lost, indirect, ..self }
    }

    const fn lsan(self, lsan: Peer) -> Self {
        Self { lsan, ..self }
    }

    /// Lost and indirect.
    #[must_use]
    pub fn total(&self) -> Total {
        (self.lost.0 + self.indirect.0, self.lost.1 + self.indirect.1)
    }

    /// The program's argument, as a list.
    #[must_use]
    pub fn arguments(&self) -> Vec<&'static str> {
        Some(self.how).filter(|how| !how.is_empty()).into_iter().collect()
    }

    /// What `leaksnap exec` says that was not expected.
    pub(super) fn difference(&self, program: &Arc<Program>) -> Option<String> {
        let checked = Exec::of(program.with(self.arguments())).check();
        let stem = self.source.split('.').next().unwrap_or_default();
        let groups = checked.report["groups"].as_array().map(Vec::as_slice).unwrap_or_default();
        let sum = |reachability: &str| {
            let of = groups.iter().filter(|group| group["reachability"] == reachability);
            let number = |count: &serde_json::Value| count.as_u64().unwrap_or(u64::MAX);
            of.map(|group| (number(&group["blocks"]), number(&group["bytes"])))
                .fold((0, 0), |sum, group| (sum.0 + group.0, sum.1 + group.1))
        };
        let is_by_it = |group| self.by.is_empty() || own_function(group, stem) == Some(self.by);
        let status = Some(i32::from(self.total().0 > 0));
        let is_found = checked.run.code == status
            && sum("lost") == self.lost
            && sum("indirect") == self.indirect
            && groups.iter().all(|group| group["verdict"] == "leak" && is_by_it(group));
        (!is_found).then(|| format!("{self:?}\n{}", checked.json))
    }
}

const DEAD_FRAMES: &str = "frames of its own at the exit lie on dead ones, and it takes them whole";

/// The programs.
pub const PROGRAMS: &[Whole] = &[
    Whole::new("loses_by.c", "list").loses("make_node", (1, 40), (2, 80)),
    Whole::new("loses_by.c", "ring").loses("make_node", (1, 40), (2, 80)),
    Whole::new("loses_by.c", "tree").loses("make_node", (1, 40), (6, 240)),
    Whole::new("loses_by.c", "interior").loses("make_embedded", (1, 80), (2, 160)),
    // Valgrind counts it as possibly lost, which is not asked for.
    Whole::new("loses_by.c", "middle"),
    Whole::new("loses_by.c", "past_end").loses("point_behind", (1, 96), (0, 0)),
    Whole::new("loses_by.c", "odd").loses("point_from_an_odd_place", (1, 104), (0, 0)),
    Whole::new("loses_by.c", "hidden").loses("turn_pointer_over", (1, 88), (0, 0)),
    Whole::new("loses_by.c", "mapped")
        .lsan(Peer::Says((1, 120), "mapped pages are no roots to it")),
    // Valgrind counts what a thread has on its stack as possibly lost, with libc's own table.
    Whole::new("loses_by.c", "slot"),
    Whole::new("loses_by.c", "local"),
    Whole::new("loses_by.c", "ended").loses("end_with_a_local", (1, 168), (0, 0)),
    Whole::new("loses_by.c", "large").loses("lose_large", (1, 307_200), (0, 0)),
    Whole::new("loses_by.c", "sizes")
        .loses("lose_sizes", (6, 5273), (0, 0))
        .lsan(Peer::Says((6, 5274), "malloc(0) has one byte there")),
    Whole::new("loses_by.c", "stale")
        .loses("fill_frames", (8, 256), (0, 0))
        .lsan(Peer::SaysLess(DEAD_FRAMES)),
    Whole::new("loses_containers.cpp", "vector").loses("", (1, 24), (1, 800)),
    Whole::new("loses_containers.cpp", "map").loses("", (1, 48), (10, 515)),
    Whole::new("loses_containers.cpp", "cycle").loses("", (1, 32), (1, 32)),
    Whole::new("loses_containers.cpp", "array"),
    Whole::new("loses_containers.cpp", "base"),
    Whole::new("loses_containers.cpp", "bases").loses("", (1, 88), (1, 51)),
    Whole::new("loses_a_block.c", "").loses("forget", (3, 300), (0, 0)),
    Whole::new("loses_a_list.c", "").loses("", (1, 24), (3, 144)).lsan(Peer::SaysLess(DEAD_FRAMES)),
    Whole::new("leaks_in_a_thread.c", "").loses("lose_in_thread", (64, 5120), (0, 0)),
    Whole::new("keeps_everything.c", "global"),
    Whole::new("keeps_everything.c", "frame"),
];
