//! The crates of `fixtures/examples`, as a user has them: each is run by the commands that its
//! `Cargo.toml` says, without its leak and with it.

use std::fs;

use harness_tests::cargo::repository;
use harness_tests::source::files;
use harness_tests::trials::read;
use harness_tests::user::User;

/// What a crate's tests say where nothing leaks, and with the leak.
struct Example {
    name: &'static str,
    clean: &'static str,
    leaky: &'static [&'static str],
}

const EXAMPLES: [Example; 4] = [
    Example {
        name: "wraps_a_c_object",
        clean: "test tests::a_regex_frees_all ... ok",
        leaky: &[
            "test tests::a_regex_frees_all ... FAILED",
            "leak, lost: 8 blocks",
            "regcomp  libc.so.6",
            "wraps_a_c_object::Regex::new  wraps_a_c_object",
            "what is left was allocated while `Regex` was made, used or dropped",
        ],
    },
    Example {
        name: "calls_c",
        clean: "test finds_a_path::no_leaks ... ok",
        leaky: &["new leak, lost: 8 blocks", "realpath", "calls_c::whole  calls_c"],
    },
    Example {
        name: "server",
        clean: "test greets ... ok",
        leaky: &["new leak, reachable: 8 blocks", "server::greet  server", "server::serve  server"],
    },
    Example {
        name: "plugin_in_c",
        clean: "test parses ... ok",
        leaky: &[
            "new leak, lost: 8 blocks, 64 bytes (1 block, 8 bytes per iteration)",
            "count_settings  libparser.so",
            "parse  libparser.so",
        ],
    },
];

#[test]
fn examples_pass_without_their_leaks_and_fail_with_them() {
    let user = User::new();
    let include = "include/leaksnap_plugin.h";
    user.write(include, &read(&repository().join(include)));
    for Example { name, clean, leaky } in &EXAMPLES {
        let folder = format!("fixtures/examples/{name}");
        // Whoever runs them by hand leaves something there.
        let left = [".lock", ".so", ".snap.new"];
        let own = |file: &String| !left.iter().any(|end| file.ends_with(end));
        for file in files(&folder).into_iter().filter(own) {
            user.write(&file, &read(&repository().join(&file)));
        }
        let manifest = format!("{folder}/Cargo.toml");
        let text = read(&repository().join(&manifest));
        // As users have it, who know of no path.
        let path = "path = \"../../..\"";
        assert!(text.contains(path), "{text}");
        user.write(&manifest, &text.replace(path, "version = \"0.1\""));
        let locked = user.folder().join(&folder).join("Cargo.lock");
        fs::copy(repository().join("Cargo.lock"), locked).expect("copied");

        let commands: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix("#     $ ")).collect();
        let (last, others) = commands.split_last().expect("it says how it is run");
        assert!(others.last().is_some_and(|command| *command == "cargo test"), "{others:?}");
        for command in others {
            let run = user.shell(&folder, command).ends_with(0);
            if command.starts_with("cargo") {
                let _ = run.says(&[clean]);
            }
        }
        let _ = user.shell(&folder, last).ends_with(101).says(leaky);
    }
}

#[test]
fn each_example_is_run() {
    let mut found: Vec<_> = files("fixtures/examples")
        .iter()
        .filter_map(|file| Some(file.strip_suffix("/Cargo.toml")?.rsplit_once('/')?.1.to_owned()))
        .collect();
    let mut run: Vec<_> = EXAMPLES.iter().map(|example| example.name).collect();
    found.sort_unstable();
    run.sort_unstable();
    assert_eq!(found, run);
}
