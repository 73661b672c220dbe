//! Runs the case files: each rule's alone, and those of all rules together; and what a line says.

use std::collections::BTreeSet;

use super::*;
use crate::case_file::{self, Case};

const FOLDER: &str = "src/traceback/cases";

/// The file whose cases go through all the rules.
const TOGETHER: &str = "together";

/// A frame from `function@module /path/file.c:7 (inlined)`, of which a part can be missing; one
/// without a function has `@module+0x1f3`, generated code `@`.
fn frame(text: &str) -> Frame {
    let (text, inlined) = match text.strip_suffix(" (inlined)") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let (function, place) = text.split_once('@').unwrap_or((text, ""));
    let (module, source) = place.split_once(' ').unwrap_or((place, ""));
    let (module, offset) = module.split_once("+0x").unwrap_or((module, "7"));
    let (file, line) = source.split_once(':').unwrap_or((source, ""));
    let some = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Into::into);
    Frame {
        function: some(function),
        module: some(module),
        offset: u64::from_str_radix(offset, 16).expect("an offset"),
        file: some(file),
        line: line.parse().ok(),
        inlined,
        build_id: None,
    }
}

fn frames(list: &[&str]) -> Vec<Frame> {
    list.iter().map(|text| frame(text)).collect()
}

/// The lines that `rules` make of a case.
fn lines(rules: &[Rule], case: &Case) -> Vec<String> {
    let frames: Vec<Frame> = case.raw.iter().map(|text| frame(text)).collect();
    let kept = kept_by(rules, &frames.iter().collect::<Vec<_>>(), case.host.as_deref());
    key(&frames[kept])
}

#[test]
fn each_rule_has_a_file_and_each_file_a_rule() {
    let files = case_file::read(FOLDER);
    let found: BTreeSet<&str> = files.keys().map(String::as_str).collect();
    let rules: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).chain([TOGETHER]).collect();
    assert_eq!(rules.len(), RULES.len() + 1, "two rules have one name");
    assert_eq!(found, rules, "the files, and the rules");
}

#[test]
fn each_rule_does_what_its_cases_say() {
    for (file, cases) in case_file::read(FOLDER) {
        let rules = match RULES.iter().position(|rule| rule.name == file) {
            Some(rule) => &RULES[rule..=rule],
            None => &RULES[..],
        };
        let cut = cases.iter().filter(|case| case.raw.len() > case.expected.len());
        assert!(cut.count() > 0, "{file} shows nothing that its rule cuts");
        for case in cases {
            assert_eq!(lines(rules, &case), case.expected, "{}", case.place);
        }
    }
}

#[test]
fn each_rule_is_needed_by_the_cases_of_all() {
    let cases = &case_file::read(FOLDER)[TOGETHER];
    // A rule whose work no case together shows: its own file does.
    let alone = ["loader"];
    for (at, rule) in RULES.iter().enumerate() {
        let others = RULES.iter().enumerate().filter(|(other, _)| *other != at);
        let others: Vec<Rule> = others.map(|(_, rule)| Rule { ..*rule }).collect();
        let missed = cases.iter().any(|case| lines(&others, case) != case.expected);
        assert_eq!(missed, !alone.contains(&rule.name), "without the rule {}", rule.name);
    }
}

#[test]
fn nothing_is_a_traceback_of_nothing() {
    assert_eq!(kept(&[], None), 0..0);
}

#[test]
fn lines_say_what_is_known_and_nothing_that_moves() {
    let mut frame = frame("grow@liba.so /home/me/src/deep/grow.c:12");
    assert_eq!(line(&frame), "grow  liba.so  grow.c");
    frame.module = None;
    assert_eq!(line(&frame), "grow  grow.c");
    frame.file = None;
    assert_eq!(line(&frame), "grow");
    frame.function = None;
    frame.build_id = Some("0123".into());
    assert_eq!(line(&frame), "<generated code>");
    frame.module = Some("liba.so".into());
    frame.offset = 0x1f3;
    assert_eq!(line(&frame), "liba.so+0x1f3");
}

#[test]
fn offsets_separate_only_frames_without_a_symbol() {
    let at = |function: Option<&str>, offset| Frame {
        function: function.map(Into::into),
        offset,
        ..frame("@a.so")
    };
    assert_eq!(line(&at(Some("f"), 1)), line(&at(Some("f"), 2)));
    assert_ne!(line(&at(None, 1)), line(&at(None, 2)));
}

#[test]
fn the_hash_of_a_test_executable_is_not_part_of_its_name() {
    let list = ["parse@leaks-1c16eafa0684381e", "@leaks-1c16eafa0684381e+0x10", "f@a-b.so"];
    assert_eq!(key(&frames(&list)), ["parse  leaks", "leaks+0x10", "f  a-b.so"]);
}
