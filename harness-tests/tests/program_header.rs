//! The header for programs compiles without a warning in C and in C++; a program that has it runs
//! by itself, and its marks are iterations where a scenario wants them.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use harness_tests::Workplace;
use harness_tests::outcome::Outcome;
use harness_tests::program::{Program, found};

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];

/// The fixture, compiled by `compiler`, in a folder.
fn compiled(compiler: &str, flags: &[&str]) -> Workplace {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../include");
    let output = Command::new(found(compiler, "build-essential clang"))
        .args(flags)
        .args(WARNINGS)
        .args(["-g", "-fno-builtin", "-pthread", "-I"])
        .arg(include)
        .arg(Program::source("marks_its_rounds.c"))
        .arg("-o")
        .arg(work.path("marks"))
        .output()
        .expect("the compiler runs");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compiler} {flags:?}: {messages}");
    work
}

/// Runs the program for `rounds` in a scenario.
fn run(work: &Workplace, rounds: u32, how: &str, more: &str) -> Outcome {
    let text = format!("program = [\"./marks\", \"{rounds}\", \"{how}\"]\n{more}\n");
    work.check(&text)
}

const LOST: &str = "leak, lost: 8 blocks, 616 bytes (1 block, 77 bytes per iteration)";

/// By itself it does nothing, and each round is an iteration under leaksnap.
#[track_caller]
fn marks_work(compiler: &str, flags: &[&str]) {
    let work = compiled(compiler, flags);
    let alone = work.end(&mut work.command_of(work.path("marks"), ["3"]));
    assert_eq!((alone.status, alone.stdout.as_str()), (Some(0), "done\n"), "{compiler} {flags:?}");
    let decided = run(&work, 40, "", "repeat = 8");
    let _ = decided.ends_with(1).says(&[LOST, "\n  in each of 8 iterations\n    forget"]);
    let _ = run(&work, 40, "frees", "repeat = 8").ends_with(0).says(&["no leaks in it\n"]);
}

#[test]
fn in_c() {
    marks_work("cc", &["-x", "c", "-std=c99"]);
    marks_work("cc", &["-x", "c", "-std=c17", "-O2", "-fvisibility=hidden"]);
}

#[test]
fn in_cpp() {
    marks_work("c++", &["-x", "c++", "-std=c++11"]);
    marks_work("c++", &["-x", "c++", "-std=c++17", "-O2", "-fvisibility=hidden"]);
}

#[test]
fn by_clang() {
    marks_work("clang", &["-x", "c"]);
    marks_work("clang", &["-x", "c++", "-O2"]);
}

/// Where weak symbols of programs are taken for nothing.
#[test]
fn in_a_program_at_a_fixed_address() {
    marks_work("cc", &["-no-pie", "-fno-pie"]);
    marks_work("cc", &["-no-pie", "-fno-pie", "-O2", "-Wl,-z,now"]);
}

#[test]
fn a_static_program_runs_and_is_not_checked() {
    let work = compiled("cc", &["-static"]);
    let alone = work.end(&mut work.command_of(work.path("marks"), ["3"]));
    assert_eq!((alone.status, alone.stdout.as_str()), (Some(0), "done\n"));
    let _ = run(&work, 40, "", "repeat = 8").ends_with(3).says(&["it is statically linked"]);
}

#[test]
fn marks_are_counted() {
    let work = compiled("cc", &[]);
    let few = "it.toml:1: FOLDER/marks ended after 9 marks; `warmup` and `repeat` are 10 together";
    let _ = run(&work, 9, "", "repeat = 8").ends_with(3).says(&[few]);
    let _ = run(&work, 10, "", "warmup = 2").ends_with(1).says(&[LOST]);
    let three = "leak, lost: 3 blocks, 231 bytes";
    let _ = run(&work, 4, "", "warmup = 1\nrepeat = 3").ends_with(1).says(&[three]);
    let none = "FOLDER/marks never called `leaksnap_mark` (include/leaksnap.h)";
    let _ = run(&work, 0, "", "repeat = 8").ends_with(3).says(&[none]);
    // Nobody asked for iterations: the whole run counts.
    let _ = run(&work, 5, "", "").ends_with(1).says(&["leak, lost: 5 blocks, 385 bytes"]);
}

#[test]
fn what_is_allocated_in_a_pause_is_no_leak() {
    let work = compiled("cc", &[]);
    let _ = run(&work, 40, "pauses", "repeat = 8").ends_with(0).says(&["no leaks in it\n"]);
    let _ = run(&work, 40, "pauses", "").ends_with(0).says(&["no leaks in it\n"]);
}

#[test]
fn marks_of_threads_come_one_after_the_other() {
    let work = compiled("cc", &[]);
    // Which of them is where at a mark nobody knows.
    let _ = run(&work, 160, "threads", "repeat = 8").ends_with(1).says(&["\n    forget  marks"]);
    let _ = run(&work, 12, "threads", "repeat = 8").ends_with(1).says(&["\n    forget  marks"]);
}

#[test]
fn a_program_that_stands_nowhere_has_no_more_than_its_time() {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    let program = Program::compile("stands_nowhere.c");
    std::fs::copy(program.path(), work.path("marks")).expect("the folder takes it");
    let start = Instant::now();
    for more in ["repeat = 8", "repeat = 2000", ""] {
        let run = run(&work, 0, "", &format!("timeout = \"500ms\"\n{more}"));
        assert!(run.code >= Some(3), "{more}: {}", run.text);
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn how_the_program_ends_counts() {
    let work = compiled("cc", &[]);
    let failed = "it.toml:1: FOLDER/marks ended with exit code 3";
    let _ = run(&work, 40, "fails", "repeat = 8").ends_with(4).says(&[LOST, failed]);
    let killed = "it.toml:1: FOLDER/marks was killed by signal 6 (SIGABRT)";
    let _ = run(&work, 40, "crashes", "repeat = 8").ends_with(4).says(&[killed]);
}
