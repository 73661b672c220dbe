//! LeakSanitizer's suppressions: `leak:PATTERN`, one a line, which match by a function's, an
//! object's or a source file's name of any frame.
//!
//! The format is that of LLVM's sources (`sanitizer_suppressions.cpp`, `lsan_common.cpp`): spaces
//! before the kind and behind the pattern don't count, those behind the colon do.

use super::lines::{Lines, Wrong};
use super::module::Modules;
use super::pattern::{Spellings, template_matches};
use super::{Origin, Rule, Suppression};
use crate::report::Group;

/// What starts a line.
const KIND: &str = "leak:";

/// What LeakSanitizer calls an object that it doesn't know.
const UNKNOWN_MODULE: &str = "<unknown module>";

/// The pattern of a `leak:` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Spellings);

impl Template {
    /// The pattern of `line`; `None` where it is none of this kind.
    pub(super) fn of(line: &str) -> Option<Result<Self, String>> {
        let pattern = line.strip_prefix(KIND)?.trim_end();
        Some(if pattern.trim().is_empty() {
            Err("has no pattern; write a part of a function's, object's or file's name".to_owned())
        } else {
            Ok(Self(Spellings::of(pattern)))
        })
    }

    /// Whether a frame of `group` has a name that it matches.
    pub(super) fn matches(&self, group: &Group, modules: &Modules) -> bool {
        let matches = |text: &str| self.0.any(|pattern| template_matches(pattern, text));
        group.frames.iter().any(|frame| {
            frame.function.as_deref().is_some_and(matches)
                || frame.file.as_deref().is_some_and(matches)
                || modules.any(frame.module.as_deref().unwrap_or(UNKNOWN_MODULE), matches)
        })
    }
}

/// The suppressions in `lines`, a whole file.
pub(super) fn read(lines: &mut Lines<'_>) -> Result<Vec<Suppression>, Wrong> {
    let mut found = Vec::new();
    while let Some((line, text)) = lines.next_entry()? {
        let template = match Template::of(text) {
            Some(template) => {
                template.map_err(|problem| Wrong::at(line, format!("`leak:` {problem}")))?
            }
            None => return Err(Wrong::at(line, other_kind(text))),
        };
        found.push(Suppression {
            place: lines.place(line),
            title: text.trim_end().to_owned(),
            origin: Origin::File,
            rule: Rule::Leak(template),
            most: lines.take_bound(),
        });
    }
    Ok(found)
}

fn other_kind(text: &str) -> String {
    if text.starts_with('{') {
        return "a block of valgrind's among `leak:` lines; put it into a file of its own"
            .to_owned();
    }
    let kind = text.split_once(':').map(|(kind, _)| kind);
    match kind.filter(|kind| !kind.is_empty() && !kind.contains(char::is_whitespace)) {
        Some(kind @ ("fun" | "obj" | "src")) => {
            format!("`{kind}:` stands outside of a {{ … }} block")
        }
        Some(kind) => format!(
            "`{kind}:` lines are not read; those that are have `leak:` and a pattern, or are \
             valgrind's {{ … }} blocks of Memcheck:Leak"
        ),
        None => format!(
            "`{text}` is no suppression; write `leak:` and a pattern, or a {{ … }} block as \
             valgrind has"
        ),
    }
}
