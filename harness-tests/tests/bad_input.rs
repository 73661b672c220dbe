//! What is wrong with a scenario file, a plugin or a program is said with its place; the
//! status is 2.

use harness_tests::{Ended, Workplace};

/// Runs the scenario `text` beside `plugins` in C.
fn run(plugins: &[&str], text: &str) -> Ended {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    plugins.iter().for_each(|plugin| work.add_plugin(plugin));
    work.write("it.toml", text);
    work.run(["run", "it.toml"])
}

/// That the scenario is refused with `error`, and nothing else is said.
fn refused(plugins: &[&str], text: &str, error: &str) {
    let ended = run(plugins, text);
    assert_eq!(ended.stderr, format!("leaksnap: {error}\n"));
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""));
}

#[test]
fn scenario_files() {
    let cases = [
        ("stesp = [\"a\"]", "1: unknown key `stesp`; did you mean `steps`?"),
        (
            "steps = [\"a\"]\n\ncolour = 1",
            "3: unknown key `colour`; the keys are plugins, steps, program, ready, drive, stop, \
             warmup, repeat, ignore, suppressions, timeout, heap, strict, follow",
        ),
        ("steps = \"a\"", "1: `steps` has to be a list of strings, not a string"),
        (
            "steps = [\n  \"a\",\n  7,\n]",
            "3: `steps` is a list of strings, and this is a whole number",
        ),
        ("steps = [\"a\"]\nrepeat = \"8\"", "2: `repeat` has to be a whole number, not a string"),
        ("steps = [\"a\"]\nrepeat = 0", "2: `repeat` has to be at least 1"),
        ("steps = [\"a\"]\ntimeout = 60", "2: `timeout` has to be a string, not a whole number"),
        (
            "steps = [\"a\"]\ntimeout = \"1h\"",
            "2: `timeout` is \"1h\"; write a number and ms, s or m, such as \"60s\"",
        ),
        ("steps = [\"a\"]\nheap = \"16m\"", "2: `heap` is \"16m\"; it has to be from 32m to 64g"),
        ("plugins = []\nsteps = []", "2: `steps` is empty; name at least one command"),
        (
            "# nothing\nplugins = []",
            "2: nothing to run; add `steps = [\"…\"]` or `program = [\"…\"]`",
        ),
        (
            "program = [\"true\"]\nsteps = [\"a\"]",
            "1: `program` and `steps` exclude each other; drop one",
        ),
        (
            "program = [\"true\"]\nready = \"up\"",
            "2: `ready` needs `drive`: the command that is an iteration",
        ),
        (
            "program = [\"true\"]\nready = \"tcp:{port}\"\ndrive = [\"true\"]",
            "2: `ready` is \"tcp:{port}\"; write an address and a port, such as \
             \"tcp:127.0.0.1:{port}\"",
        ),
    ];
    for (text, error) in cases {
        refused(&[], text, &format!("it.toml:{error}"));
    }
}

#[test]
fn what_is_no_toml() {
    let ended = run(&[], "steps = [\"a\"]\n\nsteps = [\n");
    assert!(ended.stderr.starts_with("leaksnap: it.toml:3: "), "{}", ended.stderr);
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""));
}

#[test]
fn files_that_cannot_be_read() {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    let ended = work.run(["run", "gone.toml"]);
    let error = "leaksnap: gone.toml: cannot be read: No such file or directory (os error 2)\n";
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(2), error));
    work.write("it.toml", "program = [\"true\"]");
    let ended = work.run(["run", "--output", "gone/report", "it.toml"]);
    let error = "leaksnap: gone/report: No such file or directory (os error 2)\n";
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(2), error));
}

#[test]
fn command_lines() {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    for arguments in [&["run"][..], &["run", "--format", "yaml", "x.toml"], &["walk"]] {
        let ended = work.run(arguments);
        assert!(ended.stderr.starts_with("error: "), "{arguments:?}: {}", ended.stderr);
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}");
    }
}

#[test]
fn one_bad_file_does_not_hide_the_others() {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    work.add_plugin("leaks_per_call");
    work.write("leaks.toml", "plugins = [\"leaks_per_call.so\"]\nsteps = [\"forget\"]\n");
    work.write("wrong.toml", "stepss = []\n");
    let ended = work.run(["run", "wrong.toml", "leaks.toml"]);
    let first = "leaksnap: wrong.toml:1: unknown key `stepss`; did you mean `steps`?\n\
                 1 leak in leaks: 1 block, 48 bytes per iteration\n";
    assert!(ended.stderr.starts_with(first), "{}", ended.stderr);
    assert_eq!(ended.status, Some(2));
}

#[test]
fn plugins_that_are_none() {
    for (name, error) in [
        (
            "has_no_entry",
            "FOLDER/has_no_entry.so is not a plugin: it has no symbol `leaksnap_plugin`; define it \
             with LEAKSNAP_PLUGIN of leaksnap_plugin.h, or with leaksnap::plugin!",
        ),
        (
            "has_other_abi",
            "plugin FOLDER/has_other_abi.so has ABI 99, this leaksnap has ABI 1; build it again \
             with this version's leaksnap_plugin.h",
        ),
        ("has_no_start", "plugin FOLDER/has_no_start.so did not start: it has no start function"),
        (
            "fails_to_start",
            "plugin FOLDER/fails_to_start.so did not start: its start function returned 3",
        ),
        (
            "registers_twice",
            "plugin FOLDER/registers_twice.so did not start: there is a command `do it` already",
        ),
        (
            "registers_bad_words",
            "plugin FOLDER/registers_bad_words.so did not start: `do  it` is not one to four words \
             of printable ASCII",
        ),
    ] {
        let text = format!("steps = [\"do it\"]\nplugins = [\n  \"{name}.so\",\n]");
        refused(&[name], &text, &format!("it.toml:3: {error}"));
    }
}

#[test]
fn a_command_of_two_plugins() {
    let error = "it.toml:1: plugin FOLDER/fails_in_step.so did not start: there is a command \
                 `fail loudly` already";
    let text =
        "plugins = [\"fails_in_step.so\", \"./fails_in_step.so\"]\nsteps = [\"fail loudly\"]";
    refused(&["fails_in_step"], text, error);
}

#[test]
fn plugins_that_are_missing() {
    refused(
        &[],
        "plugins = [\"gone.so\"]\nsteps = [\"a\"]",
        "it.toml:1: no plugin `gone.so`: looked for gone.so",
    );
    let ended = run(&[], "steps = [\"a\"]\nplugins = [\"gone\"]");
    let start = "leaksnap: it.toml:2: no plugin `gone`: looked for /";
    let advice = "build it (a dev-dependency with crate-type [\"cdylib\", \"rlib\"] is), or give \
                  its path\n";
    assert!(ended.stderr.starts_with(start) && ended.stderr.ends_with(advice), "{}", ended.stderr);
    assert!(ended.stderr.contains("/deps/libgone.so"), "{}", ended.stderr);
    assert_eq!(ended.status, Some(2));
}

#[test]
fn a_plugin_that_is_no_shared_object() {
    refused(
        &[],
        "plugins = [\"./it.toml\"]\nsteps = [\"a\"]",
        "it.toml:1: open plugin FOLDER/it.toml: FOLDER/it.toml: file too short",
    );
}

#[test]
fn a_step_that_nobody_registered() {
    refused(
        &["frees_all"],
        "plugins = [\"frees_all.so\"]\nsteps = [\n  \"churn\",\n  \"turn\",\n]",
        "it.toml:4: no command `turn`; there are: churn, say hello",
    );
    refused(&[], "steps = [\"churn\"]", "it.toml:1: no command `churn`; there are: none");
}

#[test]
fn an_ignore_that_matches_nothing() {
    refused(
        &["leaks_per_call"],
        "plugins = [\"leaks_per_call.so\"]\nsteps = [\"forget\"]\n\
         ignore = [\n  \"forget_block\",\n  \"remember_block\",\n]",
        "it.toml:5: \"remember_block\" in `ignore` matches no traceback; remove it",
    );
}

#[test]
fn programs_that_cannot_be_started() {
    refused(
        &[],
        "# No such file.\nprogram = [\"no_such_program\"]",
        "it.toml:2: there is no program no_such_program",
    );
    refused(
        &[],
        "program = [\"./it.toml\"]",
        "it.toml:1: start FOLDER/it.toml: Permission denied (os error 13)",
    );
}

#[test]
fn a_number_of_frames_that_is_none() {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    work.write("it.toml", "program = [\"true\"]");
    let ended = work.end(work.command(["run", "it.toml"]).env("LEAKSNAP_FRAMES", "many"));
    let error = "leaksnap: LEAKSNAP_FRAMES has to be a number of frames, not `many`\n";
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(2), error));
    for number in ["0", "4294967295"] {
        let ended = work.end(work.command(["run", "it.toml"]).env("LEAKSNAP_FRAMES", number));
        let range = format!("LEAKSNAP_FRAMES has to be from 2 to 67108861, not {number}");
        assert_eq!((ended.status, ended.stderr), (Some(2), format!("leaksnap: {range}\n")));
    }
}
