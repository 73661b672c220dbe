//! Compiles the fixtures in C: plugins, and a program that nothing can be preloaded into.
//!
//! They are compiled the same whatever the profile is, as their tracebacks are in snapshots.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The plugins that scenarios call by name.
const BY_NAME: [&str; 7] = [
    "caches_on_first_use",
    "fills_a_ring",
    "frees_all",
    "grows_per_call",
    "leaks_per_call",
    "makes_context_anew",
    "starts_thread",
];

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let plugins = Path::new("../fixtures/plugins_c");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../include");
    println!("cargo::rerun-if-changed={}", plugins.display());
    for entry in fs::read_dir(plugins).expect("the plugins' folder") {
        let source = entry.expect("an entry of the plugins' folder").path();
        let name = source.file_stem().expect("a file's name").to_string_lossy().into_owned();
        let object = out.join(format!("lib{name}.so"));
        compile(&source, &object, &["-shared", "-fPIC", "-pthread"]);
        if BY_NAME.contains(&name.as_str()) {
            copy(&object, &beside_tests(&out));
        }
    }
    println!("cargo::rustc-env=PLUGINS_IN_C={}", out.display());

    let program = Path::new("../fixtures/programs/is_static.c");
    println!("cargo::rerun-if-changed={}", program.display());
    compile(program, &out.join("is_static"), &["-static"]);
    println!("cargo::rustc-env=STATIC_PROGRAM={}", out.join("is_static").display());
}

fn compile(source: &Path, object: &Path, flags: &[&str]) {
    let compiler = cc::Build::new()
        .cargo_metadata(false)
        .opt_level(0)
        .debug(true)
        .include("../include")
        .warnings(true)
        .warnings_into_errors(true)
        .get_compiler();
    let mut command: Command = compiler.to_command();
    command.args(flags).arg(source).arg("-o").arg(object);
    let status = command.status().expect("failed to run the C compiler");
    assert!(status.success(), "the C compiler failed on {}: {status}", source.display());
}

/// The profile's `deps`: the host looks for names beside its executable, and OUT_DIR is
/// `build/PACKAGE-HASH/out` beside `deps`.
fn beside_tests(out: &Path) -> PathBuf {
    let profile = out.ancestors().nth(3).expect("OUT_DIR lies three folders deep");
    profile.join("deps")
}

/// Replaces the file as a whole: a host may have the old one open.
fn copy(object: &Path, folder: &Path) {
    let name = object.file_name().expect("an object's name").to_string_lossy().into_owned();
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    fs::create_dir_all(folder).expect("the folder of the tests");
    fs::copy(object, &temporary).expect("failed to copy a plugin");
    fs::rename(&temporary, folder.join(&name)).expect("failed to name a plugin's copy");
}
