//! `leaksnap console`: VPP's session, every number that it shows, and what is wrong with input.

#[path = "console/bad_input.rs"]
mod bad_input;
#[path = "console/lost_hosts.rs"]
mod lost_hosts;
#[path = "console/numbers.rs"]
mod numbers;
#[path = "console/output.rs"]
mod output;
#[path = "console/saved.rs"]
mod saved;
#[path = "console/session.rs"]
mod session;
#[path = "console/switch.rs"]
mod switch;
#[path = "console/terminal.rs"]
mod terminal;

use harness_tests::run::Run;
use harness_tests::{Workplace, run};

/// A folder with plugins in C, for the command that finds those in Rust beside itself.
fn place(plugins: &[&str]) -> Workplace {
    let place = Workplace::new(env!("CARGO_BIN_EXE_session"));
    plugins.iter().for_each(|plugin| place.add_plugin(plugin));
    place
}

/// Runs the console in `place` with `input` on a file.
fn replay(place: &Workplace, arguments: &[&str], input: &str) -> Run {
    let arguments = [&["console", "--heap", "512m"], arguments].concat();
    run::run(&mut place.command(arguments), input.as_bytes())
}

/// What a command of the session wrote: from its echo to the next one.
fn said<'a>(text: &'a str, command: &str) -> &'a str {
    let (_, behind) = text
        .split_once(&format!("leaksnap# {command}\n"))
        .unwrap_or_else(|| panic!("no `{command}` in {text}"));
    behind.split("leaksnap# ").next().unwrap_or_default()
}
