//! Builds the preload heap: a shared object of its own, which the library embeds.
//!
//! Cargo can't: as a dependency it would be unoptimised in dev builds, or put a `malloc` into the
//! test executable itself. So the compiler is called directly, always at `opt-level=3`, with
//! mimalloc's C sources, which `libmimalloc-sys` carries. Where the target has no such object
//! (another system than Linux with glibc), an empty file is embedded, and trials are
//! ignored.

use std::env;
use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(leaksnap_preload)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/cdylib.rs");
    println!("cargo::rerun-if-changed=src/preload.rs");
    println!("cargo::rerun-if-changed=src/preload");
    println!("cargo::rerun-if-changed=src/ledger.rs");
    println!("cargo::rerun-if-changed=src/ledger");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let out = PathBuf::from(variable("OUT_DIR"));
    let object = out.join("preload_heap.so");
    let supported = variable("CARGO_CFG_TARGET_OS") == "linux"
        && variable("CARGO_CFG_TARGET_ENV") == "gnu"
        && ["x86_64", "aarch64"].contains(&variable("CARGO_CFG_TARGET_ARCH").as_str());
    if supported {
        compile_mimalloc(&out);
        compile_preload_heap(&out, &object);
    } else {
        std::fs::write(&object, []).expect("failed to write an empty preload heap");
    }
    println!("cargo::rustc-env=LEAKSNAP_PRELOAD_HASH={:016x}", hash(&object));
}

/// Of the preload heap, for its file's name: each start of a harness would take it again.
fn hash(object: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(&std::fs::read(object).expect("failed to read the preload heap"));
    hasher.finish()
}

fn compile_mimalloc(out: &Path) {
    let include = PathBuf::from(variable("DEP_MIMALLOC_INCLUDE_DIR"));
    let sources = include.parent().expect("mimalloc's headers have a folder").join("src");
    let mut build = cc::Build::new();
    build
        .cargo_metadata(false)
        .inherit_rustflags(false)
        .include(&include)
        .include(&sources)
        .define("NDEBUG", None)
        .define("MI_BUILD_RELEASE", None)
        .define("MI_DEBUG", "0")
        // A program may have a mimalloc of its own, which its environment speaks to.
        .define("MI_NO_GETENV", None)
        .flag("-ftls-model=initial-exec")
        .flag("-fvisibility=hidden")
        .flag_if_supported("-fno-builtin-malloc")
        .flag_if_supported("-Wno-error=date-time")
        .opt_level(3)
        .debug(false)
        .pic(true)
        .warnings(false)
        .out_dir(out);
    let object = out.join("mimalloc.o");
    let whole = build.get_compiler().to_command();
    let mut compiler = Command::new(whole.get_program());
    compiler.args(whole.get_args().filter(|flag| !is_for_the_user_s_own_code(flag)));
    compiler.envs(whole.get_envs().filter_map(|(name, value)| Some((name, value?))));
    compiler.args(["-O3", "-c", "src/preload/mimalloc.c", "-o"]).arg(&object);
    let status = compiler.status().expect("failed to run the C compiler for the preload heap");
    assert!(status.success(), "the C compiler failed to build the preload heap: {status}");
    cc::Build::new().cargo_metadata(false).out_dir(out).object(object).compile("leaksnap_mimalloc");
}

/// Whether `flag`, which may be of CFLAGS, has the compiler add to the code or leave it for later: a heap
/// that a sanitizer or a profiler is part of is none.
fn is_for_the_user_s_own_code(flag: &OsStr) -> bool {
    const BEGINNINGS: [&str; 7] = [
        "-fsanitize",
        "-fprofile",
        "-fcoverage",
        "-ftest-coverage",
        "-flto",
        "-finstrument",
        "-fcs-",
    ];
    let flag = flag.to_string_lossy();
    BEGINNINGS.iter().any(|beginning| flag.starts_with(beginning))
        || ["--coverage", "-coverage", "-pg", "-p"].contains(&&*flag)
}

fn compile_preload_heap(out: &Path, object: &Path) {
    let mut rustc = Command::new(variable("RUSTC"));
    rustc
        .args(["--crate-name", "leaksnap_preload", "--crate-type", "cdylib", "--edition", "2024"])
        .args(["-C", "opt-level=3", "-C", "panic=abort", "-C", "codegen-units=1"])
        .args(["-C", "debuginfo=0", "-C", "strip=symbols", "-C", "force-unwind-tables=yes"])
        .args(["--cfg", "leaksnap_preload", "--target", &variable("TARGET")])
        // A symbol that is missing is to fail here, not in somebody's program.
        .args(["-C", "link-arg=-Wl,-z,defs"])
        .args(["-C", "link-arg=-Wl,-z,now", "-C", "link-arg=-Wl,-z,nodelete"])
        .args(["-l", "static=leaksnap_mimalloc", "-l", "static:-bundle=gcc_eh", "-l", "c"])
        .arg("-L")
        .arg(format!("native={}", out.display()))
        .arg("-o")
        .arg(object)
        .arg("src/cdylib.rs");
    if let Some(folder) = library_folder() {
        rustc.arg("-L").arg(format!("native={}", folder.display()));
    }
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = OsString::from("linker=");
        option.push(linker);
        rustc.arg("-C").arg(option);
    }
    let status = rustc.status().expect("failed to run rustc for the preload heap");
    assert!(status.success(), "rustc failed to build the preload heap: {status}");
    assert!(object.exists(), "rustc built no preload heap: {}", object.display());
}

/// The folder of the C compiler's own libraries, where `libgcc_eh.a` lies.
fn library_folder() -> Option<PathBuf> {
    let compiler = cc::Build::new().cargo_metadata(false).get_compiler();
    let output = compiler.to_command().arg("-print-file-name=libgcc_eh.a").output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    path.is_absolute().then(|| path.parent().map(Path::to_path_buf))?
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo did not set {name}"))
}
