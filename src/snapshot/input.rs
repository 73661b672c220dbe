//! Two bodies of snapshots of any bytes, compared. For tests and fuzz targets.

use super::{REVIEW, SnapshotGroup, compare as difference, failure_text, parse, write};
use crate::report::{Exit, Frame, Group, History, Reachability, Report, Rises, Ties, Tracing};

/// Reads what is before the first NUL of `bytes` as the body of an accepted snapshot, and what is
/// behind it as what was found; how many tracebacks both have, where they are bodies.
///
/// # Panics
/// Where what was written does not read back, a body differs from itself, an error names a line
/// that is not there, a traceback gets lost in the comparison, or what was accepted does not pass.
pub(crate) fn compare(bytes: &[u8]) -> Option<usize> {
    // What is not UTF-8 is refused where the file is read.
    let text = str::from_utf8(bytes).ok()?;
    let (accepted, found) = text.split_once('\0').unwrap_or((text, ""));
    let (accepted, found) = (read(accepted)?, read(found)?);
    let it = difference(&accepted, &found);
    let pairs = it.grown.len() + it.moved.len() + it.shrunk.len() + it.same.len();
    assert_eq!(pairs + it.new.len(), found.len());
    assert_eq!(pairs + it.vanished.len(), accepted.len());
    let groups = found.iter().map(group).collect();
    let _ = failure_text("x", "accepted", &report(groups), &it, REVIEW);
    let proposed = it.proposed();
    let again = difference(&proposed, &found);
    assert!(!again.fails() && !again.is_outdated(), "accepted: {proposed:?}");
    Some(accepted.len() + found.len())
}

fn read(body: &str) -> Option<Vec<SnapshotGroup>> {
    match parse(body) {
        Ok(groups) => {
            assert_eq!(parse(&write(&groups)).as_ref(), Ok(&groups), "it reads back");
            let same = difference(&groups, &groups);
            assert!(!same.fails() && !same.is_outdated(), "{same:?}");
            Some(groups)
        }
        Err(error) => {
            assert!((1..=body.lines().count()).contains(&error.line), "{error}");
            None
        }
    }
}

fn report(groups: Vec<Group>) -> Report {
    Report {
        scenario: None,
        program: Vec::new(),
        exit: Exit::default(),
        tracing: Tracing::default(),
        iterations: 8,
        groups,
        notes: Vec::new(),
        history: History::default(),
        descendants: None,
    }
}

/// A group whose frames are called what the lines of `found` say.
fn group(found: &SnapshotGroup) -> Group {
    let frame = |line: &String| Frame { function: Some(line.as_str().into()), ..Frame::default() };
    Group {
        verdict: found.verdict,
        reachability: Reachability::Indirect,
        blocks: 8,
        bytes: u64::MAX,
        blocks_per_iteration: 1.0,
        bytes_per_iteration: 2.5,
        rises: Rises::default(),
        frames: found.frames.iter().map(frame).collect(),
        ties: Ties::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::{corpus, each_damaged};

    #[test]
    fn any_two_bodies_are_compared_or_refused_with_their_line() {
        for (name, bytes) in corpus("snapshot") {
            assert_eq!(compare(&bytes).is_some(), !name.starts_with("refused"), "{name}");
        }
        let mut compared = 0;
        each_damaged("snapshot", 1500, |bytes| compared += usize::from(compare(bytes).is_some()));
        assert!((150..1350).contains(&compared), "{compared} of 1500 are compared");
    }
}
