//! A file of suppressions of any bytes, matched against tracebacks. For tests and fuzz targets.

use std::path::Path;

use super::file::{SuppressionError, parse};
use super::module::Modules;
use super::{Suppression, suppress};
use crate::report::{Frame, Group, Reachability, Rises, Ties, Verdict};

/// Reads `bytes` as a file of suppressions, and each of its lines as one of a scenario; how many it
/// has, where it is one.
///
/// # Panics
/// Where blocks are hidden that no note tells of, or an error names a line that is not there.
pub(crate) fn read(bytes: &[u8]) -> Option<usize> {
    // What is not UTF-8 is refused where the file is read.
    let text = str::from_utf8(bytes).ok()?;
    let path = Path::new("x.supp");
    for line in text.lines() {
        hide(&Suppression::of_ignore(path, 1, line, Some(7)).into_iter().collect::<Vec<_>>());
    }
    match parse(path, text) {
        Ok(suppressions) => {
            hide(&suppressions);
            Some(suppressions.len())
        }
        Err(SuppressionError::Wrong { line, problem, .. }) => {
            assert!((1..=text.lines().count().max(1)).contains(&line), "line {line}: {problem}");
            None
        }
        Err(error) => unreachable!("{error}"),
    }
}

fn hide(suppressions: &[Suppression]) {
    let groups = groups();
    let count = groups.len();
    let modules = Modules::new(["/usr/lib/libcrypto.so.3".into(), "/a/app".into()]);
    let found = suppress(suppressions, &modules, groups);
    assert!(found.kept.len() == count || !found.notes.is_empty(), "nothing is hidden in silence");
}

/// Groups of every kind, with names of C, C++ and Rust.
fn groups() -> Vec<Group> {
    let named = |function: &str, module: &str, file: Option<&str>| Frame {
        function: Some(function.into()),
        module: Some(module.into()),
        file: file.map(Into::into),
        inlined: file.is_some(),
        ..Frame::default()
    };
    let frames = [
        named("CRYPTO_zalloc", "libcrypto.so.3", None),
        named("std::vector<int>::push_back(int const&)", "app", Some("/a/vector.h")),
        named("<app::Job as core::fmt::Debug>::fmt", "app", Some("job.rs")),
        Frame { offset: 0x1234, ..Frame::default() },
        named("main", "app", None),
    ];
    let states = [
        Reachability::Lost,
        Reachability::Indirect,
        Reachability::Reachable,
        Reachability::Unknown,
    ];
    let group = |(number, reachability)| Group {
        verdict: Verdict::Leak,
        reachability,
        blocks: 8,
        bytes: u64::MAX,
        blocks_per_iteration: 1.0,
        bytes_per_iteration: 2.5,
        rises: Rises::default(),
        frames: frames[number..].to_vec(),
        ties: Ties { number, behind: vec![0], ..Ties::default() },
    };
    states.into_iter().enumerate().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::{corpus, each_damaged};

    #[test]
    fn any_file_is_of_suppressions_or_refused_with_its_line() {
        for (name, bytes) in corpus("suppressions") {
            assert_eq!(read(&bytes).is_some(), !name.starts_with("refused"), "{name}");
        }
        let mut read_whole = 0;
        each_damaged("suppressions", 1500, |bytes| {
            read_whole += usize::from(read(bytes).is_some());
        });
        assert!((150..1350).contains(&read_whole), "{read_whole} of 1500 are read");
    }
}
