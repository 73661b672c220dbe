//! From an empty crate to a failing leak test, as a new user goes: the lines and the commands are
//! counted. And on, to what the attribute and the checks do beside other tests.

use harness_tests::outcome::Outcome;
use harness_tests::trials::{body, read};
use harness_tests::user::{self, User};

/// What the user writes: a function that leaks, and its test.
const LIBRARY: &str = r#"
pub fn greet(name: &str) -> &'static str {
    Box::leak(format!("hello, {name}").into_boxed_str())
}

#[cfg(test)]
#[leaksnap::scenario]
fn greets(run: &leaksnap::Run) -> leaksnap::Result {
    run.repeat(8, || assert_eq!(greet("world"), "hello, world"))
}
"#;

/// What the user types behind `cargo`.
const COMMANDS: [&[&str]; 2] = [&["add", "--dev", "leaksnap"], &["test"]];

/// The leak, and the functions on the way to it.
const LEAK: [&str; 4] = [
    "1 traceback in new_user/greets is not accepted (1 new)",
    "new leak, lost: 8 blocks, 96 bytes (1 block, 12 bytes per iteration)",
    "    new_user::greet  new_user  ",
    "/src/lib.rs:3\n",
];

/// A user with an empty crate, as cargo makes it.
fn with_empty_crate() -> User {
    let user = User::new();
    let _ = user.cargo(&["init", "--lib", "--vcs", "none", "--name", "new_user"]).ends_with(0);
    user
}

/// Types the commands; the last one's outcome.
fn types(user: &User) -> Outcome {
    let [add, test] = COMMANDS;
    // What is not on crates.io yet has to be shown.
    let path = user::leaksnap().to_string_lossy().into_owned();
    let _ = user.cargo(&[add, &["--path", &path]].concat()).ends_with(0);
    user.cargo(test)
}

#[test]
fn ten_lines_and_two_commands_fail_a_leak_until_it_is_mended_or_accepted() {
    let user = with_empty_crate();
    let lines = LIBRARY.lines().filter(|line| !line.is_empty()).count();
    assert!(lines <= 10 && COMMANDS.len() <= 2, "{lines} lines");
    user.write("src/lib.rs", LIBRARY);
    let _ = types(&user).ends_with(101).says(&LEAK).says(&["test greets::no_leaks ... FAILED"]);

    let _ = user.insta(&["accept"]).ends_with(0);
    let accepted = user.folder().join("src/snapshots/new_user/greets.snap");
    assert!(body(&read(&accepted)).starts_with("leak: 1 block, 12 bytes per iteration\n"));
    let _ = user.cargo(&["test"]).ends_with(0).says(&["test greets::no_leaks ... ok"]);

    std::fs::remove_file(accepted).expect("it was accepted");
    user.write(
        "src/lib.rs",
        &LIBRARY.replace("&'static str", "String").replace(
            "Box::leak(format!(\"hello, {name}\").into_boxed_str())",
            "format!(\"hello, {name}\")",
        ),
    );
    let _ = user.cargo(&["test"]).ends_with(0).says(&["test greets::no_leaks ... ok"]);
}

/// Tests of one crate: scenarios in modules, and checks, with both harnesses.
const SCENARIOS: &str = r#"
#![forbid(unsafe_code)]
#![deny(warnings)]

fn leak(bytes: usize) {
    std::mem::forget(std::hint::black_box(vec![1_u8; bytes]));
}

#[leaksnap::scenario]
fn frees_all(run: &leaksnap::Run) -> leaksnap::Result {
    run.repeat(8, || drop(std::hint::black_box(vec![1_u8; 100])))
}

#[ignore = "it takes its time"]
#[leaksnap::scenario]
#[cfg(test)]
fn is_slow(run: &leaksnap::Run) -> leaksnap::Result {
    run.repeat(2, || leak(48))
}

#[leaksnap::scenario]
#[cfg(not(unix))]
fn is_elsewhere(run: &leaksnap::Run) -> leaksnap::Result {
    run.repeat(2, || leak(48))
}

/// One in a module of its own.
mod r#in {
    pub(super) mod deep {
        /// Its name is a keyword.
        #[leaksnap::scenario]
        pub(crate) fn r#loop(run: &leaksnap::Run<'_>) {
            let _ = run.warmup(0).repeat(2, || crate::leak(24));
        }
    }

    #[leaksnap::scenario]
    fn fails(run: &leaksnap::Run) -> Result<(), Box<dyn std::error::Error>> {
        run.repeat(2, || {
            run.step("parse");
            "x".parse::<u32>()
        })?;
        Ok(())
    }
}
"#;

const MORE: &str = r#"
#[test]
fn checks() -> Result<(), leaksnap::Error> {
    leaksnap::check(|run| run.repeat(2, || ()))?.assert_clean();
    leaksnap::check(|run| run.repeat(2, || leak(32)))?.assert_clean();
    Ok(())
}

#[test]
fn fails_to_check() -> Result<(), leaksnap::Error> {
    leaksnap::check(|run| run.repeat(2, || Err::<(), _>("no way")))?.assert_clean();
    Ok(())
}
"#;

#[test]
fn scenarios_and_checks_are_tests_with_every_runner() {
    let user = with_empty_crate();
    user.write("tests/leaks.rs", &(SCENARIOS.to_owned() + MORE));
    let own = [
        "1 traceback in leaks/in/deep/loop is not accepted (1 new)",
        "tests/leaks.rs:37 failed: in step `parse`: invalid digit found in string",
        "1 leak in checks: 1 block, 32 bytes per iteration",
        "leaks::leak  leaks  ",
        "tests/leaks.rs:56 failed: no way",
    ];
    let failed = types(&user).ends_with(101).says(&own);
    let _ = failed.says(&[
        "test frees_all::no_leaks ... ok",
        "test r#in::deep::r#loop::no_leaks ... FAILED",
        "test is_slow::no_leaks ... ignored, it takes its time",
        "test result: FAILED. 1 passed; 4 failed; 1 ignored",
    ]);
    let slow = user.cargo(&["test", "--test", "leaks", "--", "--ignored"]).ends_with(101);
    let _ = slow.says(&["1 traceback in leaks/is_slow is not accepted (1 new)"]);
    let pending = user.folder().join("tests/snapshots/leaks/in/deep/loop.snap.new");
    assert!(pending.is_file());
    let run = ["run", "--no-fail-fast", "--test", "leaks"];
    let _ = user.nextest(&run).ends_with(100).says(&own).says(&["1 passed, 4 failed"]);
    let _ = user.cargo(&["test", "--", "--test-threads=1"]).ends_with(101).says(&own);

    // With leaksnap's harness they are trials, and nothing is a test.
    let manifest = read(&user.folder().join("Cargo.toml"));
    user.write("Cargo.toml", &(manifest + "\n[[test]]\nname = \"leaks\"\nharness = false\n"));
    let main = "leaksnap::main!(\"tests/leaks\");\n";
    user.write("tests/leaks.rs", &(SCENARIOS.to_owned() + main));
    let failed = user.cargo(&["test", "--test", "leaks", "--", "--test-threads=1"]).ends_with(101);
    let _ = failed.says(&[
        "running 4 tests\ntest frees_all    ... ok\n",
        "test is_slow      ... ignored\n",
        "test in/deep/loop ... FAILED\ntest in/fails     ... FAILED",
        "1 traceback in in/deep/loop is not accepted (1 new)",
        "in/fails failed: in step `parse`: invalid digit found in string",
    ]);
    assert!(user.folder().join("tests/leaks/snapshots/in/deep/loop.snap.new").is_file());

    // What has no line of its own is annotated at the scenario's.
    let _ = user.insta(&["accept"]).ends_with(0);
    let mended = SCENARIOS.replace("crate::leak(24)", "()");
    assert_ne!(mended, SCENARIOS);
    user.write("tests/leaks.rs", &(mended + main));
    let job = "GITHUB_ACTIONS=true GITHUB_WORKSPACE=$PWD cargo test --test leaks";
    let annotated = user.shell("", job).ends_with(101);
    let _ = annotated.says(&[
        "::error file=tests/leaks.rs,line=37,title=in/fails",
        "::notice file=tests/leaks.rs,line=31,title=in/deep/loop",
    ]);

    // A name is there once, whoever has it.
    user.write("tests/leaks/in/fails.toml", "program = [\"/bin/true\"]\n");
    let refused = user.cargo(&["test", "--test", "leaks"]).ends_with(2);
    let _ = refused.says(&["there are two scenarios `in/fails`"]);
}

#[test]
fn what_is_no_scenario_is_refused_where_it_stands() {
    let user = with_empty_crate();
    let path = user::leaksnap().to_string_lossy().into_owned();
    let _ = user.cargo(&["add", "--dev", "leaksnap", "--path", &path]).ends_with(0);
    for (wrong, reason) in [
        ("struct Scenario;", "a scenario is a function: `fn name(run: &leaksnap::Run)"),
        ("async fn of_a_future(_: &leaksnap::Run) {}", "a safe function that is not async"),
        ("fn of_any<T>(_: &leaksnap::Run) {}", "a scenario has no generic parameters"),
        ("fn of_nothing() {}", "this function takes 0 arguments but 1 argument was supplied"),
        ("fn of_a_number(_: &leaksnap::Run) -> u32 { 1 }", "nothing, or a `Result`, not `u32`"),
    ] {
        user.write("tests/leaks.rs", &format!("#[leaksnap::scenario]\n{wrong}\n"));
        let refused = user.cargo(&["test", "--no-run"]).ends_with(101).says(&[reason]);
        let _ = refused.says(&["--> tests/leaks.rs:"]);
    }
    user.write("tests/leaks.rs", "#[leaksnap::scenario(2)]\nfn f(_: &leaksnap::Run) {}\n");
    let refused = user.cargo(&["test", "--no-run"]).ends_with(101);
    let _ = refused.says(&["`#[leaksnap::scenario]` takes no options", "tests/leaks.rs:1:22"]);
}
