//! What grew from one trace to the next, and whether that is a leak.
//!
//! Two marks are less than a window of iterations has: nothing says in which of them a traceback
//! rose. What can be known is how often the command ran between the two:
//!
//! ```text
//!                                          N iterations    nobody says how many
//!   k * N objects more, k at least 1       leak            leak
//!   any other number of objects more       one-time        leak
//!   more bytes, no more objects            one-time        growth
//!   as much, or less                       no group        no group
//! ```
//! Tracebacks that differ in how deep a recursion was, and that pass each, are one group where
//! together they are in step.
//!
//! Only what grew in step is a leak where N is known: caches, vectors that double and the sessions
//! of a command line grow out of step. With N = 1 every number of objects is in step. Where nobody
//! says N, nothing passes that grew.
//!
//! A group's blocks and bytes are the difference; per iteration it is that / N for what fails, and
//! nothing for what passes. Reachability is unknown: there is no program to look at.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{Form, Live, Row, Trace, recursion, saved};
use crate::report::{Frame, Group, Reachability, Rises, Ties, Verdict};
use crate::traceback;

/// What has more objects or bytes in the later trace.
#[derive(Debug)]
pub(crate) struct Growth {
    form: Form,
    /// A group for each traceback: those that fail first, then by bytes.
    pub(crate) groups: Vec<Group>,
    /// What has less in the later trace.
    pub(crate) shrunk: Shrunk,
}

/// How many tracebacks have less in the later trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Shrunk {
    /// All of them.
    pub(crate) all: usize,
    /// Those that would be a leak or a growth the other way round.
    pub(crate) in_step: usize,
}

/// What grew from `before` to `after`, two traces of one form, while `iterations` ran.
pub(crate) fn between(before: &Trace, after: &Trace, iterations: Option<u32>) -> Growth {
    let recursions = iterations.map(|times| recursion::leaks(before, after, times));
    let recursions = recursions.unwrap_or_default();
    let is_alone = |key: &[String]| !recursions.iter().any(|it| it.keys.contains(key));
    let grown = after.rows.iter().filter(|(key, _)| is_alone(key)).filter_map(|(key, row)| {
        let more = more(key, row, before);
        judge(more, iterations).map(|verdict| group(verdict, more, iterations, &row.frames))
    });
    let mut groups: Vec<Group> = grown.collect();
    let together = recursions.iter();
    groups.extend(together.map(|it| group(Verdict::Leak, it.more, iterations, &it.frames)));
    groups.sort_by_key(|group| (Reverse(group.verdict.fails()), Reverse(group.bytes)));
    let mut shrunk = Shrunk::default();
    let less = before.rows.iter().map(|(key, row)| more(key, row, after));
    for verdict in less.filter_map(|less| judge(less, iterations)) {
        shrunk.all += 1;
        shrunk.in_step += usize::from(verdict.fails());
    }
    Growth { form: after.form, groups, shrunk }
}

/// What `row` of `key` has more than `other` has.
pub(super) fn more(key: &[String], row: &Row, other: &Trace) -> Live {
    row.live.less(other.rows.get(key).map_or(Live::default(), |row| row.live))
}

/// The verdict on what there is `more`; `None` where there is nothing.
pub(super) fn judge(more: Live, iterations: Option<u32>) -> Option<Verdict> {
    let Live { objects, bytes } = more;
    match iterations {
        _ if objects == 0 && bytes == 0 => None,
        None if objects > 0 => Some(Verdict::Leak),
        None => Some(Verdict::Growth),
        Some(times) if objects > 0 && objects.is_multiple_of(times.into()) => Some(Verdict::Leak),
        Some(_) => Some(Verdict::OneTime),
    }
}

fn group(verdict: Verdict, more: Live, iterations: Option<u32>, frames: &[Frame]) -> Group {
    let times = f64::from(iterations.unwrap_or(1));
    let each = |number: u64| if verdict.fails() { number as f64 / times } else { 0.0 };
    Group {
        verdict,
        reachability: Reachability::Unknown,
        blocks: more.objects,
        bytes: more.bytes,
        blocks_per_iteration: each(more.objects),
        bytes_per_iteration: each(more.bytes),
        rises: Rises::default(),
        ties: Ties::default(),
        frames: frames.to_vec(),
    }
}

/// Adds `more` to `group`, both of which fail or neither: a leak, where one of them is one.
fn add(group: &mut Group, more: &Group) {
    group.verdict = group.verdict.min(more.verdict);
    // Each is a part of a trace's sum, which is a number of 64 bits.
    group.blocks += more.blocks;
    group.bytes += more.bytes;
    group.blocks_per_iteration += more.blocks_per_iteration;
    group.bytes_per_iteration += more.bytes_per_iteration;
}

impl Growth {
    /// Whether something fails.
    pub(crate) fn fails(&self) -> bool {
        self.groups.iter().any(|group| group.verdict.fails())
    }

    /// The number of objects by which the most tracebacks grew out of step, and how many those are:
    /// where they are more than one, more than those in step, and the objects more than one each.
    pub(crate) fn other_step(&self) -> Option<(u64, usize)> {
        let (in_step, others): (Vec<_>, Vec<_>) =
            self.groups.iter().partition(|group| group.verdict.fails());
        let mut steps: BTreeMap<u64, usize> = BTreeMap::new();
        for group in others.iter().filter(|group| group.blocks > 1) {
            *steps.entry(group.blocks).or_default() += 1;
        }
        let most = steps.into_iter().max_by_key(|(_, tracebacks)| *tracebacks);
        most.filter(|(_, tracebacks)| *tracebacks > in_step.len().max(1))
    }

    /// The groups with frames as the file has them, addresses and offsets included.
    pub(crate) fn as_written(&self) -> Vec<Group> {
        self.with_frames(saved::as_written)
    }

    /// The groups as a snapshot may have them. Offsets don't count there and addresses are all the
    /// same, so that tracebacks which differ in them alone are one, with the sum of their amounts.
    pub(crate) fn without_addresses(&self) -> Vec<Group> {
        let mut all: BTreeMap<_, Group> = BTreeMap::new();
        for group in self.with_frames(saved::without_address) {
            let key = (!group.verdict.fails(), traceback::key(&group.frames));
            match all.get_mut(&key) {
                Some(first) => add(first, &group),
                None => _ = all.insert(key, group),
            }
        }
        let mut groups: Vec<Group> = all.into_values().collect();
        groups.sort_by_key(|group| (Reverse(group.verdict.fails()), Reverse(group.bytes)));
        groups
    }

    fn with_frames(&self, frame: fn(&Frame) -> Frame) -> Vec<Group> {
        let group = |group: &Group| match self.form {
            Form::Saved => {
                Group { frames: group.frames.iter().map(frame).collect(), ..group.clone() }
            }
            // Its frames were made for people and for snapshots.
            Form::Report => group.clone(),
        };
        self.groups.iter().map(group).collect()
    }
}
