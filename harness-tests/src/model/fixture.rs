//! Where a fixture's shared object lies.

use std::path::{Path, PathBuf};

/// The object of `plugin`: in C and C++ the build script's, in Rust cargo's, beside the tests.
pub(super) fn object(plugin: &str) -> PathBuf {
    let name = format!("lib{plugin}.so");
    let test = std::env::current_exe().expect("the test's own path");
    let folders = [Path::new(env!("PLUGINS_IN_C")), test.parent().expect("it is in a folder")];
    let mut found = folders.iter().map(|folder| folder.join(&name));
    found.find(|path| path.is_file()).unwrap_or_else(|| panic!("{name} was not built"))
}
