//! The plugin header compiles without a warning in C and in C++, and what it says at its top
//! works.

use std::env;
use std::path::Path;
use std::process::Command;

use harness_tests::Workplace;

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];

/// The plugin in the header's first comment.
fn example() -> String {
    let header = include_str!("../../include/leaksnap_plugin.h");
    let comment = header.split("*/").next().unwrap_or_default();
    let code = comment.lines().filter_map(|line| line.strip_prefix(" *     "));
    let code: String = code.map(|line| format!("{line}\n")).collect();
    format!("#include <leaksnap_plugin.h>\n{code}")
}

/// Compiles the example with `flags`, and has the host say hello with it.
fn say_hello(variable: &str, default: &str, flags: &[&str]) {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    work.write("hello.c", &example());
    work.write("hello.toml", "plugins = [\"hello.so\"]\nsteps = [\"say hello\"]\nrepeat = 1\n");
    let compiler = env::var(variable).unwrap_or_else(|_| default.to_owned());
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../include");
    let mut command = Command::new(compiler);
    command.args(flags).args(WARNINGS).args(["-shared", "-fPIC", "-I"]).arg(include);
    command.arg(work.path("hello.c")).arg("-o").arg(work.path("hello.so"));
    let output = command.output().expect("the compiler runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let ended = work.run(["run", "--show-output", "hello.toml"]);
    assert_eq!(ended.stderr, "no leaks in hello\n");
    assert_eq!((ended.status, ended.stdout), (Some(0), "hello\n".repeat(3)));
}

#[test]
fn in_c() {
    say_hello("CC", "cc", &["-x", "c", "-std=c99"]);
    say_hello("CC", "cc", &["-x", "c", "-std=c11", "-O2", "-fvisibility=hidden"]);
}

#[test]
fn in_cpp() {
    say_hello("CXX", "c++", &["-x", "c++", "-std=c++11"]);
    say_hello("CXX", "c++", &["-x", "c++", "-std=c++17", "-O2", "-fvisibility=hidden"]);
}
