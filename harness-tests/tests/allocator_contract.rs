//! The allocator's contract as glibc keeps it, rule by rule: natively, on the heap untraced, and
//! traced, with the same words.

use std::collections::BTreeSet;

use harness_tests::command::Exec;
use harness_tests::program::Program;
use harness_tests::run::Run;

/// The rules that were kept, by name.
#[track_caller]
fn kept(run: &Run) -> BTreeSet<String> {
    let rule = |line: &str| {
        let name = line.strip_prefix("rule ").and_then(|rest| rest.strip_suffix(" ok"));
        name.unwrap_or_else(|| panic!("{line}")).to_owned()
    };
    let (text, mut names) = (run.text(), BTreeSet::new());
    for name in text.lines().map(rule) {
        assert!(names.insert(name.clone()), "two rules are called {name}");
    }
    assert_eq!((run.code, run.signal), (Some(0), None), "{run:?}");
    names
}

/// All of `source`'s rules are kept, at least as many as `least`, whichever heap serves.
#[track_caller]
fn keeps(source: &str, flags: &[&str], least: usize) {
    let exec = Exec::of(Program::compile_with(source, flags).with([]));
    let alone = exec.natively();
    let rules = kept(&alone);
    assert!(rules.len() >= least, "{} of {least} rules", rules.len());
    let checked = exec.check();
    assert_eq!(checked.run.text(), alone.text(), "traced");
    checked.expect(0, Some(0)).expect_groups(&[]);
    let tracing = &checked.report["tracing"];
    assert_eq!((&tracing["active"], &tracing["complete"]), (&true.into(), &true.into()));
    assert!(tracing["allocations"].as_u64() > Some(1000), "they came from the heap: {tracing}");
    let untraced = exec.variable("LEAKSNAP_TRACE", "0").text();
    assert_eq!(untraced.text(), alone.text(), "untraced");
    assert_eq!(untraced.code, Some(3), "{untraced:?}");
    assert!(untraced.stderr.contains("LEAKSNAP_TRACE=0 turned tracing off"), "{untraced:?}");
}

#[test]
fn of_malloc_calloc_and_free() {
    keeps("checks_allocation.c", &[], 37);
}

#[test]
fn of_realloc() {
    keeps("checks_resizing.c", &[], 31);
}

#[test]
fn of_alignments() {
    keeps("checks_alignment.c", &[], 32);
}

#[test]
fn of_what_the_heap_says_of_itself() {
    keeps("checks_statistics.c", &[], 28);
}

#[test]
fn of_new_and_delete() {
    keeps("checks_new_and_delete.cpp", &["-std=c++17"], 25);
}

#[test]
fn of_threads() {
    keeps("checks_threads.c", &[], 14);
}

#[test]
fn a_rule_that_is_broken_is_told() {
    let unaligned = "-Daligned_alloc(align,size)=malloc(size)";
    let program = Program::compile_with("checks_alignment.c", &[unaligned]);
    let run = Exec::of(program.with([])).natively();
    assert_eq!(run.code, Some(1), "{run:?}");
    let broken = "rule aligned_alloc_aligns_to_each_power_of_two failed: ";
    assert!(run.text().lines().any(|line| line.starts_with(broken)), "{}", run.text());
    assert!(run.text().contains("rule posix_memalign_aligns_to_each_power_of_two ok\n"));
}
