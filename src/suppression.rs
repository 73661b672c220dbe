//! Suppressions: what of a run's groups is left out, because it is known and nobody can help it.
//!
//! ```text
//!   ignore in a scenario       part of a name | leak:PATTERN     reader of scenarios
//!   suppressions, files        leak:PATTERN                      lsan
//!                              { … Memcheck:Leak … }             valgrind
//!   file      tells the formats apart     lines    comments and bounds, for both
//!   pattern   two ways of matching names  module   loaded objects by all their names
//! ```
//! They see tracebacks as reports show them: what these leave out (the malloc family, start-up
//! code) has no name that could match, but for valgrind's, whose stacks have it.
//!
//! Invariants: a suppression that matches nothing is an error, so that none outlives its leak. One
//! that matches more blocks than its bound hides none of them.

pub(crate) mod file;
#[cfg(any(test, feature = "internals"))]
pub(crate) mod input;
mod lines;
mod lsan;
pub(crate) mod module;
mod pattern;
mod valgrind;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use self::module::Modules;
use self::pattern::Spellings;
use crate::report::amount::Amount;
use crate::report::{Group, Reachability};

/// A suppression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suppression {
    place: Place,
    /// What messages call it: as it was written, or the name of a block.
    title: String,
    origin: Origin,
    rule: Rule,
    /// The most live blocks that it may hide.
    most: Option<u64>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    path: PathBuf,
    line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// Where suppressions stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The key `ignore` of a scenario.
    Ignore,
    /// A file of their own.
    File,
}

/// What is suppressed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    /// Groups with a frame whose function's or module's name has this part.
    Part(Spellings),
    /// What LeakSanitizer would leave out.
    Leak(lsan::Template),
    /// What valgrind would.
    Block(valgrind::Block),
}

impl Suppression {
    /// An entry of `ignore`, in line `line` of the scenario at `path`.
    ///
    /// # Errors
    /// What is wrong with `text`, a fragment.
    pub(crate) fn of_ignore(
        path: &Path,
        line: usize,
        text: &str,
        most: Option<u64>,
    ) -> Result<Self, String> {
        // `leak::` starts a name of C++ or Rust.
        let template = Some(text).filter(|text| !text.starts_with("leak::"));
        let rule = match template.and_then(lsan::Template::of) {
            Some(template) => {
                Rule::Leak(template.map_err(|problem| format!("`leak:` that {problem}"))?)
            }
            None => Rule::Part(Spellings::of(text)),
        };
        let place = Place { path: path.to_owned(), line };
        Ok(Self { place, title: text.to_owned(), origin: Origin::Ignore, rule, most })
    }

    fn matches(&self, group: &Group, modules: &Modules) -> bool {
        match &self.rule {
            Rule::Part(part) => {
                let names = group.frames.iter().flat_map(|frame| [&frame.function, &frame.module]);
                names.flatten().any(|name| part.any(|part| name.contains(part)))
            }
            Rule::Leak(template) => template.matches(group, modules),
            Rule::Block(block) => block.matches(group, modules),
        }
    }
}

/// What suppressions did to the groups of one run.
#[must_use]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Suppressed {
    /// The groups that are not hidden.
    pub(crate) kept: Vec<Group>,
    /// What a reader should know: a sentence for each suppression that matches, in their order.
    pub(crate) notes: Vec<String>,
    /// The first suppression that matches nothing.
    pub(crate) unused: Option<Unused>,
}

/// A suppression that matches nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: \"{title}\"{} matches no traceback; remove it", match .origin {
    Origin::Ignore => " in `ignore`",
    Origin::File => "",
})]
pub(crate) struct Unused {
    place: Place,
    title: String,
    origin: Origin,
}

/// What one suppression matches. Two can match the same group, which counts for both.
#[derive(Debug, Clone, Copy, Default)]
struct Matched {
    groups: usize,
    blocks: u64,
    bytes: u64,
}

impl Matched {
    fn add(&mut self, group: &Group) {
        self.groups += 1;
        self.blocks = self.blocks.saturating_add(group.blocks);
        self.bytes = self.bytes.saturating_add(group.bytes);
    }

    fn text(self) -> String {
        let plural = if self.groups == 1 { "" } else { "s" };
        format!("{} traceback{plural}, {}", self.groups, Amount::whole(self.blocks, self.bytes))
    }
}

/// Whether only blocks of the groups that have these `numbers` lead to those of `group`. What is
/// hidden takes along what it loses, as LeakSanitizer and valgrind have it.
fn is_behind(group: &Group, numbers: &BTreeSet<usize>) -> bool {
    let behind = &group.ties.behind;
    group.reachability == Reachability::Indirect
        && !behind.is_empty()
        && behind.iter().all(|number| numbers.contains(number))
}

/// Leaves out of `groups` what `suppressions` hide, and what only hidden blocks lead to; `modules`
/// are the names of what was loaded.
pub(crate) fn suppress(
    suppressions: &[Suppression],
    modules: &Modules,
    groups: Vec<Group>,
) -> Suppressed {
    let mut matched = vec![Matched::default(); suppressions.len()];
    let mut by_group = Vec::with_capacity(groups.len());
    for group in &groups {
        let matches = |index: &usize| suppressions[*index].matches(group, modules);
        let matching: Vec<usize> = (0..suppressions.len()).filter(matches).collect();
        for index in &matching {
            matched[*index].add(group);
        }
        by_group.push(matching);
    }
    let hides =
        |index: &usize| suppressions[*index].most.is_none_or(|most| matched[*index].blocks <= most);
    let hidden: Vec<bool> = by_group.iter().map(|matching| matching.iter().any(hides)).collect();
    let numbers: BTreeSet<usize> =
        groups.iter().zip(&hidden).filter(|it| *it.1).map(|(group, _)| group.ties.number).collect();
    let mut behind = Matched::default();
    let mut kept = Vec::new();
    for (group, is_hidden) in groups.into_iter().zip(hidden) {
        if is_behind(&group, &numbers) && !is_hidden {
            behind.add(&group);
        } else if !is_hidden {
            kept.push(group);
        }
    }
    let all = || suppressions.iter().zip(&matched);
    let notes = all().filter(|(_, matched)| matched.groups > 0);
    let mut notes: Vec<_> =
        notes.map(|(suppression, matched)| note(suppression, *matched)).collect();
    if behind.groups > 0 {
        notes.push(format!("suppressed behind them: {}", behind.text()));
    }
    let unused = all().find(|(_, matched)| matched.groups == 0).map(|(suppression, _)| {
        let Suppression { place, title, origin, .. } = suppression.clone();
        Unused { place, title, origin }
    });
    Suppressed { kept, notes, unused }
}

fn note(suppression: &Suppression, matched: Matched) -> String {
    let Suppression { place, title, most, .. } = suppression;
    let blocks = matched.blocks;
    match most {
        Some(most) if blocks > *most => {
            let plural = if *most == 1 { "" } else { "s" };
            format!("{place}: \"{title}\" hides at most {most} block{plural}, and {blocks} match")
        }
        _ => format!("suppressed by {place} \"{title}\": {}", matched.text()),
    }
}

#[cfg(test)]
mod tests;
