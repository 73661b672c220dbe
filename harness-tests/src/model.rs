//! The model of expected verdicts: what is found in which scenario, a line of data each.
//!
//! ```text
//!   a row       a plugin's step, and every group that has to fail, or none
//!   its twin    the same step with the word `repaired` behind it: nothing may fail
//! ```
//!
//! A row is found exactly where the failing groups of the report are those of the row and no
//! others: verdict, reachability, blocks and bytes per iteration, and the innermost function of
//! the fixture's own. What does not fail is compared where a row names it. What leaks besides has
//! to be what the counter counts, a program that has nothing of leaksnap; where OpenSSL's or
//! libc's version has a say in the sizes, that count alone is what the row expects.
//!
//! ```text
//!   blocks  bounds  objects  openssl    the rows
//!   check     runs them
//!   closures  rows that are closures
//!   counter   the other count
//!   fixture   where a plugin lies
//!   programs  whole programs, and what other leak checkers say of them
//!   verdicts  what a report says
//! ```

mod blocks;
mod bounds;
mod check;
mod closures;
mod counter;
mod fixture;
mod objects;
mod openssl;
pub mod programs;
mod verdicts;

pub use check::Model;

/// A scenario and what has to be found in it.
#[derive(Debug, Clone, Copy)]
struct Row {
    plugin: &'static str,
    step: &'static str,
    warmup: u32,
    repeat: u32,
    /// Every group that fails.
    fails: &'static [Found],
    /// The own functions of the groups that fail, where their sum is what the counter counts.
    counted: &'static [&'static str],
    /// Groups that do not fail, and have to be there.
    keeps: &'static [Kept],
    has_twin: bool,
}

/// A group that fails.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// The verdict and the reachability: `leak/lost`.
    what: &'static str,
    /// The innermost function of the fixture's own.
    function: &'static str,
    /// Blocks that an iteration adds.
    blocks: f64,
    /// Requested bytes that an iteration adds.
    bytes: f64,
}

/// A group that does not fail: its verdict, and its innermost own function.
type Kept = (&'static str, &'static str);

impl Row {
    const fn new(plugin: &'static str, step: &'static str) -> Self {
        let (fails, counted, keeps) = (&[], &[], &[]);
        Self { plugin, step, warmup: 2, repeat: 8, fails, counted, keeps, has_twin: false }
    }

    /// A step that leaks, and whose repaired twin does not.
    const fn fails(plugin: &'static str, step: &'static str, fails: &'static [Found]) -> Self {
        Self { fails, has_twin: true, ..Self::new(plugin, step) }
    }

    /// The same, where the sizes are a library's.
    const fn counted(
        plugin: &'static str,
        step: &'static str,
        counted: &'static [&'static str],
    ) -> Self {
        Self { counted, has_twin: true, ..Self::new(plugin, step) }
    }

    /// A step that keeps `keeps`, and leaks nothing.
    const fn keeps(plugin: &'static str, step: &'static str, keeps: &'static [Kept]) -> Self {
        Self { keeps, ..Self::new(plugin, step) }
    }

    /// The row without a repaired twin: another plugin is that.
    const fn alone(self) -> Self {
        Self { has_twin: false, ..self }
    }

    /// The row with other numbers of iterations.
    const fn over(self, warmup: u32, repeat: u32) -> Self {
        Self { warmup, repeat, ..self }
    }

    fn is_silent(&self) -> bool {
        self.fails.is_empty() && self.counted.is_empty()
    }
}

/// A leak that no pointer leads to.
const fn lost(function: &'static str, blocks: f64, bytes: f64) -> Found {
    Found { what: "leak/lost", function, blocks, bytes }
}

/// A leak that only lost blocks lead to.
const fn indirect(function: &'static str, blocks: f64, bytes: f64) -> Found {
    Found { what: "leak/indirect", function, blocks, bytes }
}

/// A leak that pointers still lead to.
const fn kept(function: &'static str, blocks: f64, bytes: f64) -> Found {
    Found { what: "leak/reachable", function, blocks, bytes }
}

/// Lost blocks that not every iteration left, with their sums over the eight iterations of a window.
const fn lost_at_times(function: &'static str, blocks: u32, bytes: u32) -> Found {
    Found { what: "growth/lost", ..grown(function, blocks, bytes) }
}

/// What grew and can be reached, with its sums over the eight iterations of a window.
const fn grown(function: &'static str, blocks: u32, bytes: u32) -> Found {
    let (blocks, bytes) = (blocks as f64 / 8.0, bytes as f64 / 8.0);
    Found { what: "growth/reachable", function, blocks, bytes }
}
