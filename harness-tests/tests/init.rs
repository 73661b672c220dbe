//! `leaksnap init`: the first leak test of a crate that cargo has just made, what it adds to a
//! manifest that is there, and what it leaves alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use harness_tests::command::leaksnap;
use harness_tests::outcome::Outcome;
use harness_tests::trials::read;
use harness_tests::user::{self, User};
use tempfile::TempDir;

/// What the dependency is in Cargo.toml.
const LEAKSNAP: &str =
    "leaksnap = { version = \"0.1\", default-features = false, features = [\"exports\"] }\n";

const TEST: &str = "[[test]]\nname = \"leaks\"\nharness = false\n";

const PACKAGE: &str = "[package]\nname = \"old\"\nversion = \"1.0.0\"\nedition = \"2021\"\n";

/// A folder with a manifest, where the command runs.
struct Crate(TempDir);

impl Crate {
    fn with(manifest: &str) -> Self {
        let folder = Self(tempfile::tempdir().expect("a temporary folder"));
        folder.write("Cargo.toml", manifest);
        folder
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.path().join(file);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
        fs::write(path, text).expect("written");
    }

    fn init(&self) -> Outcome {
        init(self.0.path(), &[])
    }

    fn manifest(&self) -> String {
        read(&self.0.path().join("Cargo.toml"))
    }

    /// Says `error`, in one line, and changes nothing.
    #[track_caller]
    fn is_refused(&self, error: &str) {
        let before = all(self.0.path());
        let refused = self.init().ends_with(2);
        assert_eq!(refused.text.trim(), format!("leaksnap: {error}"));
        assert_eq!(all(self.0.path()), before);
    }
}

fn init(folder: &Path, arguments: &[&str]) -> Outcome {
    Outcome::of(Command::new(leaksnap()).current_dir(folder).arg("init").args(arguments))
}

/// All files below `folder`, with their texts.
fn all(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(all(&path));
        } else {
            files.insert(path.display().to_string(), read(&path));
        }
    }
    files
}

/// `LEAKSNAP` is for crates.io: of the package here, whose version it has.
fn is_of_this_version() {
    let version = env!("CARGO_PKG_VERSION").rsplit_once('.').expect("three numbers").0;
    assert!(LEAKSNAP.contains(&format!("\"{version}\"")));
}

#[test]
fn a_crate_that_cargo_made_has_a_leak_test_that_runs_and_fails_a_leak() {
    is_of_this_version();
    let user = User::new();
    let folder = user.folder().join("fresh");
    let made = ["new", "--quiet", "--vcs", "none", "--name", "fresh", "fresh"];
    let _ = user.cargo(&made).ends_with(0);
    let locked = user.folder().join("Cargo.lock");
    fs::copy(locked, folder.join("Cargo.lock")).expect("copied");
    let original = read(&folder.join("Cargo.toml"));

    let said = init(&folder, &[]).ends_with(0);
    assert_eq!(
        said.out,
        "Cargo.toml: has leaksnap in [dev-dependencies]\n\
         Cargo.toml: has the test `leaks`, with a harness of its own\n\
         tests/leaks.rs: has a first scenario in Rust\n\
         tests/leaks/program.toml: has a first scenario with a program\n\
         \n\
         now `cargo test --test leaks` runs them\n"
    );
    let manifest = read(&folder.join("Cargo.toml"));
    assert!(manifest.starts_with(&original), "{manifest}");
    let files = all(&folder);

    let again = init(&folder, &[]).ends_with(0);
    assert_eq!(all(&folder), files, "a second run changes nothing");
    assert!(again.out.starts_with(
        "Cargo.toml: has leaksnap and the test `leaks`, and stays as it is\n\
         tests/leaks.rs: is there, and stays as it is\n\
         tests/leaks: has scenario files, and stays as it is\n"
    ));

    let path = folder.join("Cargo.toml").display().to_string();
    let test = ["test", "--manifest-path", &path, "--test", "leaks"];
    let passed = user.cargo(&test).ends_with(0);
    let _ = passed.says(&["test first   ... ok\n", "test program ... ok\n"]);

    // The line that the first scenario offers, and a program that loses a block.
    let rust = read(&folder.join("tests/leaks.rs"));
    let leaking = rust.replace("// let text: &str", "let text: &str");
    assert!(leaking != rust);
    fs::write(folder.join("tests/leaks.rs"), leaking).expect("written");
    let main = "fn main() { std::mem::forget(std::hint::black_box(vec![0_u8; 77])); }\n";
    fs::write(folder.join("src/main.rs"), main).expect("written");
    let failed = user.cargo(&test).ends_with(101);
    let _ = failed.says(&[
        "new leak, lost: 8 blocks, 264 bytes (1 block, 33 bytes per iteration)",
        "tests/leaks.rs:10",
        "new leak, lost: 1 block, 77 bytes",
        "fresh::main  fresh  ",
        "test result: FAILED. 0 passed; 2 failed",
    ]);
    let tree = ["tree", "--manifest-path", &path, "-e", "normal,dev", "--prefix", "none"];
    let tree = user.cargo(&tree).ends_with(0).says(&["leaksnap v", "insta v"]);
    for library in ["toml_edit", "rustyline", "clap_complete", "clap_mangen", "signal-hook"] {
        assert!(!tree.out.contains(library), "a harness alone needs {library}");
    }
    assert!(user::leaksnap().is_dir());
}

#[test]
fn a_manifest_has_its_comments_and_its_order_and_lines_more() {
    for (before, dependency, after) in [
        // Nothing there: both come at the end.
        (
            "# mine\n[package] # so\nname = 'old'\nedition = \"2024\"\n\n# none yet\n[dependencies]\n",
            "\n[dev-dependencies]\n",
            "",
        ),
        // A table that others stand behind; its entries have another order than the alphabet's.
        (
            "[package]\nname   =   \"old\"\nedition=\"2021\"\n\n[dev-dependencies]\nz = \"1\"  # last\n\
             a = {version=\"2\",features=[ ]}\n",
            "",
            "\n# why\n[profile.release]\nlto = true # fast\n\n[lints]\nworkspace = true\n",
        ),
    ] {
        let place = Crate::with(&format!("{before}{after}"));
        let _ = place.init().ends_with(0);
        assert_eq!(place.manifest(), format!("{before}{dependency}{LEAKSNAP}{after}\n{TEST}"));
    }
}

#[test]
fn lines_end_as_they_did_and_tests_are_named_as_they_were() {
    let returns = PACKAGE.replace('\n', "\r\n");
    let place = Crate::with(&format!("\u{feff}{returns}"));
    let _ = place.init().ends_with(0);
    let added = format!("\n[dev-dependencies]\n{LEAKSNAP}\n{TEST}").replace('\n', "\r\n");
    assert_eq!(place.manifest(), format!("\u{feff}{returns}{added}"));

    let tests = "[[test]]\nname = \"other\" # first\n";
    let own = format!("{PACKAGE}\n[dependencies]\nleaksnap = \"0.1\"\n\n{tests}");
    let place = Crate::with(&format!("{own}\n[profile.dev]\ndebug = 1\n"));
    let _ = place.init().ends_with(0);
    assert_eq!(place.manifest(), format!("{own}\n{TEST}\n[profile.dev]\ndebug = 1\n"));

    // Only tables of single dependencies.
    let single = format!("{PACKAGE}\n[dev-dependencies.insta]\nversion = \"1\"\n");
    let place = Crate::with(&single);
    let _ = place.init().ends_with(0);
    let added = place.manifest();
    assert!(added.starts_with(PACKAGE) && added.ends_with(TEST), "{added}");
    assert!(added.contains("\n[dev-dependencies.insta]\nversion = \"1\"\n"), "{added}");
    assert!(added.contains(&format!("\n[dev-dependencies]\n{LEAKSNAP}")), "{added}");

    // Nothing has to be added where it stands in a form of its own.
    let inline = format!(
        "test = [{{ name = \"leaks\", harness = false, path = \"tests/l.rs\" }}]\n{PACKAGE}\n\
         [target.'cfg(unix)'.dev-dependencies]\nleaksnap.path = \"x\"\n"
    );
    let place = Crate::with(&inline);
    let _ = place.init().ends_with(0).says(&["tests/l.rs: has a first scenario in Rust"]);
    assert_eq!(place.manifest(), inline);
}

#[test]
fn what_is_there_is_not_written_to() {
    let place = Crate::with(PACKAGE);
    place.write("tests/leaks.rs", "leaksnap::main!(\"tests/leaks\");\n");
    place.write("tests/leaks/mine.toml", "program = [\"true\"]\n");
    let _ = place.init().ends_with(0).says(&["tests/leaks.rs: is there", "tests/leaks: has"]);
    let files = all(place.0.path());
    assert_eq!(files.len(), 3, "{files:?}");
    assert_eq!(read(&place.0.path().join("tests/leaks.rs")), "leaksnap::main!(\"tests/leaks\");\n");

    // A library has no program of its own; another folder's crate is named.
    let place = Crate::with(PACKAGE);
    place.write("src/lib.rs", "");
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let path = place.0.path().join("Cargo.toml").display().to_string();
    let _ = init(elsewhere.path(), &["--manifest-path", &path]).ends_with(0);
    assert!(all(elsewhere.path()).is_empty());
    let program = read(&place.0.path().join("tests/leaks/program.toml"));
    assert!(program.contains("\nprogram = [\"true\"]\n"), "{program}");
}

#[test]
fn what_can_t_be_is_refused_before_anything_is_written() {
    Crate::with("[workspace]\nmembers = [\n    \"a\",\n    \"b/*\",\n]\n").is_refused(
        "Cargo.toml: is a workspace without a package: choose a member of [ \"a\", \"b/*\", ], with \
         `--manifest-path MEMBER/Cargo.toml`",
    );
    Crate::with("[profile.dev]\n").is_refused("Cargo.toml: has no [package]");
    Crate::with("[package]\nedition = \"2024\"\n")
        .is_refused("Cargo.toml: the package has no name");
    Crate::with("[package]\nname = \"old\"\n").is_refused(
        "Cargo.toml: edition 2015 runs no other test once one is named in it: give the package \
         `edition = \"2018\"` or a later one",
    );
    Crate::with(&format!("{PACKAGE}[dev-dependencies]\nsnap = {{ package = \"leaksnap\" }}\n"))
        .is_refused(
            "Cargo.toml: leaksnap is called `snap` here: give it its own name, which its macros use",
        );
    Crate::with(&format!("{PACKAGE}[[test]]\nname = \"leaks\"\n")).is_refused(
        "Cargo.toml: there is a test `leaks` that has Rust's own harness: give it another name, or \
         `harness = false`",
    );
    let place = Crate::with("[package]\nname = 1 2\n");
    let _ = place.init().ends_with(2).says(&["leaksnap: Cargo.toml:2: "]);

    let place = Crate::with(PACKAGE);
    place.write("tests/leaks.rs", "#[test]\nfn mine() {}\n");
    place.is_refused(
        "tests/leaks.rs: is there, and has no `leaksnap::main!(\"tests/leaks\");`: give it another \
         name, or that line in place of its tests",
    );
    let place = Crate::with(PACKAGE);
    place.write("tests/leaks/main.rs", "");
    place.is_refused(
        "tests/leaks/main.rs: is the test `leaks` already; it has to have another name",
    );
    let place = Crate::with(PACKAGE);
    place.write("tests/leaks", "");
    place.is_refused("tests/leaks: cannot be read: Not a directory (os error 20)");
}

#[test]
fn without_a_manifest_there_is_no_crate() {
    let place = Crate::with(PACKAGE);
    place.write("src/main.rs", "");
    let above = place.0.path().canonicalize().expect("a path").join("Cargo.toml");
    let _ = init(&place.0.path().join("src"), &[]).ends_with(2).says(&[
        "leaksnap: there is no Cargo.toml in this folder: say `--manifest-path ",
        above.to_str().expect("a path"),
    ]);
    let _ = init(place.0.path(), &["--manifest-path", "no/Cargo.toml"])
        .ends_with(2)
        .says(&["leaksnap: no/Cargo.toml: there is no such file; `cargo init` makes a crate, \
         `--manifest-path` names one"]);
    let _ = init(place.0.path(), &["--manifest-path", "."])
        .ends_with(2)
        .says(&["leaksnap: .: Is a directory (os error 21)"]);
    assert_eq!(all(place.0.path()).len(), 2);
}
