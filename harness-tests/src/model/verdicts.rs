//! What a report says, as the model knows it.

use serde_json::Value;

use super::{Found, Kept};

/// A report's groups, and the command's exit status.
#[derive(Debug)]
pub(super) struct Verdicts {
    pub(super) status: Option<i32>,
    /// The groups that fail.
    pub(super) fails: Vec<Group>,
    kept: Vec<(String, String)>,
}

/// A group that fails.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) what: String,
    pub(super) function: String,
    total: (u64, u64),
    per_iteration: (f64, f64),
}

impl Verdicts {
    /// What `report` says of the fixture `plugin`.
    pub(super) fn of(report: &Value, plugin: &str, status: Option<i32>) -> Self {
        let (mut fails, mut kept) = (Vec::new(), Vec::new());
        let groups = report["groups"].as_array().map(Vec::as_slice).unwrap_or_default();
        for group in groups {
            let text = |key: &str| group[key].as_str().unwrap_or("?");
            let count = |key: &str| group[key].as_u64().unwrap_or(u64::MAX);
            let number = |key: &str| group[key].as_f64().unwrap_or(f64::NAN);
            let function = own_function(group, plugin).unwrap_or("?").to_owned();
            let verdict = text("verdict");
            if !["leak", "growth"].contains(&verdict) {
                kept.push((verdict.to_owned(), function));
                continue;
            }
            fails.push(Group {
                what: format!("{verdict}/{}", text("reachability")),
                function,
                total: (count("blocks"), count("bytes")),
                per_iteration: (number("blocks_per_iteration"), number("bytes_per_iteration")),
            });
        }
        Self { status, fails, kept }
    }

    /// Whether something that does not fail is `kept`.
    pub(super) fn keeps(&self, kept: &Kept) -> bool {
        self.kept.iter().any(|(verdict, by)| (verdict.as_str(), by.as_str()) == *kept)
    }

    /// The blocks and bytes of all groups that fail.
    pub(super) fn leaked(&self) -> (u64, u64) {
        let totals = self.fails.iter().map(|group| group.total);
        totals.fold((0, 0), |sum, total| (sum.0 + total.0, sum.1 + total.1))
    }

    /// The groups that fail, a line each, sorted.
    pub(super) fn lines(&self) -> Vec<String> {
        sorted(self.fails.iter().map(|group| {
            let (blocks, bytes) = group.per_iteration;
            line(&group.what, &group.function, blocks, bytes)
        }))
    }

    /// The lines of `expected`.
    pub(super) fn lines_of(expected: &[Found]) -> Vec<String> {
        sorted(
            expected
                .iter()
                .map(|found| line(found.what, found.function, found.blocks, found.bytes)),
        )
    }
}

fn line(what: &str, function: &str, blocks: f64, bytes: f64) -> String {
    format!("{what} {function}: {blocks:.4} blocks, {bytes:.4} bytes")
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    lines
}

/// The innermost function that was written in the fixture: not one of a library, nor a template
/// of a library that was compiled into it.
fn own_function<'a>(group: &'a Value, plugin: &str) -> Option<&'a str> {
    let module = format!("{plugin}.so");
    let is_own = |frame: &&Value| {
        let name = frame["module"].as_str();
        name.is_some_and(|name| name.trim_start_matches("lib") == module)
    };
    let own = group["frames"].as_array()?.iter().filter(is_own);
    own.filter_map(|frame| name_of(frame["function"].as_str()?)).next()
}

/// A function's name without arguments; `None` for a library's.
fn name_of(function: &str) -> Option<&str> {
    const LIBRARIES: [&str; 6] =
        ["std::", "__gnu_cxx::", "alloc::", "core::", "hashbrown::", "operator "];
    let start = function.trim_start_matches('<');
    let name = &start[..start.find(['(', '<']).unwrap_or(start.len())];
    // A template's name has its result in front: `void std::vector`.
    let is_library = LIBRARIES.iter().any(|library| name.contains(library));
    (!is_library && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixture_s_own_functions_are_told_from_a_library_s() {
        assert_eq!(name_of("forget_one"), Some("forget_one"));
        assert_eq!(name_of("forget_pairs(int, std::string)"), Some("forget_pairs"));
        assert_eq!(name_of("forgets::lose"), Some("forgets::lose"));
        for library in [
            "void std::vector<int, std::allocator<int> >::push_back(int)",
            "__gnu_cxx::new_allocator<int>::allocate(unsigned long)",
            "<alloc::vec::Vec<T> as core::clone::Clone>::clone",
            "operator new(unsigned long)",
        ] {
            assert_eq!(name_of(library), None, "{library}");
        }
    }
}
