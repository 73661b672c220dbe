//! The handshake with a preload heap that is not this library's: the child works, untraced, and
//! nobody takes it for clean.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::invocation::Invocation;
use super::launch::Stream;
use super::ledger_file::LedgerFile;
use super::process::{Group, Look, Process};
use crate::check::{Problem, activity};
use crate::ledger::header::{MAGIC, VERSION, state};
use crate::ledger::shard::Counts;
use crate::report::Exit;

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a program that works a little, on `ledger`; it has to work whatever the ledger says.
fn run(ledger: LedgerFile) -> Process {
    let invocation = Invocation::of("sort").with(["/dev/null"]);
    let streams = [Stream::Inherited, Stream::Null, Stream::Inherited];
    let mut child =
        Process::start(invocation, streams, ledger, Look::AtExit, Group::Ours).expect("it starts");
    let (exit, _) = child.finish(PATIENCE).expect("it ends");
    assert_eq!(exit, Exit { code: Some(0), signal: None });
    child
}

fn ledger() -> LedgerFile {
    LedgerFile::create(64 << 20, 4096).expect("the kernel has memfds")
}

fn problem(child: &Process) -> Option<String> {
    match activity(child.ledger().header(), child.pid(), || "nobody knows why".into()) {
        Ok(()) => None,
        Err(Problem::NotChecked(reason)) => Some(reason),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_ledger_of_this_version_is_written() {
    let child = run(ledger());
    assert_eq!(problem(&child), None);
    let header = child.ledger().header();
    assert_eq!(header.child_version.load(Ordering::Relaxed), VERSION);
    assert!(child.ledger().counts().allocations > 0);
}

#[test]
fn a_ledger_of_another_version_is_left_alone() {
    for other in [0, VERSION + 1, u32::MAX] {
        let ledger = ledger();
        ledger.header().parent_version.store(other, Ordering::Release);
        let child = run(ledger);
        let header = child.ledger().header();
        assert_eq!(header.state.load(Ordering::Relaxed), state::OTHER_VERSION);
        assert_eq!(header.child_version.load(Ordering::Relaxed), VERSION);
        assert_eq!(child.ledger().counts(), Counts::default());
        assert_eq!(child.ledger().live().expect("it is empty"), []);
        let reason = problem(&child).expect("it was not checked");
        assert!(reason.contains("ledger version"), "{reason}");
    }
}

#[test]
fn a_file_that_is_no_ledger_is_left_alone() {
    let ledger = ledger();
    ledger.header().magic.store(MAGIC + 1, Ordering::Release);
    let child = run(ledger);
    let header = child.ledger().header();
    assert_eq!(header.state.load(Ordering::Relaxed), state::SILENT);
    assert_eq!(header.owner.load(Ordering::Relaxed), 0);
    assert_eq!(
        problem(&child).as_deref(),
        Some("the preload heap did not become active: nobody knows why")
    );
}

#[test]
fn a_ledger_with_sizes_that_do_not_fit_its_file_is_left_alone() {
    for size in [0, 1 << 40, u64::MAX] {
        let ledger = ledger();
        ledger.header().heap_size.store(size, Ordering::Release);
        let child = run(ledger);
        assert_eq!(child.ledger().header().state.load(Ordering::Relaxed), state::SILENT);
        assert!(problem(&child).is_some());
    }
}
