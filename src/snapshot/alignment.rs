//! Two tracebacks side by side: the accepted one and the one that was found.
//!
//! Invariant: lines are the same where their functions and places are. A function is the same by
//! its bare name, which is all that gcc knows of a local one it inlined. A place is the same where
//! one line alone names the file: a module has debug information in one build and none in the next.
//! What was accepted before a rule of names was made is the same as what that rule makes of it.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};

use similar::DiffOp;
use similar::algorithms::{Capture, Replace, myers};

use super::bare_name::{base, is_bare_of_other};
use crate::symbols::function_name;

/// A line of a traceback, ready to be compared with many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    text: &'a str,
    /// Of the function's bare name and its module: equal where lines are the same, and seldom else.
    hash: u64,
}

impl<'a> Line<'a> {
    /// The lines of a traceback.
    pub(super) fn all(frames: &'a [String]) -> Vec<Self> {
        frames.iter().map(|text| Self::of(text)).collect()
    }

    fn of(text: &'a str) -> Self {
        let (function, place) = text.split_once("  ").unwrap_or((text, ""));
        let mut hasher = DefaultHasher::new();
        (base(function), module_and_file(place).0).hash(&mut hasher);
        Self { text, hash: hasher.finish() }
    }

    /// The same without its file: it is the same as that function's line in any file.
    pub(super) fn without_file(self) -> Self {
        let (function, place) = self.text.split_once("  ").unwrap_or((self.text, ""));
        let module = module_and_file(place).0;
        let len = if place.is_empty() { function.len() } else { function.len() + 2 + module.len() };
        Self { text: &self.text[..len], ..self }
    }

    /// Whether two lines are of the same function.
    pub(super) fn is_same(self, other: Line<'_>) -> bool {
        self.hash == other.hash && (self.text == other.text || is_same(self.text, other.text))
    }
}

/// What stands in one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row<'a> {
    /// The same frame.
    Same(&'a str, &'a str),
    /// Another frame in its place.
    Other(&'a str, &'a str),
    /// A frame of the accepted traceback alone.
    Accepted(&'a str),
    /// A frame of the found traceback alone.
    Found(&'a str),
}

/// The rows of `accepted` and `found`, with as many frames in common as there can be.
pub(crate) fn rows<'a>(accepted: &'a [String], found: &'a [String]) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for operation in operations(&Line::all(accepted), &Line::all(found)) {
        let (_, old, new) = operation.as_tag_tuple();
        let (old, new) = (&accepted[old], &found[new]);
        let both = old.iter().zip(new);
        match operation {
            DiffOp::Equal { .. } => rows.extend(both.map(|(old, new)| Row::Same(old, new))),
            _ => rows.extend(both.map(|(old, new)| Row::Other(old, new))),
        }
        rows.extend(old.iter().skip(new.len()).map(|line| Row::Accepted(line)));
        rows.extend(new.iter().skip(old.len()).map(|line| Row::Found(line)));
    }
    rows
}

/// The most frames that `accepted` and `found` have in common, in the same order.
pub(super) fn common(accepted: &[Line<'_>], found: &[Line<'_>]) -> usize {
    let equal = |operation: &DiffOp| match operation {
        DiffOp::Equal { len, .. } => *len,
        _ => 0,
    };
    operations(accepted, found).iter().map(equal).sum()
}

/// Whether the shorter traceback is the longer one with frames left out.
pub(super) fn is_shortened(accepted: &[Line<'_>], found: &[Line<'_>]) -> bool {
    let (shorter, longer) =
        if accepted.len() <= found.len() { (accepted, found) } else { (found, accepted) };
    let mut rest = longer.iter();
    shorter.iter().all(|line| rest.any(|other| line.is_same(*other)))
}

fn is_same(line: &str, other: &str) -> bool {
    let (Some((function, place)), Some((other_function, other_place))) =
        (line.split_once("  "), other.split_once("  "))
    else {
        return line == other;
    };
    let (module, file) = module_and_file(place);
    let (other_module, other_file) = module_and_file(other_place);
    module == other_module
        && (file == other_file || file.is_none() || other_file.is_none())
        && (function == other_function
            || is_bare_of_other(function, other_function)
            || function_name(function) == function_name(other_function))
}

fn module_and_file(place: &str) -> (&str, Option<&str>) {
    place.split_once("  ").map_or((place, None), |(module, file)| (module, Some(file)))
}

/// Lines of one side each: the same line of one side can be two lines of the other, so that an
/// equality among all of them would not be one.
#[derive(Debug, Clone, Copy)]
struct AcceptedLine<'a>(Line<'a>);

#[derive(Debug, Clone, Copy)]
struct FoundLine<'a>(Line<'a>);

impl PartialEq<AcceptedLine<'_>> for FoundLine<'_> {
    fn eq(&self, other: &AcceptedLine<'_>) -> bool {
        self.0.is_same(other.0)
    }
}

/// By Myers, whose shortest edit leaves the longest common subsequence. `similar` 2.7 has `lcs` as
/// well, which goes wrong behind a common prefix.
fn operations(accepted: &[Line<'_>], found: &[Line<'_>]) -> Vec<DiffOp> {
    let old: Vec<_> = accepted.iter().copied().map(AcceptedLine).collect();
    let new: Vec<_> = found.iter().copied().map(FoundLine).collect();
    let (all_old, all_new) = (0..old.len(), 0..new.len());
    let mut operations = Replace::new(Capture::new());
    let done: Result<(), Infallible> =
        myers::diff(&mut operations, old.as_slice(), all_old, new.as_slice(), all_new);
    let Ok(()) = done;
    operations.into_inner().into_ops()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_file_may_be_missing_on_one_side_and_a_name_bare() {
        let cases = [
            ("f  a.so", "f  a.so", true),
            ("f  a.so  f.c", "f  a.so", true),
            ("f  a.so", "f  a.so  f.c", true),
            ("f  a.so  f.c", "f  a.so  g.c", false),
            ("f  a.so", "f  b.so", false),
            ("f  a.so", "f", false),
            ("f", "f", true),
            ("f  a.so  f.c", "a::f(int)  a.so  f.c", true),
            ("a::f(int)  a.so", "f  a.so  f.c", true),
            ("f  a.so  f.c", "a::f(int)  b.so  f.c", false),
            ("f  a.so  f.c", "a::f(int)  a.so  g.c", false),
            ("<a::T>::f  a.so", "a::T::f  a.so  f.rs", true),
            ("b::<impl c::D for [u8]>::f  a.so", "<[u8] as c::D>::f  a.so", true),
            ("b::<impl c::D for [u8]>::f  a.so", "<[u8] as c::E>::f  a.so", false),
            ("f<(lambda at /x y.cpp:1:2)>  a.so", "f<(lambda)>  a.so", true),
            ("a.so+0x10", "a.so+0x10", true),
            ("a.so+0x10", "a.so+0x20", false),
        ];
        for (line, other, expected) in cases {
            assert_eq!(Line::of(line).is_same(Line::of(other)), expected, "{line} and {other}");
        }
    }

    #[test]
    fn frames_left_out_are_a_shorter_traceback() {
        let cases = [
            ("a b c", "a b c", true),
            ("a b c", "a c", true),
            ("a c", "a b c", true),
            ("a b c", "c a", false),
            ("a b c", "a d", false),
            ("a b a c", "a c", true),
            ("a b", "a a", false),
        ];
        for (accepted, found, expected) in cases {
            let (old, new) = (lines(accepted), lines(found));
            let is = is_shortened(&Line::all(&old), &Line::all(&new));
            assert_eq!(is, expected, "{accepted} and {found}");
        }
    }

    #[test]
    fn rows_have_as_much_in_common_as_there_can_be() {
        let (accepted, found) = (lines("a b c d e"), lines("a x y c e f"));
        let common_of =
            |left: &[String], right: &[String]| common(&Line::all(left), &Line::all(right));
        assert_eq!(common_of(&accepted, &found), 3);
        let expected = [
            Row::Same("a", "a"),
            Row::Other("b", "x"),
            Row::Found("y"),
            Row::Same("c", "c"),
            Row::Accepted("d"),
            Row::Same("e", "e"),
            Row::Found("f"),
        ];
        assert_eq!(rows(&accepted, &found), expected);
        assert_eq!(common_of(&lines("a b"), &lines("c")), 0);
        assert_eq!(common_of(&lines("a b"), &[]), 0);
        assert_eq!(rows(&[], &found).len(), 6);
    }

    /// The longest common subsequence, by definition.
    fn longest(left: &[String], right: &[String]) -> usize {
        match (left, right) {
            ([first, left @ ..], [other, right @ ..]) if first == other => 1 + longest(left, right),
            ([_, rest @ ..], [_, others @ ..]) => longest(rest, right).max(longest(left, others)),
            _ => 0,
        }
    }

    #[test]
    fn no_traceback_has_more_in_common() {
        // All words of up to six letters a and b, and c in a few places.
        let word = |number: usize| -> Vec<String> {
            let digits = format!("{number:b}");
            digits[1..]
                .char_indices()
                .map(|(at, digit)| match (at + number) % 5 {
                    0 => "c".to_owned(),
                    _ => digit.to_string(),
                })
                .collect()
        };
        for left in (1..128).map(word) {
            for right in (1..128).step_by(3).map(word) {
                let found = common(&Line::all(&left), &Line::all(&right));
                assert_eq!(found, longest(&left, &right), "{left:?} {right:?}");
            }
        }
    }
}
