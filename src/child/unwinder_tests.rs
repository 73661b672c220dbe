//! The unwinder against libgcc's, in whole programs: every backtrace of a child is compared as it
//! is taken (`LEAKSNAP_CHECK_UNWINDER=1`), and the ledger's header counts.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use super::ledger_file::{DEFAULT_NODES, LedgerFile};
use super::process::{Event, Process};

/// Runs a program and says how many backtraces were compared.
fn compared(program: &str, arguments: &[&str]) -> u64 {
    let mut command = Command::new(program);
    command.args(arguments).env("LEAKSNAP_CHECK_UNWINDER", "1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let ledger = LedgerFile::create(4 << 30, DEFAULT_NODES).expect("the kernel has memfds");
    let mut process = Process::start(command, ledger, false).expect("it starts");
    let event = process.wait(None, None).expect("it ends");
    let Event::Ended(exit) = event else { panic!("{program} did not end: {event:?}") };
    assert_eq!(exit.code, Some(0), "{program} {arguments:?}: {exit:?}");
    let header = process.ledger().header();
    let (checked, wrong) = (&header.unwinds_checked, &header.unwinds_wrong);
    assert_eq!(wrong.load(Ordering::Relaxed), 0, "wrong backtraces in {program} {arguments:?}");
    checked.load(Ordering::Relaxed)
}

/// Compiles the torture program and its modules; their paths.
fn hard(folder: &Path) -> [String; 3] {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/programs/unwinds_hard.cpp");
    [
        ("program", &["-fno-optimize-sibling-calls"][..]),
        ("a.so", &["-shared", "-fPIC", "-DMODULE=1"]),
        ("b.so", &["-shared", "-fPIC", "-DMODULE=2"]),
    ]
    .map(|(name, options)| {
        let path = folder.join(name).to_str().expect("temporary paths are text").to_owned();
        let mut compiler = Command::new("c++");
        compiler.args(["-O2", "-o", &path, source]).args(options).args(["-ldl", "-lpthread"]);
        assert!(compiler.status().expect("a C++ compiler is there").success());
        path
    })
}

fn torture(rounds: &str) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let [program, a, b] = hard(folder.path());
    compared(&program, &[rounds, &a, &b])
}

const JSON: &str = "import json\n\
    for i in range(3000): json.loads(json.dumps({'a': [i, {'b': str(i)}]}))";
const TABLE: &str = "create table t(a, b); with recursive c(x) as \
    (select 1 union all select x + 1 from c where x < 5000) insert into t select x, x || 'b' \
    from c; select count(*) from t group by a % 10;";

#[test]
fn no_backtrace_of_a_torture_program_is_wrong() {
    assert!(torture("300") > 30_000);
}

#[test]
fn no_backtrace_of_everyday_programs_is_wrong() {
    assert!(compared("openssl", &["genrsa", "2048"]) > 5_000);
    assert!(compared("/usr/bin/python3", &["-c", JSON]) > 5_000);
}

/// The long proof: a million backtraces, in programs that CI may not have.
#[test]
#[ignore = "takes a minute"]
fn no_backtrace_in_a_million_is_wrong() {
    let counts = [
        torture("6000"),
        compared("openssl", &["genrsa", "2048"]),
        compared("openssl", &["speed", "-seconds", "1", "rsa2048", "ecdsap256"]),
        compared("/usr/bin/python3", &["-c", JSON]),
        compared("sqlite3", &[":memory:", TABLE]),
        compared("/usr/bin/git", &["-C", env!("CARGO_MANIFEST_DIR"), "log", "-p"]),
    ];
    println!("compared: {counts:?}");
    assert!(counts.iter().sum::<u64>() > 1_000_000, "{counts:?}");
}
