//! `save memory-trace`, and `leaksnap diff` on what it wrote.

use harness_tests::trials::read;
use serde_json::Value;

use super::{place, replay, said};

#[test]
fn two_saved_traces_differ_by_what_was_forgotten_between_them() {
    let place = place(&["leaks_per_call"]);
    let forget = "forget\n".repeat(7);
    let input = format!(
        "memory-trace on main-heap\nload plugin ./leaks_per_call.so\nforget\n\
         save memory-trace before.json\n{forget}save memory-trace after.json\n"
    );
    let run = replay(&place, &[], &input);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.text());
    let ended = place.run(["diff", "before.json", "after.json", "--iterations", "7"]);
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    let leak = "1 leak in after.json since before.json: 1 block, 48 bytes per iteration\n";
    assert!(ended.stderr.starts_with(leak), "{}", ended.stderr);
    assert!(ended.stderr.contains("    forget_block + 0x"), "{}", ended.stderr);
    assert_eq!(place.run(["diff", "after.json", "after.json"]).status, Some(0));
}

#[test]
fn a_saved_trace_has_what_the_table_shows() {
    let place = place(&["leaks_per_call"]);
    let input = "memory-trace on\nload plugin leaks_per_call.so\nforget\nforget\n\
                 show memory verbose\nsave memory-trace \"all of it.json\"\n";
    let run = replay(&place, &[], input);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.text());
    let text = run.text();
    let (_, table) = said(&text, "show memory verbose").split_once("Traceback\n").expect("a table");
    let saved: Value = serde_json::from_str(&read(&place.path("all of it.json"))).expect("JSON");
    let saved = saved.as_array().expect("an array");
    let mut written = String::new();
    for row in saved {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let [bytes, count] = ["bytes", "count"].map(|key| row[key].as_u64().expect("a number"));
        let numbers = format!("{bytes:>9} {count:>8} {}", text(&row["sample"]));
        let mut left = numbers.as_str();
        for frame in row["traceback"].as_array().expect("an array") {
            written += &format!("{left:33} {}\n", text(frame));
            left = "";
        }
    }
    let total: u64 = saved.iter().map(|row| row["count"].as_u64().expect("a number")).sum();
    assert_eq!(table, format!("{written}{total} total traced objects\n"));
    assert!(saved.len() > 1, "the loader has allocated too");
}

#[test]
fn twenty_thousand_sites_are_twenty_thousand_rows() {
    let place = place(&["makes_many_sites"]);
    let input = "memory-trace on\nload plugin makes_many_sites.so\nmake sites\nshow memory\n\
                 show memory verbose\nsave memory-trace many.json\nmake sites repaired\n\
                 show memory main-heap\n";
    let run = replay(&place, &[], input);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let text = run.text();
    let rows = |command: &str| said(&text, command).matches(" keep + 0x").count();
    assert_eq!((rows("show memory"), rows("show memory verbose")), (50, 20_000));
    assert_eq!(rows("show memory main-heap"), 0);
    let saved: Value = serde_json::from_str(&read(&place.path("many.json"))).expect("JSON");
    let made = |row: &&Value| row["traceback"][0].as_str().is_some_and(|it| it.starts_with("keep"));
    let bytes = saved.as_array().expect("an array").iter().filter(made);
    let bytes: u64 = bytes.map(|row| row["bytes"].as_u64().expect("a number")).sum();
    let expected: u64 = (0..20_000).map(|site| 16 + site % 4096).sum();
    assert_eq!(bytes, expected);
}

#[test]
fn what_was_never_traced_is_not_saved() {
    let place = place(&["leaks_per_call", "crashes_in_step"]);
    let plugins = ["--plugin", "./leaks_per_call.so", "--plugin", "./crashes_in_step.so"];
    let error = "leaksnap: save memory-trace it.json: tracing is off, and nothing was traced; write \
                 `memory-trace on main-heap` first\n";
    let run = replay(&place, &plugins, "forget\nsave memory-trace it.json\n");
    assert_eq!((run.code, run.stderr.as_str()), (Some(2), error));
    assert!(!place.path("it.json").exists());

    // What was traced before it was turned off, or by a check, is there; not in another host.
    for before in ["memory-trace on\nforget\nmemory-trace off\n", "leak-check { forget }\n"] {
        let _ = replay(&place, &plugins, &format!("{before}save memory-trace it.json\n"));
        assert!(read(&place.path("it.json")).contains("forget_block + 0x"), "{before}");
        std::fs::remove_file(place.path("it.json")).expect("it is there");
        let run = replay(&place, &plugins, &format!("{before}crash\nsave memory-trace it.json\n"));
        assert!(run.stderr.ends_with(error), "{before}: {}", run.stderr);
        assert!(!place.path("it.json").exists(), "{before}");
    }
}
