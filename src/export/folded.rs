//! Folded stacks: a line for each traceback, outermost frame first, and the bytes that are live
//! there.
//!
//! ```text
//! hmac;run_command;parse;HMAC_Init_ex;CRYPTO_zalloc 1216
//! ```
//! Flame graphs, speedscope and what else reads `perf` scripts read it. Frames are functions: what
//! has no symbol is its module and the offset in it.

use std::collections::BTreeMap;

use super::{Section, names};
use crate::report::{Frame, Group};
use crate::traceback;

/// The wanted groups of `sections`, below a frame of each section's name.
pub(crate) fn write(sections: &[Section]) -> String {
    let mut text = String::new();
    for (section, name) in sections.iter().zip(names(sections)) {
        for (stack, bytes) in stacks(section.groups()) {
            text += &format!("{};{stack} {bytes}\n", frame_name(&name));
        }
    }
    text
}

/// Each stack of `groups` and its bytes, sorted; what a started program has is below its name.
pub(crate) fn stacks<'a>(
    groups: impl Iterator<Item = (Option<&'a str>, &'a Group)>,
) -> Vec<(String, u64)> {
    // A program's blocks of one traceback can be lost in part and indirect in part.
    let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
    for (started, group) in groups {
        let frames = group.frames.iter().rev().map(function);
        let frames: Vec<_> = started.map(frame_name).into_iter().chain(frames).collect();
        let bytes = stacks.entry(frames.join(";")).or_default();
        *bytes = bytes.saturating_add(group.bytes);
    }
    stacks.into_iter().collect()
}

fn function(frame: &Frame) -> String {
    match &frame.function {
        Some(function) => frame_name(function),
        None => frame_name(&traceback::line(frame)),
    }
}

/// `name` without what ends a frame (`[u8; 4]` has it) or a line.
fn frame_name(name: &str) -> String {
    name.replace(';', ":").replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::samples::{frame, group, section, started};

    #[test]
    fn stacks_start_outside_and_have_their_bytes() {
        let mut stripped = frame("", None);
        (stripped.function, stripped.offset) = (None, 0x1f3);
        let array = frame("<[u8; 4] as Make>::make", None);
        let mut kept = group(8, vec![frame("cache", None)]);
        kept.verdict = crate::report::Verdict::OneTime;
        let groups = vec![
            group(96, vec![array.clone(), frame("run", None)]),
            group(4, vec![stripped, frame("run", None)]),
            // The same stack: one was indirect, say.
            group(2, vec![array, frame("run", None)]),
            kept,
        ];
        let mut sections = vec![section("hmac", groups), section("hmac", vec![])];
        sections[1].report =
            started(section("hmac", vec![group(7, vec![frame("f", None)])]).report);
        let text = "\
hmac;run;<[u8: 4] as Make>::make 98
hmac;run;plugin.so+0x1f3 4
hmac (2);sort;f 7
";
        assert_eq!(write(&sections), text);
        sections[0].all = true;
        assert_eq!(write(&sections), format!("hmac;cache 8\n{text}"));
        assert_eq!(write(&[]), "");
    }

    #[test]
    fn no_name_ends_a_line() {
        let groups = vec![group(1, vec![frame("a\nb 7\r", None)])];
        assert_eq!(write(&[section("x;y\n", groups)]), "x:y ;a b 7  1\n");
    }
}
