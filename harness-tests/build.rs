//! Compiles the fixtures in C and C++: plugins, and a program that nothing can be preloaded into.
//!
//! They are compiled the same whatever the profile is, as their tracebacks are in snapshots.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The plugins that scenarios call by name.
const BY_NAME: [&str; 8] = [
    "caches_on_first_use",
    "fills_a_ring",
    "frees_all",
    "grows_per_call",
    "leaks_per_call",
    "makes_context_anew",
    "starts_thread",
    "waits_for_a_word",
];

/// The folders of plugins, and what theirs are linked with.
const PLUGINS: [(&str, &[&str]); 3] =
    [("plugins_c", &[]), ("plugins_cpp", &[]), ("plugins_openssl", &["-lssl", "-lcrypto"])];

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../include");
    println!("cargo::rerun-if-changed=../fixtures/include");
    compile_all(plugins(), &out);
    for name in BY_NAME {
        copy(&out.join(object_of(name)), &beside_tests(&out));
    }
    println!("cargo::rustc-env=PLUGINS_IN_C={}", out.display());

    let program = Path::new("../fixtures/programs/is_static.c");
    println!("cargo::rerun-if-changed={}", program.display());
    compile(program, &out.join("is_static"), &["-static"], &[]);
    println!("cargo::rustc-env=STATIC_PROGRAM={}", out.join("is_static").display());
}

/// Every plugin's source, and what it is linked with.
fn plugins() -> Vec<(PathBuf, &'static [&'static str])> {
    let mut found = Vec::new();
    for (folder, libraries) in PLUGINS {
        let folder = Path::new("../fixtures").join(folder);
        println!("cargo::rerun-if-changed={}", folder.display());
        for entry in fs::read_dir(&folder).expect("a folder of plugins") {
            found.push((entry.expect("an entry of a folder of plugins").path(), libraries));
        }
    }
    found
}

/// As many at a time as there are cores: one in C++ takes a second.
fn compile_all(plugins: Vec<(PathBuf, &'static [&'static str])>, out: &Path) {
    let left = Mutex::new(plugins);
    let next = || left.lock().expect("no thread panics with it").pop();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((source, libraries)) = next() {
                    let name = source.file_stem().expect("a file's name").to_string_lossy();
                    let object = out.join(object_of(&name));
                    compile(&source, &object, &["-shared", "-fPIC", "-pthread"], libraries);
                }
            });
        }
    });
}

fn object_of(plugin: &str) -> String {
    format!("lib{plugin}.so")
}

fn compile(source: &Path, object: &Path, flags: &[&str], libraries: &[&str]) {
    let compiler = cc::Build::new()
        .cargo_metadata(false)
        .cpp(source.extension().is_some_and(|extension| extension == "cpp"))
        .opt_level(0)
        .debug(true)
        .include("../include")
        .include("../fixtures/include")
        .warnings(true)
        .warnings_into_errors(true)
        .get_compiler();
    let mut command: Command = compiler.to_command();
    command.args(flags).arg(source).arg("-o").arg(object).args(libraries);
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
