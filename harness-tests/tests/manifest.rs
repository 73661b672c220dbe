//! What the manifest asks of users, and what is said of it: dependencies, and the oldest Rust.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use harness_tests::cargo::{cargo, repository, target};
use harness_tests::outcome::Outcome;
use harness_tests::trials::read;
use serde_json::Value;

/// The target that is counted for, whichever this test was built for.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// `cargo`, which may download what only that target needs.
fn with_network() -> Command {
    let mut command = cargo(repository(), &target());
    command.env_remove("CARGO_NET_OFFLINE");
    command
}

/// The packages that leaksnap needs with `features`, by name and version; its own left out.
fn dependencies(features: &[&str]) -> BTreeSet<String> {
    let mut tree = with_network();
    tree.args(["tree", "--target", TARGET]).args([
        "--locked",
        "-p",
        "leaksnap",
        "-e",
        "normal,build",
        "--prefix",
        "none",
    ]);
    let tree = Outcome::of(tree.args(features)).ends_with(0);
    // `name v1.0.0 (proc-macro) (*)`
    let name = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let others = tree.out.lines().filter(|line| !line.is_empty() && !line.starts_with("leaksnap"));
    others.map(name).collect()
}

#[test]
fn the_readme_counts_the_dependencies() {
    let readme = read(&repository().join("README.md"));
    let alone = ["--no-default-features"];
    for (features, label) in [
        (&alone[..], "the harness alone: `default-features = false`"),
        (&[alone[0], "--features", "exports"], "with `exports`, as `leaksnap init` has it"),
        (&[alone[0], "--features", "command"], "with `command`"),
        (&[], "both, the default"),
    ] {
        let row = format!("| {label} | {} |", dependencies(features).len());
        assert!(readme.contains(&row), "README.md has no row that starts with `{row}`");
    }
}

#[test]
fn a_harness_alone_has_nothing_of_the_command_and_of_pages() {
    let all = dependencies(&[]);
    let alone = dependencies(&["--no-default-features"]);
    for library in ["toml_edit", "rustyline", "clap_complete", "clap_mangen", "signal-hook", "maud"]
    {
        let is_one = |name: &String| name.starts_with(&format!("{library} "));
        assert!(all.iter().any(is_one), "{library} is no dependency");
        assert!(!alone.iter().any(is_one), "{library}");
    }
}

/// A Rust version, `1.88` or `1.88.0`.
fn version(text: &str) -> Vec<u32> {
    let mut numbers: Vec<_> =
        text.split('.').map(|number| number.parse().expect("a number")).collect();
    numbers.resize(3, 0);
    numbers
}

#[test]
fn the_oldest_rust_is_that_of_the_dependencies_and_is_said_everywhere() {
    let mut metadata = with_network();
    metadata.args(["metadata", "--locked", "--format-version", "1"]);
    let found = Outcome::of(metadata.args(["--filter-platform", TARGET])).ends_with(0);
    let found: Value = serde_json::from_str(&found.out).expect("JSON");
    let packages = found["packages"].as_array().expect("packages");
    let oldest: BTreeMap<_, _> = packages
        .iter()
        .filter_map(|package| {
            let name = format!("{} v{}", package["name"].as_str()?, package["version"].as_str()?);
            Some((name, package["rust_version"].as_str()?))
        })
        .collect();
    let own = oldest[&format!("leaksnap v{}", env!("CARGO_PKG_VERSION"))];
    let needed = dependencies(&["--all-features"]);
    let needed = needed.iter().filter_map(|name| Some((version(oldest.get(name)?), name)));
    let (needed, by) = needed.max().expect("dependencies say it");
    assert_eq!(version(own), needed, "of {by}");
    for (file, text) in [
        ("README.md", format!("Rust {own}")),
        ("CONTRIBUTING.md", format!("Rust {own}")),
        (".github/workflows/ci.yml", format!("rust-toolchain@{own}\n")),
    ] {
        assert!(read(&repository().join(file)).contains(&text), "{file} does not say {text}");
    }
}
