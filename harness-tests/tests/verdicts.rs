//! The verdict on each plugin in C, as `leaksnap run` reports it.

use harness_tests::Workplace;
use serde_json::{Value, json};

/// The report of a scenario of `plugin`, and the command's exit status.
fn check(plugin: &str, scenario: &str) -> (Option<i32>, Value) {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    work.add_plugin(plugin);
    work.write("it.toml", &format!("plugins = [\"{plugin}.so\"]\n{scenario}"));
    let ended =
        work.run(["run", "--format", "json", "--all", "--output", "report.json", "it.toml"]);
    assert_eq!(ended.stderr, "", "with status {:?}", ended.status);
    let report = std::fs::read_to_string(work.path("report.json")).expect("there is a report");
    (ended.status, serde_json::from_str(&report).expect("it is JSON"))
}

/// The group whose innermost frame is `function`, as far as this test knows it.
fn group(report: &Value, function: &str) -> Value {
    let groups = report["groups"].as_array().expect("a list of groups");
    let group = groups.iter().find(|group| group["frames"][0]["function"] == function);
    let mut group = group.unwrap_or_else(|| panic!("no {function} in {report:#}")).clone();
    let frames = group.as_object_mut().and_then(|group| group.remove("frames"));
    let frames = frames.expect("a group has frames");
    let callers = frames.as_array().expect("a list of frames").iter().map(|frame| {
        // Its own and its callers' modules are the plugin.
        assert!(frame["module"].as_str().is_some_and(|name| name.ends_with(".so")), "{frame}");
        frame["function"].clone()
    });
    group["functions"] = callers.collect();
    group
}

fn failing(report: &Value) -> usize {
    let groups = report["groups"].as_array().expect("a list of groups");
    groups
        .iter()
        .filter(|group| ["leak", "growth"].iter().any(|it| group["verdict"] == *it))
        .count()
}

#[test]
fn a_block_of_each_call_is_a_leak() {
    let (status, report) = check("leaks_per_call", "steps = [\"forget\"]\n");
    assert_eq!(status, Some(1));
    let leak = json!({
        "verdict": "leak", "reachability": "lost", "blocks": 8, "bytes": 384,
        "blocks_per_iteration": 1.0, "bytes_per_iteration": 48.0,
        "functions": ["forget_block", "forget"],
    });
    assert_eq!(group(&report, "forget_block"), leak);
    assert_eq!(report["summary"], json!({ "leaked_blocks": 8, "leaked_bytes": 384, "groups": 1 }));
    assert_eq!(report["iterations"], 8);
    assert_eq!(report["program"], json!(["leaks_per_call.so", "forget"]));
    assert_eq!(report["exit"], json!({ "code": 0, "signal": null }));
    assert_eq!(report["tracing"]["active"], true);
    assert_eq!(report["tracing"]["complete"], true);
}

#[test]
fn two_steps_of_one_command_are_one_traceback() {
    let scenario = "steps = [\"forget\", \"forget\"]\nrepeat = 3\nwarmup = 0\n";
    let (status, report) = check("leaks_per_call", scenario);
    assert_eq!((status, failing(&report)), (Some(1), 1));
    let leak = group(&report, "forget_block");
    assert_eq!((&leak["blocks"], &leak["blocks_per_iteration"]), (&json!(6), &json!(2.0)));
}

#[test]
fn what_a_recursion_leaks_at_another_depth_each_time_is_the_same_in_every_window() {
    let of_recursion = ["forget_below", "append", "forget_even", "forget_odd"];
    let is_of_recursion = |name: &str| of_recursion.contains(&name);
    for (warmup, repeat) in [(2, 8), (0, 3), (5, 12)] {
        for (step, function, bytes, state) in [
            ("forget deeper", "forget_below", 70, "lost"),
            ("append", "append", 16, "reachable"),
            ("forget in two functions", "forget_leaf", 60, "lost"),
        ] {
            let scenario = format!("steps = [{step:?}]\nwarmup = {warmup}\nrepeat = {repeat}\n");
            let (status, report) = check("descends", &scenario);
            assert_eq!((status, failing(&report)), (Some(1), 1), "{step} {repeat}");
            let leak = group(&report, function);
            let each = (&leak["blocks_per_iteration"], &leak["bytes_per_iteration"]);
            assert_eq!(each, (&json!(1.0), &json!(f64::from(bytes))), "{step} {repeat}");
            assert_eq!((&leak["verdict"], &leak["reachability"]), (&json!("leak"), &json!(state)));
            let functions = leak["functions"].as_array().expect("a list");
            let own = functions.iter().filter(|it| it.as_str().is_some_and(is_of_recursion));
            assert_eq!(own.count(), 1, "the recursion is left out: {functions:?}");
        }
    }
}

#[test]
fn a_vector_that_doubles_is_a_growth() {
    let (status, report) = check("grows_per_call", "steps = [\"grow\"]\n");
    assert_eq!(status, Some(1));
    // From the second call to the tenth: from 2 elements of 8 bytes to 16.
    let growth = json!({
        "verdict": "growth", "reachability": "reachable", "blocks": 0, "bytes": 112,
        "blocks_per_iteration": 0.0, "bytes_per_iteration": 14.0,
        "functions": ["append", "grow"],
    });
    assert_eq!(group(&report, "append"), growth);
    assert_eq!(failing(&report), 1);
}

#[test]
fn a_list_that_still_grows_when_all_was_tried_is_a_leak_of_the_window() {
    let (status, report) = check("fills_a_ring", "steps = [\"append to list\"]\n");
    assert_eq!(status, Some(1));
    let leak = json!({
        "verdict": "leak", "reachability": "reachable", "blocks": 8, "bytes": 320,
        "blocks_per_iteration": 1.0, "bytes_per_iteration": 40.0,
        "functions": ["make_node", "append_to_list"],
    });
    assert_eq!(group(&report, "make_node"), leak);
    assert_eq!(report["iterations"], 8, "more were run");
    assert!(report["tracing"]["allocations"].as_u64() >= Some(130), "{}", report["tracing"]);
}

#[test]
fn what_is_shown_of_a_scenario_is_its_window_s() {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    work.add_plugin("fills_a_ring");
    work.write("it.toml", "plugins = [\"fills_a_ring.so\"]\nsteps = [\"append to list\"]\n");
    let ended = work.run(["run", "--show-output", "--memory", "it.toml"]);
    assert_eq!(ended.status, Some(1));
    assert_eq!(ended.stdout.matches("appends\n").count(), 10, "{}", ended.stdout);
    assert!(ended.stdout.ends_with("\n8 total traced objects\n"), "{}", ended.stdout);
}

#[test]
fn a_ring_is_no_leak_once_it_is_full() {
    for (command, more) in [("fill ring of 4", false), ("fill ring of 24", true)] {
        let (status, report) = check("fills_a_ring", &format!("steps = [\"{command}\"]\n"));
        assert_eq!((status, failing(&report)), (Some(0), 0), "{command}: {report:#}");
        let ring = group(&report, "make_node");
        assert_eq!(ring["verdict"], "one-time", "{command}");
        // Each call makes one, the host a few dozen; one that is full soon needs no further call.
        let calls = report["tracing"]["allocations"].as_u64().unwrap_or_default();
        assert_eq!(calls >= 58, more, "{command}: {}", report["tracing"]);
    }
}

#[test]
fn what_another_thread_frees_a_moment_later_is_waited_for() {
    for command in ["retire at once", "retire late"] {
        let (status, report) = check("retires_in_a_thread", &format!("steps = [\"{command}\"]\n"));
        assert_eq!((status, failing(&report)), (Some(0), 0), "{command}: {report:#}");
    }
}

#[test]
fn what_another_thread_loses_for_an_iteration_is_of_that_iteration() {
    for (scenario, run) in [("post", 0..6), ("post late", 0..2), ("detach", 0..6)]
        .into_iter()
        .flat_map(|(command, runs)| runs.map(move |run| (command, run)))
    {
        let scenario = format!("steps = [\"{scenario}\"]\nwarmup = {}\n", run % 3);
        let (status, report) = check("forgets_in_a_thread", &scenario);
        assert_eq!((status, failing(&report)), (Some(1), 1), "{scenario}, {run}: {report:#}");
        let leak = group(&report, "lose");
        let amounts = (&leak["verdict"], &leak["blocks"], &leak["bytes"]);
        assert_eq!(amounts, (&json!("leak"), &json!(8), &json!(152)), "{scenario}, {run}");
    }
}

#[test]
fn an_added_iteration_that_fails_takes_nothing_from_the_window_s_verdict() {
    let scenario = "steps = [\"append twelve at most\"]\n";
    let (status, report) = check("fills_a_ring", scenario);
    assert_eq!((status, failing(&report)), (Some(1), 1), "{report:#}");
    let leak = group(&report, "make_node");
    assert_eq!((&leak["verdict"], &leak["blocks"]), (&json!("leak"), &json!(8)));
    // What was asked for has to run.
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    work.add_plugin("fills_a_ring");
    work.write("it.toml", &format!("plugins = [\"fills_a_ring.so\"]\n{scenario}repeat = 11\n"));
    assert_eq!(work.run(["run", "it.toml"]).status, Some(4));
}

#[test]
fn a_cache_is_there_once() {
    let (status, report) = check("caches_on_first_use", "steps = [\"look up\"]\n");
    assert_eq!((status, failing(&report)), (Some(0), 0));
    let cache = group(&report, "squares");
    assert_eq!((&cache["verdict"], &cache["bytes"]), (&json!("one-time"), &json!(1024)));
    assert_eq!(cache["functions"], json!(["squares", "look_up"]));
}

#[test]
fn a_cache_that_is_filled_in_the_window_is_there_once() {
    let scenario = "steps = [\"look up\"]\nwarmup = 0\n";
    let (status, report) = check("caches_on_first_use", scenario);
    assert_eq!(status, Some(0));
    assert_eq!(group(&report, "squares")["verdict"], "one-time");
}

#[test]
fn a_context_made_anew_is_replaced() {
    let (status, report) = check("makes_context_anew", "steps = [\"begin\"]\n");
    assert_eq!((status, failing(&report)), (Some(0), 0));
    let context = group(&report, "make_context");
    assert_eq!((&context["verdict"], &context["blocks"]), (&json!("replaced"), &json!(1)));
    assert_eq!(context["bytes"], 96);
}

#[test]
fn what_is_freed_is_no_group() {
    let scenario = "steps = [\"churn\", \"say hello\"]\n";
    let (status, report) = check("frees_all", scenario);
    assert_eq!((status, failing(&report)), (Some(0), 0));
    let own = |frame: &Value| frame["function"] == "churn" || frame["function"] == "say_hello";
    let groups = report["groups"].as_array().expect("a list of groups");
    let frames = groups.iter().filter_map(|group| group["frames"].as_array()).flatten();
    assert_eq!(frames.filter(|frame| own(frame)).count(), 0, "{report:#}");
    // Ten runs of 64 blocks: none of it went past the heap.
    let count = |key: &str| report["tracing"][key].as_u64().unwrap_or_default();
    assert!(count("allocations") >= 640 && count("frees") >= 640, "{}", report["tracing"]);
}

#[test]
fn a_thread_that_frees_between_the_steps_is_clean() {
    let (status, report) = check("starts_thread", "steps = [\"look\"]\nrepeat = 60\n");
    assert_eq!((status, failing(&report)), (Some(0), 0), "{report:#}");
}

#[test]
fn a_thread_may_allocate_while_the_ledger_is_read() {
    let (status, report) = check("calls_by_new_ways", "steps = [\"look\"]\nrepeat = 30\n");
    assert_eq!((status, failing(&report)), (Some(0), 0), "{report:#}");
}

#[test]
fn a_leak_of_a_thread_is_a_leak() {
    let (status, report) = check("starts_thread", "steps = [\"forget\"]\n");
    assert_eq!(status, Some(1));
    let leak = json!({
        "verdict": "leak", "reachability": "lost", "blocks": 8, "bytes": 320,
        "blocks_per_iteration": 1.0, "bytes_per_iteration": 40.0,
        "functions": ["forget_in_thread", "worker"],
    });
    assert_eq!(group(&report, "forget_in_thread"), leak);
    assert_eq!(failing(&report), 1);
}

#[test]
fn an_ignored_leak_does_not_fail() {
    let scenario = "steps = [\"forget\"]\nignore = [\"forget_block\"]\n";
    let (status, report) = check("leaks_per_call", scenario);
    assert_eq!((status, failing(&report)), (Some(0), 0));
}

#[test]
fn a_look_at_the_threads_takes_no_signal_from_them() {
    // Which of its system calls a thread is in when it is stopped is a matter of chance.
    for _ in 0..10 {
        let (status, report) = check("raises_signals", "steps = [\"forget\"]\nrepeat = 2\n");
        assert_eq!((status, &report["exit"]["code"]), (Some(1), &json!(0)), "a signal was lost");
    }
}

#[test]
fn a_strict_scenario_fails_what_is_live_once() {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    work.add_plugin("caches_on_first_use");
    let plugin = "plugins = [\"caches_on_first_use.so\"]";
    work.write("it.toml", &format!("{plugin}\nsteps = [\"look up\"]\nstrict = true\n"));
    let ended = work.run(["run", "it.toml"]);
    assert_eq!(ended.status, Some(1));
    for part in ["one-time", "squares", "leaksnap: `strict = true` fails what is live once"] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
    let start = "1 traceback in it is live once\n\none-time";
    assert!(
        ended.stderr.starts_with(start),
        "it does not begin as if all was well: {}",
        ended.stderr
    );
    // What opening a plugin leaves was there before the first iteration.
    let (status, report) = check("frees_all", "steps = [\"churn\"]\nstrict = true\n");
    assert_eq!((status, &report["groups"]), (Some(0), &json!([])));
}
