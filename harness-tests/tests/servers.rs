//! Programs that stay up: started, driven from outside, stopped; what leaks by request, what does
//! not, and whatever may go wrong in between.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use harness_tests::Workplace;
use harness_tests::outcome::Outcome;
use harness_tests::program::Program;
use harness_tests::trials::{Trials, body};

/// A folder with the server.
fn place() -> Workplace {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    let program = Program::compile("serves.c");
    fs::copy(program.path(), work.path("serves")).expect("the folder takes it");
    work
}

/// A scenario of the server with these words, ready when it says so, and more lines.
fn scenario(words: &str, more: &str) -> String {
    let words: Vec<_> = words.split(' ').map(|word| format!("\"{word}\"")).collect();
    let ask = "[\"./serves\", \"ask\", \"{port}\"]";
    let ready = if more.contains("ready =") { "" } else { "ready = \"listening\"" };
    let drive = if more.contains("drive =") { String::new() } else { format!("drive = {ask}") };
    format!("program = [\"./serves\", {}]\n{ready}\n{drive}\n{more}\n", words.join(", "))
}

/// Runs the scenario.
fn run(work: &Workplace, words: &str, more: &str) -> Outcome {
    work.check(&scenario(words, more))
}

const CLEAN: &[&str] = &["no leaks in it\n"];

#[test]
fn a_block_that_each_request_loses_is_a_leak() {
    let work = place();
    let lost = "leak, lost: 8 blocks, 384 bytes (1 block, 48 bytes per iteration)";
    let _ = run(&work, "loses {port}", "").ends_with(1).says(&[lost, "\n    serve  serves"]);
    let three = "leak, lost: 3 blocks, 144 bytes (1 block, 48 bytes per iteration)";
    let _ = run(&work, "loses {port}", "warmup = 0\nrepeat = 3").ends_with(1).says(&[three]);
    let _ = run(&work, "frees {port}", "").ends_with(0).says(CLEAN);
}

#[test]
fn one_that_it_keeps_is_a_leak_and_what_holds_it_is_said() {
    let work = place();
    let kept = "leak, reachable: 8 blocks, 384 bytes (1 block, 48 bytes per iteration)";
    let _ = run(&work, "keeps {port}", "timeout = \"4s\"")
        .ends_with(1)
        .says(&[kept, "held by requests in serves"]);
}

#[test]
fn a_server_is_ready_by_a_line_a_file_or_a_socket() {
    let work = place();
    let unix = "drive = [\"./serves\", \"ask\", \"{temp}/socket\"]\nready = ";
    let lost = &["leak, lost: 8 blocks, 384 bytes"];
    let _ = run(&work, "loses {port}", "ready = \"ing on {port}\"").ends_with(1).says(lost);
    let _ = run(&work, "speaks_on_stdout {port}", "ready = \"listening on {port}\"")
        .ends_with(0)
        .says(CLEAN);
    let _ = run(&work, "loses {port}", "ready = \"tcp:127.0.0.1:{port}\"").ends_with(1).says(lost);
    let by_file = "ready = \"file:{temp}/number\"";
    let _ = run(&work, "writes_its_number {port} {temp}/number", by_file).ends_with(0).says(CLEAN);
    let _ = run(&work, "loses {temp}/socket", &format!("{unix}\"unix:{{temp}}/socket\""))
        .ends_with(1)
        .says(lost);
    let _ =
        run(&work, "frees {temp}/socket", &format!("{unix}\"listening\"")).ends_with(0).says(CLEAN);
}

#[test]
fn what_the_first_requests_leave_is_a_cache() {
    let work = place();
    let _ = run(&work, "caches {port} 3", "").ends_with(0).says(CLEAN);
    let decided = " more iterations were run to decide";
    let _ = run(&work, "caches {port} 40", "").ends_with(0).says(&["no leaks in it\n", decided]);
}

#[test]
fn what_is_freed_later_is_no_leak() {
    let work = place();
    let _ = run(&work, "frees_later {port} 50", "").ends_with(0).says(CLEAN);
    let _ = run(&work, "frees_later {port} 50", "warmup = 0\nrepeat = 1").ends_with(0).says(CLEAN);
    let _ = run(&work, "frees_later {port} 300", "").ends_with(0).says(CLEAN);
}

#[test]
fn what_comes_after_the_answer_counts_for_its_request() {
    let work = place();
    let late = "leak, lost: 8 blocks, 384 bytes (1 block, 48 bytes per iteration)";
    let by_requests = "  in each of 8 iterations\n";
    let _ = run(&work, "loses_late {port} 1", "").ends_with(1).says(&[late, by_requests]);
}

#[test]
fn a_server_that_is_always_at_work_is_looked_at_all_the_same() {
    let work = place();
    let _ = run(&work, "is_busy {port}", "").ends_with(0).says(CLEAN);
}

#[test]
fn a_shell_may_start_it_by_exec() {
    let program = |line: &str| {
        let drive = "drive = [\"./serves\", \"ask\", \"{port}\"]";
        format!("program = [\"sh\", \"-c\", \"{line}\"]\nready = \"listening\"\n{drive}\n")
    };
    let work = place();
    let server = work.path("serves").display().to_string();
    let _ = work
        .check(&program(&format!("exec {server} loses {{port}}")))
        .ends_with(1)
        .says(&["leak, lost: 8 blocks, 384 bytes"]);
    let reason =
        "it.toml:1: sh allocated nothing while it was driven, and has processes of its own";
    let _ = work
        .check(&program(&format!("{server} loses {{port}}; true")))
        .ends_with(3)
        .says(&[reason]);
}

#[test]
fn what_forked_processes_answer_is_not_taken_for_clean() {
    let work = place();
    let reason = "serves allocated nothing while it was driven, and has processes of its own";
    let _ = run(&work, "forks {port}", "").ends_with(3).says(&["not checked: it.toml:1: ", reason]);
    let note = "note: what the processes allocated that it forked was not checked";
    let _ =
        run(&work, "forks_and_allocates {port}", "").ends_with(0).says(&["no leaks in it\n", note]);
}

#[test]
fn one_that_takes_no_preloaded_object_is_not_checked() {
    let work = place();
    let program = Program::compile_with("serves.c", &["-static"]);
    fs::copy(program.path(), work.path("serves")).expect("the folder takes it");
    let _ = run(&work, "loses {port}", "").ends_with(3).says(&["it is statically linked"]);
}

#[test]
fn a_server_that_does_nothing_is_told() {
    let work = place();
    let note = "note: it allocated nothing while it was driven";
    let _ = run(&work, "frees {port}", "drive = [\"true\"]")
        .ends_with(0)
        .says(&["no leaks in it\n", note]);
}

#[test]
fn one_that_ends_early_is_told_with_what_it_wrote() {
    let work = place();
    // The end may be seen when the next one is driven.
    let ended = "it.toml:1: FOLDER/serves ended with exit code 3 in iteration ";
    let advice = "; it has to stay up, in the foreground";
    let _ = run(&work, "ends {port} 4", "").ends_with(4).says(&[ended, advice, "listening on "]);
    let crashed = ["FOLDER/serves, in iteration ", ", was killed by signal 11 (SIGSEGV)"];
    let _ = run(&work, "crashes {port} 4", "").ends_with(4).says(&crashed);
    let _ = run(&work, "goes_to_the_background {port}", "")
        .ends_with(4)
        .says(&["ended with exit code 0 ", "to stay up, in the foreground"]);
    let refused = "serves ended with exit code 1 before it was ready";
    let _ = run(&work, "frees /no/such/folder/socket", "")
        .ends_with(4)
        .says(&["/no/such/folder/socket: ", refused]);
    let missing = "program = [\"./nothing\"]\nready = \"x\"\ndrive = [\"true\"]\n";
    let _ = work.check(missing).ends_with(2).says(&["it.toml:1: there is no program ./nothing"]);
}

#[test]
fn a_drive_that_fails_is_shown() {
    let work = place();
    let failed = "it.toml:3: drive, in iteration 1, ended with exit code 1";
    let wrote = "--- what the command wrote that failed:\nno answer\n";
    let _ = run(&work, "refuses {port}", "").ends_with(4).says(&[failed, wrote, "listening on "]);
    let missing = "it.toml:4: there is no program no-such-client";
    let _ =
        run(&work, "frees {port}", "drive = [\"no-such-client\"]").ends_with(2).says(&[missing]);
}

#[test]
fn times_that_are_over_are_told_and_nobody_is_left() {
    let work = place();
    let start = Instant::now();
    let limit = "timeout = \"400ms\"";
    let awaited = "it.toml:2: waiting for the program to print a line with \"listening\" (to a pipe, \
                   which it may have to flush) timed out: it took more than 400ms";
    let _ = run(&work, "says_nothing {port}", limit).ends_with(4).says(&[awaited]);
    let awaited = "waiting for the file /no/such/file timed out";
    let _ = run(&work, "frees {port}", &format!("ready = \"file:/no/such/file\"\n{limit}"))
        .ends_with(4)
        .says(&[awaited]);
    let hung = "it.toml:3: drive, in iteration 1, timed out: it took more than 400ms";
    let _ = run(&work, "hangs {port}", limit).ends_with(4).says(&[hung]);
    let sleeps = format!("drive = [\"sh\", \"-c\", \"sleep 61.7; true\"]\n{limit}");
    let _ = run(&work, "frees {port}", &sleeps)
        .ends_with(4)
        .says(&["drive, in iteration 1, timed out"]);
    let stays = "FOLDER/serves, after SIGTERM, timed out: it took more than 2s";
    let _ = run(&work, "stays_for_ever {port}", "warmup = 0\nrepeat = 1\ntimeout = \"2s\"")
        .ends_with(4)
        .says(&[stays]);
    assert!(start.elapsed() < Duration::from_secs(40), "{:?}", start.elapsed());
    let running = std::process::Command::new("pgrep").args(["-f", "^sleep 61.7"]).output();
    assert!(running.expect("pgrep runs").stdout.is_empty());
}

#[test]
fn who_was_there_before_is_not_driven() {
    let work = place();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it has one");
    let reason = format!(
        "not checked: it.toml:4: {address} accepts connections before the program was started: it \
         would not be this program that is driven"
    );
    let _ = run(&work, "frees {port}", &format!("ready = \"tcp:{address}\""))
        .ends_with(3)
        .says(&[&reason]);
    let _ = run(&work, "frees {port}", "ready = \"file:/\"")
        .ends_with(3)
        .says(&["/ is there before the program was started"]);
}

#[test]
fn it_is_stopped_as_it_is_asked_to() {
    let work = place();
    let _ = run(&work, "frees {port}", "stop = \"INT\"").ends_with(0).says(CLEAN);
    let by_command = "stop = [\"sh\", \"-c\", \"kill $(cat {temp}/number)\"]";
    let _ =
        run(&work, "writes_its_number {port} {temp}/number", by_command).ends_with(0).says(CLEAN);
    let ended = "FOLDER/serves, after SIGTERM, ended with exit code 7";
    let _ = run(&work, "ends_with {port} 7", "").ends_with(4).says(&[ended]);
    let _ = run(&work, "ends_with {port} 143", "").ends_with(0).says(CLEAN);
    let failed = "it.toml:4: stop ended with exit code 9";
    let wrote = "--- what the command wrote that failed:\nwhy\n";
    let stop = "stop = [\"sh\", \"-c\", \"echo why; exit 9\"]";
    let _ = run(&work, "frees {port}", stop).ends_with(4).says(&[failed, wrote]);
}

#[test]
fn a_drive_is_not_traced() {
    let work = place();
    let line = "test -z $LEAKSNAP_LEDGER$LD_PRELOAD";
    let drive = format!("drive = [\"sh\", \"-c\", \"{line}\"]");
    let _ = run(&work, "frees {port}", &drive).ends_with(0).says(&["no leaks in it\n"]);
}

/// Servers as trials, each with a port of its own.
#[test]
fn trials_accept_what_servers_leak() {
    let program = Program::compile("serves.c");
    let mut trials = Trials::new(env!("CARGO_BIN_EXE_trials"));
    fs::copy(program.path(), trials.folder().join("tests/leaks/serves")).expect("it is taken");
    for number in 0..4 {
        trials = trials.scenario(&format!("it{number}"), &scenario("loses {port}", ""));
    }
    let outcome = trials.run(&[], &[("INSTA_UPDATE", "new")]);
    let _ = outcome.ends_with(101).says(&["new leak, lost: 8 blocks, 384 bytes"]);
    for number in 0..4 {
        let name = format!("it{number}");
        let pending = fs::read_to_string(trials.pending(&name)).expect("it waits for its review");
        let expected = "leak: 1 block, 48 bytes per iteration\n    make  serves  serves.c\n    \
                        serve  serves  serves.c\n    main  serves  serves.c\n";
        assert_eq!(body(&pending), expected);
        trials.accept(&name, body(&pending));
    }
    let _ = trials.run(&[], &[("INSTA_UPDATE", "no")]).ends_with(0);
}
