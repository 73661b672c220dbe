//! Signs that a comparison was asked for in another way than it was meant: notes, which change no
//! verdict, and "not checked" where a verdict could be a false one.

use harness_tests::trials::read;
use harness_tests::{Ended, Workplace};

use super::{diff, place};

/// The status of a comparison that found nothing, and its notes.
fn notes(place: &Workplace, arguments: &[&str]) -> (Option<i32>, Vec<String>) {
    let Ended { status, stderr, .. } = diff(place, arguments);
    let notes = stderr.lines().filter_map(|line| line.strip_prefix("note: "));
    (status, notes.map(str::to_owned).collect())
}

/// An array of tracebacks of one frame, with so many objects each.
fn array(counts: &[(&str, u64)]) -> String {
    let elements: Vec<_> = counts
        .iter()
        .map(|(name, count)| {
            let bytes = 8 * count;
            format!(r#"{{"count": {count}, "bytes": {bytes}, "traceback": ["{name} + 0x1"]}}"#)
        })
        .collect();
    format!("[{}]", elements.join(", "))
}

#[test]
fn a_swapped_pair_is_asked_about() {
    let place = place();
    let pair = ["warm-plus-10.json", "warm.json", "--iterations", "10"];
    let note = "10 tracebacks lost as many objects in each of 10 iterations from warm-plus-10.json to \
                warm.json, and none has more: the two files may be swapped";
    let (status, found) = notes(&place, &pair);
    assert_eq!((status, found.last().map(String::as_str)), (Some(0), Some(note)));

    place.write("less.json", &array(&[("a", 2), ("b", 5)]));
    place.write("more.json", &array(&[("a", 10), ("b", 5), ("c", 8)]));
    place.write("other.json", &array(&[("a", 2), ("b", 6), ("c", 8)]));
    let note = "every traceback that is not the same shrank or vanished from more.json to less.json: \
                the two files may be swapped";
    for more in [&[][..], &["--iterations", "8"], &["--iterations", "3"]] {
        let found = notes(&place, &[&["more.json", "less.json"], more].concat());
        assert_eq!(found, (Some(0), vec![note.to_owned()]), "{more:?}");
    }
    // What is the same, what grew, and what grew beside what shrank is no such pair.
    for (pair, status) in [
        (["less.json", "less.json"], 0),
        (["less.json", "more.json"], 1),
        (["more.json", "other.json"], 1),
    ] {
        let (found, notes) = notes(&place, &pair);
        let is_asked = notes.iter().any(|note| note.contains("swapped"));
        assert_eq!((found, is_asked), (Some(status), false), "{pair:?}");
    }
}

#[test]
fn a_file_without_an_allocation_is_named() {
    let place = place();
    place.write("none.json", "[]\n");
    let note = "none.json holds no allocation: tracing may have been off when it was saved";
    for (pair, status) in [
        (["none.json", "warm.json"], 1),
        (["warm.json", "none.json"], 0),
        (["none.json", "none.json"], 0),
    ] {
        let (found, notes) = notes(&place, &pair);
        let times = pair.iter().filter(|name| **name == "none.json").count();
        assert_eq!(notes.iter().filter(|found| *found == note).count(), times, "{notes:?}");
        assert!(!notes.iter().any(|note| note.contains("swapped")), "{notes:?}");
        assert_eq!(found, Some(status), "{pair:?}");
    }
}

#[test]
fn steps_of_another_number_of_iterations_are_named() {
    let place = place();
    let pair = ["warm.json", "warm-plus-10.json", "--iterations"];
    let (status, found) = notes(&place, &[&pair[..], &["8"]].concat());
    let note = "10 tracebacks grew by 10 objects each; with `--iterations 10` they would be leaks";
    assert!(found.iter().any(|found| found == note), "{found:?}");
    assert_eq!(status, Some(0), "the verdict is that of the number that was given");
    for right in ["10", "5"] {
        let (status, found) = notes(&place, &[&pair[..], &[right]].concat());
        assert!(!found.iter().any(|found| found.contains("objects each")), "{found:?}");
        assert_eq!(status, Some(1));
    }
}

/// A report without `--all` has what failed alone: nothing is clean that it is compared with.
#[test]
fn a_report_without_all_is_not_checked_where_nothing_is_found() {
    let place = place();
    place.add_plugin("leaks_per_call");
    let scenario = |name: &str, steps: &[&str]| {
        let text = format!("plugins = [\"./leaks_per_call.so\"]\nsteps = {steps:?}\nrepeat = 8\n");
        place.write(name, &text);
    };
    scenario("1.toml", &["forget"]);
    scenario("2.toml", &["forget", "forget"]);
    for (name, all) in [("1", true), ("2", true), ("1", false), ("2", false)] {
        let file = format!("{name}{}.json", if all { "-all" } else { "" });
        let flags: &[&str] = if all { &["--all"] } else { &[] };
        let scenario = format!("{name}.toml");
        let rest = ["--format", "json", "--output", &file, &scenario];
        let ended = place.run([&["run"], flags, &rest].concat());
        assert_eq!(ended.status, Some(1), "{}", ended.stderr);
        let has_word = read(&place.path(&file)).contains("\n  \"all\": true,\n");
        assert_eq!(has_word, all, "{file}");
    }
    assert_eq!(notes(&place, &["2-all.json", "2-all.json"]), (Some(0), Vec::new()));
    for pair in [["2.json", "2.json"], ["2-all.json", "2.json"], ["2.json", "2-all.json"]] {
        for more in [&[][..], &["--iterations", "8"]] {
            let ended = diff(&place, &[&pair[..], more].concat());
            let error = "leaksnap: not checked: 2.json has what failed alone; write it again with \
                         `--all`; what is not checked is not clean\n";
            assert_eq!((ended.status, ended.stderr.as_str()), (Some(3), error), "{pair:?}");
        }
    }
    // What grew is a leak all the same, but no snapshot hears of it.
    let pair = ["1.json", "2-all.json", "--iterations", "8"];
    let (status, found) = notes(&place, &pair);
    let note = "1.json has what failed alone: what it has not counts as nothing; write it again with \
                `--all`";
    assert!(found.iter().any(|found| found == note), "{found:?}");
    assert_eq!(status, Some(1));
    let ended = diff(&place, &[&pair[..], &["--snapshot", "forgets"]].concat());
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(3), ""), "{}", ended.stderr);
    assert!(!place.path("snapshots/forgets.snap.new").exists());
}

/// Accepts an object of `a` in each iteration, with something pending; the snapshot's text.
fn accepted(place: &Workplace) -> String {
    let text = "---\nsource: a\n---\nleak: 1 block, 8 bytes per iteration\n    a\n";
    place.write("snapshots/one.snap", text);
    place.write("snapshots/one.snap.new", "older");
    text.to_owned()
}

#[test]
fn with_a_suspicion_no_snapshot_is_asked() {
    let place = place();
    place.write("none.json", "[]");
    place.write("steady.json", &array(&[("a", 2), ("b", 5), ("c", 5)]));
    place.write("grown.json", &array(&[("a", 12), ("b", 5), ("c", 5)]));
    place.write("lost.json", &array(&[("a", 12), ("b", 8), ("c", 8)]));
    let text = accepted(&place);
    let gate = |pair: [&str; 2], variable: (&str, &str)| {
        let arguments = ["diff", pair[0], pair[1], "--iterations", "10", "--snapshot", "one"];
        place.end(place.command(arguments).envs([variable]))
    };
    let cases = [
        (
            ["steady.json", "none.json"],
            "none.json holds no allocation: tracing may have been off when it was saved",
        ),
        (
            ["none.json", "grown.json"],
            "none.json holds no allocation: tracing may have been off when it was saved",
        ),
        (
            ["none.json", "none.json"],
            "none.json holds no allocation: tracing may have been off when it was saved; none.json holds no \
             allocation: tracing may have been off when it was saved",
        ),
        (
            ["grown.json", "steady.json"],
            "every traceback that is not the same shrank or vanished from grown.json to steady.json: the two \
             files may be swapped",
        ),
        (
            ["steady.json", "lost.json"],
            "2 tracebacks grew by 3 objects each; with `--iterations 3` they would be leaks",
        ),
    ];
    for (pair, reason) in cases {
        for variable in
            [("LEAKSNAP_STRICT", "1"), ("INSTA_UPDATE", "always"), ("INSTA_UPDATE", "new")]
        {
            let ended = gate(pair, variable);
            let error =
                format!("leaksnap: not checked: {reason}; what is not checked is not clean\n");
            assert_eq!((ended.status, ended.stdout.as_str()), (Some(3), ""), "{pair:?}");
            assert_eq!(ended.stderr, error, "{pair:?}");
            assert_eq!(read(&place.path("snapshots/one.snap")), text, "{pair:?}");
            assert_eq!(read(&place.path("snapshots/one.snap.new")), "older", "{pair:?}");
        }
    }
    // Without one it is a note.
    for (pair, reason) in cases {
        let (_, found) = notes(&place, &[&pair[..], &["--iterations", "10"]].concat());
        assert!(found.iter().any(|note| reason.starts_with(note.as_str())), "{pair:?}: {found:?}");
    }
    assert_eq!(gate(["steady.json", "grown.json"], ("LEAKSNAP_STRICT", "1")).status, Some(0));
}

#[test]
fn one_iteration_is_one() {
    let place = place();
    place.write("before.json", &array(&[("a", 2)]));
    place.write("after.json", r#"[{"count": 2, "bytes": 32, "traceback": ["a + 0x1"]}]"#);
    let (status, found) = notes(&place, &["before.json", "after.json", "--iterations", "1"]);
    let note = "1 more grew, but not by as many objects in the 1 iteration; `--all` shows them";
    assert_eq!((status, found), (Some(0), vec![note.to_owned()]));
}
