//! A session that VPP's developers have by hand, in `leaksnap console` on both OpenSSL plugins: the
//! heap traced, `test crypto`, what it left on the heap, and whether that is a leak.
//!
//! With arguments it is the `leaksnap` command, on plugins that were built with it.

use std::io::{self, Write};
use std::process::{Command, ExitCode, Output, Stdio};

/// What is typed; the plugin is loaded before.
const TYPED: [&str; 5] = [
    "memory-trace on main-heap",
    "test crypto",
    "show memory main-heap",
    "leak-check { test crypto }",
    "quit",
];

/// How each command's echo begins.
const PROMPT: &str = "leaksnap# ";

/// Lines in a row that say OK that are shown, and lines of a table.
const OKS: usize = 4;
const TABLE: usize = 24;

fn main() -> ExitCode {
    if std::env::args_os().len() > 1 || std::env::var_os("LEAKSNAP_HOST").is_some() {
        return leaksnap::command(std::env::args_os());
    }
    let ends = ["crypto_openssl", "crypto_openssl_forgets_hmac_key"].map(replay);
    match ends {
        [Ok(Some(0)), Ok(Some(1))] => ExitCode::SUCCESS,
        other => {
            eprintln!("expected exit statuses 0 (clean) and 1 (leaks), not {other:?}");
            ExitCode::FAILURE
        }
    }
}

/// Has a console with `plugin` run what is typed and prints the session; its exit status.
fn replay(plugin: &str) -> io::Result<Option<i32>> {
    let mut console = Command::new(std::env::current_exe()?);
    console.arg("console").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut console = console.spawn()?;
    if let Some(mut input) = console.stdin.take() {
        writeln!(input, "load plugin {plugin}\n{}", TYPED.join("\n"))?;
    }
    let Output { status, stdout, stderr } = console.wait_with_output()?;
    print(&String::from_utf8_lossy(&stdout));
    println!("{}", String::from_utf8_lossy(&stderr));
    Ok(status.code())
}

/// Prints a session without the most of what is alike.
fn print(session: &str) {
    let commands = session.split(PROMPT).skip(1);
    for (command, output) in commands.map(|text| text.split_once('\n').unwrap_or((text, ""))) {
        println!("{PROMPT}{command}");
        let is_ok = |line: &&str| line.trim_end().ends_with(" OK");
        let oks = output.lines().take_while(is_ok).count();
        cut(output.lines().take(oks), oks, OKS);
        let rest = output.lines().count() - oks;
        let shown = if command.starts_with("show") { TABLE } else { rest };
        cut(output.lines().skip(oks), rest, shown);
    }
}

/// Prints the first `shown` of `all` lines.
fn cut<'a>(lines: impl Iterator<Item = &'a str>, all: usize, shown: usize) {
    lines.take(shown).for_each(|line| println!("{line}"));
    if all > shown {
        println!("… ({} lines more)", all - shown);
    }
}
