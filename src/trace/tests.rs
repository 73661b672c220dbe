//! What is read, what is refused and in which words; what grows is in a file of its own.

mod growth;

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

#[test]
fn a_mark_of_utf_8_is_passed_over() {
    let plain = r#"[{"count": 1, "bytes": 8, "traceback": ["f + 0x1"]}]"#;
    assert_eq!(saved(&format!("\u{feff}{plain}")), saved(plain));
    let report = report(WHOLE, &[]);
    assert_eq!(saved(&format!("\u{feff}{report}")), saved(&report));
    assert!(parse("a.json", "\u{feff}\u{feff}[]".as_bytes()).is_err(), "one is enough");
}
