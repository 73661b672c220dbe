//! Programs with another allocator: one that is behind the preload heap's serves nothing, or all.

use harness_tests::command::Exec;
use harness_tests::program::Program;

/// Runs of programs with another allocator preloaded behind the heap.
struct Behind(Program);

impl Behind {
    fn new() -> Self {
        let flags = ["-shared", "-fPIC", "-std=c++17"];
        Self(Program::compile_with("is_another_allocator.cpp", &flags))
    }

    fn of(&self, exec: Exec) -> Exec {
        exec.variable("LD_PRELOAD", self.0.path().to_str().expect("a plain path"))
    }
}

#[test]
fn a_program_in_c_gets_all_its_blocks_from_the_heap() {
    let behind = Behind::new();
    let checked = behind.of(Exec::of(Program::compile("loses_a_block.c").with([]))).check();
    checked.expect(1, Some(0)).expect_groups(&[("leak/lost", 3, 300, "forget")]);
    for source in ["checks_allocation.c", "checks_resizing.c", "checks_alignment.c"] {
        let exec = behind.of(Exec::of(Program::compile(source).with([])));
        let checked = exec.check();
        checked.expect(0, Some(0)).expect_groups(&[]);
        assert!(!checked.run.text().contains("failed"), "{}", checked.run.text());
    }
}

#[test]
fn a_program_in_cpp_gets_all_its_blocks_from_the_other_and_is_not_checked() {
    let program = Program::compile_with("makes_aligned_objects.cpp", &["-std=c++17"]);
    let behind = Behind::new();
    let checked = behind.of(Exec::of(program.with([]))).check();
    checked.expect(3, Some(0));
    assert!(
        checked.run.stderr.contains("`operator new` is that of another allocator"),
        "{checked:?}"
    );
    assert_eq!(checked.run.text(), "works\n");
    // Without the other it is checked, and has a leak.
    let alone = Exec::of(program.with([])).check();
    alone.expect(1, Some(0)).expect_groups(&[("leak/lost", 1, 192, "main")]);
}

#[test]
fn a_child_that_is_not_checked_gets_all_its_blocks_from_the_other() {
    let program = Program::compile("frees_all.c").with([]);
    let line = format!("{}; echo $?; sort /dev/null; echo $?", program.list[0]);
    let behind = Behind::new();
    let checked = behind.of(Exec::of(["sh", "-c", &line].into_iter().collect())).check();
    checked.expect(0, Some(0));
    assert_eq!(checked.run.stderr, "", "the loader found the other");
    assert_eq!(checked.run.text(), "0\n0\n", "{checked:?}");
}

#[test]
fn libc_gets_back_what_it_gave_before_the_other_was_found() {
    let program = Program::compile_with("allocates_in_a_resolver.c", &["-Wl,-z,now"]);
    let behind = Behind::new();
    let run = behind.of(Exec::of(program.with([]))).text();
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(!run.stderr.contains("cannot be preloaded"), "{run:?}");
    assert_eq!(run.text(), "42 early resized\n");
}

/// A library that is opened with `RTLD_DEEPBIND` finds libc's functions before all others. They are the
/// heap's then, or a block that goes from one side to the other would end the program.
#[test]
fn a_library_that_looks_in_libc_first_gets_its_blocks_from_the_heap() {
    let library = Program::compile_with("exchanges_blocks.c", &["-DLIBRARY", "-shared", "-fPIC"]);
    let program = Program::compile("exchanges_blocks.c");
    let path = library.path();
    let path = path.to_str().expect("a plain path");
    for arguments in [&[path][..], &[path, "close"]] {
        let checked = Exec::of(program.with(arguments.iter().copied())).check();
        checked.expect(3, Some(0));
        let reason =
            "an object with a malloc of its own (RTLD_DEEPBIND or dlmopen), which is not traced";
        assert!(checked.run.stderr.contains(reason), "{}", checked.run.text());
        assert_eq!(checked.run.stdout, b"here there\n", "{}", checked.run.text());
    }
}
