//! What the text report says of who holds the blocks of plugins, and of what lost blocks lead to.

use harness_tests::{Ended, Workplace};

fn run(plugin: &str, steps: &str) -> Ended {
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    work.add_plugin(plugin);
    work.write("it.toml", &format!("plugins = [\"{plugin}.so\"]\nsteps = [{steps}]\n"));
    work.run(["run", "it.toml"])
}

#[track_caller]
fn says(ended: &Ended, lines: &str) {
    assert!(ended.stderr.contains(lines), "{lines}\n{}", ended.stderr);
    assert_eq!(ended.status, Some(1));
}

#[test]
fn a_static_variable_of_a_plugin() {
    let ended = run("grows_per_call", "\"grow\"");
    says(&ended, "\n  held by elements in grows_per_call.so\n    append  grows_per_call.so");
}

#[test]
fn a_chain_of_blocks_from_a_static_variable() {
    let ended = run("keeps_sessions", "\"open\"");
    let table = "sessions in keeps_sessions.so -> 24 bytes from make_table [+0x10]";
    says(&ended, &format!("\n  held by {table}\n    make_session  keeps_sessions.so"));
}

#[test]
fn what_a_lost_block_leads_to() {
    let ended = run("keeps_sessions", "\"forget\"");
    says(&ended, "leak, lost: 8 blocks, 320 bytes (1 block, 40 bytes per iteration)\n");
    says(&ended, "\n  leads to 8 blocks, 800 bytes more\n    make_session  keeps_sessions.so");
    says(
        &ended,
        "leak, indirect: 8 blocks, 800 bytes (1 block, 100 bytes per iteration)\n  in each of 8 iterations\n    make",
    );
}

#[test]
fn memory_that_may_not_be_read_is_said_so() {
    let ended = run("has_a_debugger", "\"forget\"");
    says(&ended, "\nleak: 8 blocks, 384 bytes (1 block, 48 bytes per iteration)\n");
    says(
        &ended,
        "\nnote: what holds the blocks is not known: the kernel refused to stop the program (a \
         debugger holds it, or this system forbids ptrace): ",
    );
}
