//! Suppressions end to end: files that valgrind and LeakSanitizer honour hide the same here, and
//! what is wrong with one is said with its place.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness_tests::command::{Exec, leaksnap};
use harness_tests::program::{Program, found};
use harness_tests::run::{Run, run};
use harness_tests::trials::Trials;
use harness_tests::{Ended, Workplace};
use tempfile::TempDir;

/// A folder with a file of suppressions.
fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("known.supp");
    fs::write(&path, text).expect("the folder takes it");
    (folder, path)
}

/// `leaksnap exec` on `program` with the suppressions at `path`; the report is text.
fn exec(program: &Program, path: &Path) -> Run {
    let path = path.to_str().expect("temporary folders have plain names");
    Exec::of(program.with([])).option(&["--suppressions", path]).text()
}

/// valgrind on `program`, which gives 9 where an error is left.
fn valgrind(program: &Program, options: &[&str]) -> Run {
    let mut command = Command::new(found("valgrind", "valgrind"));
    command.args(["--quiet", "--leak-check=full", "--error-exitcode=9"]).args(options);
    run(command.arg(program.path()), b"")
}

/// The suppressions that valgrind writes for all that `program` loses.
fn generated(program: &Program) -> String {
    let options = ["--gen-suppressions=all", "--show-leak-kinds=definite,indirect"];
    let run = valgrind(program, &options);
    let lines: Vec<_> = run.stderr.lines().filter(|line| !line.starts_with("==")).collect();
    assert!(lines.contains(&"   Memcheck:Leak"), "{run:?}");
    lines.join("\n") + "\n"
}

/// That what valgrind writes for `source` hides the same here.
fn agrees_with_valgrind(source: &str) {
    let program = Program::compile(source);
    let alone = Exec::of(program.with([])).text();
    assert_eq!(alone.code, Some(1), "{alone:?}");
    let text = generated(&program);
    let (_folder, path) = file(&text);
    let option = format!("--suppressions={}", path.display());
    assert_eq!(valgrind(&program, &[&option]).code, Some(0), "valgrind reads its own file");
    let hidden = exec(&program, &path);
    assert_eq!(hidden.code, Some(0), "{}\nwith\n{text}", hidden.stderr);
    assert!(hidden.stderr.contains("\nnote: suppressed by "), "{}", hidden.stderr);
}

#[test]
fn what_valgrind_generates_hides_a_block() {
    agrees_with_valgrind("loses_a_block.c");
}

#[test]
fn what_valgrind_generates_hides_what_lost_blocks_lead_to() {
    agrees_with_valgrind("loses_a_list.c");
}

#[test]
fn what_valgrind_generates_hides_what_a_thread_loses() {
    agrees_with_valgrind("leaks_in_a_thread.c");
}

#[test]
fn what_valgrind_generates_hides_what_new_gave() {
    // Mangled names, and inlined functions of C++ under the names that valgrind gives them.
    agrees_with_valgrind("leaks_an_array.cpp");
}

#[test]
fn a_file_of_leaksanitizer_s_hides_the_same() {
    let plain = Program::compile("loses_a_block.c");
    let checked = Program::compile_with("loses_a_block.c", &["-fsanitize=leak"]);
    let patterns = [
        ("forget", true),
        ("^forget$", true),
        ("f*get", true),
        ("orget$", true),
        ("loses_a_block$", true),
        ("fixtures/programs/*.c", true),
        ("^orget", false),
        ("forg$", false),
        ("forget?", false),
        (" forget", false),
        ("no_such_function", false),
    ];
    for (pattern, matches) in patterns {
        let (_folder, path) = file(&format!("# known\n# leaksnap: most 3\n  leak:{pattern}  \n"));
        let mut command = Command::new(checked.path());
        let options = format!("suppressions={}:print_suppressions=0", path.display());
        let theirs = run(command.env("LSAN_OPTIONS", options), b"");
        assert_eq!(theirs.code, Some(if matches { 0 } else { 23 }), "{pattern}: {theirs:?}");
        let ours = exec(&plain, &path);
        assert_eq!(ours.code, Some(if matches { 0 } else { 2 }), "{pattern}: {ours:?}");
        let said = if matches {
            format!(
                "note: suppressed by {}:3 \"leak:{pattern}\": 1 traceback, 3 blocks, 300 bytes\n",
                path.display()
            )
        } else {
            format!(
                "leaksnap: {}:3: \"leak:{pattern}\" matches no traceback; remove it\n",
                path.display()
            )
        };
        assert!(ours.stderr.ends_with(&said), "{said}is not the end of\n{}", ours.stderr);
    }
}

#[test]
fn a_bound_that_is_passed_hides_nothing() {
    let program = Program::compile("loses_a_block.c");
    let block = "{\n   known\n   Memcheck:Leak\n   fun:malloc\n   fun:forget\n}\n";
    let (_folder, path) = file(&format!("# leaksnap: most 2\n{block}"));
    let option = format!("--suppressions={}", path.display());
    assert_eq!(valgrind(&program, &[&option]).code, Some(0), "to valgrind it is a comment");
    let run = exec(&program, &path);
    let note =
        format!("note: {}:2: \"known\" hides at most 2 blocks, and 3 match\n", path.display());
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.starts_with("1 leak in ") && run.stderr.ends_with(&note), "{}", run.stderr);
}

#[test]
fn several_files_are_read_and_json_has_its_own_fields_only() {
    let program = Program::compile("loses_a_list.c");
    let (_one, head) = file("leak:make_head");
    let (_other, node) = file("{\n a\n Memcheck:Leak\n match-leak-kinds: indirect\n fun:c*\n}\n");
    let [head, node] = [&head, &node].map(|path| path.to_str().expect("a plain name"));
    let options = ["--suppressions", head, "--suppressions", node];
    let checked = Exec::of(program.with([])).option(&options).check();
    checked.expect(0, Some(0)).expect_groups(&[]);
    assert_eq!(checked.report.as_object().map(serde_json::Map::len), Some(9));
}

#[test]
fn what_only_a_hidden_block_leads_to_is_hidden() {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    work.add_plugin("keeps_sessions");
    let scenario = "plugins = [\"keeps_sessions.so\"]\nsteps = [\"forget\"]\n";
    work.write("it.toml", &format!("{scenario}ignore = [\"make_session\"]\n"));
    let ended = work.run(["run", "it.toml"]);
    let notes = "note: suppressed by it.toml:3 \"make_session\": 1 traceback, 8 blocks, 320 bytes\n\
                 note: suppressed behind them: 1 traceback, 8 blocks, 800 bytes\n";
    assert!(ended.stderr.ends_with(notes), "{}", ended.stderr);
    assert_eq!(ended.status, Some(0));
    // What is indirect alone leaves what loses it.
    work.write("it.toml", &format!("{scenario}ignore = [\"make_key\"]\n"));
    let ended = work.run(["run", "it.toml"]);
    assert!(ended.stderr.starts_with("1 leak in it: 1 block, 40 bytes per iteration\n"));
    assert_eq!(ended.status, Some(1));
}

#[test]
fn what_can_still_be_reached_is_no_unused_suppression() {
    let program = Program::compile("keeps_everything.c");
    let (_folder, path) = file("leak:keep_in_a_list");
    let options = ["--suppressions", path.to_str().expect("a plain name")];
    let checked = Exec::of(program.with(["global"])).option(&options).check();
    checked.expect(0, Some(0)).expect_groups(&[]);
}

#[test]
fn a_wrong_file_is_status_2_before_the_program_starts() {
    let (folder, path) = file("leak:a\nrace:b\n");
    let touched = folder.path().join("touched");
    let wrong = |path: &Path, error: &str| {
        let mut command = Command::new(leaksnap());
        command.args(["exec", "--suppressions"]).arg(path).args(["--", "touch"]).arg(&touched);
        let run = run(&mut command, b"");
        assert_eq!((run.code, run.stderr), (Some(2), format!("leaksnap: {error}\n")));
        assert!(!touched.exists(), "the program did not run");
    };
    let place = path.display();
    wrong(
        &path,
        &format!(
            "{place}:2: `race:` lines are not read; those that are have `leak:` and a pattern, or \
             are valgrind's {{ … }} blocks of Memcheck:Leak"
        ),
    );
    let gone = folder.path().join("gone");
    let text = format!(
        "--suppressions: {} cannot be read: No such file or directory (os error 2)",
        gone.display()
    );
    wrong(&gone, &text);
}

/// Runs the scenario that forgets a block of 48 bytes in each of 8 iterations, with `keys`.
fn forgets(keys: &str) -> Ended {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    fs::create_dir(work.path("sub")).expect("a folder");
    work.add_plugin_as("leaks_per_call", "sub/leaks_per_call.so");
    work.write("sub/known.supp", "{\n  a block\n  Memcheck:Leak\n  fun:malloc\n  fun:f*\n}\n");
    work.write("sub/lsan.txt", "leak:^forget_block$\n");
    let text = format!("plugins = [\"leaks_per_call.so\"]\nsteps = [\"forget\"]\n{keys}\n");
    work.write("sub/it.toml", &text);
    work.run(["run", "sub/it.toml"])
}

#[test]
fn a_scenario_s_files_lie_beside_it() {
    let ended = forgets("suppressions = [\"known.supp\", \"./lsan.txt\"]\nignore = [\"forget\"]");
    let text = "no leaks in it

note: suppressed by sub/it.toml:4 \"forget\": 1 traceback, 8 blocks, 384 bytes
note: suppressed by sub/known.supp:1 \"a block\": 1 traceback, 8 blocks, 384 bytes
note: suppressed by sub/./lsan.txt:1 \"leak:^forget_block$\": 1 traceback, 8 blocks, 384 bytes
";
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), text));
}

#[test]
fn an_object_has_the_path_that_valgrind_writes() {
    // The loader was given `/lib/…`, valgrind says `/usr/lib/…`; a stripped libcrypto has frames
    // without a name.
    let known = "{\n  OpenSSL's\n  Memcheck:Leak\n  fun:malloc\n  fun:*\n  \
                 obj:/usr/lib*/libcrypto.so.*\n  ...\n  fun:*::generate_digest\n}\n\
                 {\n  the other two\n  Memcheck:Leak\n  ...\n  fun:*::generate_digest\n}\n";
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    work.write("known.supp", known);
    let text = "plugins = [\"crypto_openssl_forgets_hmac_key\"]\nsteps = [\"test crypto\"]\n\
                suppressions = [\"known.supp\"]\n";
    work.write("it.toml", text);
    let ended = work.run(["run", "it.toml"]);
    let start = "no leaks in it\n\nnote: suppressed by known.supp:1 \"OpenSSL's\": 6 tracebacks, ";
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.starts_with(start), "{}", ended.stderr);
}

#[test]
fn a_scenario_s_bound_is_kept_or_passed() {
    let ended = forgets("ignore = [{ pattern = \"leak:^forget_*\", most = 8 }]");
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    let ended = forgets("ignore = [{ pattern = \"leak:^forget_*\", most = 7 }]");
    let note = "\n\nnote: sub/it.toml:3: \"leak:^forget_*\" hides at most 7 blocks, and 8 match\n";
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("\nleak, lost: 8 blocks, 384 bytes"), "{}", ended.stderr);
    assert!(ended.stderr.ends_with(&note[1..]), "{}", ended.stderr);
}

#[test]
fn a_scenario_s_wrong_file_is_status_2() {
    let ended = forgets("suppressions = [\n  \"lsan.txt\",\n  \"gone.txt\",\n]");
    let text = "leaksnap: sub/it.toml:5: sub/gone.txt cannot be read: No such file or directory \
                (os error 2)\n";
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(2), text));
    let ended = forgets("suppressions = [\"it.toml\"]");
    let text = "leaksnap: sub/it.toml:1: `plugins = [\"leaks_per_call.so\"]` is no suppression; \
                write `leak:` and a pattern, or a { … } block as valgrind has\n";
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(2), text));
}

#[test]
fn a_trial_s_failure_says_that_a_bound_was_passed() {
    let text = "plugins = [\"leaks_per_call\"]\nsteps = [\"forget\"]\n\
                ignore = [{ pattern = \"forget\", most = 7 }]\n";
    let trials = Trials::new(env!("CARGO_BIN_EXE_trials")).scenario("it", text);
    let note = "note: tests/leaks/it.toml:3: \"forget\" hides at most 7 blocks, and 8 match\n";
    let failed = trials.run(&[], &[]).ends_with(101);
    assert!(failed.out.contains(note), "{}", failed.out);
    let trials = Trials::new(env!("CARGO_BIN_EXE_trials")).scenario("it", &text.replace('7', "8"));
    let passed = trials.run(&[], &[]).ends_with(0);
    assert!(!passed.out.contains("note:"), "{}", passed.out);
    assert!(trials.snapshots().is_empty(), "clean is no snapshot");
}
