//! What `cargo test` prints when tracebacks are not the accepted ones.

use std::fmt::Write as _;

use similar::TextDiff;

use super::{Change, Difference, SnapshotGroup, write};

/// The failure of `scenario`: what is new or grown, the difference to the accepted snapshot, and
/// how to accept it.
pub(crate) fn failure_text(
    scenario: &str,
    accepted: &[SnapshotGroup],
    found: &[SnapshotGroup],
    difference: &Difference,
) -> String {
    let mut text = headline(scenario, difference) + "\n";
    list(&mut text, "new", &difference.new);
    list_changes(&mut text, "grown", &difference.grown);
    list_changes(&mut text, "shrunk", &difference.shrunk);
    list(&mut text, "vanished", &difference.vanished);
    text += "\n";
    if accepted.is_empty() {
        // A difference to nothing would repeat what is listed above.
        text += "nothing was accepted before\n";
    } else {
        let before = write(accepted);
        let after = write(found);
        let lines = TextDiff::from_lines(&before, &after);
        text += &lines.unified_diff().header("accepted", "found").to_string();
    }
    text + "\nto accept what was found: `cargo insta review`, or `cargo insta accept`\n"
}

fn headline(scenario: &str, difference: &Difference) -> String {
    let counts = [
        (difference.new.len(), "new"),
        (difference.grown.len(), "grown"),
        (difference.shrunk.len(), "shrunk"),
        (difference.vanished.len(), "vanished"),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
    let counts = counts.join(", ");
    match difference.new.len() + difference.grown.len() {
        0 => format!("the accepted snapshot of {scenario} is out of date ({counts})"),
        1 => format!("1 traceback in {scenario} is not accepted ({counts})"),
        more => format!("{more} tracebacks in {scenario} are not accepted ({counts})"),
    }
}

fn list(text: &mut String, what: &str, groups: &[SnapshotGroup]) {
    for group in groups {
        // Writing to a String can't fail.
        let _ = write!(text, "\n{what} {group}");
    }
}

fn list_changes(text: &mut String, what: &str, changes: &[Change]) {
    for Change { accepted, found } in changes {
        let _ = write!(text, "\n{what} {found}accepted {}\n", accepted.heading());
    }
}
