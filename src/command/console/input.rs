//! Where lines come from: on a terminal an editor with history and completion, else standard
//! input, each line echoed behind the prompt, so that a session that is replayed reads as one
//! that was typed.
//!
//! What is typed ahead while a command runs waits in the kernel: the terminal's mode changes without a
//! flush, and what the editor has read beyond a line is where its next one begins.

use std::io::{self, BufRead, IsTerminal, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Cmd, Config, Editor, EventHandler, KeyCode, KeyEvent, Modifiers};

use super::completion::Completion;
use crate::command::output::show;

const PROMPT: &str = "leaksnap# ";

/// The source of lines.
pub(super) enum Input {
    /// A terminal.
    Terminal(Box<Terminal>),
    /// A pipe, or a file.
    Pipe(io::StdinLock<'static>),
}

/// A terminal, and its Ctrl-C.
pub(super) struct Terminal {
    editor: Editor<Completion, MemHistory>,
    /// Has a byte for each Ctrl-C that came while a command ran.
    interrupts: UnixStream,
}

impl Input {
    /// The standard input, with an editor where both ends are a terminal.
    ///
    /// # Errors
    /// Where the terminal can't be used.
    pub(super) fn open() -> Result<Self, ReadlineError> {
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            return Ok(Self::Pipe(io::stdin().lock()));
        }
        let (interrupts, writer) = UnixStream::pair()?;
        interrupts.set_nonblocking(true)?;
        // While a line is edited it is a letter like others.
        signal_hook::low_level::pipe::register(Signal::SIGINT as i32, writer)?;
        let config = Config::builder()
            .completion_type(rustyline::CompletionType::List)
            .auto_add_history(true)
            // What is pasted is as what is typed: each line is a command.
            .bracketed_paste(false)
            .build();
        let history = MemHistory::with_config(&config);
        let mut editor = Editor::with_history(config, history)?;
        // The marks come all the same where another program left them on.
        for mark in [KeyCode::BracketedPasteStart, KeyCode::BracketedPasteEnd] {
            let mark = KeyEvent(mark, Modifiers::NONE);
            editor.bind_sequence(mark, EventHandler::Simple(Cmd::Noop));
        }
        editor.set_helper(Some(Completion::default()));
        Ok(Self::Terminal(Box::new(Terminal { editor, interrupts })))
    }

    /// What can be read once a command is to be given up.
    pub(super) fn interrupts(&self) -> Option<OwnedFd> {
        match self {
            Self::Terminal(terminal) => terminal.interrupts.try_clone().ok().map(Into::into),
            Self::Pipe(_) => None,
        }
    }

    /// The plugins' commands are `commands` from now on.
    pub(super) fn offer(&mut self, commands: &[(String, String)]) {
        if let Self::Terminal(terminal) = self
            && let Some(completion) = terminal.editor.helper_mut()
        {
            completion.offer(commands);
        }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// Where it can't be read.
    pub(super) fn next(&mut self) -> Result<Option<String>, ReadlineError> {
        match self {
            Self::Terminal(terminal) => terminal.next(),
            Self::Pipe(input) => {
                let mut bytes = Vec::new();
                if input.read_until(b'\n', &mut bytes)? == 0 {
                    return Ok(None);
                }
                let line = String::from_utf8_lossy(&bytes);
                let line = line.trim_end_matches(['\n', '\r']);
                show(&format!("{PROMPT}{line}\n"));
                Ok(Some(line.to_owned()))
            }
        }
    }
}

impl Terminal {
    fn next(&mut self) -> Result<Option<String>, ReadlineError> {
        // Those that came too late to interrupt anything.
        while matches!(self.interrupts.read(&mut [0; 64]), Ok(1..)) {}
        loop {
            match self.editor.readline(PROMPT) {
                Ok(line) => return Ok(Some(line)),
                // A line that is given up.
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}
