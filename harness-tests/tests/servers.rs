//! Programs that stay up: started, driven from outside, stopped; what leaks by request, what does
//! not, and whatever may go wrong in between.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use harness_tests::Workplace;
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

/// Runs the scenario; its status, and all that was said.
fn run(work: &Workplace, words: &str, more: &str) -> (i32, String) {
    work.write("it.toml", &scenario(words, more));
    let ended = work.run(["run", "it.toml"]);
    (ended.status.unwrap_or(-1), ended.stdout + &ended.stderr)
}

#[track_caller]
fn expect((status, text): &(i32, String), expected: i32, parts: &[&str]) {
    assert_eq!(*status, expected, "{text}");
    for part in parts {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

const CLEAN: &[&str] = &["no leaks in it\n"];

#[test]
fn a_block_that_each_request_loses_is_a_leak() {
    let work = place();
    let lost = "leak, lost: 8 blocks, 384 bytes (1 block, 48 bytes per iteration)";
    expect(&run(&work, "loses {port}", ""), 1, &[lost, "\n    serve  serves"]);
    let three = "leak, lost: 3 blocks, 144 bytes (1 block, 48 bytes per iteration)";
    expect(&run(&work, "loses {port}", "warmup = 0\nrepeat = 3"), 1, &[three]);
    expect(&run(&work, "frees {port}", ""), 0, CLEAN);
}

#[test]
fn one_that_it_keeps_is_a_leak_and_what_holds_it_is_said() {
    let work = place();
    let kept = "leak, reachable: 8 blocks, 384 bytes (1 block, 48 bytes per iteration)";
    expect(
        &run(&work, "keeps {port}", "timeout = \"4s\""),
        1,
        &[kept, "held by requests in serves"],
    );
}

#[test]
fn a_server_is_ready_by_a_line_a_file_or_a_socket() {
    let work = place();
    let unix = "drive = [\"./serves\", \"ask\", \"{temp}/socket\"]\nready = ";
    let lost = &["leak, lost: 8 blocks, 384 bytes"];
    expect(&run(&work, "loses {port}", "ready = \"ing on {port}\""), 1, lost);
    expect(&run(&work, "speaks_on_stdout {port}", "ready = \"listening on {port}\""), 0, CLEAN);
    expect(&run(&work, "loses {port}", "ready = \"tcp:127.0.0.1:{port}\""), 1, lost);
    let by_file = "ready = \"file:{temp}/number\"";
    expect(&run(&work, "writes_its_number {port} {temp}/number", by_file), 0, CLEAN);
    expect(&run(&work, "loses {temp}/socket", &format!("{unix}\"unix:{{temp}}/socket\"")), 1, lost);
    expect(&run(&work, "frees {temp}/socket", &format!("{unix}\"listening\"")), 0, CLEAN);
}

#[test]
fn what_the_first_requests_leave_is_a_cache() {
    let work = place();
    expect(&run(&work, "caches {port} 3", ""), 0, CLEAN);
    let decided = " more iterations were run to decide";
    expect(&run(&work, "caches {port} 40", ""), 0, &["no leaks in it\n", decided]);
}

#[test]
fn what_is_freed_later_is_no_leak() {
    let work = place();
    expect(&run(&work, "frees_later {port} 50", ""), 0, CLEAN);
    expect(&run(&work, "frees_later {port} 50", "warmup = 0\nrepeat = 1"), 0, CLEAN);
    expect(&run(&work, "frees_later {port} 300", ""), 0, CLEAN);
}

#[test]
fn what_comes_after_the_answer_counts_for_its_request() {
    let work = place();
    let late = "leak, lost: 8 blocks, 384 bytes (1 block, 48 bytes per iteration)";
    let by_requests = "  in each of 8 iterations\n";
    expect(&run(&work, "loses_late {port} 1", ""), 1, &[late, by_requests]);
}

#[test]
fn a_server_that_is_always_at_work_is_looked_at_all_the_same() {
    let work = place();
    expect(&run(&work, "is_busy {port}", ""), 0, CLEAN);
}

#[test]
fn a_shell_may_start_it_by_exec() {
    let program = |line: &str| {
        let drive = "drive = [\"./serves\", \"ask\", \"{port}\"]";
        format!("program = [\"sh\", \"-c\", \"{line}\"]\nready = \"listening\"\n{drive}\n")
    };
    let work = place();
    let server = work.path("serves").display().to_string();
    work.write("it.toml", &program(&format!("exec {server} loses {{port}}")));
    let ended = work.run(["run", "it.toml"]);
    expect(&(ended.status.unwrap_or(-1), ended.stderr), 1, &["leak, lost: 8 blocks, 384 bytes"]);
    work.write("it.toml", &program(&format!("{server} loses {{port}}; true")));
    let ended = work.run(["run", "it.toml"]);
    let reason =
        "it.toml:1: sh allocated nothing while it was driven, and has processes of its own";
    expect(&(ended.status.unwrap_or(-1), ended.stderr), 3, &[reason]);
}

#[test]
fn what_forked_processes_answer_is_not_taken_for_clean() {
    let work = place();
    let reason = "serves allocated nothing while it was driven, and has processes of its own";
    expect(&run(&work, "forks {port}", ""), 3, &["not checked: it.toml:1: ", reason]);
    let note = "note: what the processes allocated that it forked was not checked";
    expect(&run(&work, "forks_and_allocates {port}", ""), 0, &["no leaks in it\n", note]);
}

#[test]
fn one_that_takes_no_preloaded_object_is_not_checked() {
    let work = place();
    let program = Program::compile_with("serves.c", &["-static"]);
    fs::copy(program.path(), work.path("serves")).expect("the folder takes it");
    expect(&run(&work, "loses {port}", ""), 3, &["it is statically linked"]);
}

#[test]
fn a_server_that_does_nothing_is_told() {
    let work = place();
    let note = "note: it allocated nothing while it was driven";
    let (status, text) = run(&work, "frees {port}", "drive = [\"true\"]");
    expect(&(status, text), 0, &["no leaks in it\n", note]);
}

#[test]
fn one_that_ends_early_is_told_with_what_it_wrote() {
    let work = place();
    // The end may be seen when the next one is driven.
    let ended = "it.toml:1: FOLDER/serves ended with exit code 3 in iteration ";
    let advice = "; it has to stay up, in the foreground";
    expect(&run(&work, "ends {port} 4", ""), 4, &[ended, advice, "listening on "]);
    let crashed = ["FOLDER/serves, in iteration ", ", was killed by signal 11 (SIGSEGV)"];
    expect(&run(&work, "crashes {port} 4", ""), 4, &crashed);
    let (status, text) = run(&work, "goes_to_the_background {port}", "");
    expect(&(status, text), 4, &["ended with exit code 0 ", "to stay up, in the foreground"]);
    let refused = "serves ended with exit code 1 before it was ready";
    expect(
        &run(&work, "frees /no/such/folder/socket", ""),
        4,
        &["/no/such/folder/socket: ", refused],
    );
    let missing = "program = [\"./nothing\"]\nready = \"x\"\ndrive = [\"true\"]\n";
    work.write("it.toml", missing);
    let ended = work.run(["run", "it.toml"]);
    let text = ended.stderr;
    expect(&(ended.status.unwrap_or(-1), text), 2, &["it.toml:1: there is no program ./nothing"]);
}

#[test]
fn a_drive_that_fails_is_shown() {
    let work = place();
    let failed = "it.toml:3: drive, in iteration 1, ended with exit code 1";
    let wrote = "--- what the command wrote that failed:\nno answer\n";
    expect(&run(&work, "refuses {port}", ""), 4, &[failed, wrote, "listening on "]);
    let missing = "it.toml:4: there is no program no-such-client";
    expect(&run(&work, "frees {port}", "drive = [\"no-such-client\"]"), 2, &[missing]);
}

#[test]
fn times_that_are_over_are_told_and_nobody_is_left() {
    let work = place();
    let start = Instant::now();
    let limit = "timeout = \"400ms\"";
    let awaited = "it.toml:2: waiting for the program to print a line with \"listening\" (to a pipe, \
                   which it may have to flush) timed out: it took more than 400ms";
    expect(&run(&work, "says_nothing {port}", limit), 4, &[awaited]);
    let awaited = "waiting for the file /no/such/file timed out";
    expect(
        &run(&work, "frees {port}", &format!("ready = \"file:/no/such/file\"\n{limit}")),
        4,
        &[awaited],
    );
    let hung = "it.toml:3: drive, in iteration 1, timed out: it took more than 400ms";
    expect(&run(&work, "hangs {port}", limit), 4, &[hung]);
    let sleeps = format!("drive = [\"sh\", \"-c\", \"sleep 61.7; true\"]\n{limit}");
    expect(&run(&work, "frees {port}", &sleeps), 4, &["drive, in iteration 1, timed out"]);
    let stays = "FOLDER/serves, after SIGTERM, timed out: it took more than 2s";
    expect(
        &run(&work, "stays_for_ever {port}", "warmup = 0\nrepeat = 1\ntimeout = \"2s\""),
        4,
        &[stays],
    );
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
    expect(&run(&work, "frees {port}", &format!("ready = \"tcp:{address}\"")), 3, &[&reason]);
    let (status, text) = run(&work, "frees {port}", "ready = \"file:/\"");
    expect(&(status, text), 3, &["/ is there before the program was started"]);
}

#[test]
fn it_is_stopped_as_it_is_asked_to() {
    let work = place();
    expect(&run(&work, "frees {port}", "stop = \"INT\""), 0, CLEAN);
    let by_command = "stop = [\"sh\", \"-c\", \"kill $(cat {temp}/number)\"]";
    expect(&run(&work, "writes_its_number {port} {temp}/number", by_command), 0, CLEAN);
    let ended = "FOLDER/serves, after SIGTERM, ended with exit code 7";
    expect(&run(&work, "ends_with {port} 7", ""), 4, &[ended]);
    expect(&run(&work, "ends_with {port} 143", ""), 0, CLEAN);
    let failed = "it.toml:4: stop ended with exit code 9";
    let wrote = "--- what the command wrote that failed:\nwhy\n";
    let stop = "stop = [\"sh\", \"-c\", \"echo why; exit 9\"]";
    expect(&run(&work, "frees {port}", stop), 4, &[failed, wrote]);
}

#[test]
fn a_drive_is_not_traced() {
    let work = place();
    let line = "test -z $LEAKSNAP_LEDGER$LD_PRELOAD";
    let drive = format!("drive = [\"sh\", \"-c\", \"{line}\"]");
    expect(&run(&work, "frees {port}", &drive), 0, &["no leaks in it\n"]);
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
