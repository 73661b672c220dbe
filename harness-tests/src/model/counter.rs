//! The counter: a program with a malloc family of its own runs a plugin's command, and says what
//! is left. It has nothing of leaksnap, so that the model does not measure itself by itself.

use std::process::Command;

use super::fixture;
use crate::program::Program;

/// The compiled program.
#[derive(Debug)]
pub(super) struct Counter {
    program: Program,
}

/// What the measured calls of a command left, and how many blocks they allocated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count {
    pub(super) blocks: u64,
    pub(super) bytes: u64,
    pub(super) allocations: u64,
}

impl Counter {
    /// Compiles the program.
    pub(super) fn compile() -> Self {
        let header = concat!("-I", env!("CARGO_MANIFEST_DIR"), "/../include");
        Self { program: Program::compile_with("counts_blocks.c", &[header]) }
    }

    /// Counts for the command that is the first of `words`.
    pub(super) fn count(&self, plugin: &str, warmup: u32, repeat: u32, words: &[&str]) -> Count {
        let mut command = Command::new(self.program.path());
        command
            .arg(fixture::object(plugin))
            .args([warmup, repeat].map(|number| number.to_string()))
            .args(words);
        let output = command.output().expect("the counter starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{command:?}: {}", output.status);
        // What is less than before has been left by the warm-up.
        let number = |text: &str| text.parse::<i64>().map_or(0, |number| number.max(0) as u64);
        let numbers: Vec<_> = text.split_whitespace().map(number).collect();
        let [blocks, bytes, allocations] = numbers[..] else { panic!("{command:?}: {text:?}") };
        Count { blocks, bytes, allocations }
    }
}
