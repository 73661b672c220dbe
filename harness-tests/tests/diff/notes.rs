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
                warm.json, and none has more: are the two files swapped?";
    let (status, found) = notes(&place, &pair);
    assert_eq!((status, found.last().map(String::as_str)), (Some(0), Some(note)));

    place.write("less.json", &array(&[("a", 2), ("b", 5)]));
    place.write("more.json", &array(&[("a", 10), ("b", 5), ("c", 8)]));
    place.write("other.json", &array(&[("a", 2), ("b", 6), ("c", 8)]));
    let note = "every traceback that is not the same shrank or vanished from more.json to less.json: \
                are the two files swapped?";
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
    let note = "none.json holds no allocation: was tracing on when it was saved?";
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
    let step = |name: &str, step: &str, repeat: u32| {
        let text = format!(
            "plugins = [\"./leaks_per_call.so\"]\nsteps = [\"{step}\"]\nrepeat = {repeat}\n"
        );
        place.write(name, &text);
    };
    step("4.toml", "forget", 4);
    step("12.toml", "forget", 12);
    for (name, all) in [("4", true), ("12", true), ("4", false), ("12", false)] {
        let file = format!("{name}{}.json", if all { "-all" } else { "" });
        let flags: &[&str] = if all { &["--all"] } else { &[] };
        let scenario = format!("{name}.toml");
        let rest = ["--format", "json", "--output", &file, &scenario];
        let ended = place.run([&["run"], flags, &rest].concat());
        assert_eq!(ended.status, Some(1), "{}", ended.stderr);
        let has_word = read(&place.path(&file)).contains("\n  \"all\": true,\n");
        assert_eq!(has_word, all, "{file}");
    }
    assert_eq!(notes(&place, &["12-all.json", "12-all.json"]), (Some(0), Vec::new()));
    for pair in [["12.json", "12.json"], ["12-all.json", "12.json"], ["12.json", "12-all.json"]] {
        for more in [&[][..], &["--iterations", "8"]] {
            let ended = diff(&place, &[&pair[..], more].concat());
            let error = "leaksnap: not checked: 12.json has what failed alone; write it again with \
                         `--all`; what is not checked is not clean\n";
            assert_eq!((ended.status, ended.stderr.as_str()), (Some(3), error), "{pair:?}");
        }
    }
    // What grew is a leak all the same, but no snapshot hears of it.
    let pair = ["4.json", "12-all.json", "--iterations", "8"];
    let (status, found) = notes(&place, &pair);
    let note = "4.json has what failed alone: what it has not counts as nothing; write it again with \
                `--all`";
    assert!(found.iter().any(|found| found == note), "{found:?}");
    assert_eq!(status, Some(1));
    let ended = diff(&place, &[&pair[..], &["--snapshot", "forgets"]].concat());
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(3), ""), "{}", ended.stderr);
    assert!(!place.path("snapshots/forgets.snap.new").exists());
}
