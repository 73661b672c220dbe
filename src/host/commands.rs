//! The commands that plugins registered, by their words.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_void};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::rc::Rc;

use super::tracing::Tracing;
use crate::plugin::{RawCall, RawCommand};

/// The most words of a command's name.
const MAX_WORDS: usize = 4;

/// The console's own words: a command that starts with them could not be called there.
pub(crate) const CONSOLE_S: [&str; 10] = [
    "help",
    "quit",
    "exit",
    "q",
    "memory-trace",
    "show memory",
    "show plugins",
    "leak-check",
    "save memory-trace",
    "load plugin",
];

/// A registered command.
///
/// Invariant: `run` and `context` are a plugin's, which stays open as long as the host runs.
#[derive(Debug)]
pub(super) struct Registered {
    /// Where the plugin lies.
    pub(super) plugin: Rc<str>,
    /// What `help` says.
    pub(super) help: String,
    /// The plugin's function.
    pub(super) run: RawCommand,
    /// What it gets.
    pub(super) context: *mut c_void,
}

/// All commands.
#[derive(Debug, Default)]
pub(super) struct Commands {
    by_words: BTreeMap<String, Registered>,
    /// Where the plugin lies that registers some now.
    opening: Rc<str>,
    /// What they print is dropped.
    silent: bool,
    /// The last line that one of them printed has no end.
    within_a_line: Cell<bool>,
}

/// How a command is run.
#[derive(Clone, Copy)]
struct Manner<'a> {
    tracing: &'a Tracing,
    /// What it prints is dropped.
    silent: bool,
    /// The last line that it printed has no end.
    within_a_line: &'a Cell<bool>,
    /// Is told when that changes.
    tell: &'a dyn Fn(bool),
}

/// One running command: what a `RawCall` leads back to.
///
/// Invariant: `raw` is the first field, so a pointer to it is one to the whole. A plugin holds
/// references to it while it prints: it is only read.
#[repr(C)]
struct Running<'a> {
    raw: RawCall,
    manner: Manner<'a>,
    reason: RefCell<String>,
}

impl Commands {
    /// What is registered from now on is of the plugin at `path`.
    pub(super) fn opening(&mut self, path: &Path) {
        self.opening = path.to_string_lossy().into();
    }

    /// The plugin that registers commands now.
    pub(super) fn plugin(&self) -> Rc<str> {
        Rc::clone(&self.opening)
    }

    /// Registers a command.
    ///
    /// # Errors
    /// Where the words are malformed or taken.
    pub(super) fn register(&mut self, words: &str, command: Registered) -> Result<(), String> {
        let split: Vec<_> = words.split(' ').collect();
        let printable =
            |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
        if split.len() > MAX_WORDS || !split.iter().all(printable) {
            return Err(format!("`{words}` is not one to four words of printable ASCII"));
        }
        let is_own = |own: &&str| {
            words.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        if let Some(own) = CONSOLE_S.iter().find(|own| is_own(own)) {
            return Err(format!(
                "its command `{words}` would be `{own}` of the console; rename it"
            ));
        }
        if words.starts_with('#') {
            return Err(format!(
                "its command `{words}` would be a comment of the console; rename it"
            ));
        }
        if self.by_words.contains_key(words) {
            return Err(format!("there is a command `{words}` already"));
        }
        self.by_words.insert(words.to_owned(), command);
        Ok(())
    }

    /// The command that `line` calls, the longest that fits, and its arguments.
    fn find<'a>(&self, line: &'a str) -> Option<(&Registered, Vec<&'a str>)> {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        (1..=words.len().min(MAX_WORDS)).rev().find_map(|count| {
            let command = self.by_words.get(&words[..count].join(" "))?;
            Some((command, words[count..].to_vec()))
        })
    }

    /// Where the plugin of the command lies that `line` calls.
    pub(super) fn plugin_of(&self, line: &str) -> Option<Rc<str>> {
        self.find(line).map(|(command, _)| Rc::clone(&command.plugin))
    }

    /// The commands' names, for an error.
    pub(super) fn list(&self) -> String {
        let names: Vec<_> = self.by_words.keys().map(String::as_str).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    }

    /// Whether what they print is shown, from now on.
    pub(super) fn show(&mut self, shown: bool) {
        self.silent = !shown;
    }

    /// Runs the command that `line` calls, traced; `None` where it calls none. While it runs, `tell` is
    /// told whether what it has printed ends within a line, when that changes.
    pub(super) fn run(
        &self,
        line: &str,
        tracing: &Tracing,
        tell: &dyn Fn(bool),
    ) -> Option<Result<(), String>> {
        let (command, arguments) = self.find(line)?;
        let (silent, within_a_line) = (self.silent, &self.within_a_line);
        let done = command.run(&arguments, Manner { tracing, silent, within_a_line, tell });
        self.end_output(tracing);
        Some(done)
    }

    /// Passes on what a command has left in C's buffer, so that it comes before what comes next and
    /// is not lost with the host, and ends the line that it has printed a part of.
    pub(super) fn end_output(&self, tracing: &Tracing) {
        tracing.flush();
        if self.within_a_line.take() {
            write("\n");
        }
    }

    /// Every command's words, and what `help` says of it.
    pub(super) fn all(&self) -> Vec<(String, String)> {
        let pair = |(words, command): (&String, &Registered)| (words.clone(), command.help.clone());
        self.by_words.iter().map(pair).collect()
    }

    /// A line for each command.
    pub(super) fn help(&self) -> String {
        self.by_words.iter().fold(String::new(), |mut text, (words, command)| {
            let _ = writeln!(text, "{words:<24} {}", command.help);
            text
        })
    }
}

impl Registered {
    /// Runs it, traced.
    ///
    /// # Errors
    /// With the reason, where it failed.
    fn run(&self, arguments: &[&str], manner: Manner<'_>) -> Result<(), String> {
        let words: Result<Vec<_>, _> = arguments.iter().map(|word| CString::new(*word)).collect();
        let words = words.map_err(|_| "an argument has a NUL byte".to_owned())?;
        let mut argv: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
        argv.push(std::ptr::null());
        let argc = u32::try_from(arguments.len()).map_err(|_| "too many arguments".to_owned())?;
        let raw = RawCall { argc, reserved: 0, argv: argv.as_ptr(), print, fail };
        let running = Running { raw, manner, reason: RefCell::default() };
        let call = (&raw const running).cast::<RawCall>();
        // SAFETY: the plugin is open (the type's invariant) and the call outlives the function.
        let status = manner.tracing.traced(|| unsafe { (self.run)(self.context, call) });
        let reason = running.reason.into_inner();
        match status {
            0 => Ok(()),
            _ if reason.is_empty() => Err(format!("it returned {status}")),
            _ => Err(reason),
        }
    }
}

/// Calls `f` with the text that a plugin gave, and with the command that runs, paused.
///
/// # Safety
/// `call` is the one that [`Registered::run`] made, and `text` is readable for `length` bytes.
unsafe fn with_text(
    call: *const RawCall,
    text: *const c_char,
    length: usize,
    f: impl FnOnce(&Running<'_>, &str),
) {
    // SAFETY: the caller's promise, and the invariant of Running; the command's thread is this
    // one, so nobody else uses it.
    let running = unsafe { &*call.cast::<Running<'_>>() };
    if text.is_null() {
        return;
    }
    let tracing = running.manner.tracing;
    tracing.pause();
    // SAFETY: the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) };
    f(running, &String::from_utf8_lossy(bytes));
    tracing.resume();
}

fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    // A closed pipe is the reader's decision, not the command's failure.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

unsafe extern "C" fn print(call: *const RawCall, text: *const c_char, length: usize) {
    let write = |running: &Running<'_>, text: &str| {
        let Manner { tracing, silent, within_a_line, tell } = running.manner;
        if let (Some(last), false) = (text.chars().last(), silent) {
            // What it gave to C's buffer before comes before.
            tracing.flush();
            self::write(text);
            let is_within = last != '\n';
            if within_a_line.replace(is_within) != is_within {
                tell(is_within);
            }
        }
    };
    // SAFETY: the header's contract with the plugin.
    unsafe { with_text(call, text, length, write) }
}

unsafe extern "C" fn fail(call: *const RawCall, text: *const c_char, length: usize) {
    let keep = |running: &Running<'_>, text: &str| drop(running.reason.replace(text.to_owned()));
    // SAFETY: the header's contract with the plugin.
    unsafe { with_text(call, text, length, keep) }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C-unwind" fn nothing(_: *mut c_void, _: *const RawCall) -> i32 {
        0
    }

    fn command() -> Registered {
        let (plugin, help, context) = ("it.so".into(), "helps".into(), std::ptr::null_mut());
        Registered { plugin, help, run: nothing, context }
    }

    #[test]
    fn the_longest_name_that_fits_is_called() {
        let mut commands = Commands::default();
        for words in ["test", "test crypto", "key add"] {
            commands.register(words, command()).expect("well-formed");
        }
        let found = |line| commands.find(line).map(|(_, arguments)| arguments.join("|"));
        assert_eq!(found("test crypto aes  gcm"), Some("aes|gcm".into()));
        assert_eq!(found("test other"), Some("other".into()));
        assert_eq!(found("key"), None);
        assert_eq!(found(""), None);
        assert_eq!(commands.list(), "key add, test, test crypto");
    }

    #[test]
    fn malformed_and_taken_names_are_refused() {
        let mut commands = Commands::default();
        commands.register("test crypto", command()).expect("well-formed");
        for words in ["", " ", "a  b", "a b c d e", "tést", "test crypto", "a\tb", "#a"] {
            assert!(commands.register(words, command()).is_err(), "{words:?}");
        }
    }
    #[test]
    fn the_console_s_own_words_are_refused() {
        let mut commands = Commands::default();
        for own in CONSOLE_S {
            for words in [own.to_owned(), format!("{own} b")] {
                let refused = commands.register(&words, command());
                let text =
                    format!("its command `{words}` would be `{own}` of the console; rename it");
                assert_eq!(refused, Err(text));
            }
        }
        for words in ["show keys", "show", "load", "helpful", "exits", "quite"] {
            assert_eq!(commands.register(words, command()), Ok(()));
        }
    }
}
