//! A child's time: how long it may take, and what took it.
//!
//! Invariant: each moment since the start belongs to one part, so that what is said to have taken
//! the time did.

use std::time::{Duration, Instant};

use super::problem::{Problem, TIMEOUT};

/// The part until a program is there; its name is that of the next part.
pub(super) const START: &str = "its start";

/// The part between two requests, in which the child stands.
pub(super) const LOOK: &str = "leaksnap's own look at it";

/// How long a child has run, and how long it may.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    limit: Duration,
    /// What gives more of it.
    by: &'static str,
    deadline: Option<Instant>,
    /// What goes on, and since when.
    part: String,
    since: Instant,
    /// The iteration that it is in, from 1; 0 outside of any.
    iteration: u32,
    /// What went on before, and for how long.
    spent: Vec<(String, Duration)>,
}

impl Clock {
    /// Starts now, with `part`; without a limit it is never over.
    pub(super) fn start(limit: Option<Duration>, part: &str) -> Self {
        let since = Instant::now();
        let deadline = limit.and_then(|limit| since.checked_add(limit));
        let (limit, part) = (limit.unwrap_or_default(), part.to_owned());
        Self { limit, by: TIMEOUT, deadline, part, since, iteration: 0, spent: Vec::new() }
    }

    /// The same, which the option `by` gives more time.
    pub(super) fn given_by(self, by: &'static str) -> Self {
        Self { by, ..self }
    }

    /// The whole time again, from now on, with `part`.
    pub(super) fn again(&self, part: &str) -> Self {
        Self::start(self.deadline.map(|_| self.limit), part).given_by(self.by)
    }

    /// When the time is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What is left of the time; the longest there is without a limit.
    pub(super) fn left(&self) -> Duration {
        self.deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether the time is over.
    pub(super) fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// `part` begins.
    pub(super) fn enter(&mut self, part: &str) {
        let now = Instant::now();
        let spent = now.saturating_duration_since(self.since);
        self.since = now;
        let last = std::mem::replace(&mut self.part, part.to_owned());
        match self.spent.iter_mut().find(|(known, _)| *known == last) {
            Some((_, sum)) => *sum += spent,
            None => self.spent.push((last, spent)),
        }
    }

    /// What begins now is of this iteration; 0 is none.
    pub(super) fn iteration(&mut self, number: u32) {
        self.iteration = number;
    }

    /// That the time was over in the part that goes on; where another one took more of it, that one.
    pub(super) fn timed_out(mut self) -> Problem {
        let (part, iteration) = (self.part.clone(), self.iteration);
        self.enter("");
        let what = match iteration {
            0 => part.clone(),
            _ => format!("{}, in iteration {iteration},", part.trim_end_matches(',')),
        };
        let longest = self.spent.into_iter().max_by_key(|(_, spent)| *spent);
        let longest = longest.filter(|(longest, _)| *longest != part);
        let Self { limit, by, .. } = self;
        Problem::TimedOut { what, limit, by, whole: iteration > 1, longest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock whose parts took as many milliseconds.
    fn clock(parts: &[(&str, u64)]) -> Clock {
        let mut clock = Clock::start(Some(Duration::from_millis(100)), parts[0].0);
        for (at, (part, took)) in parts.iter().enumerate() {
            if at > 0 {
                clock.enter(part);
            }
            clock.since = Instant::now() - Duration::from_millis(*took);
        }
        clock
    }

    #[test]
    fn what_took_the_time_is_said() {
        let text = |parts: &[(&str, u64)], iteration| {
            let mut clock = clock(parts);
            clock.iteration(iteration);
            clock.timed_out().to_string()
        };
        let limit = "it took more than 100ms (`timeout`)";
        let parts = [(START, 90), ("t.toml:1: true", 10)];
        let expected = format!("t.toml:1: true timed out: {limit}, of which its start took 9");
        assert!(text(&parts, 0).starts_with(&expected), "{}", text(&parts, 0));
        assert_eq!(text(&[("the start", 120)], 0), format!("the start timed out: {limit}"));
        let parts = [("the start", 10), ("step", 30), (LOOK, 5), ("step", 60)];
        let limit =
            "the whole check, warm-up and iterations together, took more than 100ms (`timeout`)";
        assert_eq!(text(&parts, 2), format!("step, in iteration 2, timed out: {limit}"));
        let limit = "it took more than 100ms (`timeout`)";
        assert_eq!(text(&parts, 1), format!("step, in iteration 1, timed out: {limit}"));
        let parts = [("the start", 90), ("step", 1), ("the host, at its exit,", 10)];
        let expected =
            format!("the host, at its exit, timed out: {limit}, of which the start took 9");
        assert!(text(&parts, 0).starts_with(&expected), "{}", text(&parts, 0));
    }

    #[test]
    fn it_is_over_when_its_time_is() {
        assert!(Clock::start(Some(Duration::ZERO), "").is_over());
        assert!(!Clock::start(Some(Duration::from_secs(60)), "").is_over());
        let endless = Clock::start(None, "");
        assert!(!endless.is_over() && endless.deadline().is_none());
    }
}
