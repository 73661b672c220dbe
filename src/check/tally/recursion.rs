//! Tracebacks that differ in how deep a recursion was.
//!
//! An insertion into a tree that calls itself leaves its blocks at many tracebacks, and what leaks
//! at another depth each time is at none of them in more than one iteration. Tracebacks are a
//! family if they have the same [path](Recursions::path) through the recursions of all of them.
//!
//! A traceback that leaks by itself is in no family, since its numbers would not be its own any
//! more; unless it is what the family is called, and there would be two of it.
//!
//! Of a recursion that is deeper than a backtrace the outer frames are not known. It is of a family
//! whose path goes on where it ends.

use std::collections::HashMap;

use super::tracebacks::{Traceback, Tracebacks};
use crate::report::{Frame, Verdict};
use crate::traceback::recursion::{Path, Recursions};

/// Tracebacks that are to be judged as one.
#[derive(Debug)]
pub(super) struct Family {
    /// Their keys.
    pub(super) keys: Vec<usize>,
    /// Their path.
    pub(super) frames: Vec<Frame>,
}

/// The families of which at least two tracebacks, neither of which leaks by itself, have something
/// of the iterations; with all their other members. `first` is a traceback for each key, and `said`
/// the verdict on it alone, where something is live, and whether the iterations left some of it.
pub(super) fn families(
    tracebacks: &Tracebacks<'_>,
    first: &[Option<&Traceback>],
    said: impl Fn(usize) -> Option<(Verdict, bool)>,
) -> Vec<Family> {
    let leaks = |key| matches!(said(key), Some((Verdict::Leak, _)));
    let is_measured = |key| matches!(said(key), Some((_, true)));
    let texts = tracebacks.texts();
    let known = || first.iter().enumerate().filter_map(|(key, it)| it.map(|it| (key, it)));
    let candidates = || known().filter(|(key, _)| is_measured(*key) && !leaks(*key));
    let lines: Vec<Path<'_>> = candidates().map(|(_, it)| tracebacks.lines(it, &texts)).collect();
    let recursions = Recursions::of(&lines);
    if recursions.are_none() {
        return Vec::new();
    }
    let mut by_path: HashMap<Path<'_>, Vec<usize>> = HashMap::new();
    for ((key, _), lines) in candidates().zip(&lines) {
        by_path.entry(recursions.path(lines)).or_default().push(key);
    }
    by_path.retain(|_, keys| keys.len() > 1);
    for (key, it) in known() {
        let lines = tracebacks.lines(it, &texts);
        let path = recursions.path(&lines);
        if let Some(keys) = by_path.get_mut(&path) {
            let is_new = if leaks(key) { path == lines } else { !is_measured(key) };
            keys.extend(Some(key).filter(|_| is_new));
        } else if it.is_truncated && recursions.are_in(&path) && !leaks(key) {
            let families = by_path.iter_mut().filter(|(longer, _)| longer.starts_with(&path));
            // The one whose first member comes first, so that it is the same in every run.
            let family = families.map(|(_, keys)| keys).min_by_key(|keys| keys[0]);
            family.into_iter().for_each(|keys| keys.push(key));
        }
    }
    let family = |(path, mut keys): (Path<'_>, Vec<usize>)| {
        keys.sort_unstable();
        let members = keys.iter().filter_map(|key| first[*key]);
        let shortest = members.min_by_key(|it| tracebacks.numbers(it).len());
        let own = shortest.map_or_else(Vec::new, |it| tracebacks.frames(it));
        let own_lines = shortest.map_or_else(Vec::new, |it| tracebacks.lines(it, &texts));
        let mut unnamed = own_lines.iter().zip(&own).filter(|(line, _)| line.is_none());
        let frame = |line: Option<&str>| match line {
            None => unnamed.next().map(|(_, frame)| frame.clone()),
            Some(text) => {
                let at = own_lines.iter().position(|line| *line == Some(text));
                at.map(|at| own[at].clone()).or_else(|| tracebacks.frame(text))
            }
        };
        Family { keys, frames: path.into_iter().filter_map(frame).collect() }
    };
    let mut families: Vec<Family> = by_path.into_iter().map(family).collect();
    families.sort_unstable_by_key(|family| family.keys[0]);
    families
}
