//! A session that VPP's developers have by hand, on both OpenSSL plugins: the heap traced,
//! `test crypto`, what it left on the heap, and whether that is a leak.
//!
//! With arguments it is the `leaksnap` command, on plugins that were built with it.

use std::path::Path;
use std::process::{Command, ExitCode, Output};

/// Lines of `test crypto` that are shown.
const SHOWN: usize = 6;

/// Lines of one `test crypto`.
const LINES: usize = 548;

fn main() -> ExitCode {
    if std::env::args_os().len() > 1 || std::env::var_os("LEAKSNAP_HOST").is_some() {
        return leaksnap::command(std::env::args_os());
    }
    let clean = replay("crypto_openssl");
    let leaks = replay("crypto_openssl_forgets_hmac_key");
    match (clean, leaks) {
        (Some(0), Some(1)) => ExitCode::SUCCESS,
        other => {
            eprintln!("expected exit statuses 0 (clean) and 1 (leaks), not {other:?}");
            ExitCode::FAILURE
        }
    }
}

/// Runs `test crypto` of `plugin` and prints the session; the command's exit status.
fn replay(plugin: &str) -> Option<i32> {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/leaks")
        .join(plugin)
        .with_extension("toml");
    let output = std::env::current_exe().and_then(|leaksnap| {
        Command::new(leaksnap).args(["run", "--show-output", "--memory"]).arg(&scenario).output()
    });
    let Output { status, stdout, stderr } = output.ok()?;
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    // The heap's part begins with its base.
    let (tests, memory) = stdout.split_once("  base 0x").unwrap_or((&stdout, ""));
    println!("leaksnap# memory-trace on main-heap");
    println!("leaksnap# load plugin {plugin}");
    println!("leaksnap# leak-check {{ test crypto }}");
    tests.lines().take(SHOWN).for_each(|line| println!("{line}"));
    let lines = tests.lines().count();
    println!("… ({lines} lines in {} runs)", lines / LINES);
    println!("leaksnap# show memory main-heap verbose");
    println!("  base 0x{memory}");
    println!("{stderr}");
    status.code()
}
