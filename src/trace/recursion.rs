//! Tracebacks that differ in how deep a recursion was: what leaks at another depth each time has an
//! object more at each of many tracebacks, and is in step at none of them.

use std::collections::{BTreeMap, BTreeSet};

use super::growth::{judge, more};
use super::{Live, Row, Trace};
use crate::report::{Frame, Verdict};
use crate::traceback::recursion::{Path, Recursions};
use crate::traceback::{self, GENERATED};

/// Tracebacks that leak together.
#[derive(Debug)]
pub(super) struct Recursion<'a> {
    /// Their keys in the later trace.
    pub(super) keys: BTreeSet<&'a [String]>,
    /// What all of them have more there.
    pub(super) more: Live,
    /// Their path.
    pub(super) frames: Vec<Frame>,
}

/// What leaks from `before` to `after` as one, and passes as several: of the tracebacks that have the
/// same [path](Recursions::path), those that do not leak by themselves. Functions count for that, not
/// where in them a call is.
pub(super) fn leaks<'a>(before: &Trace, after: &'a Trace, iterations: u32) -> Vec<Recursion<'a>> {
    let verdict = |key: &[String], row: &Row| judge(more(key, row, before), Some(iterations));
    let passes = |key: &[String]| {
        after.rows.get(key).is_none_or(|row| verdict(key, row) != Some(Verdict::Leak))
    };
    let names: BTreeMap<&[String], Vec<String>> = [before, after]
        .into_iter()
        .flat_map(|trace| &trace.rows)
        .filter(|(key, _)| passes(key))
        .map(|(key, row)| (key.as_slice(), row.frames.iter().map(traceback::line).collect()))
        .collect();
    let lines = |key: &[String]| -> Path<'_> {
        let named = |text: &&str| *text != GENERATED;
        names[key].iter().map(|text| Some(text.as_str()).filter(named)).collect()
    };
    let grew = |key: &[String], row: &Row| more(key, row, before).objects > 0 && passes(key);
    let grown: Vec<_> = after.rows.iter().filter(|(key, row)| grew(key, row)).collect();
    let recursions = Recursions::of(&grown.iter().map(|(key, _)| lines(key)).collect::<Vec<_>>());
    if recursions.are_none() {
        return Vec::new();
    }
    let paths: BTreeSet<Path<'_>> =
        grown.iter().map(|(key, _)| recursions.path(&lines(key))).collect();
    let path = |key: &[String]| whole(recursions.path(&lines(key)), &paths, &recursions);
    let mut families: BTreeMap<Path<'_>, Vec<(&'a Vec<String>, &'a Row)>> = BTreeMap::new();
    for (key, row) in grown {
        families.entry(path(key)).or_default().push((key, row));
    }
    families.retain(|_, members| members.len() > 1);
    let mut live: BTreeMap<Path<'_>, [Live; 2]> = BTreeMap::new();
    for (side, trace) in [before, after].into_iter().enumerate() {
        for (key, row) in trace.rows.iter().filter(|(key, _)| passes(key)) {
            let path = path(key);
            if families.contains_key(&path) {
                let sum = &mut live.entry(path).or_default()[side];
                // Each is a part of the trace's sum.
                *sum = sum.plus(row.live).unwrap_or(*sum);
            }
        }
    }
    let recursion = |(family, members): (Path<'_>, Vec<(&'a Vec<String>, &'a Row)>)| {
        let [earlier, later] = live.get(&family).copied().unwrap_or_default();
        let more = later.less(earlier);
        let frames = members.iter().flat_map(|(key, row)| lines(key).into_iter().zip(&row.frames));
        let frames: BTreeMap<_, _> = frames.collect();
        (judge(more, Some(iterations)) == Some(Verdict::Leak)).then(|| Recursion {
            keys: members.iter().map(|(key, _)| key.as_slice()).collect(),
            more,
            frames: family.iter().filter_map(|line| frames.get(line).copied().cloned()).collect(),
        })
    };
    families.into_iter().filter_map(recursion).collect()
}

/// A trace has so many frames of a traceback and no more: a path through a recursion goes on as another one
/// of `paths` does.
fn whole<'a>(path: Path<'a>, paths: &BTreeSet<Path<'a>>, recursions: &Recursions<'_>) -> Path<'a> {
    let goes_on = |other: &&Path<'_>| other.len() > path.len() && other.starts_with(&path);
    paths.iter().find(goes_on).filter(|_| recursions.are_in(&path)).cloned().unwrap_or(path)
}
