//! Recursions: functions that call each other in a circle, as tracebacks show it.
//!
//! Where a function is on a stack twice, whatever is between has called it again: all of these are
//! one recursion, and so are recursions that have a function in common. A traceback has its frames of
//! one recursion as one, whichever of its functions they are of, and however deep it was.

use std::collections::BTreeMap;

/// A way through recursions, by the names of frames.
pub(crate) type Path<'a> = Vec<Option<&'a str>>;

/// The recursions of some tracebacks, whose frames are told apart by names. What has no name is in none.
#[derive(Debug, Default)]
pub(crate) struct Recursions<'a> {
    /// Another one of its recursion, or itself; always the same one at the end, which sorts first.
    others: BTreeMap<&'a str, &'a str>,
}

impl<'a> Recursions<'a> {
    /// Those of all `tracebacks`, innermost frames first.
    pub(crate) fn of(tracebacks: &[Path<'a>]) -> Self {
        let mut found = Self::default();
        // Two that have become one may be on a stack twice.
        let mut is_new = true;
        while is_new {
            is_new = false;
            for frames in tracebacks {
                is_new |= found.learn(frames);
            }
        }
        found
    }

    /// Whether there is none.
    pub(crate) fn are_none(&self) -> bool {
        self.others.is_empty()
    }

    /// Whether `path` goes through one.
    pub(crate) fn are_in(&self, path: &[Option<&str>]) -> bool {
        path.iter().flatten().any(|name| self.has(name))
    }

    fn has(&self, name: &str) -> bool {
        self.others.contains_key(name)
    }

    /// Of each recursion the name that sorts first, and each other name, but for the frames that go on
    /// with the recursion of the one before.
    pub(crate) fn path(&self, frames: &[Option<&'a str>]) -> Path<'a> {
        let mut path: Vec<_> =
            frames.iter().map(|name| name.map(|name| self.first(name))).collect();
        path.dedup_by(|next, before| next.is_some_and(|name| self.has(name)) && next == before);
        path
    }

    fn first(&self, name: &'a str) -> &'a str {
        let mut name = name;
        while let Some(other) = self.others.get(name).filter(|other| **other != name) {
            name = other;
        }
        name
    }

    /// Learns from one traceback; whether there was something new.
    fn learn(&mut self, frames: &[Option<&'a str>]) -> bool {
        let mut last: BTreeMap<&str, usize> = BTreeMap::new();
        let mut is_new = false;
        for (at, name) in frames.iter().enumerate() {
            let Some(name) = name.map(|name| self.first(name)) else { continue };
            if let Some(before) = last.insert(name, at) {
                for other in frames[before..=at].iter().flatten() {
                    is_new |= self.join(name, other);
                }
            }
        }
        is_new
    }

    fn join(&mut self, one: &'a str, other: &'a str) -> bool {
        let (one, other) = (self.first(one), self.first(other));
        let (first, second) = (one.min(other), one.max(other));
        let known = self.others.insert(second, first);
        self.others.insert(first, first);
        known != Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths of tracebacks of one letter a frame, innermost first; a space has no name.
    fn paths(tracebacks: &[&str]) -> Vec<String> {
        let name = |text: &'static str| Some(text).filter(|text| *text != " ");
        const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz ";
        let letter = |letter: char| {
            let at = LETTERS.find(letter).expect("a letter");
            name(&LETTERS[at..=at])
        };
        let all: Vec<Vec<_>> =
            tracebacks.iter().map(|it| it.chars().map(letter).collect()).collect();
        let recursions = Recursions::of(&all);
        let text = |path: Vec<Option<&str>>| path.iter().map(|it| it.unwrap_or(" ")).collect();
        all.iter().map(|frames| text(recursions.path(frames))).collect()
    }

    #[test]
    fn a_recursion_is_left_once() {
        for (whole, left) in [
            ("", ""),
            ("abc", "abc"),
            ("rrrrm", "rm"),
            ("xrrrrm", "xrm"),
            ("ababm", "am"),
            ("bababm", "am"),
            ("  m", "  m"),
            ("xrsrtrm", "xrm"),
            ("rrabbm", "rabm"),
        ] {
            assert_eq!(paths(&[whole]), [left], "{whole}");
        }
    }

    #[test]
    fn whoever_is_of_a_recursion_anywhere_is_of_it_everywhere() {
        assert_eq!(paths(&["leom", "lom", "loeoem", "lem"]), ["lem"; 4]);
        assert_eq!(paths(&["xrm", "xrrm", "yrrm"]), ["xrm", "xrm", "yrm"]);
        // Two circles with a function in common are one; without, they are two.
        assert_eq!(paths(&["abam", "bcbm", "cm"]), ["am", "am", "am"]);
        assert_eq!(paths(&["abam", "cdcm", "dam"]), ["am", "cm", "cam"]);
        // One that is come back to by another way of its recursion.
        assert_eq!(paths(&["ababm", "bxam"]), ["am", "am"]);
    }
}
