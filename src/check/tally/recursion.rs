//! Tracebacks that differ in how deep a recursion was.
//!
//! An insertion into a tree that calls itself leaves its blocks at many tracebacks, and what leaks
//! at another depth each time is at none of them in more than one iteration. Tracebacks are a
//! family if they are the same once [their loops are left out](traceback::without_loops).
//!
//! A traceback that leaks by itself is in no family, since its numbers would not be its own any
//! more; unless it is what the family's is without loops, and there would be two of it.
//!
//! Of a recursion that is deeper than a backtrace the outer frames are not known. It is of a family
//! whose traceback, before what is known of it, would be left of both.

use std::collections::HashMap;

use super::tracebacks::{Traceback, Tracebacks};
use crate::report::{Frame, Verdict};
use crate::traceback;

/// Tracebacks that are to be judged as one.
#[derive(Debug)]
pub(super) struct Family {
    /// Their keys.
    pub(super) keys: Vec<usize>,
    /// The traceback without loops.
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
    let known = || first.iter().enumerate().filter_map(|(key, it)| it.map(|it| (key, it)));
    let mut by_path: HashMap<Box<[Option<usize>]>, Vec<usize>> = HashMap::new();
    for (key, it) in known().filter(|(key, _)| is_measured(*key) && !leaks(*key)) {
        by_path.entry(tracebacks.path(it)).or_default().push(key);
    }
    by_path.retain(|_, keys| keys.len() > 1);
    if by_path.is_empty() {
        return Vec::new();
    }
    for (key, it) in known() {
        let path = tracebacks.path(it);
        let is_loop = path.len() < tracebacks.numbers(it).len();
        if let Some(keys) = by_path.get_mut(&path) {
            let is_new = leaks(key) && !is_loop || !leaks(key) && !is_measured(key);
            keys.extend(Some(key).filter(|_| is_new));
        } else if it.is_truncated && is_loop && !leaks(key) {
            let lines = tracebacks.lines(it);
            let families = by_path.iter_mut().filter(|(path, _)| is_behind(path, &lines));
            // The one whose first member comes first, so that it is the same in every run.
            let family = families.map(|(_, keys)| keys).min_by_key(|keys| keys[0]);
            family.into_iter().for_each(|keys| keys.push(key));
        }
    }
    let family = |mut keys: Vec<usize>| {
        keys.sort_unstable();
        let members = keys.iter().filter_map(|key| first[*key]);
        let shortest = members.min_by_key(|it| (it.is_truncated, tracebacks.numbers(it).len()));
        let frames = shortest.map_or_else(Vec::new, |it| tracebacks.frames_without_loops(it));
        Family { keys, frames }
    };
    let mut families: Vec<Family> = by_path.into_values().map(family).collect();
    families.sort_unstable_by_key(|family| family.keys[0]);
    families
}

/// Whether `lines` behind `path` would be `path` without loops.
fn is_behind(path: &[Option<usize>], lines: &[Option<usize>]) -> bool {
    let whole = [lines, path].concat();
    let kept = traceback::without_loops(&whole).into_iter().map(|at| whole[at]);
    kept.eq(path.iter().copied())
}

impl Tracebacks<'_> {
    /// The lines of a traceback without its loops; none for code that nobody knows.
    fn path(&self, traceback: &Traceback) -> Box<[Option<usize>]> {
        let lines = self.lines(traceback);
        traceback::without_loops(&lines).into_iter().map(|at| lines[at]).collect()
    }

    fn frames_without_loops(&self, traceback: &Traceback) -> Vec<Frame> {
        let frames = self.frames(traceback);
        let kept = traceback::without_loops(&self.lines(traceback));
        kept.into_iter().map(|at| frames[at].clone()).collect()
    }
}
