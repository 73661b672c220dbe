//! Tracebacks that differ in how deep a recursion was: what leaks at another depth each time has an
//! object more at each of many tracebacks, and is in step at none of them.

use std::collections::{BTreeMap, BTreeSet};

use super::growth::{judge, more};
use super::{Live, Row, Trace};
use crate::report::{Frame, Verdict};
use crate::traceback::{self, GENERATED};

/// Tracebacks that leak together.
#[derive(Debug)]
pub(super) struct Recursion<'a> {
    /// Their keys in the later trace.
    pub(super) keys: BTreeSet<&'a [String]>,
    /// What all of them have more there.
    pub(super) more: Live,
    /// The traceback without its loops.
    pub(super) frames: Vec<Frame>,
}

/// What leaks from `before` to `after` as one, and passes as several: of the tracebacks that are the
/// same [without their loops](traceback::without_loops), those that do not leak by themselves.
pub(super) fn leaks<'a>(before: &Trace, after: &'a Trace, iterations: u32) -> Vec<Recursion<'a>> {
    let verdict = |key: &[String], row: &Row| judge(more(key, row, before), Some(iterations));
    let passes = |key: &[String], row: &Row| verdict(key, row) != Some(Verdict::Leak);
    let grew = |key: &[String], row: &Row| more(key, row, before).objects > 0;
    let mut families: BTreeMap<Vec<&str>, Vec<(&'a [String], &'a Row)>> = BTreeMap::new();
    for (key, row) in after.rows.iter().filter(|(key, row)| grew(key, row) && passes(key, row)) {
        families.entry(path(key)).or_default().push((key, row));
    }
    families.retain(|_, members| members.len() > 1);
    let live_in = |trace: &Trace, family: &[&str]| {
        let of_family = |key: &[String]| {
            path(key) == family && after.rows.get(key).is_none_or(|row| passes(key, row))
        };
        let rows = trace.rows.iter().filter(|(key, _)| of_family(key));
        // Each is a part of the trace's sum.
        rows.fold(Live::default(), |sum, (_, row)| sum.plus(row.live).unwrap_or(sum))
    };
    let recursion = |(family, members): (Vec<&str>, Vec<(&'a [String], &'a Row)>)| {
        let more = live_in(after, &family).less(live_in(before, &family));
        let (key, row) = *members.first()?;
        (judge(more, Some(iterations)) == Some(Verdict::Leak)).then(|| Recursion {
            keys: members.iter().map(|(key, _)| *key).collect(),
            more,
            frames: kept(key).into_iter().filter_map(|at| row.frames.get(at).cloned()).collect(),
        })
    };
    families.into_iter().filter_map(recursion).collect()
}

fn path(key: &[String]) -> Vec<&str> {
    kept(key).into_iter().map(|at| key[at].as_str()).collect()
}

/// Where the frames of `key` are that are left without its loops.
fn kept(key: &[String]) -> Vec<usize> {
    let texts = key.iter().map(String::as_str);
    let named: Vec<_> = texts.map(|text| (text != GENERATED).then_some(text)).collect();
    traceback::without_loops(&named)
}
