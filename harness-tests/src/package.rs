//! The packages as crates.io would give them: made by `cargo package`, unpacked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{cargo, repository, target, turn};
use crate::outcome::Outcome;

/// The packages that are published: users name the first, cargo finds the others by it.
const NAMES: [&str; 2] = ["leaksnap", "leaksnap-attribute"];

/// Packages both and unpacks them; the configuration by which cargo takes them for what crates.io
/// has.
///
/// # Panics
/// Where they can't be packaged.
#[must_use]
pub fn patch() -> String {
    let _turn = turn(&folder());
    let mut package = cargo(repository(), &folder().join("build"));
    package.args(["package", "--allow-dirty", "--no-verify"]);
    let _ = Outcome::of(package.args(NAMES.map(|name| format!("-p{name}")))).ends_with(0);
    let patches = NAMES.map(|name| format!("{name} = {{ path = {:?} }}\n", unpacked(name)));
    format!("[patch.crates-io]\n{}", patches.concat())
}

/// The folder of the package that users name, once it was [given](give_to) to somebody.
#[must_use]
pub fn leaksnap() -> PathBuf {
    unpacked(NAMES[0])
}

/// The folder of the unpacked package `name`.
fn unpacked(name: &str) -> PathBuf {
    let full = format!("{name}-{}", env!("CARGO_PKG_VERSION"));
    let packaged = folder().join(format!("build/package/{full}.crate"));
    let new = fs::read(&packaged).expect("packaged");
    let (into, of) = (folder().join("unpacked"), folder().join(format!("{full}.crate")));
    if !fs::read(&of).is_ok_and(|old| old == new) {
        // Nothing of an older package may stay.
        let _ = fs::remove_file(&of);
        let _ = fs::remove_dir_all(into.join(&full));
        fs::create_dir_all(&into).expect("a folder");
        // `-m`: files of a package are all of one time, by which cargo would build nothing again.
        let mut tar = Command::new("tar");
        tar.arg("-xzmf").arg(packaged);
        let _ = Outcome::of(tar.arg("-C").arg(&into)).ends_with(0);
        fs::write(of, new).expect("written");
    }
    into.join(full)
}

/// Has cargo take the packages, and the versions that are downloaded already, for a package in
/// `folder`.
///
/// # Panics
/// Where a file can't be written.
pub fn give_to(folder: &Path) {
    let configuration = folder.join(".cargo");
    fs::create_dir_all(&configuration).expect("a folder");
    fs::write(configuration.join("config.toml"), patch()).expect("written");
    fs::copy(repository().join("Cargo.lock"), folder.join("Cargo.lock")).expect("copied");
}

fn folder() -> PathBuf {
    target().join("package-of-users")
}
