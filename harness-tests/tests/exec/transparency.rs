//! A program does the same with the preload heap as without.

use std::path::Path;
use std::process::Command;

use harness_tests::command::{Checked, Exec};
use harness_tests::program::{Program, Words, found};

/// The command line of a program of the system.
fn words(program: &str, package: &str, arguments: &[&str]) -> Words {
    let path = found(program, package);
    let path = path.to_str().expect("a plain path");
    std::iter::once(path).chain(arguments.iter().copied()).collect()
}

/// Runs it both ways: the same output, the same exit code.
#[track_caller]
fn is_the_same(exec: &Exec) -> Checked {
    let alone = exec.natively();
    let checked = exec.check();
    assert_eq!(alone.text(), checked.run.text());
    assert_eq!(alone.stdout, checked.run.stdout);
    let code = checked.report["exit"]["code"].as_i64();
    assert_eq!(alone.code.map(i64::from), code, "{checked:#?}");
    checked
}

#[test]
fn openssl_speed_prints_the_same_table() {
    let arguments = ["speed", "-seconds", "1", "-bytes", "64", "-evp", "aes-128-gcm"];
    let exec = Exec::of(words("openssl", "openssl", &arguments));
    let (alone, checked) = (exec.natively(), exec.check());
    checked.expect_traced(10);
    assert_eq!(checked.report["exit"]["code"].as_i64(), alone.code.map(i64::from));
    assert_eq!(alone.code, Some(0), "{alone:?}");
    let shape = |text: String| {
        text.split(|c: char| c.is_ascii_digit() || ".k ".contains(c))
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert!(alone.text().contains("AES-128-GCM"), "{alone:?}");
    assert_eq!(shape(checked.run.text()), shape(alone.text()), "but for the numbers");
}

#[test]
fn openssl_digests_what_it_reads() {
    let input: Vec<u8> =
        (0..200_000_u32).map(|at| (at.wrapping_mul(at) >> 7).to_le_bytes()[0]).collect();
    let exec = Exec::of(words("openssl", "openssl", &["dgst", "-sha256"])).input(&input);
    is_the_same(&exec).expect_traced(10);
}

#[test]
fn python_parses_starts_threads_and_programs() {
    let script = "
import json, subprocess, sys, threading
data = {str(n): [n, n / 7, 'x' * (n % 50), None, {'deep': list(range(n % 20))}] for n in range(3000)}
assert json.loads(json.dumps(data)) == data
results = [0] * 4
def work(index):
    for n in range(2000):
        results[index] += len([str(n)] * (n % 50))
threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
out = subprocess.run(['sh', '-c', 'echo from a child; exit 5'], stdout=subprocess.PIPE)
print(results, out, len(json.dumps(data)))
sys.exit(3)
";
    let exec = Exec::of(words("python3", "python3", &["-c", script]));
    let checked = is_the_same(&exec);
    assert_eq!(checked.run.code, Some(4), "the program's own failure: {checked:#?}");
    assert_eq!(checked.report["exit"]["code"].as_i64(), Some(3));
    assert_eq!(checked.report["tracing"]["active"], true);
    assert!(checked.run.text().contains("from a child"));
}

#[test]
fn python_takes_every_object_from_the_heap() {
    let script = "
import collections, gc, re
words = re.findall('[a-z]+', ' '.join(('some text ' * 50, 'more of it ' * 70)))
print(collections.Counter(words).most_common(4), sum(len([n] * (n % 30)) for n in range(20000)))
print(gc.collect() >= 0)
";
    let exec = Exec::of(words("python3", "python3", &["-c", script]));
    let checked = is_the_same(&exec.variable("PYTHONMALLOC", "malloc"));
    checked.expect_traced(10);
    assert!(checked.report["tracing"]["allocations"].as_u64() > Some(40_000), "{checked:#?}");
}

#[test]
fn git_tells_the_same_history() {
    let folder = tempfile::tempdir().expect("a folder");
    let git = found("git", "git");
    let make = |arguments: &[&str]| {
        let output = Command::new(&git)
            .args(["-c", "user.name=A", "-c", "user.email=a@example.org"])
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .expect("git runs");
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
    };
    make(&["init", "--quiet"]);
    for number in 0..20 {
        let text = format!("line {number}\n").repeat(number + 1);
        std::fs::write(folder.path().join("file"), text).expect("the folder takes it");
        make(&["add", "file"]);
        make(&["commit", "--quiet", "--message", &format!("change {number}")]);
    }
    let arguments = ["--no-pager", "log", "--stat", "--patch"];
    let exec = Exec::of(words("git", "git", &arguments)).folder(folder.path());
    let checked = is_the_same(&exec);
    checked.expect_traced(10);
    assert!(checked.run.text().contains("change 0"));
}

#[test]
fn sqlite_answers_the_same() {
    let script = "
create table numbers (n integer primary key, square integer, text text);
with recursive count(n) as (select 1 union all select n + 1 from count where n < 20000)
insert into numbers select n, n * n, hex(n * 7919) || printf('%.*c', n % 60, 'x') from count;
create index by_text on numbers (text);
select count(*), sum(square), max(length(text)) from numbers;
select n, text from numbers where text like '3%' order by text limit 20;
select nothing from nowhere;
";
    let exec = Exec::of(words("sqlite3", "sqlite3", &[":memory:"])).input(script.as_bytes());
    let checked = is_the_same(&exec);
    assert!(checked.run.text().starts_with("20000|2666866670000|"));
    checked.expect_traced(10);
}

#[test]
fn exit_codes_are_the_program_s() {
    for code in [1, 2, 3, 4, 42, 255] {
        let line = format!("exit {code}");
        let checked = is_the_same(&Exec::of(words("sh", "dash", &["-c", &line])));
        checked.expect(4, Some(code));
    }
}

#[test]
fn input_goes_to_the_program() {
    let exec = Exec::of(words("sort", "coreutils", &["-r"])).input(b"one\ntwo\nthree\n");
    let checked = is_the_same(&exec);
    assert_eq!(checked.run.text(), "two\nthree\none\n");
}

#[test]
fn bytes_come_through_as_they_are() {
    let input: Vec<u8> = (0..=255_u8).cycle().take(100_000).chain([0, 0xff, b'\n', 0]).collect();
    let checked = is_the_same(&Exec::of(words("cat", "coreutils", &[])).input(&input));
    assert_eq!(checked.run.stdout, input);
}

#[test]
fn the_environment_and_the_folder_are_the_caller_s() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = Path::new(folder.path());
    let script = "pwd; echo $SOME_VARIABLE; echo to stderr >&2";
    let exec = Exec::of(words("sh", "dash", &["-c", script])).folder(path);
    let checked = is_the_same(&exec.variable("SOME_VARIABLE", "some value"));
    assert!(checked.run.text().ends_with("\nsome value\n"));
    assert!(checked.run.stderr.contains("to stderr\n"));
}

#[test]
fn what_the_program_s_environment_says_to_mimalloc_is_not_for_the_heap() {
    let exec = Exec::of(["true"].into_iter().collect());
    let told = exec.variable("MIMALLOC_VERBOSE", "1").variable("MIMALLOC_SHOW_STATS", "1");
    let run = told.text();
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), "no leaks in true\n"));
}

#[test]
fn a_program_without_allocations_is_clean() {
    let exec = Exec::of(Program::compile("frees_all.c").with([]));
    is_the_same(&exec).expect(0, Some(0)).expect_groups(&[]);
}

#[test]
fn what_is_found_in_libc_by_its_name_is_what_all_others_call() {
    for options in [&[][..], &["-no-pie", "-fno-pic"]] {
        let program = Program::compile_with("asks_libc_by_name.c", options);
        let checked = is_the_same(&Exec::of(program.with([])));
        checked.expect(1, Some(0)).expect_groups(&[("leak/lost", 3, 300, "lose")]);
        assert_eq!(checked.run.text().lines().collect::<Vec<_>>(), ["1 1 1 1", "said", "once"]);
    }
}
