//! The control allocation, with children that are no host: a shell that answers what it likes.

use std::sync::atomic::Ordering;

use super::*;
use crate::child::invocation::Invocation;
use crate::child::launch::Stream;
use crate::child::ledger_file::LedgerFile;
use crate::child::process::Look;
use crate::ledger::header::VERSION;

/// Starts `program` as if it were the host, on a ledger that `prepare` has changed, and asks it
/// for the control allocation.
fn control(program: &[&str], prepare: impl FnOnce(&LedgerFile)) -> Result<(), Problem> {
    let ledger = new_ledger(32 << 20).expect("a ledger");
    prepare(&ledger);
    let (here, there) = UnixStream::pair().expect("sockets");
    let invocation = Invocation::of(program[0]).with(&program[1..]);
    let streams = [Stream::Given(there.into()), Stream::Inherited, Stream::Inherited];
    let child = Process::start(invocation, streams, ledger, Look::WhenAsked, Group::Ours)
        .expect("the program starts");
    let (channel, limit) = (Channel::new(here), Duration::from_secs(20));
    let start = "the host's start";
    let clock = Clock::start(Some(limit), start);
    let (interrupt, within_a_line, lost) = (None, false, false);
    Driver {
        child,
        channel,
        start,
        clock,
        interrupt,
        within_a_line,
        lost,
        thread: 0,
        plugins: Vec::new(),
    }
    .control()
}

/// A shell that answers the first request with `reply`, and then waits for the end.
fn answers(reply: &str) -> String {
    format!("read request; echo '{reply}' >&0; read request")
}

fn unchecked(reason: &str) -> Result<(), Problem> {
    Err(Problem::NotChecked(reason.into()))
}

#[test]
fn what_is_not_in_the_ledger_is_not_counted() {
    let script = answers("{\"Allocated\":{\"address\":4096,\"thread\":1}}");
    let reason = "the control allocation was counted 0 times, not once";
    assert_eq!(control(&["sh", "-c", &script], |_| ()), unchecked(reason));
    // The heap was active in `env`, and is not in the shell that takes its place.
    let dropped = ["env", "-u", "LD_PRELOAD", "sh", "-c", &script];
    assert_eq!(control(&dropped, |_| ()), unchecked(reason));
}

#[test]
fn another_answer_proves_nothing() {
    let script = answers("\"Done\"");
    let reason = "the control allocation was answered with Done";
    assert_eq!(control(&["sh", "-c", &script], |_| ()), unchecked(reason));
    let script = answers("{\"NoHeap\":\"it is not there\"}");
    assert_eq!(control(&["sh", "-c", &script], |_| ()), unchecked("it is not there"));
}

#[test]
fn a_heap_that_is_not_active_is_seen_before_its_answer() {
    let script = answers("{\"Allocated\":{\"address\":4096,\"thread\":1}}");
    let silent = |ledger: &LedgerFile| ledger.header().magic.store(0, Ordering::Release);
    let reason = "the preload heap did not become active: the host's loader ignored LD_PRELOAD";
    assert_eq!(control(&["sh", "-c", &script], silent), unchecked(reason));
}

#[test]
fn a_heap_of_another_version_stands_aside() {
    let script = answers("{\"Allocated\":{\"address\":4096,\"thread\":1}}");
    let other = |ledger: &LedgerFile| {
        ledger.header().parent_version.store(VERSION + 1, Ordering::Release);
    };
    let reason = format!(
        "the preload heap has ledger version {VERSION}, this leaksnap has {VERSION}; rebuild it"
    );
    assert_eq!(control(&["sh", "-c", &script], other), unchecked(&reason));
}

#[test]
fn a_ledger_of_another_process_proves_nothing() {
    let script = answers("{\"Allocated\":{\"address\":4096,\"thread\":1}}");
    let taken = |ledger: &LedgerFile| ledger.header().owner.store(1, Ordering::Release);
    let result = control(&["sh", "-c", &script], taken);
    assert!(matches!(result, Err(Problem::NotChecked(_))), "{result:?}");
}

#[test]
fn a_host_that_does_not_start_proves_nothing() {
    let gone = control(&["sh", "-c", "read request; exit 3"], |_| ());
    assert_eq!(gone, unchecked("the host's start ended the host with exit code 3"));
    let killed = control(&["sh", "-c", "read request; kill -KILL $$"], |_| ());
    assert_eq!(killed, unchecked("the host's start was killed by signal 9 (SIGKILL)"));
    let Err(Problem::NotChecked(nonsense)) = control(&["sh", "-c", &answers("what?")], |_| ())
    else {
        panic!("nonsense is no proof")
    };
    let start = "the host's start: the host answered nonsense: ";
    assert!(nonsense.starts_with(start), "{nonsense}");
}
