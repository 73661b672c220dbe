//! An exception that leaves a command: it can't be caught in Rust, and goes on through the host's
//! frames. On its way the parent is told, and the host ends, with no words of a runtime's own.
//!
//! Where the executable is built with `panic = "abort"` it ends before, and is said to have been killed.

use std::cell::RefCell;

use super::commands::Commands;
use super::tracing::Tracing;
use crate::protocol::{Channel, Reply};

/// A command that runs. Dropped, it was left by an exception.
#[derive(Debug)]
pub(super) struct Exception<'a> {
    channel: &'a RefCell<Channel>,
    commands: &'a Commands,
    words: &'a str,
    tracing: &'a Tracing,
}

impl<'a> Exception<'a> {
    /// Until it [did not come](Self::did_not_come), one that comes out of what `words` call is told
    /// over `channel`, with the plugin's path.
    pub(super) fn told(
        channel: &'a RefCell<Channel>,
        commands: &'a Commands,
        words: &'a str,
        tracing: &'a Tracing,
    ) -> Self {
        Self { channel, commands, words, tracing }
    }

    /// The command has come back.
    pub(super) fn did_not_come(self) {
        std::mem::forget(self);
    }
}

impl Drop for Exception<'_> {
    fn drop(&mut self) {
        // A panic of the host's own is another matter: it says what it is.
        if !std::thread::panicking() {
            self.commands.end_output(self.tracing);
            let plugin = self.commands.plugin_of(self.words);
            let plugin = plugin.as_deref().unwrap_or_default();
            // Where the parent is gone nobody is told.
            let _ = self.channel.borrow_mut().send(&Reply::Thrown(plugin.to_owned()).bounded());
            std::process::abort();
        }
    }
}
