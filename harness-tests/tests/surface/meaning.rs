//! What the flags do.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use harness_tests::trials::{Trials, read};

use super::{CLEAN, LEAKS, SAYS, pipe, release, trials};

/// The trials in the order that `out` says them, which is that of their end.
fn order(out: &str) -> Vec<String> {
    let lines = out.lines().filter_map(|line| line.strip_prefix("test "));
    lines.filter_map(|line| Some(line.split_once(" ... ")?.0.trim_end().to_owned())).collect()
}

#[test]
fn what_children_write_is_shown_where_they_fail_and_on_request() {
    let trials = trials().scenario("says", SAYS).scenario("leaks", LEAKS);
    let run = trials.run(&[], &[]).ends_with(101);
    let failure = "the end of its output:\nhello leak\n";
    let run = run.says(&["1 traceback in leaks is not accepted", failure]);
    let _ = run.is_silent_about("hello there").is_silent_about("successes");

    let run = trials.run(&["--show-output"], &[]).ends_with(101).says(&[failure]);
    let successes =
        "successes:\n\n---- says stdout ----\nhello there\nhello there\n\nsuccesses:\n    says\n";
    let _ = run.says(&[successes]);
}

#[test]
fn uncaptured_output_comes_at_once_and_is_not_repeated() {
    for (flags, variable) in
        [(&["--nocapture"][..], "0"), (&["--no-capture", "--exact", "waits"], "0"), (&[], "1")]
    {
        let trials = trials();
        let gate = pipe(&trials, "gate");
        let script = format!("echo early; echo aside >&2; read word < {}; exit 3", gate.display());
        let trials = trials.scenario("waits", &format!("program = [\"sh\", \"-c\", {script:?}]\n"));
        let mut command = trials.command(flags, &[("RUST_TEST_NOCAPTURE", variable)]);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut text = String::new();
        // The child stands at the gate.
        while !text.ends_with("early\n") {
            assert!(out.read_line(&mut text).is_ok_and(|read| read > 0), "{text}");
        }
        release(&gate);
        out.read_to_string(&mut text).expect("a text");
        let mut errors = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut errors).expect("a text");
        assert_eq!(child.wait().expect("it ends").code(), Some(101), "{text}");
        assert!(text.contains("ended with exit code 3"), "{text}");
        assert_eq!(text.matches("early").count(), 1, "{text}");
        assert_eq!(errors, "aside\n");
    }
}

#[test]
fn an_order_at_random_is_that_of_its_seed() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let trials = names.iter().fold(trials(), |trials, name| trials.scenario(name, CLEAN));
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let one = [arguments, &["--test-threads", "1"]].concat();
        trials.run(&one, variables).ends_with(0).out
    };
    assert_eq!(order(&run(&[], &[])), names);
    let seeded = run(&["--shuffle-seed", "1"], &[]);
    assert!(seeded.contains("\nshuffle seed: 1\n"), "{seeded}");
    assert_ne!(order(&seeded), names);
    assert_eq!(order(&run(&["--shuffle-seed=1"], &[])), order(&seeded));
    assert_eq!(order(&run(&[], &[("RUST_TEST_SHUFFLE_SEED", "1")])), order(&seeded));
    assert_ne!(order(&run(&["--shuffle-seed", "2"], &[])), order(&seeded));
    for shuffled in [run(&["--shuffle"], &[]), run(&[], &[("RUST_TEST_SHUFFLE", "1")])] {
        let (_, seed) = shuffled.split_once("\nshuffle seed: ").expect("it is said");
        let seed = seed.lines().next().expect("a number");
        assert_eq!(order(&run(&["--shuffle-seed", seed], &[])), order(&shuffled));
    }
    let mut sorted = order(&seeded);
    sorted.sort();
    assert_eq!(sorted, names);
    assert_eq!(order(&run(&[], &[("RUST_TEST_SHUFFLE", "0")])), names);
    let list = run(&["--list", "--shuffle-seed", "1"], &[]);
    assert_eq!(list, "a: test\nb: test\nc: test\nd: test\ne: test\nf: test\n");
}

#[test]
fn times_are_said_and_can_be_ensured() {
    let slow = "program = [\"sleep\", \"0.3\"]\n";
    let trials = trials().scenario("quick", CLEAN).scenario("slow", slow);
    let run = trials.run(&["--report-time"], &[]).ends_with(0);
    let (_, times) = run.out.split_once("\ntimes:\n").expect("they are told");
    let times: Vec<_> = times.lines().filter_map(|line| line.trim().split_once("s  ")).collect();
    let names: Vec<_> = times.iter().map(|(_, name)| *name).collect();
    assert_eq!(names, ["slow", "quick"]);
    let took: f64 = times[0].0.parse().expect("seconds");
    assert!((0.3..60.0).contains(&took), "{took}");

    let most = ("RUST_TEST_TIME_INTEGRATION", "1,200");
    let run = trials.run(&["--ensure-time", "slow"], &[most]).ends_with(101);
    let _ = run.says(&["---- slow ----\nit took 0.", "s, more than 0.200s (`--ensure-time`"]);
    let most = ("RUST_TEST_TIME_INTEGRATION", "1,50000");
    let _ = trials.run(&["--ensure-time"], &[most]).ends_with(0);
    let _ = trials.run(&["slow"], &[("RUST_TEST_TIME_INTEGRATION", "1,2")]).ends_with(0);
}

#[test]
fn after_the_first_failure_nothing_is_started() {
    let trials = ["a", "c", "d"].iter().fold(trials(), |trials, name| trials.scenario(name, CLEAN));
    let trials = trials.scenario("b", "program = [\"/bin/false\"]\n");
    let run = trials.run(&["--fail-fast", "--test-threads", "1"], &[]).ends_with(101);
    let _ = run.says(&[
        "test a ... ok",
        "test b ... FAILED",
        "test c ... ignored (another one failed)",
        "1 passed; 1 failed; 2 ignored",
    ]);
    let _ = trials.run(&["--test-threads", "1"], &[]).ends_with(101).says(&["3 passed; 1 failed"]);
}

#[test]
fn any_of_several_filters_chooses() {
    let names = ["a", "ab", "b", "sub/a", "sub/c"];
    let trials = names.iter().fold(trials(), |trials, name| trials.scenario(name, CLEAN));
    let chosen = |arguments: &[&str]| {
        let run = trials.run(&[arguments, &["--test-threads=1"]].concat(), &[]).ends_with(0);
        let left_out = run.out.split_once(" filtered out").expect("a count").0;
        let count = left_out.rsplit(' ').next().expect("a number").to_owned();
        (order(&run.out).join(" "), count)
    };
    let is = |names: &str, count: &str| (names.to_owned(), count.to_owned());
    assert_eq!(chosen(&["b", "sub/"]), is("ab b sub/a sub/c", "1"));
    assert_eq!(chosen(&["b", "sub/", "--skip", "a"]), is("b sub/c", "3"));
    // The other files are not looked at, so that nobody counts them.
    assert_eq!(chosen(&["b", "--exact", "sub/a", "none"]), is("b sub/a", "0"));
    assert_eq!(chosen(&["a", "--exact"]), is("a", "0"));
}

/// Trials of each end.
fn mixed() -> Trials {
    trials().scenario("clean", SAYS).scenario("leaks", LEAKS).scenario("sub/<wrong>", "no = 'key'")
}

#[test]
fn each_line_of_json_is_json_whatever_else_there_is_to_say() {
    let trials = mixed();
    let flags =
        ["--format", "json", "-Zunstable-options", "--report-time", "--show-output", "--shuffle"];
    let run = trials.run(&flags, &[]).ends_with(101);
    let lines: Vec<serde_json::Value> = run
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect();
    assert_eq!(lines.last().map(|line| &line["failed"]), Some(&2.into()));
    let _ = run.says(&["times:\n", "successes:\n", "shuffle seed: "]);
}

#[test]
fn junit_is_one_document_with_a_case_for_each_trial() {
    let trials = mixed();
    let flags = ["--format=junit", "-Zunstable-options", "--shuffle"];
    let run = trials.run(&flags, &[]).ends_with(101);
    let begins = run.out.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    assert!(begins && run.out.ends_with("</testsuites>\n"), "{}", run.out);
    let run = run.says(&[
        "tests=\"3\" failures=\"2\" errors=\"0\" skipped=\"0\"",
        "<testcase classname=\"leaks\" name=\"clean\" time=\"",
        "name=\"sub/&lt;wrong&gt;\"",
        "message=\"1 traceback in leaks is not accepted (1 new)\"",
    ]);
    let document = trials.folder().join("junit.xml");
    let xml = document.to_str().expect("a plain path");
    let again = trials.run(&["--format=junit", "--logfile", xml], &[]).ends_with(101);
    assert_eq!(again.out, "");
    let without_times = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split(" time=").next().unwrap_or_default().into()).collect()
    };
    assert_eq!(without_times(&read(&document)), without_times(&run.out));
}

#[test]
fn a_log_has_what_standard_output_would_have_had() {
    let trials = mixed();
    let log = trials.folder().join("log");
    let path = log.to_str().expect("a plain path");
    let run = trials.run(&["--logfile", path, "--show-output", "--report-time"], &[]);
    assert_eq!((run.code, run.out.as_str()), (Some(101), ""));
    let text = read(&log);
    for part in ["test clean       ... ok", "---- clean stdout ----\nhello there\n", "times:\n"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}
