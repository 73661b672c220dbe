//! Programs that a checked program starts, with `--follow` and `follow = true`: a ledger and a part
//! of the report for each.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use harness_tests::command::{Checked, Exec};
use harness_tests::program::Program;
use harness_tests::trials::{Trials, body};
use serde_json::Value;

/// `line`, by a shell, with `ENDS_BY` for the program that ends by all ways, followed.
fn shell(line: &str) -> Exec {
    let program = Program::compile("ends_by.c").with([]);
    let line = line.replace("ENDS_BY", &program.list[0]);
    Exec::of(program.instead(["sh", "-c", &line])).option(&["--follow"])
}

/// What each program that was started leaked: its command, blocks, bytes, the function.
fn leaked(checked: &Checked) -> Vec<(String, u64, u64, String)> {
    let all = checked.report["descendants"].as_array().expect("they were followed");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |it: &Value| {
        let summary = &it["summary"];
        let number = |name: &str| summary[name].as_u64().expect("a number");
        let function = text(&it["groups"][0]["frames"][0]["function"]);
        (text(&it["command"]), number("leaked_blocks"), number("leaked_bytes"), function)
    };
    all.iter().map(of).collect()
}

fn row(command: &str, bytes: u64) -> (String, u64, u64, String) {
    let (blocks, function) = if bytes > 0 { (1, "lose") } else { (0, "") };
    (command.to_owned(), blocks, bytes, function.to_owned())
}

#[test]
fn each_program_has_its_part_by_name() {
    let exec = shell(
        "ENDS_BY return 5 & ENDS_BY _exit 77; echo | cat; (exec ENDS_BY quick_exit 6); wait; exit 0",
    );
    for _ in 0..3 {
        let checked = exec.check();
        checked.expect(1, Some(0)).expect_groups(&[]);
        // The shell itself runs `echo`, in a child without another program.
        let programs = [row("cat", 0), row("ends_by", 77), row("ends_by", 6), row("ends_by", 5)];
        let expected = [&programs[..], &[row("sh", 0)]].concat();
        assert_eq!(leaked(&checked), expected, "{}", checked.json);
    }
}

#[test]
fn what_vfork_and_posix_spawn_start_is_followed() {
    for how in ["vfork", "spawn"] {
        let program = Program::compile("forks.c").with([how]);
        let checked = Exec::of(program).option(&["--follow"]).check();
        checked.expect(1, Some(0)).expect_groups(&[("leak/lost", 1, 55, "lose")]);
        assert_eq!(leaked(&checked), [row("true", 0)], "{how}");
    }
}

#[test]
fn nobody_is_followed_unasked() {
    let checked = Exec::of(["sh", "-c", "cat /dev/null; true"].into_iter().collect()).check();
    checked.expect(0, Some(0));
    assert_eq!(checked.report.get("descendants"), None, "{}", checked.json);
}

#[test]
fn the_last_program_of_a_process_counts() {
    let checked = shell("sh -c 'exec ENDS_BY exec 8'; true").check();
    assert_eq!(leaked(checked.expect(1, Some(0))), [row("ends_by", 33)]);
}

#[test]
fn what_lives_on_is_waited_for() {
    let checked = shell("(sleep 0.5; exec ENDS_BY return 9) & exit 0").check();
    let expected = [row("ends_by", 9), row("sleep", 0)];
    assert_eq!(leaked(checked.expect(1, Some(0))), expected);
}

#[test]
fn one_that_could_not_be_checked_is_status_3_with_its_name() {
    let checked = shell("ENDS_BY return 5; ENDS_BY kill 6; true").check();
    checked.expect(3, Some(0));
    let stderr = &checked.run.stderr;
    let reason = "leaksnap: not checked: ends_by, which it started: it ended without the preload \
                  heap seeing its exit: it was killed";
    assert!(stderr.contains(reason), "{stderr}");
    assert_eq!(leaked(&checked)[0], row("ends_by", 5), "{}", checked.json);
    assert_eq!(checked.report["descendants"][1]["tracing"]["complete"], false);
}

/// The names of the programs that a report says were not checked.
fn unchecked(checked: &Checked) -> Vec<&str> {
    let all = checked.report["descendants"].as_array().expect("they were followed");
    let unchecked = all.iter().filter(|it| it["tracing"]["complete"] == false);
    unchecked.map(|it| it["command"].as_str().expect("a name")).collect()
}

#[test]
fn programs_without_the_heap_are_named() {
    let silent = Program::compile_with("loses_a_block.c", &["-static"]).with([]);
    let line = format!("{}; env -i /bin/true; /bin/cat /dev/null; exit 0", silent.list[0]);
    let checked = Exec::of(silent.instead(["sh", "-c", &line])).option(&["--follow"]).check();
    assert_eq!(unchecked(checked.expect(3, Some(0))), ["loses_a_block", "true"]);
    let stderr = &checked.run.stderr;
    assert!(
        stderr.contains("loses_a_block, which it started: the preload heap did not"),
        "{stderr}"
    );
    assert!(stderr.contains("; true, which it started: it ended without"), "{stderr}");
    assert!(leaked(&checked).contains(&row("cat", 0)), "{}", checked.json);
}

#[test]
fn programs_without_the_heap_are_named_whichever_function_executed_them() {
    let silent = Program::compile_with("is_static.c", &["-static"]).with([]);
    let folder = Path::new(&silent.list[0]).parent().expect("it has a folder").to_path_buf();
    let program = Program::compile("executes_by.c");
    let ways = [
        "execve",
        "execv",
        "execvp",
        "execvpe",
        "execl",
        "execlp",
        "execle",
        "fexecve",
        "execveat",
        "execveat-descriptor",
        "posix_spawn",
        "posix_spawnp",
        "posix_spawn-unasked",
    ];
    let search = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    for way in ways {
        for how in ["vfork", "fork"] {
            let of = |path: &str| {
                let words = program.with([how, way, path]);
                let exec = Exec::of(words).variable("PATH", &search).option(&["--follow"]);
                let checked = exec.check();
                // All nine arguments and the variable got there, or the error did.
                let output = String::from_utf8_lossy(&checked.run.stdout).into_owned();
                (checked, output)
            };
            let (checked, output) = of(&silent.list[0]);
            assert_eq!(unchecked(checked.expect(3, Some(0))), ["is_static"], "{how} {way}");
            assert_eq!(output, "", "{how} {way}");
            let (checked, output) = of("/bin/sh");
            assert_eq!(unchecked(checked.expect(0, Some(0))), [""; 0], "{how} {way}");
            assert_eq!(output, "2 3 4 5 6 7 8 9 set\n", "{how} {way}");
            let (checked, output) = of("/nowhere/nothing");
            assert_eq!(unchecked(checked.expect(0, Some(0))), [""; 0], "{how} {way}");
            assert_eq!(output, "error 2\n", "{how} {way}");
        }
    }
}

#[test]
fn a_path_that_can_t_be_read_is_the_kernel_s_to_refuse() {
    let exec = Exec::of(Program::compile("executes_nothing.c").with([])).option(&["--follow"]);
    let checked = exec.check();
    checked.expect(0, Some(0));
    assert_eq!(checked.run.text(), exec.natively().text());
    assert!(checked.run.text().starts_with("execve 14\nexecveat 14\n"), "{}", checked.run.text());
}

#[test]
fn a_program_that_is_called_by_no_name_has_its_file_s() {
    let words = Program::compile("executes_by.c").with(["fork", "execve-nameless", "/bin/true"]);
    let checked = Exec::of(words).option(&["--follow"]).check();
    assert_eq!(leaked(checked.expect(0, Some(0))), [row("true", 0)]);
}

#[test]
fn a_shell_that_libc_starts_without_the_heap_is_named() {
    let program = Program::compile("starts_a_shell.c");
    for (way, output) in [("system", "x\nstatus 1280\n"), ("popen", "x\nstatus 1280\n")] {
        for (environment, shells) in [("whole", &[][..]), ("unset", &["sh"]), ("clear", &["sh"])] {
            let words = program.with([way, environment, "echo x; exit 5"]);
            let checked = Exec::of(words).option(&["--follow"]).check();
            checked.expect(if shells.is_empty() { 0 } else { 3 }, Some(0));
            assert_eq!(unchecked(&checked), shells, "{way} {environment}");
            assert_eq!(checked.run.text(), output, "{way} {environment}");
        }
    }
    let checked = Exec::of(program.with(["neither", "unset", ""])).option(&["--follow"]).check();
    checked.expect(0, Some(0));
}

#[test]
fn what_popen_allocates_has_libc_s_traceback() {
    let exec = Exec::of(Program::compile("opens_a_shell.c").with([])).option(&["--all"]);
    let checked = exec.check();
    let groups = checked.expect(0, Some(0)).report["groups"].as_array().expect("groups");
    assert!(!groups.is_empty(), "{}", checked.json);
    assert!(!checked.json.contains(".leaksnap-"), "{}", checked.json);
}

#[test]
fn whom_it_waits_for_after_the_program_s_end_is_said() {
    let run = shell("sleep 7 >/dev/null 2>&1 & exit 0").text();
    let (before, rest) =
        run.stderr.split_once("leaksnap: waits for sleep (pid ").expect(&run.stderr);
    let (pid, rest) = rest.split_once(')').expect("a number");
    let said = format!(", which sh left behind; `kill {pid}` ends that\n");
    assert!(before.is_empty() && rest.starts_with(&said), "{}", run.stderr);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

#[test]
fn a_script_without_the_heap_s_variables_is_named_and_what_is_not_found_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("script");
    fs::write(&script, "#!/bin/sh\n:\n").expect("a file");
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&script, executable).expect("it is the test's own");
    let line =
        format!("{0}; env -i {0}; no_such_program; /no/such/program; exit 0", script.display());
    let checked = Exec::of(["sh", "-c", &line].into_iter().collect()).option(&["--follow"]).check();
    assert_eq!(unchecked(checked.expect(3, Some(0))), ["script"], "{}", checked.json);
}

#[test]
fn many_programs_without_the_heap_are_all_named() {
    let silent = Program::compile_with("is_static.c", &["-static"]).with([]);
    let line = format!("n=0; while [ $n -lt 150 ]; do {}; n=$((n+1)); done", silent.list[0]);
    let checked = Exec::of(silent.instead(["sh", "-c", &line])).option(&["--follow"]).check();
    checked.expect(3, Some(0));
    let stderr = &checked.run.stderr;
    assert!(stderr.contains("is_static (150 times), which it started: the preload"), "{stderr}");
}

#[test]
fn one_that_overwrites_its_ledger_harms_itself_alone() {
    let scribbler = Program::compile("scribbles_over_its_ledger.c");
    let line = format!(
        "for seed in 1 2 3 4 5 6; do {} $seed; done; ENDS_BY return 5",
        scribbler.with([]).list[0]
    );
    let checked = shell(&line).check();
    checked.expect(3, Some(0));
    assert!(leaked(&checked).contains(&row("ends_by", 5)), "{}", checked.json);
}

#[test]
fn more_than_can_be_followed_is_not_checked() {
    let checked = shell("n=0; while [ $n -lt 420 ]; do /bin/true; n=$((n+1)); done").check();
    checked.expect(3, Some(0));
    let reason = "it started 20 programs more than can be followed, which are 400";
    assert!(checked.run.stderr.contains(reason), "{}", checked.run.stderr);
}

#[test]
fn the_report_for_people_names_who_leaked() {
    let run = shell("ENDS_BY return 5; cat /dev/null; cat /dev/null").text();
    let lines: Vec<_> = run.stderr.lines().collect();
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(lines[0], "no leaks in sh");
    assert!(lines.contains(&"started by it: 1 leak in ends_by: 1 block, 5 bytes"), "{lines:?}");
    assert_eq!(lines.last(), Some(&"no leaks in what it started: cat (2 times)"));
}

/// A scenario that follows, with `more` in it.
fn trials(line: &str, more: &str) -> Trials {
    let program = Program::compile("ends_by.c");
    let trials = Trials::new(env!("CARGO_BIN_EXE_trials"));
    fs::copy(program.path(), trials.folder().join("ends_by")).expect("the folder takes it");
    let text = format!("program = [\"sh\", \"-c\", \"{line}\"]\nfollow = true\n{more}\n");
    trials.scenario("it", &text)
}

#[test]
fn a_scenario_accepts_what_was_started_leaks() {
    let trials = trials("./ends_by return 5; ./ends_by return 6", "");
    let outcome = trials.run(&[], &[("INSTA_UPDATE", "new")]);
    let _ = outcome.ends_with(101).says(&["new leak, lost: 1 block, 6 bytes\n"]);
    let pending = fs::read_to_string(trials.pending("it")).expect("it waits for its review");
    let expected = "leak: 2 blocks, 11 bytes per iteration\n    lose  ends_by  ends_by.c\n    main  ends_by  ends_by.c\n";
    assert_eq!(body(&pending), expected);
    trials.accept("it", body(&pending));
    let _ = trials.run(&[], &[("INSTA_UPDATE", "no")]).ends_with(0);
}

#[test]
fn a_suppression_is_for_what_was_started_too() {
    let _ = trials("./ends_by return 5", "ignore = [\"lose\"]").run(&[], &[]).ends_with(0);
}

#[test]
fn a_timeout_ends_what_was_started() {
    let start = Instant::now();
    let trials = trials("sleep 61.3 & exit 0", "timeout = \"700ms\"");
    let _ = trials.run(&[], &[]).ends_with(101).says(&["timed out"]);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    let running = std::process::Command::new("pgrep").args(["-f", "^sleep 61.3"]).output();
    assert!(running.expect("pgrep runs").stdout.is_empty());
}

#[test]
fn a_timeout_ends_the_children_of_a_program_that_nobody_follows() {
    for more in ["", "repeat = 4"] {
        let text = "program = [\"sh\", \"-c\", \"sleep 61.8 & sleep 61.8; true\"]\n\
                    timeout = \"500ms\"\n";
        let trials = Trials::new(env!("CARGO_BIN_EXE_trials"));
        let trials = trials.scenario("it", &format!("{text}{more}\n"));
        let outcome = trials.run(&[], &[]).ends_with(101);
        let _ = outcome.says(&["it.toml:1: sh", "timed out"]).is_silent_about("the start of");
        let running = std::process::Command::new("pgrep").args(["-f", "^sleep 61.8"]).output();
        assert!(running.expect("pgrep runs").stdout.is_empty(), "{more}");
    }
}
