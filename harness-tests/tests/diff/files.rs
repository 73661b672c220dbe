//! What is read and what is refused, with the exit status and the words for it.

use harness_tests::trials::read;

use super::{diff, place};

#[test]
fn a_wrong_command_line_or_file_is_status_2_and_says_where() {
    let place = place();
    place.write("empty.json", "");
    place.write("cut.json", &read(&place.path("warm.json"))[..200]);
    place.write("other.json", r#"{"results": []}"#);
    place.write("one.json", r#"[{"count": 1, "bytes": 8, "traceback": []}]"#);
    place.write(
        "report.json",
        r#"{"format": "leaksnap-report", "version": 1, "exit": {},
        "tracing": {"active": true, "complete": true}, "groups": []}"#,
    );
    let files = [
        ("nowhere.json", "leaksnap: nowhere.json: No such file or directory (os error 2)\n"),
        ("empty.json", "leaksnap: empty.json: it is empty; save the trace again\n"),
        (
            "cut.json",
            "leaksnap: cut.json:1:200: EOF while parsing a string; the file is cut off: save it \
             again\n",
        ),
        (
            "other.json",
            "leaksnap: other.json: it is no memory trace, which is an array, and no \
             `leaksnap-report`, which says so in `format`; save one with VPP's `save \
             memory-trace`, or with `leaksnap run --all --format json`\n",
        ),
        ("one.json", "leaksnap: one.json: element 1: its traceback is empty; save it again\n"),
    ];
    for (file, text) in files {
        for arguments in [[file, "warm.json"], ["warm.json", file]] {
            let ended = diff(&place, &arguments);
            assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}");
            assert_eq!(ended.stderr, text, "{arguments:?}");
        }
    }
    let lines: [(&[&str], &str); 8] = [
        (&["warm.json"], "<AFTER>"),
        (&["warm.json", "warm.json", "--iterations", "0"], "0 is not in 1.."),
        (&["warm.json", "warm.json", "--iterations", "-1"], "-1 is not in 1.."),
        (&["warm.json", "warm.json", "--iterations", "ten"], "ten"),
        (&["warm.json", "warm.json", "--snapshot", "../crypto"], "it has to be a name"),
        (&["warm.json", "warm.json", "--output", "nowhere/report"], "nowhere/report"),
        (&["warm.json", "warm.json", "--snapshots", "elsewhere"], "--snapshot <NAME>"),
        (
            &["warm.json", "report.json"],
            "warm.json is a saved memory trace, report.json is a JSON report; their tracebacks \
             can't be paired: take two of one kind",
        ),
    ];
    for (arguments, text) in lines {
        let ended = diff(&place, arguments);
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(ended.stderr.contains(text), "{arguments:?}: {}", ended.stderr);
    }
}
