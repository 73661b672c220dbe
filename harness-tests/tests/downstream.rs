//! A crate that uses the packaged leaksnap, as crates.io would give it: `cargo test`,
//! `cargo insta`, `cargo nextest`, and what the test executable is made of.

#[path = "downstream/nextest.rs"]
mod nextest;

use std::path::PathBuf;
use std::process::Command;

use harness_tests::cargo;
use harness_tests::outcome::Outcome;
use harness_tests::trials::{body, read};
use harness_tests::user::User;

/// What a failure has to say: the leak, and the function that leaks.
const LEAK: [&str; 4] = [
    "1 traceback in session is not accepted (1 new)",
    "bytes (1 block, 4096 bytes per iteration)",
    "downstream::Session::open  libdownstream.so",
    "downstream::open_session  libdownstream.so",
];

/// A copy of `fixtures/downstream`, on the packaged leaksnap.
struct Downstream(User);

impl std::ops::Deref for Downstream {
    type Target = User;

    fn deref(&self) -> &User {
        &self.0
    }
}

impl Downstream {
    fn new() -> Self {
        let user = User::new();
        let fixture = cargo::repository().join("fixtures/downstream");
        for file in
            ["src/lib.rs", "tests/leaks.rs", "tests/leaks/session.toml", "tests/leaks/program.toml"]
        {
            user.write(file, &read(&fixture.join(file)));
        }
        let manifest = read(&fixture.join("Cargo.toml"));
        // As users have it, who know of no path.
        let path = "{ path = \"../..\" }";
        assert!(manifest.contains(path), "{manifest}");
        user.write("Cargo.toml", &manifest.replace(path, "\"0.1\""));
        Self(user)
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
