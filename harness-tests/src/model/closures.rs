//! Rows that are closures: the trials of `src/bin/model_closures.rs`, and what they say.
//!
//! A trial tells of what fails alone, without what is reachable.

use std::process::Command;

use crate::outcome::{Outcome, without_foreign};

/// A trial, and every group that fails: its headline, its innermost own function.
type Row = (&'static str, &'static [(&'static str, &'static str)]);

const ROWS: [Row; 8] = [
    ("drops_all", &[]),
    (
        "forgets_text",
        &[("leak, lost: 8 blocks, 264 bytes (1 block, 33 bytes per iteration)", "make_text")],
    ),
    (
        "forgets_two",
        &[
            ("leak, lost: 3 blocks, 216 bytes (1 block, 72 bytes per iteration)", "leak_box"),
            ("leak, lost: 3 blocks, 99 bytes (1 block, 33 bytes per iteration)", "make_text"),
        ],
    ),
    (
        "ties_a_cycle",
        &[("leak, lost: 8 blocks, 256 bytes (1 block, 32 bytes per iteration)", "tie_cycle")],
    ),
    (
        "pushes_to_a_static",
        &[("growth, reachable: 0 blocks, 96 bytes (0 blocks, 12 bytes per iteration)", "push")],
    ),
    ("fills_a_table_once", &[]),
    ("replaces_what_it_keeps", &[]),
    ("keeps_the_last_two", &[]),
];

/// How many there are, and how many of them have to stay silent.
pub(super) fn count() -> (usize, usize) {
    (ROWS.len(), ROWS.iter().filter(|(_, fails)| fails.is_empty()).count())
}

/// Runs the trials of `executable`; what was not as expected, a text for each.
pub(super) fn differences(executable: &str) -> Vec<String> {
    let mut command = Command::new(executable);
    // Nothing is accepted, and nothing is kept to be.
    without_foreign(&mut command).env("INSTA_UPDATE", "no");
    let outcome = Outcome::of(&mut command);
    let mut found: Vec<_> = ROWS
        .iter()
        .filter_map(|(trial, fails)| {
            let is_found = groups(&outcome.out, trial).as_deref() == Some(*fails);
            (!is_found).then(|| format!("closure {trial}: expected {fails:?}\n{}", outcome.out))
        })
        .collect();
    let (all, silent) = count();
    let result = format!("{silent} passed; {} failed", all - silent);
    found.extend((!outcome.out.contains(&result)).then(|| format!("no `{result}`: {outcome:?}")));
    found
}

/// The groups that `text` says of `trial`; `None` where it says nothing of it.
fn groups<'a>(text: &'a str, trial: &str) -> Option<Vec<(&'a str, &'a str)>> {
    let line = text.lines().find(|line| line.starts_with(&format!("test {trial} ")))?;
    let Some((_, rest)) = text.split_once(&format!("---- {trial} ----\n")) else {
        return line.ends_with("... ok").then(Vec::new);
    };
    let part = rest.split("\n---- ").next()?;
    let mut groups: Vec<_> = part.split("\nnew ").skip(1).filter_map(group).collect();
    groups.sort_unstable();
    Some(groups)
}

/// A group's headline, and its innermost own function.
fn group(text: &str) -> Option<(&str, &str)> {
    let frames = text.lines().filter_map(|line| line.strip_prefix("    model_closures::"));
    let own = frames.filter_map(|frame| frame.split_whitespace().next()).next();
    Some((text.lines().next()?, own?))
}
