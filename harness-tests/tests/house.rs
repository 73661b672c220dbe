//! The rules of the house: who may name whom, what stands in one file only, what files are called.

use std::collections::{BTreeMap, BTreeSet};

use harness_tests::cargo::repository;
use harness_tests::source::{Source, files, sources};
use harness_tests::trials::read;
use saphyr::{LoadableYamlNode, Yaml};

/// The folders with files in Rust.
const RUST: [&str; 6] = ["build.rs", "src", "benches", "fixtures", "fuzz", "harness-tests"];

/// The files outside `src/preload/` that are unsafe, and what they need it for.
const UNSAFE: [(&str, &str); 9] = [
    ("src/plugin.rs", "the plugin ABI: pointers from the host"),
    ("src/host/commands.rs", "calls a plugin's commands, and is called back"),
    ("src/host/input.rs", "does what a plugin does, for tests and fuzz targets"),
    ("src/host/plugins.rs", "opens plugins and reads their entry"),
    ("src/host/tracing.rs", "calls the preload heap's own symbols"),
    ("src/child/ledger_file.rs", "maps the ledger"),
    ("src/child/launch.rs", "starts a child in this process's memory, until it is its program"),
    ("src/internals/child.rs", "does what the preload heap does, for benches"),
    ("src/gate/golden.rs", "sets a variable before there is a second thread"),
];

fn all() -> Vec<Source> {
    RUST.into_iter().flat_map(sources).collect()
}

fn is_in(source: &Source, module: &str) -> bool {
    source.path == format!("src/{module}.rs") || source.path.starts_with(&format!("src/{module}/"))
}

/// The files of the library whose shipped code holds one of `words`.
fn with(words: &[&str]) -> Vec<String> {
    let has = |source: &Source| words.iter().any(|word| source.shipped().contains(word));
    sources("src").into_iter().filter(has).map(|source| source.path).collect()
}

#[test]
fn the_ledger_imports_nothing_and_the_preload_heap_only_the_ledger() {
    let mut seen = BTreeMap::from([("ledger", 0), ("preload", 0)]);
    for (module, may) in [("ledger", &["ledger"][..]), ("preload", &["ledger", "preload"])] {
        for source in sources("src").iter().filter(|source| is_in(source, module)) {
            *seen.entry(module).or_default() += 1;
            for import in source.imports() {
                assert!(may.contains(&import), "{} imports crate::{import}", source.path);
            }
            // From a module's root file, `super` is the crate.
            let up =
                if source.path == format!("src/{module}.rs") { "super::" } else { "super::super" };
            assert!(!source.shipped().contains(up), "{} goes up by {up}", source.path);
            // What only Miri compiles may.
            let is_shipped = source.path != "src/preload/interpreted.rs";
            let needs_std = is_shipped && source.shipped().contains("std::");
            assert!(!needs_std, "{} needs std", source.path);
        }
    }
    assert!(seen.values().all(|files| *files > 3), "{seen:?}");
}

#[test]
fn nobody_imports_the_preload_heap() {
    // Its two roots declare it. What is not compiled for users gives it to benches and fuzz targets.
    let roots = ["src/lib.rs", "src/cdylib.rs"];
    let others = |source: &&Source| !is_in(source, "preload") && !is_in(source, "internals");
    for source in sources("src").iter().filter(others) {
        let root = roots.contains(&source.path.as_str());
        assert!(!source.imports().contains(&"preload"), "{} imports it", source.path);
        assert!(root || !source.shipped().contains("mod preload;"), "{} declares it", source.path);
        assert!(!source.shipped().contains("super::preload::"), "{} imports it", source.path);
    }
}

#[test]
fn suppressions_see_what_reports_show_and_nothing_of_the_child() {
    let may = ["report", "suppression", "symbols", "traceback"];
    let users = ["suppression", "scenario", "check", "command"];
    let (mut own, mut importing) = (0, BTreeSet::new());
    for source in sources("src") {
        let imports = source.imports();
        if is_in(&source, "suppression") {
            own += 1;
            let others: Vec<_> = imports.iter().filter(|import| !may.contains(import)).collect();
            assert!(others.is_empty(), "{} imports {others:?}", source.path);
        } else if imports.contains(&"suppression") && !is_in(&source, "internals") {
            let room = users.iter().find(|room| is_in(&source, room));
            importing.insert(*room.unwrap_or_else(|| panic!("{} imports it", source.path)));
        }
    }
    assert!(own > 5, "{own}");
    assert_eq!(importing.into_iter().collect::<Vec<_>>(), ["check", "command", "scenario"]);
}

#[test]
fn a_saved_trace_and_the_gate_know_no_program() {
    for (module, may) in [
        ("trace", &["report", "trace", "traceback"][..]),
        ("gate", &["gate", "report", "snapshot"]),
    ] {
        let files = sources("src").into_iter().filter(|source| is_in(source, module));
        let is_test = |path: &str| path.ends_with("/tests.rs") || path.contains("/tests/");
        let files: Vec<_> = files.filter(|source| !is_test(&source.path)).collect();
        assert!(files.len() > 1, "{module}");
        for source in files {
            for import in source.imports() {
                assert!(may.contains(&import), "{} imports crate::{import}", source.path);
            }
        }
    }
}

#[test]
fn the_rooms_inside_are_open_with_a_feature_alone() {
    let root = read(&repository().join("src/lib.rs"));
    let declared = "#[cfg(feature = \"internals\")]\n#[doc(hidden)]\npub mod internals;";
    assert!(root.contains(declared));
    assert!(
        read(&repository().join("Cargo.toml")).contains("\ndefault = [\"command\", \"exports\"]\n")
    );
    for source in sources("src").iter().filter(|source| !is_in(source, "internals")) {
        assert!(!source.imports().contains(&"internals"), "{} imports it", source.path);
    }
}

#[test]
fn forms_of_reports_that_need_libraries_are_a_feature_and_see_no_child() {
    let root = read(&repository().join("src/lib.rs"));
    assert!(root.contains("#[cfg(feature = \"exports\")]\nmod export;"));
    let may = ["check", "export", "gate", "report", "snapshot", "traceback"];
    let own: Vec<_> = sources("src").into_iter().filter(|source| is_in(source, "export")).collect();
    assert!(own.len() > 5, "{}", own.len());
    for source in own {
        for import in source.imports() {
            assert!(may.contains(&import), "{} imports crate::{import}", source.path);
        }
    }
    assert_eq!(with(&["inferno::"]), ["src/export/page/flame.rs"]);
    assert_eq!(with(&["prost::"]), ["src/export/pprof.rs", "src/export/pprof/message.rs"]);
    assert_eq!(with(&["toml_edit::"]), ["src/command/init/manifest.rs"]);
    for source in sources("src").iter().filter(|source| !is_in(source, "export")) {
        for library in ["maud::", "flate2::"] {
            assert!(!source.shipped().contains(library), "{} has {library}", source.path);
        }
    }
}

#[test]
fn fixtures_see_what_users_see() {
    for source in sources("fixtures") {
        for word in [
            "leaksnap::ledger",
            "leaksnap::preload",
            "#[path",
            "include!(",
            "mod preload",
            "mod ledger",
        ] {
            assert!(!source.code.contains(word), "{} has {word}", source.path);
        }
    }
}

#[test]
fn one_file_opens_one_maps_one_symbolizes_one_spawns() {
    // The preload heap goes on to the program's own calls.
    let passed_on = "src/preload/loader.rs";
    let plugins_and_the_heap_s_symbols = ["src/host/plugins.rs", "src/host/tracing.rs"];
    let opening = [plugins_and_the_heap_s_symbols.as_slice(), &[passed_on]].concat();
    assert_eq!(with(&["libloading", "dlopen"]), opening);
    let ledger_and_the_heap_s_own =
        ["src/child/ledger_file.rs", "src/preload/system/file.rs", "src/preload/system/mapping.rs"];
    assert_eq!(with(&["mmap(", "mmap_anonymous("]), ledger_and_the_heap_s_own);
    assert_eq!(with(&["blazesym::"]), ["src/symbols.rs"]);
    let editor = ["src/command/console/completion.rs", "src/command/console/input.rs"];
    assert_eq!(with(&["rustyline::"]), editor);
    assert_eq!(with(&["sched::", "libc::execve("]), ["src/child/launch.rs"]);
    // A thread's `spawn` has arguments. `build.rs` is no part of the library.
    assert_eq!(with(&[".spawn()", ".exec()"]), [""; 0]);
    let compiles_for_a_test = "src/child/book_tests/keeper.rs";
    let commands = ["process::Command", "process::{Child, Command", "process::{Command"];
    assert_eq!(with(&commands), [compiles_for_a_test]);
}

#[test]
fn unsafe_is_in_few_files() {
    let is_unsafe = |source: &Source| {
        let mut words =
            source.code.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        words.any(|word| word == "unsafe")
    };
    let mut found = BTreeSet::new();
    for source in sources("src").iter().chain(&sources("build.rs")) {
        if is_unsafe(source) && !is_in(source, "preload") {
            found.insert(source.path.clone());
        }
    }
    let listed: BTreeSet<_> = UNSAFE.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(found, listed, "found, and listed in this test with the reason");
}

#[test]
fn each_unsafe_block_says_why_it_is_sound() {
    let mut blocks = 0;
    for source in all() {
        let lines: Vec<_> = source.text.lines().collect();
        for (index, line) in source.code.lines().enumerate() {
            if line.contains("unsafe {") {
                blocks += 1;
                let near = &lines[index.saturating_sub(3)..=index];
                let said = near.iter().any(|line| line.contains("SAFETY:"));
                assert!(said, "{}:{} has no SAFETY comment", source.path, index + 1);
            }
        }
    }
    assert!(blocks > 20, "{blocks}");
}

#[test]
fn files_are_named_for_nouns_start_with_their_purpose_and_end_in_time() {
    let vague = ["mod", "util", "utils", "helper", "helpers", "common", "misc", "imp"];
    for source in all() {
        for part in source.path.trim_end_matches(".rs").split('/') {
            assert!(!vague.contains(&part), "{} is named `{part}`", source.path);
        }
        let starts = source.text.starts_with("//! ");
        assert!(starts, "{} does not start with what it is for", source.path);
        let lines = source.text.lines().count();
        assert!(lines <= 500, "{} has {lines} lines", source.path);
    }
}

#[test]
fn each_snapshot_belongs_to_a_scenario() {
    let tests = repository().join("harness-tests/tests");
    let closures = read(&tests.join("closures.rs"));
    let snapshots = files("snapshots");
    assert!(!snapshots.is_empty());
    for path in snapshots {
        // One that waits for its review is not in the repository.
        let name = path.strip_suffix(".snap.new").or_else(|| path.strip_suffix(".snap"));
        let name = name.unwrap_or_else(|| panic!("{path} is no snapshot"));
        let name = name.trim_start_matches("snapshots/");
        let found = match name.split_once('/') {
            Some(("closures", closure)) => closures.contains(&format!("scenario({closure:?},")),
            Some(("console", session)) => tests.join(format!("console/{session}.txt")).is_file(),
            _ => tests.join(format!("leaks/{name}.toml")).is_file(),
        };
        assert!(found, "{path} has no scenario");
    }
}

#[test]
fn the_changelog_has_one_heading_for_each_version() {
    let path = repository().join("CHANGELOG.md");
    let text = if path.exists() { read(&path) } else { String::new() };
    let mut seen = BTreeSet::new();
    for heading in text.lines().filter_map(|line| line.strip_prefix("## ")) {
        let version = heading.split_whitespace().next().unwrap_or_default();
        assert!(seen.insert(version), "CHANGELOG.md has two headings {version}");
    }
    let version = env!("CARGO_PKG_VERSION");
    let named = seen.contains(format!("[{version}]").as_str()) || seen.contains(version);
    let unreleased = seen.contains("[Unreleased]") || seen.contains("Unreleased");
    assert!(text.is_empty() || named || unreleased, "CHANGELOG.md does not have {version}");
}

#[test]
fn what_a_runner_reads_is_yaml() {
    let workflows = repository().join(".github/workflows");
    let paths = std::fs::read_dir(workflows).expect("a folder");
    let paths: Vec<_> = paths.map(|entry| entry.expect("an entry").path()).collect();
    assert!(paths.len() > 1, "{paths:?}");
    for path in paths.into_iter().chain([repository().join("action.yml")]) {
        let text = read(&path);
        let documents = Yaml::load_from_str(&text);
        let documents = documents.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let has = |key| documents[0].as_mapping_get(key).is_some();
        assert!(has("name") && (has("jobs") || has("runs")), "{}", path.display());
    }
}
