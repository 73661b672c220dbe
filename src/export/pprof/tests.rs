//! Profiles, decoded again.

use std::io::Read as _;

use flate2::read::GzDecoder;

use super::*;
use crate::check::Problem;
use crate::export::samples::{frame, group, section, started};

fn decode(bytes: &[u8]) -> Profile {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).expect("gzip");
    Profile::decode(plain.as_slice()).expect("a profile")
}

fn decoded(sections: &[Section]) -> Profile {
    decode(&write(sections).expect("written"))
}

impl Profile {
    fn text(&self, number: i64) -> &str {
        &self.string_table[usize::try_from(number).expect("a number")]
    }

    /// A line for each sample: its labels and values, and below it its locations.
    fn listed(&self) -> String {
        let mut text = String::new();
        for sample in &self.sample {
            let label =
                |label: &Label| format!("{}={}", self.text(label.key), self.text(label.str));
            let labels: Vec<_> = sample.label.iter().map(label).collect();
            text += &format!("{} {:?}\n", labels.join(" "), sample.value);
            for id in &sample.location_id {
                let location = &self.location[usize::try_from(id - 1).expect("a number")];
                assert_eq!(location.id, *id);
                text += &format!("    {}\n", self.place(location));
            }
        }
        text
    }

    fn place(&self, location: &Location) -> String {
        let lines = location.line.iter().map(|line| {
            let function = &self.function[usize::try_from(line.function_id - 1).expect("a number")];
            assert_eq!(function.id, line.function_id);
            format!("{} {}:{}", self.text(function.name), self.text(function.filename), line.line)
        });
        let lines: Vec<_> = lines.collect();
        let mapping = self.mapping.iter().find(|mapping| mapping.id == location.mapping_id);
        let mapping = mapping.map(|it| [self.text(it.filename), self.text(it.build_id)].join(" "));
        let mapping = mapping.unwrap_or_default();
        format!("[{}] {mapping} {:#x}", lines.join(" <- "), location.address)
    }
}

#[test]
fn samples_have_values_labels_and_locations() {
    let mut inlined = frame("inner", Some(("/src/a.h", 7)));
    inlined.inlined = true;
    let mut stripped = frame("", None);
    (stripped.function, stripped.offset) = (None, 0x1f3);
    let generated = crate::report::Frame::default();
    let outer = frame("outer", Some(("/src/a.c", 214)));
    let first = group(96, vec![inlined, outer.clone(), stripped.clone(), generated]);
    let second = group(8, vec![outer, stripped]);
    let profile = decoded(&[section("hmac", vec![first, second])]);
    let expected = "\
scenario=hmac verdict=leak reachability=lost [8, 96]
    [inner /src/a.h:7 <- outer /src/a.c:214] plugin.so 0123abcd 0x0
    [plugin.so+0x1f3 :0] plugin.so 0123abcd 0x1f3
    [<generated code> :0]  0x0
scenario=hmac verdict=leak reachability=lost [8, 8]
    [outer /src/a.c:214] plugin.so 0123abcd 0x0
    [plugin.so+0x1f3 :0] plugin.so 0123abcd 0x1f3
";
    assert_eq!(profile.listed(), expected);
    assert_eq!(profile.string_table[0], "");
    let counted = |value: &ValueType| (profile.text(value.r#type), profile.text(value.unit));
    let counted: Vec<_> = profile.sample_type.iter().map(counted).collect();
    assert_eq!(counted, [("blocks", "count"), ("bytes", "bytes")]);
    assert_eq!(profile.text(profile.default_sample_type), "bytes");
    let [mapping] = profile.mapping.as_slice() else { panic!("{:?}", profile.mapping) };
    assert!(mapping.has_functions && mapping.has_line_numbers && mapping.has_inline_frames);
    assert_eq!((mapping.memory_start, mapping.memory_limit), (0, 0x1f4));
    assert_eq!((profile.location.len(), profile.function.len()), (4, 4), "each is there once");
}

#[test]
fn programs_that_were_started_and_groups_that_pass_have_labels() {
    let mut kept = group(8, vec![frame("cache", None)]);
    kept.verdict = crate::report::Verdict::OneTime;
    let mut first = section("one", vec![]);
    first.report = started(section("one", vec![group(7, vec![frame("f", None)]), kept]).report);
    let mut sections = [first, section("one", vec![])];
    let leak = "\
scenario=one verdict=leak reachability=lost program=sort [8, 7]
    [f :0] plugin.so 0123abcd 0x0
";
    assert_eq!(decoded(&sections).listed(), leak);
    sections[0].all = true;
    let cache = "\
scenario=one verdict=one-time reachability=lost program=sort [8, 8]
    [cache :0] plugin.so 0123abcd 0x0
";
    assert_eq!(decoded(&sections).listed(), format!("{leak}{cache}"));
}

#[test]
fn what_was_not_checked_says_so() {
    let mut sections = [section("one", vec![]), section("two", vec![])];
    sections[0].problem = Some(Problem::NotChecked("the ledger was full".into()));
    sections[1].report.notes = vec!["a note".into()];
    let profile = decoded(&sections);
    let comments: Vec<_> = profile.comment.iter().map(|text| profile.text(*text)).collect();
    let expected =
        ["one: not checked: the ledger was full", "two: no leaks in two", "two: note: a note"];
    assert_eq!(comments, expected);
}

#[test]
fn the_same_sections_are_the_same_bytes() {
    let make = || {
        let frames = (0..50).map(|number| frame(&format!("f{number}"), None)).collect();
        write(&[section("x", vec![group(1, frames)])]).expect("written")
    };
    assert_eq!(make(), make());
}
