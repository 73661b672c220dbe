//! Suppressions: tracebacks that a scenario leaves out, by a part of a function's or a module's
//! name.
//!
//! Invariant: a suppression that suppresses nothing is an error, so that none outlives its leak.

use std::path::{Path, PathBuf};

use crate::report::Group;
use crate::scenario::Located;

/// What suppressions did to the groups of one run.
#[must_use]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Suppressed {
    /// The groups that no entry matches.
    pub(crate) kept: Vec<Group>,
    /// How many groups each entry matches, in the entries' order; two can match the same group.
    pub(crate) counts: Vec<usize>,
}

/// Leaves out every group with a frame that an entry of `ignore` matches.
pub(crate) fn suppress(ignore: &[Located<String>], groups: Vec<Group>) -> Suppressed {
    let mut counts = vec![0; ignore.len()];
    let mut kept = Vec::with_capacity(groups.len());
    for group in groups {
        let mut suppressed = false;
        for (entry, count) in ignore.iter().zip(&mut counts) {
            if matches(&entry.value, &group) {
                suppressed = true;
                *count += 1;
            }
        }
        if !suppressed {
            kept.push(group);
        }
    }
    Suppressed { kept, counts }
}

impl Suppressed {
    /// That each of the entries of the scenario at `path` matched.
    pub(crate) fn check_used(
        &self,
        path: &Path,
        ignore: &[Located<String>],
    ) -> Result<(), UnusedSuppression> {
        let unused = ignore.iter().zip(&self.counts).find(|(_, count)| **count == 0);
        unused.map_or(Ok(()), |(entry, _)| {
            Err(UnusedSuppression {
                path: path.to_owned(),
                line: entry.line,
                entry: entry.value.clone(),
            })
        })
    }
}

/// A suppression that matches nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: \"{entry}\" in `ignore` matches no traceback; remove it", path.display())]
pub(crate) struct UnusedSuppression {
    path: PathBuf,
    line: usize,
    entry: String,
}

fn matches(entry: &str, group: &Group) -> bool {
    let names = group.frames.iter().flat_map(|frame| [&frame.function, &frame.module]);
    names.flatten().any(|name| name.contains(entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Frame, Reachability, Ties, Verdict};

    fn group(functions: &[&str]) -> Group {
        let frame = |function: &&str| Frame {
            function: Some(*function).filter(|name| !name.is_empty()).map(Into::into),
            module: Some("libcrypto.so.3".into()),
            offset: 1,
            file: Some("hmac.c".into()),
            line: None,
            inlined: false,
        };
        Group {
            verdict: Verdict::Leak,
            reachability: Reachability::Unknown,
            blocks: 1,
            bytes: 1,
            blocks_per_iteration: 1.0,
            bytes_per_iteration: 1.0,
            frames: functions.iter().map(frame).collect(),
            ties: Ties::default(),
        }
    }

    fn entries(list: &[&str]) -> Vec<Located<String>> {
        let located = |(index, entry): (usize, &&str)| Located {
            value: (*entry).to_owned(),
            line: index + 7,
        };
        list.iter().enumerate().map(located).collect()
    }

    #[test]
    fn a_part_of_any_frame_s_name_matches() {
        let groups = vec![group(&["CRYPTO_zalloc", "HMAC_CTX_new"]), group(&["", "grow"])];
        let ignore = entries(&["HMAC_CTX", "zalloc"]);
        let suppressed = suppress(&ignore, groups.clone());
        assert_eq!(suppressed, Suppressed { kept: vec![groups[1].clone()], counts: vec![1, 1] });
        assert_eq!(suppressed.check_used(Path::new("x.toml"), &ignore), Ok(()));
    }

    #[test]
    fn a_module_s_name_matches_and_a_file_s_does_not() {
        let groups = vec![group(&["a"]), group(&["b"])];
        let suppressed = suppress(&entries(&["libcrypto", "hmac.c"]), groups);
        assert_eq!(suppressed, Suppressed { kept: vec![], counts: vec![2, 0] });
    }

    #[test]
    fn nothing_ignored_is_nothing_lost() {
        let groups = vec![group(&["a"])];
        let suppressed = suppress(&[], groups.clone());
        assert_eq!(suppressed, Suppressed { kept: groups, counts: vec![] });
        assert_eq!(suppressed.check_used(Path::new("x.toml"), &[]), Ok(()));
    }

    #[test]
    fn an_entry_that_matches_nothing_is_an_error() {
        let ignore = entries(&["a", "OPENSSL_init_crypto"]);
        let suppressed = suppress(&ignore, vec![group(&["a"])]);
        let error = suppressed.check_used(Path::new("tests/leaks/x.toml"), &ignore);
        assert_eq!(
            error.map_err(|error| error.to_string()),
            Err("tests/leaks/x.toml:8: \"OPENSSL_init_crypto\" in `ignore` matches no traceback; \
                 remove it"
                .to_owned())
        );
    }
}
