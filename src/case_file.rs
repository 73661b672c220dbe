//! Case files: what a rule of a normalization is tested with, one file for each rule. Tests only.
//!
//! ```text
//! # the host: leaks-1f          words about the file, and settings
//! raw line
//! raw line
//!     expected line
//! ```
//! Raw lines and the indented ones below them are a case; the next raw line starts the next one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What stands in front of an expected line.
const INDENT: &str = "    ";

/// One case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Case {
    /// Its file's name and its first line: `name.txt:3`.
    pub(crate) place: String,
    /// The value of the last `# host: NAME` above it.
    pub(crate) host: Option<String>,
    /// What the rule is given.
    pub(crate) raw: Vec<String>,
    /// What it makes of it.
    pub(crate) expected: Vec<String>,
}

/// The cases of every file in `folder`, a way from the package's folder, by the file's stem.
pub(crate) fn read(folder: &str) -> BTreeMap<String, Vec<Case>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(&folder).expect("the folder of the cases");
    let files = entries.map(|entry| entry.expect("an entry of the folder").path());
    files
        .map(|path| {
            let name = path.file_name().expect("a file's name").to_string_lossy().into_owned();
            let stem = name.strip_suffix(".txt").unwrap_or_else(|| panic!("{name} is no .txt"));
            let text = fs::read_to_string(&path).expect("a text");
            (stem.to_owned(), parse(&name, &text))
        })
        .collect()
}

fn parse(name: &str, text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut host = None;
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() {
            continue;
        } else if let Some(words) = line.strip_prefix("# ") {
            if let Some(name) = words.strip_prefix("host: ") {
                host = Some(name.to_owned()).filter(|name| name != "none");
            }
        } else if let Some(expected) = line.strip_prefix(INDENT) {
            let case = cases.last_mut().unwrap_or_else(|| panic!("{name} starts with {line}"));
            case.expected.push(expected.to_owned());
        } else {
            if cases.last().is_none_or(|case| !case.expected.is_empty()) {
                let place = format!("{name}:{}", index + 1);
                cases.push(Case { place, host: host.clone(), ..Case::default() });
            }
            cases.last_mut().expect("there is one now").raw.push(line.to_owned());
        }
    }
    for case in &cases {
        assert!(!case.expected.is_empty(), "{} expects nothing", case.place);
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_ends_where_the_next_one_starts() {
        let text = "# words\na\nb\n    A\n\n# host: me\nc\n    C\n    D\n# host: none\ne\n    E\n";
        let case = |line: usize, host: Option<&str>, raw: &[&str], expected: &[&str]| Case {
            place: format!("x.txt:{line}"),
            host: host.map(str::to_owned),
            raw: raw.iter().map(|line| (*line).to_owned()).collect(),
            expected: expected.iter().map(|line| (*line).to_owned()).collect(),
        };
        let cases = [
            case(2, None, &["a", "b"], &["A"]),
            case(7, Some("me"), &["c"], &["C", "D"]),
            case(11, None, &["e"], &["E"]),
        ];
        assert_eq!(parse("x.txt", text), cases);
    }
}
