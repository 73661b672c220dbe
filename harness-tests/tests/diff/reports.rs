//! JSON reports of this crate, compared as saved traces are.

use std::fs;

use harness_tests::trials::read;
use harness_tests::{Ended, Workplace};

use super::{diff, numbers, place, report};

/// A folder with a plugin that leaks 48 bytes in a step, and reports of scenarios with that step once
/// and twice an iteration, and with one that leaks nothing: `1.json`, `2.json` and `none.json`, of eight
/// iterations.
fn reports() -> Workplace {
    let place = place();
    place.add_plugin("leaks_per_call");
    write(&place, "1", &["forget"], 8);
    write(&place, "2", &["forget", "forget"], 8);
    write(&place, "none", &["help"], 8);
    place
}

/// Writes the report `name`.json of a scenario.
#[track_caller]
fn write(place: &Workplace, name: &str, steps: &[&str], repeat: u32) {
    let scenario =
        format!("plugins = [\"./leaks_per_call.so\"]\nsteps = {steps:?}\nrepeat = {repeat}\n");
    let file = format!("{name}.toml");
    place.write(&file, &scenario);
    let report = format!("{name}.json");
    let ended = place.run(["run", "--all", "--format", "json", "--output", &report, &file]);
    let leaks = steps.contains(&"forget");
    assert_eq!(ended.status, Some(leaks.into()), "{}", ended.stderr);
}

/// What `diff` says of an error.
fn refused(place: &Workplace, arguments: &[&str]) -> (Option<i32>, String) {
    let Ended { status, stdout, stderr, .. } = diff(place, arguments);
    assert_eq!(stdout, "", "{arguments:?}");
    (status, stderr)
}

#[test]
fn two_reports_of_a_scenario_are_compared_as_traces_are() {
    let place = reports();
    let (status, report) = report(&place, &["1.json", "2.json", "--iterations", "8"]);
    assert_eq!(status, Some(1), "{report}");
    let leaks = report["groups"].as_array().expect("a list");
    assert_eq!(leaks.len(), 1, "{report}");
    assert_eq!(numbers(&leaks[0]), [8.0, 384.0, 1.0, 48.0]);
    assert_eq!(leaks[0]["frames"][0]["module"], "leaks_per_call.so", "{report}");
    let text = diff(&place, &["1.json", "2.json", "--iterations", "8"]).stderr;
    assert!(text.contains("  leaks_per_call.so"), "{text}");
    assert_eq!(diff(&place, &["2.json", "1.json"]).status, Some(0));
    let text = diff(&place, &["1.json", "2.json"]).stderr;
    let note =
        "\nnote: without `--iterations 8` all that grew counts, a cache that was filled as well\n";
    assert!(text.ends_with(note), "{text}");

    let unchecked =
        read(&place.path("2.json")).replace("\"complete\": true", "\"complete\": false");
    place.write("unchecked.json", &unchecked);
    let expected = "leaksnap: not checked: unchecked.json: its tracing was not complete; what is not \
                    checked is not clean\n";
    let found = refused(&place, &["1.json", "unchecked.json"]);
    assert_eq!(found, (Some(3), expected.to_owned()));
}

/// As many more blocks as more iterations are no leak of either.
#[test]
fn reports_of_other_iterations_are_refused() {
    let place = reports();
    write(&place, "12", &["forget"], 12);
    let unlike = "leaksnap: the `iterations` of 1.json are 8, those of 12.json 12; what so many left can't \
                  be compared: write both with the same `repeat`\n";
    for more in [&[][..], &["--iterations", "8"], &["--snapshot", "forgets"]] {
        let found = refused(&place, &[&["1.json", "12.json"], more].concat());
        assert_eq!(found, (Some(2), unlike.to_owned()), "{more:?}");
    }
    let said = "leaksnap: 1.json: its `iterations` are 8, `--iterations` says 5; say `--iterations 8`, or \
                leave it out\n";
    for (pair, expected) in [
        (["1.json", "2.json"], said.to_owned()),
        (["2.json", "1.json"], said.replace("1.json", "2.json")),
    ] {
        let found = refused(&place, &[&pair[..], &["--iterations", "5"]].concat());
        assert_eq!(found, (Some(2), expected));
    }
    assert!(!place.path("snapshots").exists());
}

/// A report says itself that it was traced.
#[test]
fn a_report_of_nothing_is_clean() {
    let place = reports();
    let none = read(&place.path("none.json"));
    assert!(none.contains("\"groups\": []") && none.contains("\"active\": true"), "{none}");
    let same = diff(&place, &["none.json", "none.json"]);
    assert_eq!(same.stderr, "no leaks in none.json since none.json\n");
    let gate = ["--iterations", "8", "--snapshot", "forgets"];
    let clean = diff(&place, &[&["none.json", "none.json"], &gate[..]].concat());
    assert_eq!(clean.status, Some(0), "{}", clean.stderr);
    let found = diff(&place, &["none.json", "1.json", "--iterations", "8"]);
    assert_eq!(found.status, Some(1));
    assert!(!found.stderr.contains("note"), "{}", found.stderr);
    // The other way round it could be the wrong way round.
    let note = "note: every traceback that is not the same shrank or vanished from 1.json to none.json: the \
                two files may be swapped\n";
    let swapped = diff(&place, &["1.json", "none.json"]);
    assert_eq!(swapped.status, Some(0));
    assert!(swapped.stderr.ends_with(note), "{}", swapped.stderr);
}

/// They are those that were asked for, which are the same in every run.
#[test]
fn bytes_of_reports_are_compared_exactly_with_a_snapshot() {
    let place = reports();
    let gate = ["none.json", "1.json", "--iterations", "8", "--snapshot", "forgets"];
    assert_eq!(diff(&place, &gate).status, Some(1));
    let pending = place.path("snapshots/forgets.snap.new");
    let text = read(&pending);
    let of = |bytes: u32| text.replace("1 block, 48 bytes", &format!("1 block, {bytes} bytes"));
    assert_ne!(of(40), text);
    fs::remove_file(pending).expect("it is there");
    for (bytes, status) in [(47, 1), (48, 0), (40, 1)] {
        place.write("snapshots/forgets.snap", &of(bytes));
        let ended = diff(&place, &gate);
        assert_eq!(ended.status, Some(status), "{bytes}: {}", ended.stdout);
    }
}

#[test]
fn a_document_of_several_scenarios_is_named_as_such() {
    let place = reports();
    let ended = place.run([
        "run",
        "--all",
        "--format",
        "json",
        "--output",
        "both.json",
        "1.toml",
        "2.toml",
    ]);
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    let expected = "leaksnap: both.json: it holds the reports of 2 scenarios, `leaksnap diff` compares one: \
                    write each into a file of its own\n";
    for pair in [["both.json", "1.json"], ["1.json", "both.json"]] {
        assert_eq!(refused(&place, &pair), (Some(2), expected.to_owned()));
    }
    place.write("more.json", &format!("{}]", read(&place.path("1.json"))));
    let (status, text) = refused(&place, &["1.json", "more.json"]);
    assert_eq!(status, Some(2));
    assert!(text.ends_with("trailing characters; the file is damaged: save it again\n"), "{text}");
}
