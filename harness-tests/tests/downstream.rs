//! A crate that uses the packaged leaksnap, as crates.io would give it: `cargo test`,
//! `cargo insta`, `cargo nextest`, and what the test executable is made of.

#[path = "downstream/nextest.rs"]
mod nextest;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness_tests::cargo;
use harness_tests::outcome::Outcome;
use harness_tests::trials::{body, read};
use tempfile::TempDir;

/// What a failure has to say: the leak, and the function that leaks.
const LEAK: [&str; 4] = [
    "1 traceback in session is not accepted (1 new)",
    "bytes (1 block, 4096 bytes per iteration)",
    "downstream::Session::open  libdownstream.so",
    "downstream::open_session  libdownstream.so",
];

/// A copy of `fixtures/downstream`, on the packaged leaksnap.
struct Downstream {
    folder: TempDir,
    /// The copies build in one folder, where the plugin has one name: one at a time.
    _turn: fs::File,
}

impl Downstream {
    fn new() -> Self {
        let turn = cargo::turn(&target(""));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let fixture = cargo::repository().join("fixtures/downstream");
        for file in
            ["src/lib.rs", "tests/leaks.rs", "tests/leaks/session.toml", "tests/leaks/program.toml"]
        {
            let to = folder.path().join(file);
            fs::create_dir_all(to.parent().expect("a file has a folder")).expect("a folder");
            fs::copy(fixture.join(file), to).expect("copied");
        }
        let manifest = read(&fixture.join("Cargo.toml"));
        let path = "path = \"../..\"";
        assert!(manifest.contains(path), "{manifest}");
        let manifest = manifest.replace(path, &format!("path = {:?}", packaged()));
        fs::write(folder.path().join("Cargo.toml"), manifest).expect("written");
        // The versions that are downloaded already.
        let lock = cargo::repository().join("Cargo.lock");
        fs::copy(lock, folder.path().join("Cargo.lock")).expect("copied");
        Self { folder, _turn: turn }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn cargo(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(cargo::cargo(self.folder(), &target("build")).args(arguments))
    }

    fn insta(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(cargo::insta(self.folder(), &target("build")).args(arguments))
    }

    /// A scenario of this test's own.
    fn write(&self, file: &str, text: &str) {
        let path = self.folder().join(file);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    fn accepted(&self) -> PathBuf {
        self.folder().join("tests/leaks/snapshots/session.snap")
    }

    fn pending(&self) -> PathBuf {
        self.folder().join("tests/leaks/snapshots/session.snap.new")
    }

    /// The executable of the test `leaks`.
    fn executable(&self) -> PathBuf {
        let run = self.cargo(&["test", "--test", "leaks", "--no-run", "--message-format=json"]);
        let run = run.ends_with(0);
        let messages = run.out.lines().filter_map(|line| serde_json::from_str(line).ok());
        let mut executables = messages.filter_map(|message: serde_json::Value| {
            let leaks = message["target"]["name"] == "leaks";
            leaks.then(|| message["executable"].as_str().map(PathBuf::from))?
        });
        executables.next().unwrap_or_else(|| panic!("no executable in {}", run.text))
    }
}

/// A folder of this test's own below the target folder.
fn target(name: &str) -> PathBuf {
    cargo::target().join("downstream").join(name)
}

/// The folder of the packaged leaksnap's sources.
fn packaged() -> PathBuf {
    let mut package = cargo::cargo(cargo::repository(), &target("package"));
    package.args(["package", "-p", "leaksnap", "--allow-dirty", "--no-verify"]);
    let _ = Outcome::of(&mut package).ends_with(0);
    let name = concat!("leaksnap-", env!("CARGO_PKG_VERSION"));
    let new = fs::read(target(&format!("package/package/{name}.crate"))).expect("packaged");
    let (folder, of) = (target("unpacked"), target("unpacked.crate"));
    if !fs::read(&of).is_ok_and(|old| old == new) {
        // Nothing of an older package may stay.
        let _ = fs::remove_file(&of);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        // `-m`: files of a package are all of one time, by which cargo would build nothing again.
        let mut tar = Command::new("tar");
        tar.arg("-xzmf").arg(target(&format!("package/package/{name}.crate")));
        let _ = Outcome::of(tar.arg("-C").arg(&folder)).ends_with(0);
        fs::write(of, new).expect("written");
    }
    folder.join(name)
}

#[test]
fn a_leak_fails_cargo_test_until_it_is_accepted() {
    let downstream = Downstream::new();
    let clean = downstream.cargo(&["test"]).ends_with(0);
    let _ = clean.says(&["test program ... ok", "test session ... ok"]);
    assert!(!downstream.pending().exists());

    let leaky = ["test", "--features", "leaky"];
    let failed = downstream.cargo(&leaky).ends_with(101).says(&LEAK);
    let _ = failed.says(&["test program ... ok", "test session ... FAILED", "1 passed; 1 failed"]);
    assert!(downstream.pending().exists());
    let _ = downstream.insta(&["pending-snapshots"]).ends_with(0).says(&["session.snap"]);

    let _ = downstream.insta(&["reject"]).ends_with(0);
    assert!(!downstream.pending().exists());
    // cargo-insta lets the trial pass, and fails itself: there is something to review.
    let _ = downstream.insta(&leaky).ends_with(1).says(&["1 snapshot to review"]);
    assert!(downstream.pending().exists());
    let _ = downstream.insta(&["accept"]).ends_with(0);
    assert!(!downstream.pending().exists());
    assert!(body(&read(&downstream.accepted())).starts_with("leak: 1 block, 4096 bytes per"));

    let _ = downstream.cargo(&leaky).ends_with(0).says(&["test session ... ok"]);
    let check = ["test", "--check", "--features", "leaky"];
    let _ = downstream.insta(&check).ends_with(0);
    // insta has to see that the snapshot is needed.
    let _ =
        downstream.insta(&["test", "--unreferenced", "reject", "--features", "leaky"]).ends_with(0);

    let again = downstream.cargo(&["test"]).ends_with(0);
    let _ = again.says(&["note: nothing leaks in session any longer: remove "]);
    let unreferenced = |what: &str| downstream.insta(&["test", "--unreferenced", what]);
    let _ = unreferenced("reject").ends_with(1).says(&["session.snap"]);
    assert!(downstream.accepted().exists());
    let _ = unreferenced("delete").ends_with(0);
    assert!(!downstream.accepted().exists());
    let _ = downstream.insta(&check).ends_with(1);
}

#[test]
fn the_test_executable_has_libc_s_malloc() {
    let executable = Downstream::new().executable();
    let symbols =
        Outcome::of(Command::new("nm").arg("--defined-only").arg(executable)).ends_with(0);
    let names: Vec<_> = symbols.out.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    assert!(names.contains(&"main"), "nm lists what is defined: {names:?}");
    for name in ["malloc", "free", "calloc", "realloc", "aligned_alloc", "posix_memalign"] {
        assert!(!names.contains(&name), "{name} is the executable's own");
    }
}
