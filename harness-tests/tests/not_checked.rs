//! What can't be checked is never clean: status 3, and the reason.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use harness_tests::{Ended, Workplace};

const CLEAN: &str = "plugins = [\"frees_all.so\"]\nsteps = [\"churn\"]\n";

fn workplace(text: &str) -> Workplace {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    work.add_plugin("frees_all");
    work.add_plugin("eats_heap");
    work.add_static_program("is_static");
    work.write("it.toml", text);
    work
}

/// That nothing was checked, for `reason`.
fn unchecked(ended: &Ended, reason: &str) {
    let text = format!("leaksnap: not checked: {reason}; what is not checked is not clean\n");
    assert_eq!(ended.stderr, text);
    assert_eq!(ended.status, Some(3));
}

#[test]
fn a_heap_that_was_full() {
    let work = workplace("plugins = [\"eats_heap.so\"]\nsteps = [\"eat\"]\nheap = \"32m\"\n");
    let reason = "the heap of 32 MiB was full; raise `heap` (it.toml:2: step `eat` failed: no \
                  memory)";
    unchecked(&work.run(["run", "it.toml"]), reason);
    // The same fits into a larger one.
    work.write("it.toml", "plugins = [\"eats_heap.so\"]\nsteps = [\"eat\"]\nheap = \"512m\"\n");
    let ended = work.run(["run", "it.toml"]);
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), "no leaks in it\n"));
}

#[test]
fn a_ledger_that_was_full() {
    let work = workplace(CLEAN);
    let ended = work.end(work.command(["run", "it.toml"]).env("LEAKSNAP_FRAMES", "64"));
    assert_eq!(ended.status, Some(3), "{}", ended.stderr);
    let start = "leaksnap: not checked: the ledger was full: more than 64 distinct frames; raise \
                 LEAKSNAP_FRAMES";
    assert!(ended.stderr.starts_with(start), "{}", ended.stderr);
}

#[test]
fn a_limit_of_file_sizes_below_the_ledger_s() {
    let work = workplace(CLEAN);
    let session = env!("CARGO_BIN_EXE_session");
    for words in [&["run", "it.toml"][..], &["exec", "--", "true"], &["console"]] {
        let under = |limit: &str| {
            let line = format!("ulimit -f {limit}; exec \"$0\" \"$@\"");
            let shell = ["-c", line.as_str(), session].into_iter().chain(words.iter().copied());
            work.end(work.command_of("sh", shell).stdin(Stdio::null()))
        };
        let ended = under("20000");
        let start =
            "leaksnap: not checked: make the ledger: the limit of file sizes (`ulimit -f`) is ";
        assert!(ended.stderr.starts_with(start), "{words:?}: {}", ended.stderr);
        assert!(ended.stderr.ends_with("; what is not checked is not clean\n"), "{}", ended.stderr);
        assert_eq!(ended.status, Some(3), "{words:?}");
        assert_eq!(under("unlimited").status, Some(0), "{words:?}");
    }
    // A program has the limit, and what comes of it, as ever.
    let heap = "--heap 32m -- sh -c 'ulimit -f; ulimit -f 1; exec yes >big'";
    let line = format!("ulimit -f 1000000; LEAKSNAP_FRAMES=1000 exec \"$0\" exec {heap}");
    let ended = work.end(&mut work.command_of("sh", ["-c", line.as_str(), session]));
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(4), "1000000\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("was killed by signal 25 (SIGXFSZ)"), "{}", ended.stderr);
}

#[test]
fn descriptors_that_run_out_at_any_point() {
    let work = workplace(CLEAN);
    let mut at_the_look = 0;
    for most in 5..12 {
        let line = format!("ulimit -n {most}; exec \"$0\" exec -- sleep 0");
        let shell = ["-c", line.as_str(), env!("CARGO_BIN_EXE_session")];
        let ended = work.end(&mut work.command_of("sh", shell));
        if ended.status == Some(0) {
            continue;
        }
        assert!(ended.stderr.contains("Too many open files"), "{most}: {}", ended.stderr);
        at_the_look += usize::from(ended.stderr.contains("read the program's memory"));
    }
    assert!(at_the_look > 0, "none of them ran out there");
}

#[test]
fn a_heap_that_is_told_not_to_trace() {
    let work = workplace(CLEAN);
    let ended = work.end(work.command(["run", "it.toml"]).env("LEAKSNAP_TRACE", "0"));
    unchecked(&ended, "LEAKSNAP_TRACE=0 turned tracing off");
    work.write("it.toml", "program = [\"true\"]\n");
    let ended = work.end(work.command(["run", "it.toml"]).env("LEAKSNAP_TRACE", "0"));
    unchecked(&ended, "LEAKSNAP_TRACE=0 turned tracing off");
    let ended = work.end(work.command(["run", "it.toml"]).env("LEAKSNAP_TRACE", "1"));
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), "no leaks in it\n"));
}

#[test]
fn a_program_that_nothing_can_be_preloaded_into() {
    let work = workplace("program = [\"./is_static\"]\n");
    let reason = "the preload heap did not become active: it is statically linked, and ignores \
                  LD_PRELOAD";
    unchecked(&work.run(["run", "it.toml"]), reason);
}

#[test]
fn a_report_of_what_was_not_checked_says_so() {
    let work = workplace("program = [\"./is_static\"]\n");
    let ended = work.run(["run", "--format", "json", "--output", "report", "it.toml"]);
    let text = std::fs::read_to_string(work.path("report")).expect("there is a report");
    let report: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(ended.status, Some(3));
    assert_eq!(report["tracing"]["active"], false);
    let ended = work.run(["run", "--output", "report", "it.toml"]);
    assert_eq!(ended.status, Some(3));
    let text = std::fs::read_to_string(work.path("report")).expect("there is a report");
    assert_eq!(text, ended.stderr, "who reads one of them alone is told");
    assert!(text.starts_with("leaksnap: not checked: the preload heap did not become active"));
}

#[test]
fn an_address_space_that_is_too_small() {
    let work = workplace(CLEAN);
    let reason = "the heap and its ledger could not be mapped; lower `heap`, or raise the limits \
                  on address space and data (`ulimit -v`, `ulimit -d`)";
    // Too small for the heap, and too small for the ledger as well.
    for kilobytes in [4_500_000, 1_000_000] {
        let script = format!("ulimit -v {kilobytes}; exec \"$0\" run it.toml");
        let mut command = work.command_of("sh", ["-c", &script, env!("CARGO_BIN_EXE_session")]);
        unchecked(&work.end(&mut command), reason);
    }
}

#[test]
fn the_most_serious_status_decides() {
    let work = workplace(CLEAN);
    work.write("static.toml", "program = [\"./is_static\"]\n");
    work.write("fails.toml", "program = [\"false\"]\n");
    work.write("wrong.toml", "");
    let status = |files: &[&str]| work.run([&["run"], files].concat()).status;
    assert_eq!(status(&["it.toml"]), Some(0));
    assert_eq!(status(&["it.toml", "fails.toml"]), Some(4));
    assert_eq!(status(&["fails.toml", "wrong.toml", "it.toml"]), Some(2));
    assert_eq!(status(&["fails.toml", "static.toml", "wrong.toml"]), Some(3));
}

/// The real host, asked by this test in its parent's place.
#[test]
fn a_host_without_the_preload_heap() {
    let work = workplace(CLEAN);
    let (mut here, there) = UnixStream::pair().expect("sockets");
    let mut command = work.command([""; 0]);
    command.env("LEAKSNAP_HOST", "1").stdin(OwnedFd::from(there)).stdout(Stdio::null());
    let mut host = command.spawn().expect("the host starts");
    drop(command);
    here.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let mut replies = BufReader::new(here.try_clone().expect("a second descriptor")).lines();
    for request in ["\"Allocate\"", "{\"Open\":\"frees_all.so\"}", "{\"Step\":\"churn\"}"] {
        here.write_all(format!("{request}\n").as_bytes()).expect("the host listens");
        let reply = replies.next().expect("an answer").expect("it is text");
        let expected = "{\"NoHeap\":\"the preload heap's `leaksnap_pause` is not there\"}";
        assert_eq!(reply, expected, "to {request}");
    }
    here.write_all(b"\"Quit\"\n").expect("the host listens");
    assert_eq!(host.wait().expect("it ends").code(), Some(0));
}
