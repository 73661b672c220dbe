//! What is read, what is refused and in which words, and what grows.

use super::growth::{Shrunk, between};
use super::*;
use crate::report::{Group, Verdict};
use crate::traceback;

fn saved(text: &str) -> Trace {
    parse("a.json", text.as_bytes()).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn refused(text: &str) -> String {
    parse("a.json", text.as_bytes()).expect_err(text).to_string()
}

/// A trace of elements: count, bytes, traceback.
fn trace(elements: &[(u64, u64, &[&str])]) -> Trace {
    let elements: Vec<_> = elements
        .iter()
        .map(|(count, bytes, traceback)| {
            serde_json::json!({
                "count": count, "bytes": bytes, "sample": "0x7f00", "traceback": traceback,
            })
        })
        .collect();
    saved(&serde_json::Value::from(elements).to_string())
}

/// A JSON report with one group of 2 blocks of each list of frames.
fn report(tracing: &str, groups: &[&str]) -> String {
    let groups: Vec<_> = groups
        .iter()
        .map(|frames| {
            format!(r#"{{"verdict": "leak", "blocks": 2, "bytes": 20, "frames": {frames}}}"#)
        })
        .collect();
    format!(
        r#"{{"format": "leaksnap-report", "version": 1, "scenario": null,
        "exit": {{"code": 0, "signal": null}}, "tracing": {tracing}, "groups": [{}]}}"#,
        groups.join(", ")
    )
}

const WHOLE: &str = r#"{"active": true, "complete": true}"#;

/// Verdict, blocks, bytes and innermost frame as written.
fn seen(groups: &[Group]) -> Vec<(Verdict, u64, u64, String)> {
    let innermost = |group: &Group| group.frames[0].function.as_deref().unwrap_or("?").to_owned();
    groups.iter().map(|it| (it.verdict, it.blocks, it.bytes, innermost(it))).collect()
}

#[test]
fn frames_are_symbols_or_modules_with_an_offset_addresses_and_names() {
    let cases = [
        ("CRYPTO_zalloc + 0x9", (Some("CRYPTO_zalloc"), None, 9)),
        ("0x7f6bb9df7acd", (None, None, 0x7f6b_b9df_7acd)),
        ("operator + + 0x1f", (Some("operator +"), None, 0x1f)),
        ("libcrypto.so.3 + 0x1f7acd", (None, Some("libcrypto.so.3"), 0x1f_7acd)),
        ("plugin.so + 0x4", (None, Some("plugin.so"), 4)),
        ("work.part.0 + 0x4", (Some("work.part.0"), None, 4)),
        ("<generated code>", (Some("<generated code>"), None, 0)),
    ];
    let texts = cases.map(|(text, _)| text);
    let trace = trace(&[(3, 312, &texts)]);
    let frames = &trace.rows[&texts.map(str::to_owned).to_vec()].frames;
    for ((text, expected), frame) in cases.iter().zip(frames) {
        assert_eq!(
            (frame.function.as_deref(), frame.module.as_deref(), frame.offset),
            *expected,
            "{text}"
        );
        let shown = traceback::line(&saved::as_written(frame));
        assert_eq!(shown, *text, "people see what the file has");
    }
}

#[test]
fn samples_other_members_and_space_do_not_count() {
    let plain = saved(r#"[{"count": 1, "bytes": 8, "traceback": ["f + 0x1"]}]"#);
    for text in [
        r#"[{"count":1,"bytes":8,"sample":"0x7f00","traceback":["f + 0x1"],"numa":{"node":0}}]"#,
        "\n [ {\"sample\": \"moved\", \"traceback\": [\" f + 0x1 \"], \"bytes\": 8, \"count\": 1} ]\n",
    ] {
        assert_eq!(saved(text), plain);
    }
    assert_eq!(saved("[]").rows.len(), 0);
}

#[test]
fn elements_of_one_traceback_are_summed() {
    let split = trace(&[(1, 8, &["f + 0x1"]), (5, 5, &["g"]), (2, 32, &["f + 0x1"])]);
    assert_eq!(split, trace(&[(5, 5, &["g"]), (3, 40, &["f + 0x1"])]));
    assert_ne!(split, trace(&[(5, 5, &["g"]), (3, 40, &["f + 0x2"])]), "offsets count");
}

#[test]
fn what_is_no_trace_is_refused_with_its_place_and_what_to_do() {
    let array = "a saved memory trace is an array of objects with `count`, `bytes` and `traceback`";
    let cut_off = "the file is cut off: save it again";
    let damaged = "the file is damaged: save it again";
    let cases = [
        ("", "a.json: it is empty; save the trace again".to_owned()),
        (" \n", "a.json: it is empty; save the trace again".to_owned()),
        (
            "Thread 0 vpp_main",
            "a.json: it is no memory trace; save one with VPP's `save memory-trace`, or with \
             `leaksnap run --all --format json`"
                .to_owned(),
        ),
        ("[", format!("a.json:1:1: EOF while parsing a list; {cut_off}")),
        (
            "[{\"count\":1,\n\"bytes\":8,\"traceba",
            format!("a.json:2:18: EOF while parsing a string; {cut_off}"),
        ),
        (r#"[{"count":NaN}]"#, format!("a.json:1:11: expected value; {damaged}")),
        (r#"[] []"#, format!("a.json:1:4: trailing characters; {damaged}")),
        (
            r#"[{"count":-1,"bytes":8,"traceback":["f"]}]"#,
            format!("a.json:1:12: invalid value: integer `-1`, expected u64; {array}"),
        ),
        (
            r#"[{"count":1,"bytes":8.5,"traceback":["f"]}]"#,
            format!("a.json:1:23: invalid type: floating point `8.5`, expected u64; {array}"),
        ),
        (
            r#"[{"count":18446744073709551616,"bytes":8,"traceback":["f"]}]"#,
            format!(
                "a.json:1:30: invalid type: floating point `1.8446744073709552e+19`, expected u64; \
                 {array}"
            ),
        ),
        (
            r#"[{"count":1,"bytes":1e999,"traceback":["f"]}]"#,
            format!("a.json:1:25: number out of range; {damaged}"),
        ),
        (
            r#"[{"count":"1","bytes":8,"traceback":["f"]}]"#,
            format!("a.json:1:13: invalid type: string \"1\", expected u64; {array}"),
        ),
        (
            r#"[{"bytes":8,"traceback":["f"]}]"#,
            format!("a.json:1:30: missing field `count`; {array}"),
        ),
        (
            r#"[{"count":1,"bytes":8,"traceback":[140]}]"#,
            format!("a.json:1:38: invalid type: integer `140`, expected a string; {array}"),
        ),
        ("[3]", format!("a.json:1:2: invalid type: integer `3`, expected an object; {array}")),
        (
            r#"[{"count":1,"bytes":8,"traceback":["f"]},{"count":1,"bytes":8,"traceback":[]}]"#,
            "a.json: element 2: its traceback is empty; save it again".to_owned(),
        ),
        (
            r#"[{"count":1,"bytes":8,"traceback":["f", " "]}]"#,
            "a.json: element 1: frame 2 of its traceback, ``, is empty; save it again".to_owned(),
        ),
        (
            r#"[{"count":1,"bytes":8,"traceback":["f + 0x+1"]}]"#,
            "a.json: element 1: frame 1 of its traceback, `f + 0x+1`, has no offset of 64 bits \
             behind ` + 0x`; save it again"
                .to_owned(),
        ),
        (
            r#"[{"count":1,"bytes":8,"traceback":["0x10000000000000000"]}]"#,
            "a.json: element 1: frame 1 of its traceback, `0x10000000000000000`, is no address; \
             save it again"
                .to_owned(),
        ),
        (
            r#"[{"count":1,"bytes":8,"traceback":["0x"]}]"#,
            "a.json: element 1: frame 1 of its traceback, `0x`, is no address; save it again"
                .to_owned(),
        ),
        (
            r#"[{"count":1,"bytes":8,"traceback":["f\nleak: 1"]}]"#,
            "a.json: element 1: frame 1 of its traceback has a control character; save it again"
                .to_owned(),
        ),
        (
            r#"[{"count":1,"bytes":18446744073709551615,"traceback":["f"]},
                {"count":1,"bytes":1,"traceback":["g"]}]"#,
            "a.json: element 2: it makes more objects or bytes than fit in 64 bits; save it again"
                .to_owned(),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(refused(text), expected, "{text}");
    }
}

#[test]
fn a_trace_that_was_cut_off_anywhere_is_refused() {
    let text = r#"[{"count":12,"bytes":96,"sample":"0x7f00","traceback":["f + 0x9","0x7f01"]}]"#;
    for end in 0..text.len() {
        assert!(parse("a.json", &text.as_bytes()[..end]).is_err(), "{}", &text[..end]);
    }
    assert_eq!(saved(text), trace(&[(12, 96, &["f + 0x9", "0x7f01"])]));
}

#[test]
fn a_report_is_a_trace() {
    let symbol = r#"[{"function": "f", "module": "a.so", "offset": 9, "file": "/src/a.c",
        "line": 7, "inlined": false}]"#;
    let moved = symbol.replace("\"offset\": 9", "\"offset\": 21");
    let other = r#"[{"function": null, "module": "a.so", "offset": 9}]"#;
    let trace = saved(&report(WHOLE, &[symbol, &moved, other]));
    assert_eq!(trace.form, Form::Report);
    let rows: Vec<_> = trace.rows.iter().map(|(key, row)| (key[0].as_str(), row.live)).collect();
    let live = |objects, bytes| Live { objects, bytes };
    assert_eq!(rows, [("a.so+0x9", live(2, 20)), ("f  a.so  a.c", live(4, 40))]);
    let frame = &trace.rows[&vec!["f  a.so  a.c".to_owned()]].frames[0];
    assert_eq!((frame.file.as_deref(), frame.line), (Some("/src/a.c"), Some(7)));
}

#[test]
fn another_object_is_no_report() {
    let neither = "a.json: it is no memory trace, which is an array, and no `leaksnap-report`, which \
                   says so in `format`; save one with VPP's `save memory-trace`, or with `leaksnap \
                   run --all --format json`";
    assert_eq!(refused("{}"), neither);
    assert_eq!(refused(r#"{"format": "sarif", "version": 1}"#), neither);
    let again = "write it again with `leaksnap run --all --format json`";
    let newer = report(WHOLE, &[]).replace("\"version\": 1", "\"version\": 2");
    let expected = format!("a.json: its `version` is 2, this leaksnap reads 1; {again}");
    assert_eq!(refused(&newer), expected);
    assert_eq!(
        refused(&report("{}", &[])),
        format!("a.json:2:58: missing field `active`; {again}")
    );
    assert_eq!(
        refused(&report(WHOLE, &["[]"])),
        format!("a.json: group 1: its traceback is empty; {again}")
    );
}

#[test]
fn a_report_that_was_not_checked_is_no_half_of_a_comparison() {
    for tracing in [
        r#"{"active": false, "complete": false}"#,
        r#"{"active": true, "complete": false}"#,
        r#"{"active": false, "complete": true}"#,
    ] {
        let expected = "not checked: a.json: its tracing was not complete; what is not checked is not \
                        clean";
        assert_eq!(refused(&report(tracing, &[])), expected);
    }
    let killed = report(WHOLE, &[]).replace("\"signal\": null", "\"signal\": 11");
    assert!(matches!(parse("a.json", killed.as_bytes()), Err(TraceError::NotChecked(_))));
    let expected =
        "not checked: a.json: signal 11 ended its program; what is not checked is not clean";
    assert_eq!(refused(&killed), expected);
}

#[test]
fn what_a_program_started_counts_with_it() {
    let group = r#"{"blocks": 1, "bytes": 77, "frames": [{"function": "lose", "module": "p", "offset": 4, "file": null, "line": null}]}"#;
    let with = |tracing: &str| {
        let started = format!(
            "\"descendants\": [{{\"command\": \"p\", \"tracing\": {tracing}, \"groups\": [{group}]}}], \"groups\""
        );
        report(WHOLE, &[]).replacen("\"groups\"", &started, 1)
    };
    let before = parse("a.json", report(WHOLE, &[]).as_bytes()).expect("a report");
    let after = parse("b.json", with(WHOLE).as_bytes()).expect("a report");
    assert_ne!(before, after);
    let expected = "not checked: a.json: the tracing of p, which it started, was not complete; what is \
                    not checked is not clean";
    assert_eq!(refused(&with(r#"{"active": true, "complete": false}"#)), expected);
}

/// A traceback of one frame, and its objects and bytes before and after.
type Case = (&'static str, (u64, u64), (u64, u64));

/// The traces before and after; two objects of `steady` are in both.
fn pair(cases: &[Case]) -> (Trace, Trace) {
    let side = |pick: fn(&Case) -> (u64, u64)| {
        let there = cases.iter().filter(|case| pick(case).0 > 0);
        let row = |case| (pick(case).0, pick(case).1, std::slice::from_ref(&case.0));
        let steady = (2, 16, &["steady"][..]);
        trace(&there.map(row).chain([steady]).collect::<Vec<_>>())
    };
    (side(|case| case.1), side(|case| case.2))
}

#[test]
fn only_what_grew_in_step_is_a_leak_of_iterations() {
    let (before, after) = pair(&[
        ("once", (3, 24), (7, 56)),
        ("twice", (3, 24), (11, 88)),
        ("new", (0, 0), (4, 8)),
        ("cache", (0, 0), (3, 900)),
        ("more than one each", (1, 8), (7, 50)),
        ("vector", (1, 64), (1, 128)),
        ("merged", (3, 24), (1, 100)),
        ("smaller", (4, 400), (8, 300)),
        ("shrunk", (8, 64), (4, 32)),
        ("gone", (8, 64), (0, 0)),
    ]);
    let text = |name: &str| name.to_owned();
    let groups = between(&before, &after, Some(4)).groups;
    let expected = [
        (Verdict::Leak, 8, 64, text("twice")),
        (Verdict::Leak, 4, 32, text("once")),
        (Verdict::Leak, 4, 8, text("new")),
        (Verdict::Leak, 4, 0, text("smaller")),
        (Verdict::OneTime, 3, 900, text("cache")),
        (Verdict::OneTime, 0, 76, text("merged")),
        (Verdict::OneTime, 0, 64, text("vector")),
        (Verdict::OneTime, 6, 42, text("more than one each")),
    ];
    assert_eq!(seen(&groups), expected);
    let each = |group: &Group| (group.blocks_per_iteration, group.bytes_per_iteration);
    assert_eq!(each(&groups[0]), (2.0, 16.0));
    assert_eq!(each(&groups[3]), (1.0, 0.0));
    assert_eq!(each(&groups[4]), (0.0, 0.0));
}

#[test]
fn one_iteration_is_in_step_with_any_number_of_objects() {
    let (before, after) = pair(&[("f", (0, 0), (3, 24)), ("vector", (1, 8), (1, 16))]);
    let verdicts = |iterations| -> Vec<_> {
        let growth = between(&before, &after, iterations);
        growth.groups.iter().map(|group| (group.verdict, group.blocks_per_iteration)).collect()
    };
    assert_eq!(verdicts(Some(1)), [(Verdict::Leak, 3.0), (Verdict::OneTime, 0.0)]);
    assert_eq!(verdicts(None), [(Verdict::Leak, 3.0), (Verdict::Growth, 0.0)]);
}

#[test]
fn nothing_grew_from_a_trace_to_itself_or_backwards() {
    let (before, after) = pair(&[("f", (1, 8), (5, 40)), ("g", (1, 8), (1, 16))]);
    for iterations in [None, Some(1), Some(4)] {
        for (one, other) in [(&before, &before), (&after, &after), (&after, &before)] {
            assert_eq!(between(one, other, iterations).groups, []);
        }
    }
}

#[test]
fn a_snapshot_has_neither_offsets_nor_addresses_and_adds_up_what_is_the_same_then() {
    let after = trace(&[
        (4, 32, &["new + 0x1", "0x7f00", "run + 0x5"]),
        (8, 64, &["new + 0x1", "0x7f08", "run + 0x5"]),
        (4, 96, &["new + 0x2", "0x7f00", "run + 0x5"]),
        (4, 16, &["a.so + 0x1", "run + 0x5"]),
    ]);
    let growth = between(&trace(&[]), &after, Some(4));
    assert_eq!(growth.groups.len(), 4);
    let body = crate::snapshot::write(&crate::snapshot::found(&growth.without_addresses()));
    let expected = "\
leak: 1 block, 4 bytes per iteration
    a.so+0x1
    run

leak: 4 blocks, 48 bytes per iteration
    new
    <unknown code>
    run
";
    assert_eq!(body, expected);
}

#[test]
fn a_leak_among_growths_of_one_traceback_is_the_snapshot_s() {
    let before = trace(&[(1, 8, &["vector + 0x1"]), (1, 8, &["vector + 0x2"])]);
    let after = trace(&[(1, 800, &["vector + 0x1"]), (2, 16, &["vector + 0x2"])]);
    let growth = between(&before, &after, None);
    assert_eq!(growth.groups[0].verdict, Verdict::Growth);
    let body = crate::snapshot::write(&crate::snapshot::found(&growth.without_addresses()));
    assert_eq!(body, "leak: 1 block, 800 bytes per iteration\n    vector\n");
}

#[test]
fn what_shrank_is_counted_as_what_grows_the_other_way_round() {
    let before = trace(&[(20, 200, &["a"]), (3, 30, &["b"]), (5, 90, &["c"]), (1, 8, &["d"])]);
    let after = trace(&[(10, 100, &["a"]), (5, 80, &["c"]), (1, 8, &["d"]), (1, 1, &["e"])]);
    let shrunk = |iterations| {
        let Shrunk { all, in_step } = between(&before, &after, iterations).shrunk;
        (all, in_step)
    };
    assert_eq!([None, Some(10), Some(7), Some(1)].map(shrunk), [(3, 3), (3, 1), (3, 0), (3, 2)]);
    assert_eq!(between(&after, &before, Some(10)).shrunk, Shrunk { all: 1, in_step: 0 });
}

#[test]
fn another_step_is_that_of_the_most_tracebacks() {
    let before = trace(&[]);
    let other = |counts: &[u64], iterations| {
        let names: Vec<String> = (0..counts.len()).map(|number| format!("f{number}")).collect();
        let each: Vec<[&str; 1]> = names.iter().map(|name| [name.as_str()]).collect();
        let elements: Vec<(u64, u64, &[&str])> =
            counts.iter().zip(&each).map(|(count, name)| (*count, 8, name.as_slice())).collect();
        between(&before, &trace(&elements), Some(iterations)).other_step()
    };
    assert_eq!(other(&[8, 8, 8, 3, 3], 10), Some((8, 3)));
    assert_eq!(other(&[8, 8, 8], 8), None, "they are in step");
    assert_eq!(other(&[8, 8, 10], 10), Some((8, 2)), "more than those in step");
    assert_eq!(other(&[8, 8, 10, 20], 10), None);
    assert_eq!(other(&[8, 7, 9], 10), None, "each by itself");
    assert_eq!(other(&[1, 1, 1], 10), None, "one object each is what a session leaves");
}

#[test]
fn a_mark_of_utf_8_is_passed_over() {
    let plain = r#"[{"count": 1, "bytes": 8, "traceback": ["f + 0x1"]}]"#;
    assert_eq!(saved(&format!("\u{feff}{plain}")), saved(plain));
    let report = report(WHOLE, &[]);
    assert_eq!(saved(&format!("\u{feff}{report}")), saved(&report));
    assert!(parse("a.json", "\u{feff}\u{feff}[]".as_bytes()).is_err(), "one is enough");
}
