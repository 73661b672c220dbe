//! A thousand IKEv2 SAs leave nothing behind, and every case of `test ikev2` is OK.

use harness_tests::{Ended, Workplace};
use serde_json::Value;

/// SAs in each iteration.
const SAS: u64 = 100;

/// A scenario of `plugin`, which is found beside the tests.
fn scenario(plugin: &str, rest: &str) -> Workplace {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    work.write("it.toml", &format!("plugins = [\"{plugin}\"]\n{rest}"));
    work
}

/// How the command ended, and its report.
fn report(plugin: &str, rest: &str) -> (Ended, Value) {
    let work = scenario(plugin, rest);
    let ended =
        work.run(["run", "--format", "json", "--all", "--output", "report.json", "it.toml"]);
    let report = std::fs::read_to_string(work.path("report.json")).expect("there is a report");
    (ended, serde_json::from_str(&report).expect("it is JSON"))
}

#[test]
fn a_thousand_sas_leave_nothing() {
    let steps = format!("steps = [\"ikev2 up down {SAS}\"]\nwarmup = 2\nrepeat = 8\n");
    let (ended, report) = report("ikev2_openssl", &steps);
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
    let verdicts = report["groups"].as_array().expect("a list").iter().map(|it| &it["verdict"]);
    let fail = verdicts.filter(|verdict| ["leak", "growth"].iter().any(|it| *verdict == it));
    assert_eq!(fail.count(), 0, "{report:#}");
    // Both halves of each SA and of its two child SAs have contexts for two directions.
    let contexts = 10 * SAS * 2 * 3 * 2;
    let tracing = &report["tracing"];
    assert!(tracing["frees"].as_u64() > Some(contexts), "{tracing}");
}

#[test]
fn what_is_forgotten_of_each_sa_is_exact() {
    let (ended, report) = report("ikev2_openssl_forgets", "steps = [\"buffers\", \"buffers\"]\n");
    assert_eq!(ended.status, Some(1));
    // Two nonces and SK_d, twice in each of eight iterations.
    let expected = serde_json::json!({ "leaked_blocks": 48, "leaked_bytes": 1536, "groups": 2 });
    assert_eq!(report["summary"], expected, "{report:#}");
}

#[test]
fn every_case_is_ok() {
    let work = scenario("ikev2_openssl", "steps = [\"test ikev2\"]\nwarmup = 0\nrepeat = 1\n");
    let ended = work.run(["run", "--show-output", "it.toml"]);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert!(lines.len() >= 60, "{}", ended.stdout);
    for line in lines {
        assert_eq!(line.get(65..), Some("OK"), "{line}");
    }
}

#[test]
fn a_command_refuses_words_that_it_does_not_know() {
    for (step, reason) in [
        ("ikev2 up down", "a count is missing"),
        ("ikev2 rekey 0", "`0` is not a count from 1 to 100000"),
        ("ikev2 fail auth 1 2", "unexpected `2`"),
        ("ikev2 reload profile now", "unexpected `now`"),
        ("test ikev2 all", "unexpected `all`"),
    ] {
        let work = scenario("ikev2_openssl", &format!("steps = [\"{step}\"]\n"));
        let ended = work.run(["run", "it.toml"]);
        assert_eq!(ended.status, Some(4), "{step}");
        assert!(ended.stderr.contains(reason), "{step}: {}", ended.stderr);
    }
}
