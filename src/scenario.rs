//! A scenario: what a child runs, how often, and what of it may stay live.
//!
//! A scenario file is read without touching anything it names; what is missing shows when the
//! scenario runs, and [`Located`] keeps the lines, so that those errors name the place too.
//!
//! Invariants of a [`Scenario`]: `repeat` is at least 1, `warmup + repeat` at most
//! [`MAX_ITERATIONS`]; a program that is looked at as a whole runs once, without warm-up; no step,
//! plugin, program, drive, ignored name or file of suppressions is empty, and none holds a NUL or a
//! line break.

#[cfg(any(test, feature = "internals"))]
pub(crate) mod input;
mod quantity;
mod reader;
pub(crate) mod server;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

/// The most iterations of a scenario, with its warm-up: what the ledger has epochs for.
pub(crate) const MAX_ITERATIONS: u32 = 16_000;

/// Bytes of the heap where nobody asks for more: it is address space until it is touched.
pub(crate) const DEFAULT_HEAP: u64 = 4 << 30;

/// How long a child may take where nobody says.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) use quantity::{duration, heap as heap_size};

use self::server::Server;
use crate::suppression::Suppression;

/// A value and the line of the scenario file that it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located<T> {
    /// The value.
    pub(crate) value: T,
    /// The line, from 1.
    pub(crate) line: usize,
}

/// What the child of a scenario runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Work {
    /// The host, with plugins, and commands that it runs once per iteration.
    Host { plugins: Vec<Located<String>>, steps: Vec<Located<String>> },
    /// A program and its arguments; its whole run is the one iteration.
    Program(Located<Vec<String>>),
    /// A program and its arguments; its own marks end its iterations.
    Marked(Located<Vec<String>>),
    /// A program that stays up; each drive is an iteration.
    Server(Server),
    /// The closure of this name in the test executable, which says itself how often it runs.
    Closure { name: String, entry: Entry },
}

/// How the test executable, started again, becomes a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Its `main` asks whether it is one.
    Main,
    /// With these arguments it comes to a call that asks, and that reads the record. Its own
    /// harness writes the heading first.
    Call { arguments: Vec<OsString>, record: PathBuf, heading: String },
}

impl Entry {
    /// What the child wrote of `output`, which starts with what its own harness did.
    pub(crate) fn without_heading(&self, output: String) -> String {
        match self {
            Self::Call { heading, .. } => {
                output.strip_prefix(heading).map(str::to_owned).unwrap_or(output)
            }
            Self::Main => output,
        }
    }
}

/// A scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scenario {
    /// The file that it was read from, as it was given.
    pub(crate) path: PathBuf,
    /// What runs.
    pub(crate) work: Work,
    /// Iterations before the window.
    pub(crate) warmup: u32,
    /// Iterations in the window.
    pub(crate) repeat: u32,
    /// What is left out of the groups.
    pub(crate) ignore: Vec<Suppression>,
    /// Files of more of it; paths from the scenario's folder.
    pub(crate) suppressions: Vec<Located<String>>,
    /// How long the child may take.
    pub(crate) timeout: Duration,
    /// Bytes of the traced heap.
    pub(crate) heap: u64,
    /// One-time blocks fail too.
    pub(crate) strict: bool,
    /// The programs that the program starts are checked, too.
    pub(crate) follow: bool,
}

impl Scenario {
    /// The line that says what runs; 0 where no file does.
    pub(crate) fn line(&self) -> usize {
        match &self.work {
            Work::Host { steps, .. } => steps.first().map_or(0, |step| step.line),
            Work::Program(words) | Work::Marked(words) => words.line,
            Work::Server(server) => server.program.line,
            Work::Closure { .. } => 0,
        }
    }

    /// The scenario that `text` describes; `path` is what errors call it.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ScenarioError> {
        reader::read(path, text)
    }

    /// The scenario of the closure `name`; errors call it `path`.
    pub(crate) fn of_closure(path: &str, name: &str, entry: Entry) -> Self {
        Self {
            path: path.into(),
            work: Work::Closure { name: name.to_owned(), entry },
            warmup: 0,
            repeat: 1,
            ignore: Vec::new(),
            suppressions: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
            heap: DEFAULT_HEAP,
            strict: false,
            follow: false,
        }
    }

    /// The scenario of `command` by itself, which errors call `path`.
    pub(crate) fn of_command(path: &str, command: &str, heap: u64, timeout: Duration) -> Self {
        let steps = vec![Located { value: command.to_owned(), line: 0 }];
        let work = Work::Host { plugins: Vec::new(), steps };
        let (warmup, repeat) = (reader::DEFAULT_WARMUP, reader::DEFAULT_REPEAT);
        Self { work, warmup, repeat, timeout, heap, ..Self::of_closure(path, path, Entry::Main) }
    }

    /// Reads the scenario file at `path`.
    pub(crate) fn load(path: &Path) -> Result<Self, ScenarioError> {
        let bytes = fs::read(path).map_err(|source| unreadable(path, source))?;
        Self::parse(path, text_of(path, &bytes)?)
    }
}

/// Why there is no scenario.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScenarioError {
    /// The file or folder can't be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// The file says something that it can't.
    #[error("{}:{line}: {problem}", path.display())]
    Wrong { path: PathBuf, line: usize, problem: String },
}

fn unreadable(path: &Path, source: io::Error) -> ScenarioError {
    ScenarioError::Unreadable { path: path.to_owned(), source }
}

/// `bytes`, which the file at `path` holds, as text.
fn text_of<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, ScenarioError> {
    str::from_utf8(bytes).map_err(|error| {
        let (before, behind) = bytes.split_at(error.valid_up_to());
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let byte = behind.first().copied().unwrap_or_default();
        let problem = format!("byte {byte:#04x} is not UTF-8; save the file as UTF-8");
        ScenarioError::Wrong { path: path.to_owned(), line, problem }
    })
}

/// Every scenario file below `root`, sorted.
pub(crate) fn find_all(root: &Path) -> Result<Vec<PathBuf>, ScenarioError> {
    let mut found = Vec::new();
    collect(root, &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), ScenarioError> {
    let fail = |source| unreadable(folder, source);
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let path = entry.path();
        // Links to folders are not followed: they can lead back up.
        if entry.file_type().map_err(fail)?.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
    Ok(())
}

/// The name of the scenario at `path`: its way from `root`, with `/`, without the extension.
pub(crate) fn name_of(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path).with_extension("");
    let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ways_from_the_root() {
        let name = |root: &str, path: &str| name_of(Path::new(root), Path::new(path));
        assert_eq!(name("tests/leaks", "tests/leaks/a.toml"), "a");
        assert_eq!(name("tests/leaks", "tests/leaks/sub/deep/a.b.toml"), "sub/deep/a.b");
        assert_eq!(name("tests/leaks/", "tests/leaks/a.toml"), "a");
        assert_eq!(name("tests/leaks", "elsewhere/a.toml"), "elsewhere/a");
    }

    #[test]
    fn every_toml_file_below_a_folder_is_found() {
        let root = std::env::temp_dir().join(format!("leaksnap-find-all-{}", std::process::id()));
        let folders = root.join("sub/deep.toml");
        fs::create_dir_all(&folders).expect("a temporary folder");
        for file in ["b.toml", "a.toml", "readme.md", "sub/c.toml", "sub/deep.toml/d.toml"] {
            fs::write(root.join(file), "").expect("a temporary file");
        }
        let found = find_all(&root).expect("the folder is there");
        let names: Vec<_> = found.iter().map(|path| name_of(&root, path)).collect();
        fs::remove_dir_all(&root).expect("the folder is ours");
        assert_eq!(names, ["a", "b", "sub/c", "sub/deep.toml/d"]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let folder = find_all(Path::new("no/such/folder")).map_err(|error| error.to_string());
        let reason = "cannot be read: No such file or directory (os error 2)";
        assert_eq!(folder, Err(format!("no/such/folder: {reason}")));
        let file = Scenario::load(Path::new("no/x.toml")).map_err(|error| error.to_string());
        assert_eq!(file, Err(format!("no/x.toml: {reason}")));
    }

    #[test]
    fn what_is_not_utf_8_is_refused_with_its_line() {
        let path = std::env::temp_dir().join(format!("leaksnap-utf-8-{}.toml", std::process::id()));
        for (bytes, wrong) in [
            (&b"# a\r\nsteps = [\"\xe9t\xe9\"]\n"[..], "2: byte 0xe9 is not UTF-8"),
            (b"steps = [\"a\"] # \xc3", "1: byte 0xc3 is not UTF-8"),
        ] {
            fs::write(&path, bytes).expect("a temporary file");
            let loaded = Scenario::load(&path).map_err(|error| error.to_string());
            let wrong = format!("{}:{wrong}; save the file as UTF-8", path.display());
            assert_eq!(loaded, Err(wrong));
        }
        fs::remove_file(&path).expect("the file is ours");
    }

    #[test]
    fn a_file_is_loaded_under_the_name_it_was_given() {
        let path = std::env::temp_dir().join(format!("leaksnap-load-{}.toml", std::process::id()));
        fs::write(&path, "steps = [\"test crypto\"]\nrepeat = 0").expect("a temporary file");
        let loaded = Scenario::load(&path).map_err(|error| error.to_string());
        fs::remove_file(&path).expect("the file is ours");
        let wrong = format!("{}:2: `repeat` has to be at least 1", path.display());
        assert_eq!(loaded, Err(wrong));
    }
}
