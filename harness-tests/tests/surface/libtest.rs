//! Each flag that this toolchain's own `--help` lists is taken.

use std::path::Path;
use std::process::Command;

use harness_tests::outcome::Outcome;

use super::{CLEAN, trials};

/// What `rustc --test` makes of one test says for `--help`.
fn help(folder: &Path) -> String {
    let (source, test) = (folder.join("one.rs"), folder.join("one"));
    std::fs::write(&source, "#[test]\nfn one() {}\n").expect("a file");
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let _ = Outcome::of(Command::new(rustc).arg("--test").arg(source).arg("-o").arg(&test))
        .ends_with(0);
    Outcome::of(Command::new(test).arg("--help")).ends_with(0).out
}

/// The flags in `help`, short ones and long ones, each with the name of its value if it takes one.
fn flags(help: &str) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    // What is not indented is prose.
    let options = help.lines().filter(|line| line.starts_with("    "));
    for line in options.map(str::trim_start).filter(|line| line.starts_with('-')) {
        let mut words = line.split_whitespace().peekable();
        while let Some(flag) = words.next_if(|word| word.starts_with('-')) {
            let is_value = |word: &str| {
                let names = ["PATH", "FILTER", "SEED", "n_threads", "unstable-options"];
                names.contains(&word) || word.contains('|')
            };
            let value = words.peek().filter(|word| is_value(word)).map(|word| (*word).to_owned());
            found.push((flag.trim_end_matches(',').to_owned(), value));
        }
    }
    found
}

#[test]
fn each_flag_of_this_toolchain_is_taken() {
    let trials = trials().scenario("a", CLEAN);
    let flags = flags(&help(trials.folder()));
    let has = |flag: &str| flags.iter().any(|(name, _)| name == flag);
    for known in ["--no-capture", "--test-threads", "-q", "-Z", "--format", "--shuffle-seed"] {
        assert!(has(known), "{known} is not in {flags:?}");
    }
    let log = trials.folder().join("log");
    let mut taken = 0;
    for (flag, value) in &flags {
        let values = match value.as_deref() {
            None => vec![None],
            Some("PATH") => vec![log.to_str()],
            Some("FILTER") => vec![Some("b")],
            Some("SEED" | "n_threads") => vec![Some("3")],
            Some(choice) => choice.split('|').map(Some).collect(),
        };
        for value in values {
            let words: Vec<&str> = [flag.as_str()].into_iter().chain(value).collect();
            let run = trials.run(&words, &[]);
            assert_eq!(run.code, Some(0), "{words:?}: {}", run.text);
            // With `-Z unstable-options`, as a nightly compiler's libtest wants it.
            let run = trials.run(&[&words[..], &["-Z", "unstable-options"]].concat(), &[]);
            assert_eq!(run.code, Some(0), "{words:?}: {}", run.text);
            taken += 1;
        }
    }
    assert!(taken >= 27, "{taken} of {flags:?}");
    // An older name, which cargo-nextest passes.
    let _ = trials.run(&["--nocapture"], &[]).ends_with(0);
}

#[test]
fn what_is_no_flag_is_refused_and_nothing_runs() {
    let trials = trials().scenario("a", CLEAN);
    for wrong in ["--no-such-flag", "--format=xml", "--test-threads=0", "--shuffle-seed=x"] {
        let run = trials.run(&[wrong], &[]).ends_with(2);
        let _ = run.says(&["error: "]).is_silent_about("running");
    }
    for (name, wrong, form) in [
        ("RUST_TEST_THREADS", "none", "a number above 0"),
        ("RUST_TEST_SHUFFLE_SEED", "x", "a whole number"),
        ("RUST_TEST_TIME_INTEGRATION", "500", "WARN,MOST in milliseconds"),
    ] {
        let run = trials.run(&["--ensure-time"], &[(name, wrong)]).ends_with(2);
        let _ = run.says(&[&format!("leaksnap: {name} has to be {form}"), &format!("`{wrong}`")]);
    }
}
