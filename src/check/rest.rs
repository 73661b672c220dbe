//! Waiting for a child to come to rest: what an iteration gave its other threads to do shall be of that
//! iteration. It rests when all its threads wait and none has allocated or freed for a while. What a timer
//! frees later is for `window` to wait for.

use std::time::{Duration, Instant};

use crate::child::process::Process;
use crate::child::status;

/// Between two looks at whether it rests. The rest is counted in looks: on a busy machine they take
/// longer, as does the child.
pub(super) const LOOK: Duration = Duration::from_millis(1);

/// For how many looks in a row it has to rest: at the window's ends for more, since what comes late
/// would be missing there.
const SHORT: u32 = 10;
const LONG: u32 = 50;

/// How many looks it has for that, and as many times as long between two; one that never rests has fewer.
const PATIENCE: u32 = 500;
const LEAST_PATIENCE: u32 = 8;

/// A rest takes no larger part of what is left of a child's time than one of so many.
const PARTS: u32 = 32;

/// How long it has to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// Between two iterations.
    Short,
    /// At an end of the window.
    Long,
}

impl For {
    /// After iteration `number`, from 1, where the window has `repeat` of them behind `warmup`.
    pub(super) fn after(number: u32, warmup: u32, repeat: u32) -> Self {
        if number == warmup || number == warmup + repeat { Self::Long } else { Self::Short }
    }
}

/// What is known of a child's rests.
#[derive(Debug)]
pub(super) struct Rest {
    /// How many looks it has to come to rest.
    patience: u32,
    left: u32,
    /// Where many threads are looked at that is over before the looks are.
    until: Instant,
    rested: u32,
    /// Allocations and frees at the last look, where all threads waited.
    before: Option<(u64, u64)>,
}

impl Rest {
    /// Of a child that nobody has looked at yet.
    pub(super) fn new() -> Self {
        Self { patience: PATIENCE, left: 0, until: Instant::now(), rested: 0, before: None }
    }

    /// The child is to come to rest from now on.
    pub(super) fn begin(&mut self) {
        (self.left, self.rested, self.before) = (self.patience, 0, None);
        self.until = Instant::now() + LOOK * self.patience;
    }

    /// Waits until `child` has come to rest, for no more than a part of what is left of its time.
    pub(super) fn wait(&mut self, child: &Process, long: For, deadline: Option<Instant>) {
        self.begin();
        let now = Instant::now();
        let end = deadline.map(|at| now + at.saturating_duration_since(now) / PARTS);
        while self.is_due(child, long) && end.is_none_or(|end| Instant::now() < end) {
            std::thread::sleep(LOOK);
        }
    }

    /// Whether there is more to wait for: the next look is due after [`LOOK`].
    pub(super) fn is_due(&mut self, child: &Process, long: For) -> bool {
        let counts = child.ledger().counts();
        let now = (counts.allocations, counts.frees);
        let is_waiting = || status::is_waiting(child.pid());
        let had_looks = self.patience - self.left >= LEAST_PATIENCE;
        if had_looks && Instant::now() >= self.until {
            self.left = 1;
        }
        self.take(Some(now).filter(|_| is_waiting()), long)
    }

    /// The same, where a look has seen these counts, or threads that do not wait.
    fn take(&mut self, now: Option<(u64, u64)>, long: For) -> bool {
        let wanted = match long {
            For::Short => SHORT,
            For::Long => LONG,
        };
        self.rested = if now.is_some() && now == self.before { self.rested + 1 } else { 0 };
        self.before = now;
        self.left = self.left.saturating_sub(1);
        if self.rested >= wanted {
            self.patience = PATIENCE;
            return false;
        }
        if self.left == 0 {
            // One thread of it may be at work all the time.
            self.patience = (self.patience / 2).max(LEAST_PATIENCE);
        }
        self.left > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many looks a rest takes in which look `n`, from 0, sees `seen(n)`.
    fn looks(rest: &mut Rest, long: For, seen: impl Fn(u32) -> Option<(u64, u64)>) -> u32 {
        rest.begin();
        let mut looks = 0;
        while rest.take(seen(looks), long) {
            looks += 1;
        }
        looks
    }

    #[test]
    fn it_rests_when_nothing_has_changed_for_as_long_as_is_wanted() {
        let mut rest = Rest::new();
        assert_eq!(looks(&mut rest, For::Short, |_| Some((7, 3))), SHORT);
        assert_eq!(looks(&mut rest, For::Long, |_| Some((7, 3))), LONG);
        let frees_once = |look| Some((7, u64::from(look >= 5)));
        assert_eq!(looks(&mut rest, For::Short, frees_once), 5 + SHORT);
        let runs_once = |look| Some((7, 3)).filter(|_| look != 5);
        assert_eq!(looks(&mut rest, For::Short, runs_once), 6 + SHORT);
    }

    #[test]
    fn a_child_that_never_rests_is_waited_for_less_and_less() {
        let mut rest = Rest::new();
        let mut never = || looks(&mut rest, For::Short, |look| Some((look.into(), 0)));
        assert_eq!([never(), never(), never()], [PATIENCE - 1, PATIENCE / 2 - 1, PATIENCE / 4 - 1]);
        assert_eq!((0..9).map(|_| never()).last(), Some(LEAST_PATIENCE - 1));
        assert_eq!(looks(&mut rest, For::Short, |_| None), LEAST_PATIENCE - 1);
        let rests = Some((1, 1));
        rest.patience = 2 * SHORT;
        assert_eq!(looks(&mut rest, For::Short, |_| rests), SHORT);
        assert_eq!(rest.patience, PATIENCE);
    }

    #[test]
    fn the_window_s_ends_are_those_of_the_warm_up_and_of_the_last_iteration() {
        let ends: Vec<_> = (0..12).filter(|at| For::after(*at, 2, 8) == For::Long).collect();
        assert_eq!(ends, [2, 10]);
        assert_eq!(For::after(0, 0, 3), For::Long);
    }
}
