//! Plugins that fail, hang, crash, end the host or take its things: status 4 with the step that
//! did it, or work that goes on as if nothing had been.

use std::time::{Duration, Instant};

use harness_tests::{Ended, Workplace};

/// Runs `step` of `plugin`, with `more` in the scenario; the step is its second line.
fn run(plugin: &str, step: &str, more: &str) -> Ended {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    work.add_plugin(plugin);
    work.write("it.toml", &format!("plugins = [\"{plugin}.so\"]\nsteps = [\"{step}\"]\n{more}"));
    work.run(["run", "--show-output", "it.toml"])
}

/// That the step fails with `error`, after it wrote `output`.
fn fails(plugin: &str, step: &str, error: &str, output: &str) {
    let ended = run(plugin, step, "");
    assert_eq!(ended.stderr, format!("leaksnap: it.toml:2: step `{step}` {error}\n"));
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(4), output));
}

#[test]
fn a_step_fails() {
    fails("fails_in_step", "fail loudly", "failed: no key", "about to fail\n");
    fails("fails_in_step", "fail loudly because", "failed: because", "about to fail\n");
    fails("fails_in_step", "fail silently", "failed: it returned -5", "");
}

#[test]
fn a_step_hangs() {
    let before = Instant::now();
    let ended = run("hangs_in_step", "hang", "timeout = \"1s\"");
    let error = "step `hang`, in iteration 1, timed out: it took more than 1s (`timeout`)";
    assert_eq!(ended.stderr, format!("leaksnap: it.toml:2: {error}\n"));
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(4), "about to hang\n"));
    assert!(before.elapsed() < Duration::from_secs(20), "{:?}", before.elapsed());
}

#[test]
fn a_plugin_hangs_at_its_stop() {
    let ended = run("hangs_at_stop", "do it", "timeout = \"1s\"");
    let error = "the host, at its exit, timed out: it took more than 1s (`timeout`)";
    assert_eq!(ended.stderr, format!("leaksnap: {error}\n"));
    assert_eq!(ended.status, Some(4));
}

#[test]
fn a_step_crashes() {
    let error = "was killed by signal 11 (SIGSEGV)";
    fails("crashes_in_step", "crash", error, "about to crash\n");
}

#[test]
fn a_plugin_crashes_at_its_stop() {
    let ended = run("crashes_in_step", "crash at stop", "");
    let error = "the host, at its exit, was killed by signal 11 (SIGSEGV)";
    assert_eq!(ended.stderr, format!("leaksnap: {error}\n"));
    assert_eq!(ended.status, Some(4));
}

#[test]
fn an_exception_leaves_a_step() {
    for step in ["throw out", "throw out 1"] {
        let ended = run("lets_exceptions_out", step, "");
        let error = format!("step `{step}` was left by an exception, which plugin ");
        let stderr = ended.stderr.as_str();
        assert!(stderr.starts_with(&format!("leaksnap: it.toml:2: {error}")), "{stderr}");
        assert!(stderr.ends_with("/lets_exceptions_out.so has to catch\n"), "{stderr}");
        assert_eq!((ended.status, stderr.lines().count()), (Some(4), 1), "{stderr}");
        assert_eq!(ended.stdout, "about to throw\n", "no words of a runtime's");
    }
}

#[test]
fn a_step_ends_the_host() {
    // Zero as well: the other iterations never ran.
    for status in [0, 7] {
        for step in [format!("leave {status}"), format!("leave at once {status}")] {
            let error = format!("ended the host with exit code {status}");
            fails("exits_in_step", &step, &error, "");
        }
    }
}

#[test]
fn a_step_closes_the_socket_to_the_parent() {
    let ended = run("closes_descriptors", "close 3 100", "");
    let start = "leaksnap: it.toml:2: step `close 3 100` ";
    assert!(ended.stderr.starts_with(start), "{}", ended.stderr);
    // With debug assertions std aborts on a descriptor that somebody else closed; without, the
    // host says that it can't talk.
    let ends = ["was killed by signal 6 (SIGABRT)\n", "ended the host with exit code 1\n"];
    assert!(ends.contains(&&ended.stderr[start.len()..]), "{}", ended.stderr);
    assert_eq!(ended.status, Some(4));
}

#[test]
fn a_step_closes_what_the_host_does_not_need() {
    for step in ["close 0 0", "close 1 2", "close 3 9", "close 500 600"] {
        let ended = run("closes_descriptors", step, "");
        assert_eq!(ended.stderr, "no leaks in it\n", "{step}");
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(0), ""), "{step}");
    }
}

#[test]
fn the_end_of_much_output_is_kept() {
    let ended = run("fills_stdout", "fill", "warmup = 0\nrepeat = 1");
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), "no leaks in it\n"));
    let start = ended.stdout.lines().next().unwrap_or_default();
    assert!(start.starts_with('[') && start.ends_with(" bytes cut]"), "{start:.80}");
    assert!(ended.stdout.ends_with("x\nthe end\n"));
    assert!(ended.stdout.len() < 1 << 20, "{} bytes", ended.stdout.len());
}

#[test]
fn a_time_that_is_over_is_never_clean() {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    work.add_plugin("frees_all");
    let steps = "plugins = [\"frees_all.so\"]\nsteps = [\"churn\"]";
    // No process is over in a millisecond, of which it sleeps one.
    for (what, text) in [("steps", steps), ("program", "program = [\"sleep\", \"0.001\"]")] {
        work.write("it.toml", &format!("timeout = \"1ms\"\n{text}\n"));
        for _ in 0..10 {
            let ended = work.run(["run", "it.toml"]);
            let said = "timed out: it took more than 1ms (`timeout`)";
            assert!(ended.stderr.contains(said), "{what}: {}", ended.stderr);
            assert_eq!(ended.status, Some(4), "{what}");
        }
    }
    // Where it went is said of the start, which no step is to blame for.
    work.write("it.toml", &format!("timeout = \"1ms\"\n{steps}\n"));
    let said = "leaksnap: the host's start timed out: it took more than 1ms (`timeout`)\n";
    assert_eq!(work.run(["run", "it.toml"]).stderr, said);
    // Of several files each is named, once.
    work.write("no_step.toml", &steps.replace("churn", "nowhere"));
    let ended = work.run(["run", "it.toml", "no_step.toml"]);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ended.stderr);
    assert!(lines[0].starts_with("leaksnap: it.toml: the host's start timed out: "), "{lines:?}");
    assert!(lines[1].starts_with("leaksnap: no_step.toml:2"), "{lines:?}");
    assert_eq!(lines[1].matches("no_step.toml").count(), 1, "{lines:?}");
}

#[test]
fn programs_fail_with_their_place() {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    for (words, error) in [
        ("\"sh\", \"-c\", \"exit 3\"", "sh ended with exit code 3"),
        ("\"sh\", \"-c\", \"kill -SEGV $$\"", "sh was killed by signal 11 (SIGSEGV)"),
        ("\"sleep\", \"60\"", "sleep timed out: it took more than 300ms (`timeout`)"),
    ] {
        work.write("it.toml", &format!("timeout = \"300ms\"\nprogram = [{words}]\n"));
        let ended = work.run(["run", "it.toml"]);
        assert_eq!(ended.stderr, format!("leaksnap: it.toml:2: {error}\n"));
        assert_eq!(ended.status, Some(4));
    }
}
