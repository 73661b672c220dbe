//! One group as text: what is live, since when, what holds it, and the frames that made it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::report::amount::Amount;
use crate::report::{Frame, Group, Reachability, Rises, Ties};
use crate::traceback;

/// One group, as the report and failures write it: what is live, and the frames that made it; for a
/// module without symbols the build id that its debug files are found by.
pub(crate) fn group(group: &Group, iterations: u32) -> String {
    let mut text = group_heading(group, iterations) + "\n";
    if iterations > 1 && group.verdict.fails() {
        text += &rises_text(&group.rises).map_or_else(String::new, |text| format!("  {text}\n"));
    }
    text += &ties_text(&group.ties);
    let mut build_ids = BTreeSet::new();
    for frame in &group.frames {
        let build_id = frame.build_id.as_deref().filter(|_| frame.function.is_none());
        // Once for each module is enough.
        let build_id = build_id.filter(|build_id| build_ids.insert(*build_id));
        let build_id = build_id.map_or_else(String::new, |id| format!("  build-id {id}"));
        let _ = writeln!(text, "    {}{build_id}", frame_text(frame));
    }
    text
}

/// The first line of a group.
pub(crate) fn group_heading(group: &Group, iterations: u32) -> String {
    let mut text = group.verdict.to_string();
    if group.reachability != Reachability::Unknown {
        let _ = write!(text, ", {}", group.reachability);
    }
    let _ = write!(text, ": {}", Amount::live(group));
    if iterations > 1 && group.verdict.fails() {
        let _ = write!(text, " ({} per iteration)", Amount::per_iteration(group));
    }
    text
}

/// Since when, and how often.
pub(crate) fn rises_text(rises: &Rises) -> Option<String> {
    let Rises { steps, first, of } = *rises;
    match first {
        0 => None,
        _ if steps == of => Some(format!("in each of {of} iterations")),
        _ => Some(format!("in {steps} of {of} iterations, first in number {first}")),
    }
}

/// What holds the blocks, and what they lead to.
pub(crate) fn ties_text(ties: &Ties) -> String {
    let mut text = String::new();
    if let Some(holder) = &ties.held_by {
        let _ = writeln!(text, "  held by {holder}");
    }
    if ties.depths > 0 {
        let _ = writeln!(text, "  from {} depths of a recursion, which is left out", ties.depths);
    }
    if ties.blocks > 0 {
        let _ = writeln!(text, "  leads to {} more", Amount::whole(ties.blocks, ties.bytes));
    }
    text
}

/// As snapshots write it, and where to look: the file's path and the line.
fn frame_text(frame: &Frame) -> String {
    let (Some(_), Some(file)) = (&frame.function, &frame.file) else {
        return traceback::line(frame);
    };
    let line = traceback::line(&Frame { file: None, ..frame.clone() });
    match frame.line {
        Some(number) => format!("{line}  {file}:{number}"),
        None => format!("{line}  {file}"),
    }
}
