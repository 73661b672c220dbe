//! The heap keeps the promises of malloc and its relatives, as glibc does.

use harness_tests::command::Exec;
use harness_tests::program::Program;

#[test]
fn the_heap_keeps_the_promises_that_glibc_keeps() {
    let exec = Exec::of(Program::compile("checks_malloc_contract.c").with([])).option(&["--all"]);
    let alone = exec.natively();
    assert_eq!(alone.code, Some(0), "glibc itself: {}", alone.text());
    let checked = exec.check();
    assert_eq!(checked.run.text(), alone.text());
    checked.expect(0, Some(0));
    let tracing = &checked.report["tracing"];
    assert_eq!((&tracing["active"], &tracing["complete"]), (&true.into(), &true.into()));
    // Sizes, alignments, zeroes: each came from the heap, and all were freed but for libc's own.
    assert!(tracing["allocations"].as_u64() > Some(4500), "{tracing}");
    assert!(checked.groups().iter().all(|group| group.blocks == 1), "{}", checked.json);
}
