//! A crate of a user's: outside the workspace, on the packages as crates.io would give them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::cargo::{cargo, environment, insta, nextest, repository, target, turn};
use crate::outcome::Outcome;

/// The packages that are published: users name the first, cargo finds the other by it.
const PACKAGES: [&str; 2] = ["leaksnap", "leaksnap-attribute"];

/// For the C of a user who looks for other faults, too; the preload heap is built without.
const CFLAGS: &str = "-O0 -fsanitize=address,undefined -flto --coverage -finstrument-functions -pg";

/// A user, whose crate is in a temporary folder.
#[derive(Debug)]
pub struct User {
    folder: TempDir,
    /// All build in one folder, where what they build has one name: one at a time.
    _turn: fs::File,
}

impl User {
    /// One with an empty folder, for whom cargo has the packages, and whatever else is downloaded
    /// already.
    ///
    /// # Panics
    /// Where they can't be packaged.
    #[must_use]
    pub fn new() -> Self {
        let turn = turn(&work(""));
        package();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let user = Self { folder, _turn: turn };
        let patches = PACKAGES.map(|name| format!("{name} = {{ path = {:?} }}\n", unpacked(name)));
        let config = format!("[env]\nCFLAGS = {CFLAGS:?}\n[patch.crates-io]\n{}", patches.concat());
        user.write(".cargo/config.toml", &config);
        let lock = repository().join("Cargo.lock");
        fs::copy(lock, user.folder().join("Cargo.lock")).expect("copied");
        user
    }

    /// The crate's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Has `text` in `file` of the crate.
    ///
    /// # Panics
    /// Where it can't be written.
    pub fn write(&self, file: &str, text: &str) {
        let path = self.folder().join(file);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
        fs::write(path, text).expect("written");
    }

    /// `cargo` with `arguments`.
    pub fn cargo(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(cargo(self.folder(), &work("build")).args(arguments))
    }

    /// A line for the shell, in `folder` of the crate's.
    pub fn shell(&self, folder: &str, line: &str) -> Outcome {
        let mut shell = environment("sh", &self.folder().join(folder), &work("build"));
        Outcome::of(shell.args(["-c", line]))
    }

    /// `cargo insta`.
    pub fn insta(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(insta(self.folder(), &work("build")).args(arguments))
    }

    /// `cargo nextest`.
    pub fn nextest(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(nextest(self.folder(), &work("build")).args(arguments))
    }
}

impl Default for User {
    fn default() -> Self {
        Self::new()
    }
}

/// The folder of the package that users name, once there was a [`User`].
#[must_use]
pub fn leaksnap() -> PathBuf {
    unpacked(PACKAGES[0])
}

/// What is called `name` in the folder of these users' below the target folder.
#[must_use]
pub fn work(name: &str) -> PathBuf {
    target().join("downstream").join(name)
}

fn unpacked(package: &str) -> PathBuf {
    work("unpacked").join(full_name(package))
}

fn full_name(package: &str) -> String {
    format!("{package}-{}", env!("CARGO_PKG_VERSION"))
}

/// Packages all and unpacks what is new.
fn package() {
    // cargo-insta asks for what other targets need, too, which no build here has downloaded.
    let mut fetch = cargo(repository(), &work("package"));
    let _ =
        Outcome::of(fetch.env_remove("CARGO_NET_OFFLINE").args(["fetch", "--locked"])).ends_with(0);
    let mut package = cargo(repository(), &work("package"));
    package.args(["package", "--allow-dirty", "--no-verify"]);
    let _ = Outcome::of(package.args(PACKAGES.map(|name| format!("-p{name}")))).ends_with(0);
    for name in PACKAGES {
        let (full, folder) = (full_name(name), unpacked(name));
        let (packaged, of) =
            (work(&format!("package/package/{full}.crate")), work(&format!("{full}.crate")));
        let new = fs::read(&packaged).expect("packaged");
        if !fs::read(&of).is_ok_and(|old| old == new) {
            // Nothing of an older package may stay.
            let _ = fs::remove_file(&of);
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(work("unpacked")).expect("a folder");
            // `-m`: files of a package are all of one time, by which cargo would build nothing again.
            let mut tar = Command::new("tar");
            tar.arg("-xzmf").arg(packaged).arg("-C").arg(work("unpacked"));
            let _ = Outcome::of(&mut tar).ends_with(0);
            fs::write(of, new).expect("written");
        }
    }
}
