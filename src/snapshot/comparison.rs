//! What was found against what was accepted.
//!
//! ```text
//!   1. exact       the same frames
//!   2. shortened   the same verdict; one has the other's frames with some left out, and at least
//!                  half of the longer one's are in both
//!   3. moved       the same verdict; the same innermost or outermost frame, and more than half of
//!                  the longer one's frames in both, in the same order, whatever their files are called
//! ```
//! Each takes from what the one before left, best pairs first. Compilers leave frames out when
//! they inline a function or end one in a jump, so the second is as good as the first: what
//! counts are the amounts. The third says what became of an accepted traceback; it still fails.
//!
//! Invariants: nothing is in two pairs; the same groups in any order make the same pairs.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::SnapshotGroup;
use super::alignment::{Line, common, is_shortened};
use crate::report::Verdict;

/// A traceback that is not what was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// As it was accepted.
    pub(crate) accepted: SnapshotGroup,
    /// As it was found.
    pub(crate) found: SnapshotGroup,
}

/// How what was found differs from what was accepted.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Difference {
    /// Nobody has accepted them.
    pub(crate) new: Vec<SnapshotGroup>,
    /// More blocks or bytes per iteration than accepted, or a growth that became a leak.
    pub(crate) grown: Vec<Change>,
    /// An accepted one by another way through the code.
    pub(crate) moved: Vec<Change>,
    /// Less in one, more in none.
    pub(crate) shrunk: Vec<Change>,
    /// Accepted, and no longer found.
    pub(crate) vanished: Vec<SnapshotGroup>,
    /// Found as accepted, but for frames that a compiler left out.
    pub(crate) same: Vec<Change>,
}

impl Difference {
    /// Whether something was found that nobody has accepted.
    #[must_use]
    pub(crate) fn fails(&self) -> bool {
        !self.new.is_empty() || !self.grown.is_empty() || !self.moved.is_empty()
    }

    /// Whether the accepted snapshot holds more than was found.
    #[must_use]
    pub(crate) fn is_outdated(&self) -> bool {
        !self.shrunk.is_empty() || !self.vanished.is_empty()
    }

    /// What passes: what was accepted, in the order of a snapshot.
    pub(crate) fn known(&self) -> Vec<SnapshotGroup> {
        let pairs = [&self.grown, &self.moved, &self.shrunk, &self.same].into_iter().flatten();
        let found = pairs.map(|change| &change.accepted);
        let mut known: Vec<_> = found.chain(&self.vanished).cloned().collect();
        known.sort_by(|left, right| left.frames.cmp(&right.frames));
        known
    }

    /// What to accept: what was found, in the accepted words where it is the same traceback, so
    /// that a review shows nothing but what has changed. Where amounts decided which of several
    /// tracebacks is which, the new ones can decide otherwise: then what was found as it is, so
    /// that what was accepted passes.
    pub(crate) fn proposed(&self) -> Vec<SnapshotGroup> {
        let known = || self.grown.iter().chain(&self.shrunk).chain(&self.same);
        let others = || self.new.iter().chain(self.moved.iter().map(|change| &change.found));
        let in_accepted_words = known().map(|change| SnapshotGroup {
            frames: change.accepted.frames.clone(),
            ..change.found.clone()
        });
        let proposed: Vec<_> = in_accepted_words.chain(others().cloned()).collect();
        let found: Vec<_> = known().map(|change| &change.found).chain(others()).cloned().collect();
        let again = compare(&proposed, &found);
        let settles = !again.fails() && !again.is_outdated();
        let mut chosen = if settles { proposed } else { found };
        chosen.sort_by(|left, right| left.frames.cmp(&right.frames));
        chosen
    }
}

/// Compares by traceback; `found` comes from `found`, `accepted` from `parse`.
pub(crate) fn compare(accepted: &[SnapshotGroup], found: &[SnapshotGroup]) -> Difference {
    let by_frames = |groups| -> BTreeMap<_, _> {
        let groups: std::slice::Iter<'_, SnapshotGroup> = groups;
        groups.map(|group| (group.frames.as_slice(), group)).collect()
    };
    let (mut accepted, mut found) = (by_frames(accepted.iter()), by_frames(found.iter()));
    let mut pairs: Vec<Pair<'_>> = Vec::new();
    found.retain(|frames, group| match accepted.remove(frames) {
        Some(accepted) => {
            pairs.push((accepted, group));
            false
        }
        None => true,
    });
    let mut accepted: Vec<_> = accepted.into_values().collect();
    let mut found: Vec<_> = found.into_values().collect();
    pairs.extend(best_pairs(&mut accepted, &mut found, shortened, MOST_SHORTENED));

    let mut difference = Difference::default();
    for (accepted, found) in pairs {
        let change = || Change { accepted: accepted.clone(), found: found.clone() };
        if exceeds(found, accepted) {
            difference.grown.push(change());
        } else if exceeds(accepted, found) {
            difference.shrunk.push(change());
        } else {
            difference.same.push(change());
        }
    }
    let moved = best_pairs(&mut accepted, &mut found, moved, MOST_MOVED).into_iter();
    difference.moved = moved
        .map(|(accepted, found)| Change { accepted: accepted.clone(), found: found.clone() })
        .collect();
    difference.new = found.into_iter().cloned().collect();
    difference.vanished = accepted.into_iter().cloned().collect();
    difference
}

/// Whether `group` has more of anything than `other`.
pub(crate) fn exceeds(group: &SnapshotGroup, other: &SnapshotGroup) -> bool {
    group.amount.blocks > other.amount.blocks
        || group.amount.bytes > other.amount.bytes
        || (group.verdict, other.verdict) == (Verdict::Leak, Verdict::Growth)
}

/// An accepted group and the one that was found for it.
type Pair<'a> = (&'a SnapshotGroup, &'a SnapshotGroup);

/// More pairs than these are not looked at: where a thousand tracebacks changed, or a hundred by
/// more than frames left out, it is another program, and a search takes its time.
const MOST_SHORTENED: usize = 1_000_000;
const MOST_MOVED: usize = 10_000;

/// A group with its lines.
#[derive(Debug)]
struct Candidate<'a> {
    group: &'a SnapshotGroup,
    lines: Vec<Line<'a>>,
}

/// Takes pairs from `accepted` and `found`, those with the least `rank` first, and none without;
/// none at all of more than `most`.
fn best_pairs<'a, R: Ord>(
    accepted: &mut Vec<&'a SnapshotGroup>,
    found: &mut Vec<&'a SnapshotGroup>,
    rank: fn(&Candidate<'_>, &Candidate<'_>) -> Option<R>,
    most: usize,
) -> Vec<Pair<'a>> {
    let mut pairs = Vec::new();
    if accepted.len().saturating_mul(found.len()) > most {
        return pairs;
    }
    let candidate =
        |group: &&'a SnapshotGroup| Candidate { group, lines: Line::all(&group.frames) };
    let lefts: Vec<_> = accepted.iter().map(candidate).collect();
    let rights: Vec<_> = found.iter().map(candidate).collect();
    let mut ranked = Vec::new();
    for (left, accepted) in lefts.iter().enumerate() {
        let ranks = rights.iter().enumerate().map(|(right, found)| (rank(accepted, found), right));
        ranked.extend(ranks.filter_map(|(rank, right)| Some((rank?, left, right))));
    }
    ranked.sort_unstable();
    let (mut lefts, mut rights) = (vec![false; lefts.len()], vec![false; rights.len()]);
    for (_, left, right) in ranked {
        if !lefts[left] && !rights[right] {
            (lefts[left], rights[right]) = (true, true);
            pairs.push((accepted[left], found[right]));
        }
    }
    let (mut lefts, mut rights) = (lefts.into_iter(), rights.into_iter());
    accepted.retain(|_| lefts.next() == Some(false));
    found.retain(|_| rights.next() == Some(false));
    pairs
}

/// The same amount is better than less, less is better than more, then few frames left out.
fn shortened(accepted: &Candidate<'_>, found: &Candidate<'_>) -> Option<((bool, bool), usize)> {
    let (fewer, more) = lengths(accepted, found);
    let same = accepted.group.verdict == found.group.verdict
        && fewer * 2 >= more
        && is_shortened(&accepted.lines, &found.lines);
    same.then(|| (amounts(accepted, found), more - fewer))
}

/// The most frames in both are best, then the most in the same files, then the fewest in one alone,
/// then the amounts.
type Rank = (Reverse<(usize, usize)>, usize, (bool, bool));

fn moved(accepted: &Candidate<'_>, found: &Candidate<'_>) -> Option<Rank> {
    let (fewer, more) = lengths(accepted, found);
    let end = |left: Option<&Line<'_>>, right: Option<&Line<'_>>| match (left, right) {
        (Some(left), Some(right)) => left.is_same(*right),
        _ => false,
    };
    // A file that was renamed moves all that is in it.
    let in_any_file: Vec<_> = found.lines.iter().map(|line| line.without_file()).collect();
    let (old, new) = (&accepted.lines, &in_any_file);
    let may_be = accepted.group.verdict == found.group.verdict
        && fewer * 2 > more
        && (end(old.first(), new.first()) || end(old.last(), new.last()));
    let both = if may_be { common(old, new) } else { 0 };
    (both * 2 > more).then(|| {
        let in_same_files = common(old, &found.lines);
        (Reverse((both, in_same_files)), more - both, amounts(accepted, found))
    })
}

/// Whether there is more than was accepted, and whether there is anything else.
fn amounts(accepted: &Candidate<'_>, found: &Candidate<'_>) -> (bool, bool) {
    let (accepted, found) = (accepted.group, found.group);
    (exceeds(found, accepted), found.amount != accepted.amount)
}

/// How many frames the one with fewer has, and the one with more.
fn lengths(accepted: &Candidate<'_>, found: &Candidate<'_>) -> (usize, usize) {
    let (accepted, found) = (accepted.lines.len(), found.lines.len());
    (accepted.min(found), accepted.max(found))
}

#[cfg(test)]
mod tests;
