//! Allocators of a program's own, which the preload heap does not see: "not checked" where the file
//! tells of one, a note where the memory does; and whatever looks like one and is none.

use harness_tests::Workplace;
use harness_tests::command::{Exec, leaksnap};
use harness_tests::program::{Program, Words};
use harness_tests::run::Run;

const HELD: &str = "note: mappings of the program's own hold ";

fn text(words: Words) -> Run {
    Exec::of(words).text()
}

/// That `run` was checked, and has a note on memory that is not seen where `is_noted`.
fn expect(run: &Run, code: i32, is_noted: bool) {
    assert_eq!(run.code, Some(code), "{run:?}");
    assert_eq!(run.stderr.contains(HELD), is_noted, "{run:?}");
}

fn rust(flags: &[&str]) -> Run {
    text(Program::compile_with("allocates_by.rs", flags).with([]))
}

#[test]
fn the_default_allocator_and_what_passes_on_are_checked() {
    for cfg in ["default", "system", "counting"] {
        for more in [&[][..], &["-C", "opt-level=0"], &["-C", "lto=fat"], &["-C", "strip=symbols"]]
        {
            let flags = [&["--cfg", cfg], more].concat();
            expect(&rust(&flags), 1, false);
        }
    }
}

#[test]
fn an_allocator_with_memory_of_its_own_is_told_by_its_symbol() {
    for more in [&[][..], &["-C", "opt-level=0"], &["-C", "lto=fat"]] {
        let run = rust(&[&["--cfg", "own"], more].concat());
        expect(&run, 3, false);
        let reason = "leaksnap: not checked: the program has an allocator of its own, \
                      `__rustc::__rust_alloc`, whose blocks the preload heap does not see; what is \
                      not checked is not clean\n";
        assert_eq!(run.stderr, reason);
    }
}

/// A program in C++ whose `operator new` the flags choose, for all that `more` are.
fn cpp(flags: &[&str], more: &[&[&str]]) -> Vec<Run> {
    let compiled = |more: &&[&str]| Program::compile_with("news_by.cpp", &[flags, more].concat());
    more.iter().map(|more| text(compiled(more).with([]))).collect()
}

#[test]
fn an_operator_new_that_passes_on_is_checked() {
    let more = [&[][..], &["-O0"], &["-static-libstdc++", "-static-libgcc"], &["-s"], &["-no-pie"]];
    for flags in [&[][..], &["-DCOUNTS"], &["-DLOOKS_UP"]] {
        for run in cpp(flags, &more) {
            expect(&run, 1, false);
        }
    }
    let aligned = Program::compile("makes_aligned_objects.cpp");
    let run = text(aligned.with([]));
    assert!(!run.stderr.contains("an allocator of its own"), "{run:?}");
}

#[test]
fn an_operator_new_with_memory_of_its_own_is_told() {
    let own = cpp(&["-DOWN"], &[&[], &["-O0"], &["-static-libstdc++"], &["-no-pie"]]);
    for run in own.into_iter().chain(cpp(&["-DTHROWS"], &[&[], &["-O0"]])) {
        expect(&run, 3, false);
        let reason = "leaksnap: not checked: the program has an allocator of its own, `operator \
                      new(unsigned long)`, whose blocks the preload heap does not see; what is \
                      not checked is not clean\n";
        assert_eq!(run.stderr, reason);
    }
}

#[test]
fn without_symbols_its_memory_is_noted() {
    let run = rust(&["--cfg", "own", "-C", "strip=symbols"]);
    expect(&run, 0, true);
    let note = "note: mappings of the program's own hold 8 MiB; what an allocator of its own hands \
                out of them is not seen\n";
    assert!(run.stderr.ends_with(note), "{run:?}");
}

#[test]
fn a_followed_program_is_told_of_in_its_part() {
    let followed = |more: &[&str]| {
        let flags = [&["--cfg", "own"], more].concat();
        let words = Program::compile_with("allocates_by.rs", &flags).with([]);
        let line = format!("{}; true", words.list[0]);
        Exec::of(words.instead(["sh", "-c", &line])).option(&["--follow"]).text()
    };
    let run = followed(&[]);
    expect(&run, 3, false);
    let reason = "allocates_by, which it started: the program has an allocator of its own";
    assert!(run.stderr.contains(reason), "{run:?}");
    let run = followed(&["-C", "strip=symbols"]);
    expect(&run, 0, true);
    let part = format!("\nstarted by it: no leaks in allocates_by\n\n{HELD}");
    assert!(run.stderr.contains(&part), "{run:?}");
}

/// A library has `mi_malloc`, which gets its blocks from `malloc`; the program only calls it.
#[test]
fn an_allocator_that_is_imported_is_as_its_library_has_it() {
    let flags = ["-shared", "-fPIC", "-DNAME=mi_malloc", "-DSIZE=44"];
    let library = Program::compile_with("loses_in_a_library.c", &flags).with([]);
    let program =
        Program::compile_with("calls_a_library.c", &["-DNAME=mi_malloc", &library.list[0]]);
    expect(&text(program.with([])), 1, false);
}

/// A program that calls a library whose `malloc` is of this visibility, linked with these flags.
fn with_a_library(visibility: &str, more: &[&str]) -> Run {
    let visibility = format!("-DVISIBILITY=\"{visibility}\"");
    let flags = [&["-shared", "-fPIC", "-DNAME=lose", &visibility], more].concat();
    let library = Program::compile_with("loses_in_its_own_malloc.c", &flags).with([]);
    let flags = ["-DNAME=lose", &library.list[0]];
    text(Program::compile_with("calls_a_library.c", &flags).with([]))
}

#[test]
fn a_library_that_calls_its_own_malloc_is_told_by_its_name() {
    let symbolic = with_a_library("default", &["-Wl,-Bsymbolic"]);
    let without_symbols = with_a_library("default", &["-Wl,-Bsymbolic", "-s"]);
    for run in [symbolic, without_symbols, with_a_library("hidden", &[])] {
        expect(&run, 3, false);
        let reason = "leaksnap: not checked: the library `loses_in_its_own_malloc` calls a \
                      `malloc` of its own (hidden, or bound by -Bsymbolic), whose blocks the \
                      preload heap does not see; what is not checked is not clean\n";
        assert_eq!(run.stderr, reason);
    }
}

/// The preload heap is in front of what a library exports and calls as everybody does: jemalloc,
/// tcmalloc, a sanitizer.
#[test]
fn a_library_whose_malloc_is_everybody_s_is_checked() {
    let run = with_a_library("default", &[]);
    expect(&run, 1, false);
    assert!(run.stderr.contains("48 bytes"), "{run:?}");
}

/// A library in C++ that loses an object, or a plugin that does.
fn in_cpp(more: &[&str]) -> Words {
    let include = format!("-I{}", Program::source("../../include").display());
    let flags = ["-shared", "-fPIC", "-std=c++17", "-Wl,--no-as-needed", &include];
    Program::compile_with("news_in_a_library.cpp", &[&flags[..], more].concat()).with([])
}

/// A library with a `malloc` and C++'s operators on memory of its own.
fn another_allocator() -> Words {
    let flags = ["-shared", "-fPIC", "-std=c++17"];
    Program::compile_with("is_another_allocator.cpp", &flags).with([])
}

const OPERATORS: &str = "`operator new` is that of another allocator, `is_another_allocator`";

#[test]
fn a_plugin_s_allocator_is_told() {
    let allocator = another_allocator();
    for (more, code, says) in [
        (&[][..], 1, "133 bytes per iteration"),
        (
            &["-DOWN"],
            3,
            "the plugin `news_in_a_library` has an allocator of its own, `operator new",
        ),
        (&[&*allocator.list[0]], 3, OPERATORS),
        // libstdc++'s come first.
        (&["-lstdc++", &*allocator.list[0]], 1, "133 bytes per iteration"),
    ] {
        let plugin = in_cpp(more);
        let work = Workplace::new(leaksnap().to_str().expect("a plain path"));
        let scenario = format!("plugins = [\"{}\"]\nsteps = [\"lose\"]\n", plugin.list[0]);
        let _ = work.check(&scenario).ends_with(code).says(&[says]);
    }
}

#[test]
fn the_console_tells_of_a_plugin_s_allocator() {
    for (more, code) in [(&[][..], 1), (&["-DOWN"], 3)] {
        let plugin = in_cpp(more);
        let work = Workplace::new(leaksnap().to_str().expect("a plain path"));
        work.write("commands", "leak-check { lose }\n");
        let commands = std::fs::File::open(work.path("commands")).expect("it was written");
        let mut console = work.command(["console", "--plugin", &plugin.list[0]]);
        let ended = work.end(console.stdin(commands));
        assert_eq!(ended.status, Some(code), "{ended:?}");
    }
}

#[test]
fn an_operator_new_of_a_library_is_told_where_it_has_memory_of_its_own() {
    let plain = in_cpp(&[]);
    for (with, code) in [("-DOWN", 3), ("-DCOUNTS", 1), ("-DLOOKS_UP", 1)] {
        let flags = ["-shared", "-fPIC", "-Dmain=unused", with];
        let operators = Program::compile_with("news_by.cpp", &flags).with([]);
        let run = Exec::of(Program::compile("opens_apart.c").with([
            "as any other",
            &plain.list[0],
            "lose",
        ]));
        let run = run.variable("LD_PRELOAD", &operators.list[0]).text();
        assert_eq!(run.code, Some(code), "{with}: {run:?}");
    }
    for (with, code) in [(&[][..], 1), (&["-DOWN"], 3)] {
        let opened = in_cpp(with);
        let words = ["as any other", &opened.list[0], "lose"];
        let run = Exec::of(Program::compile("opens_apart.c").with(words)).text();
        assert_eq!(run.code, Some(code), "{with:?}: {run:?}");
    }
}

#[test]
fn a_library_that_is_opened_later_tells_of_another_allocator_s_operators() {
    let allocator = another_allocator();
    let open = |library: &Words| {
        let program = Program::compile("opens_apart.c");
        Exec::of(program.with(["as any other", &library.list[0], "lose"]))
    };
    let alone = in_cpp(&[]);
    expect(&open(&alone).text(), 1, false);
    let preloaded = open(&alone).variable("LD_PRELOAD", &allocator.list[0]).text();
    for run in [preloaded, open(&in_cpp(&[&allocator.list[0]])).text()] {
        expect(&run, 3, false);
        assert!(run.stderr.contains(OPERATORS), "{run:?}");
    }
}

/// A program from `source` that has a function `je_malloc` as well, as a scenario's `x`.
fn with_jemalloc(source: &str, more: &[&str]) -> Workplace {
    let work = Workplace::new(leaksnap().to_str().expect("a plain path"));
    let allocator = Program::source("loses_in_a_library.c");
    let flags = [allocator.to_str().expect("a plain path"), "-DNAME=je_malloc", "-DSIZE=44"];
    let program = Program::compile_with(source, &[&flags[..], more].concat());
    std::fs::copy(program.path(), work.path("x")).expect("the folder takes it");
    work
}

const OWN: &str = "not checked: the program has an allocator of its own, `je_malloc`";

#[test]
fn a_server_s_allocator_is_told() {
    let scenario = "program = [\"./x\", \"frees\", \"{port}\"]\nready = \"listening\"\n\
                    drive = [\"./x\", \"ask\", \"{port}\"]\n";
    let _ = with_jemalloc("serves.c", &[]).check(scenario).ends_with(3).says(&[OWN]);
}

#[test]
fn the_allocator_of_a_program_that_marks_is_told() {
    let include = Program::source("../../include");
    let include = format!("-I{}", include.display());
    let work = with_jemalloc("marks_its_rounds.c", &[&include]);
    let scenario = "program = [\"./x\", \"40\", \"frees\"]\nrepeat = 8\n";
    let _ = work.check(scenario).ends_with(3).says(&[OWN]);
}

#[test]
fn what_ordinary_programs_map_is_no_note() {
    let of = |words: &[&str]| text(words.iter().copied().collect());
    expect(&of(&["sh", "-c", "for i in 1 2 3; do :; done"]), 0, false);
    expect(&of(&["openssl", "dgst", "-sha256", "/dev/null"]), 0, false);
    expect(&of(&["git", "--version"]), 0, false);
    expect(&of(&["sqlite3", ":memory:", "create table a(b); insert into a values (1);"]), 0, false);
    // A stack of 8 MiB for each of them, and what is left of those that ended.
    expect(&text(Program::compile("keeps_threads.c").with(["64", "3"])), 0, false);
}

/// CPython's own arenas are such memory, unless it is told to ask `malloc` for each object.
#[test]
fn an_interpreter_s_arenas_are_noted() {
    let python =
        || Exec::of(["python3", "-c", "x = [str(i) for i in range(100000)]"].into_iter().collect());
    let run = python().text();
    assert!(run.stderr.contains(HELD), "{run:?}");
    let run = python().variable("PYTHONMALLOC", "malloc").text();
    assert!(!run.stderr.contains(HELD), "{run:?}");
}
