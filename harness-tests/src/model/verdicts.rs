//! What a report says, as the model knows it.

use std::fmt;

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

    /// Whether what fails leaks, and nothing grows.
    pub(super) fn all_leak(&self) -> bool {
        self.fails.iter().all(|group| group.what.starts_with("leak/"))
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

impl fmt::Display for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "    exit status {:?}", self.status)?;
        self.lines().iter().try_for_each(|line| write!(f, "\n    {line}"))?;
        let mut kept = self.kept.iter();
        kept.try_for_each(|(verdict, by)| write!(f, "\n    {verdict} {by}"))
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

/// The innermost function that was written in `fixture`, without arguments and closures: its file
/// tells it from a template of a library that was compiled into the fixture, where the fixture
/// has debug information.
pub(super) fn own_function<'a>(group: &'a Value, fixture: &str) -> Option<&'a str> {
    let module = format!("lib{fixture}.so");
    let is_own = |frame: &&Value| {
        let file = frame["file"].as_str();
        let is_module = [fixture, &module].iter().any(|name| frame["module"] == *name);
        is_module && file.is_none_or(|file| file.contains("fixtures/p"))
    };
    let function = group["frames"].as_array()?.iter().find(is_own)?["function"].as_str()?;
    let name = &function[..function.find('(').unwrap_or(function.len())];
    Some(name.split_once("::{{").map_or(name, |(outer, _)| outer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fixture_s_own_functions_are_told_from_a_library_s() {
        let frame = |function: &str, module: &str, file: &str| json!({ "function": function, "module": module, "file": file });
        let own = "/somewhere/fixtures/plugins_cpp/x.cpp";
        let group = json!({ "frames": [
            frame("CRYPTO_zalloc", "libcrypto.so.3", own),
            frame("std::vector<int>::push_back(int)", "libx.so", "/usr/include/c++/12/vector"),
            frame("forget_pairs(int, std::string)", "libx.so", own),
            frame("run_command", "libx.so", own),
        ]});
        assert_eq!(own_function(&group, "x"), Some("forget_pairs"));
        assert_eq!(own_function(&group, "y"), None);
        let closure = json!({ "frames": [frame("a::keep::{{closure}}", "libx.so", own)] });
        assert_eq!(own_function(&closure, "x"), Some("a::keep"));
    }
}
