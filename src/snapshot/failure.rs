//! What `cargo test` prints when tracebacks are not the accepted ones: what leaks, how much, which
//! way it was made, what the words mean, and how to accept it.
//!
//! A snapshot says only what is the same on every machine; a failure is about one run, so that it
//! shows the report's groups: with reachability, lines, and what is live in all.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use similar::TextDiff;

use super::comparison::{Change, Difference, exceeds};
use super::side_by_side::side_by_side;
use super::{INDENT, SnapshotGroup, write};
use crate::report::amount::Amount;
use crate::report::{Group, Reachability, Report, Verdict, text};
use crate::traceback;

/// What to do where a pending snapshot has what was found.
pub(crate) const REVIEW: &str =
    "to accept what was found: `cargo insta review`, or `cargo insta accept`";

/// The failure of `scenario`: each `difference` between `report` and what passes, which is `known_as`
/// that; its last line says what to do, `step`.
pub(crate) fn failure_text(
    scenario: &str,
    known_as: &str,
    report: &Report,
    difference: &Difference,
    step: &str,
) -> String {
    let run = Run::new(report);
    let mut text = headline(scenario, difference) + "\n";
    text += &run.all_new(&difference.new);
    for Change { accepted, found } in &difference.grown {
        text += &run.listed("grown", found);
        text += &was(accepted);
    }
    for change in &difference.moved {
        text += &run.moved(change);
    }
    for Change { accepted, found } in &difference.shrunk {
        // It passes: its numbers are all there is to see.
        let _ = write!(text, "\nshrunk {found}{}", was(accepted));
    }
    for group in &difference.vanished {
        let _ = write!(text, "\nvanished {group}");
    }
    text += "\n";
    let known = difference.known();
    if known.is_empty() {
        // A difference to nothing would repeat what is listed above.
        text += "nothing was accepted before\n";
    } else {
        let before = write(&known);
        let after = write(&difference.proposed());
        let lines = TextDiff::from_lines(&before, &after);
        text += &lines.unified_diff().header(known_as, "found").to_string();
    }
    text += &run.words(difference);
    text + "\n" + step + "\n"
}

/// How many tracebacks differ, and how: `1 new, 2 grown`.
pub(crate) fn counts(difference: &Difference) -> String {
    let counts = [
        (difference.new.len(), "new"),
        (difference.grown.len(), "grown"),
        (difference.moved.len(), "moved"),
        (difference.shrunk.len(), "shrunk"),
        (difference.vanished.len(), "vanished"),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
    counts.join(", ")
}

fn headline(scenario: &str, difference: &Difference) -> String {
    let counts = counts(difference);
    let moved = difference.moved.len();
    let failing = difference.new.len() + difference.grown.len() + moved;
    let tracebacks = match failing {
        0 => return format!("the accepted snapshot of {scenario} is out of date ({counts})"),
        1 => format!("1 traceback in {scenario}"),
        more => format!("{more} tracebacks in {scenario}"),
    };
    if failing > moved {
        let verb = if failing == 1 { "is" } else { "are" };
        format!("{tracebacks} {verb} not accepted ({counts})")
    } else if difference.is_outdated() {
        format!("{tracebacks} moved ({counts})")
    } else {
        format!("{tracebacks} moved")
    }
}

fn was(accepted: &SnapshotGroup) -> String {
    format!("accepted {}\n", accepted.heading())
}

/// The most tracebacks of indirect blocks that are listed: what leads to them is what to mend.
const MOST_INDIRECT: usize = 8;

/// One run's failing groups, by their tracebacks: a program's blocks of one can be lost and
/// indirect.
#[derive(Debug)]
struct Run<'a> {
    groups: BTreeMap<Vec<String>, Vec<&'a Group>>,
    /// The place of each traceback in the report.
    ranks: BTreeMap<Vec<String>, usize>,
    iterations: u32,
}

impl<'a> Run<'a> {
    fn new(report: &'a Report) -> Self {
        let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut ranks = BTreeMap::new();
        for group in report.groups.iter().filter(|group| group.verdict.fails()) {
            let key = traceback::key(&group.frames);
            let next = ranks.len();
            ranks.entry(key.clone()).or_insert(next);
            groups.entry(key).or_default().push(group);
        }
        Self { groups, ranks, iterations: report.iterations }
    }

    /// What is new, in the report's order: what is indirect comes last, and not all of it.
    fn all_new(&self, new: &[SnapshotGroup]) -> String {
        let mut new: Vec<_> = new.iter().collect();
        new.sort_by_key(|group| self.ranks.get(&group.frames));
        let is_indirect = |group: &&SnapshotGroup| {
            let found = self.groups(group);
            found.iter().all(|group| group.reachability == Reachability::Indirect)
        };
        let (indirect, others): (Vec<_>, Vec<_>) = new.into_iter().partition(is_indirect);
        let most = if others.is_empty() { usize::MAX } else { MOST_INDIRECT };
        let (listed, left_out) = indirect.split_at(indirect.len().min(most));
        let listed = others.iter().chain(listed);
        let mut text: String = listed.map(|group| self.listed("new", group)).collect();
        if !left_out.is_empty() {
            let mut amount = Amount::default();
            left_out.iter().for_each(|group| amount += group.amount);
            let _ = writeln!(
                text,
                "\nnew: {} more tracebacks of indirect blocks, {amount} per iteration; `leaksnap run` \
                 lists them",
                left_out.len()
            );
        }
        text
    }

    fn groups(&self, group: &SnapshotGroup) -> &[&'a Group] {
        self.groups.get(&group.frames).map_or(&[], Vec::as_slice)
    }

    fn listed(&self, what: &str, group: &SnapshotGroup) -> String {
        let text = |group: &Group| text::group(group, self.iterations);
        self.groups(group).iter().map(|group| format!("\n{what} {}", text(group))).collect()
    }

    fn moved(&self, Change { accepted, found }: &Change) -> String {
        let (what, before) = if accepted.amount == found.amount {
            ("moved", String::new())
        } else if exceeds(found, accepted) {
            ("moved and grown", was(accepted))
        } else {
            ("moved and shrunk", was(accepted))
        };
        let heading = |group: &Group| text::group_heading(group, self.iterations);
        let mut text = String::new();
        for group in self.groups(found) {
            let _ = write!(text, "\n{what} {}", heading(group));
        }
        text += "\n";
        text += &side_by_side(&accepted.frames, &found.frames, INDENT);
        text + &before
    }

    /// What the words in the headings mean, each once.
    fn words(&self, difference: &Difference) -> String {
        let changed = difference.grown.iter().chain(&difference.moved).map(|change| &change.found);
        let shown: Vec<&Group> = difference
            .new
            .iter()
            .chain(changed)
            .flat_map(|group| self.groups(group))
            .copied()
            .collect();
        let iterations = self.iterations;
        let every = if iterations > 1 {
            format!("blocks of each of the {iterations} measured iterations are still live")
        } else {
            "blocks of the one measured run are still live".to_owned()
        };
        let verdicts =
            [(Verdict::Leak, every), (Verdict::Growth, "what is live goes on rising".to_owned())];
        let states = [
            (Reachability::Lost, "no pointer leads to the blocks any longer"),
            (Reachability::Indirect, "only lost blocks have a pointer to the blocks"),
            (Reachability::Reachable, "a pointer still leads to the blocks: something keeps them"),
        ];
        let mut text = String::new();
        for (verdict, meaning) in verdicts {
            if shown.iter().any(|group| group.verdict == verdict) {
                let _ = write!(text, "\n{verdict}: {meaning}");
            }
        }
        for (state, meaning) in states {
            if shown.iter().any(|group| group.reachability == state) {
                let _ = write!(text, "\n{state}: {meaning}");
            }
        }
        if text.is_empty() { text } else { text + "\n" }
    }
}

#[cfg(test)]
mod tests;
