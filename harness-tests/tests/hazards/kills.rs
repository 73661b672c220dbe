//! Programs that are killed at random moments, and the command itself.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use harness_tests::command::leaksnap;
use harness_tests::program::{Program, Words};
use serde_json::Value;

/// The command on a program that says its process number first.
struct Started {
    command: Child,
    program: i32,
    output: BufReader<ChildStdout>,
}

fn start(words: &Words, report: &Path) -> Started {
    // Whoever runs the tests in the background ignores some signals, and what it starts with it.
    let mut command = Command::new("env");
    command.arg("--default-signal").arg(leaksnap());
    command.args(["exec", "--format", "json", "--output"]).arg(report);
    command.arg("--").args(&words.list).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut command = command.spawn().expect("the command starts");
    let mut line = String::new();
    let mut output = BufReader::new(command.stdout.take().expect("it has a pipe"));
    output.read_line(&mut line).expect("the program says its number");
    Started { command, program: line.trim().parse().expect("it is a number"), output }
}

fn kill(process: i32, signal: &str) {
    // It may have ended by itself.
    let _ =
        Command::new("kill").args([signal, &process.to_string()]).stderr(Stdio::null()).status();
}

/// What programs were seen as that were killed so often.
fn kill_many(times: u32) {
    let program = Program::compile("runs_for_a_while.c");
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("report.json");
    let mut random = 0x2545_f491_u32;
    let (mut before, mut during, mut behind) = (0, 0, 0);
    for number in 0..times {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let Started { command, program, mut output } = start(&program.with(["60"]), &report);
        // Every other one about when it is looked at.
        let at_most = if number % 2 == 0 {
            100_000
        } else {
            output.read_line(&mut String::new()).expect("the program says that it ends");
            250_000
        };
        std::thread::sleep(Duration::from_micros(u64::from(random >> 8) % at_most));
        kill(program, "-KILL");
        let output = command.wait_with_output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let text = std::fs::read_to_string(&report).expect("there is a report");
        let report: Value = serde_json::from_str(&text).expect("it is JSON");
        let all = format!("kill {number}: {:?}, {stderr}\n{text}", output.status);
        assert_eq!(report["summary"]["leaked_blocks"], 0, "everything can be reached: {all}");
        let is_complete = report["tracing"]["complete"] == true;
        match output.status.code() {
            Some(0) => behind += 1,
            Some(4) => {
                assert!(stderr.contains("was killed by signal 9 (SIGKILL)"), "{all}");
                if is_complete { during += 1 } else { before += 1 }
            }
            _ => panic!("{all}"),
        }
        assert!(is_complete || !stderr.is_empty(), "{all}");
    }
    println!(
        "{times} kills: {before} before the look was over, {during} behind it, {behind} too late"
    );
    assert!(before > 0);
}

#[test]
fn programs_that_are_killed_at_any_moment_are_never_seen_to_leak() {
    kill_many(40);
}

#[test]
#[ignore = "it takes minutes"]
fn five_hundred_programs_that_are_killed() {
    kill_many(500);
}

/// That nobody runs by this number.
fn is_gone(process: i32) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    let stat = format!("/proc/{process}/stat");
    while Instant::now() < deadline {
        let text = std::fs::read_to_string(&stat).unwrap_or_default();
        if text.is_empty() || text.contains(") Z ") {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

#[test]
fn a_signal_to_the_command_alone_ends_the_program() {
    let words = Program::compile("runs_for_a_while.c").with(["60000"]);
    let folder = tempfile::tempdir().expect("a folder");
    for (signal, number) in [("-INT", 2), ("-TERM", 15), ("-HUP", 1), ("-QUIT", 3)] {
        let report = folder.path().join("report.json");
        let Started { command, program, output } = start(&words, &report);
        kill(i32::try_from(command.id()).expect("a process number"), signal);
        drop(output);
        let output = command.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(4), "{signal}: the report is written: {output:?}");
        let text = std::fs::read_to_string(&report).expect("there is a report");
        let report: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(report["exit"]["signal"], number);
        assert!(is_gone(program), "{signal}");
    }
}

#[test]
fn a_program_ends_with_the_command_that_was_killed() {
    let words = Program::compile("runs_for_a_while.c").with(["60000"]);
    let folder = tempfile::tempdir().expect("a folder");
    let Started { mut command, program, .. } = start(&words, &folder.path().join("report.json"));
    command.kill().expect("it runs");
    assert_eq!(command.wait().expect("it ends").signal(), Some(9));
    assert!(is_gone(program));
}

#[test]
fn a_host_ends_with_the_command_that_was_killed() {
    let work = harness_tests::Workplace::new(leaksnap().to_str().expect("a plain path"));
    work.add_plugin("hangs_in_step");
    work.write("it.toml", "plugins = [\"hangs_in_step.so\"]\nsteps = [\"hang\"]\n");
    let mut command = work.command(["run", "it.toml"]).spawn().expect("the command starts");
    let children = format!("/proc/{0}/task/{0}/children", command.id());
    let deadline = Instant::now() + Duration::from_secs(20);
    let host = loop {
        let text = std::fs::read_to_string(&children).expect("the command runs");
        if let Some(host) = text.split_whitespace().next() {
            break host.parse().expect("it is a number");
        }
        assert!(Instant::now() < deadline, "no host");
        std::thread::sleep(Duration::from_millis(5));
    };
    command.kill().expect("it runs");
    command.wait().expect("it ends");
    assert!(is_gone(host));
}
