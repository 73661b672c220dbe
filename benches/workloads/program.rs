//! Programs to run: those of the system, and our own, which are compiled into a temporary folder.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Why a workload has no figures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unready {
    /// This machine has not what it needs.
    #[error("skipped: {0}")]
    Missing(String),
    /// Something that has to work did not.
    #[error("failed: {0}")]
    Failed(String),
}

/// A program with its arguments.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) words: Vec<String>,
    /// What it has in its environment beside the bench's own.
    pub(crate) variables: Vec<(String, String)>,
    /// The same, compiled with LeakSanitizer.
    pub(crate) sanitized: Option<Vec<String>>,
}

/// The folder where everything lies that is made for a run, and goes with it.
#[derive(Debug)]
pub(crate) struct Place {
    folder: TempDir,
}

impl Program {
    /// `program` of the system.
    pub(crate) fn of_the_system(program: &Path, arguments: &[&str]) -> Self {
        let words = line(&program.display().to_string(), arguments);
        Self { words, variables: Vec::new(), sanitized: None }
    }

    /// Its command line behind `prefix`.
    pub(crate) fn under(&self, prefix: &[&str]) -> Vec<String> {
        prefix.iter().map(|word| (*word).to_owned()).chain(self.words.iter().cloned()).collect()
    }
}

impl Place {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    /// The path of a file in it.
    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A file with `text`.
    pub(crate) fn written(&self, name: &str, text: &str) -> Result<String, Unready> {
        let path = self.file(name);
        fs::write(&path, text).map_err(|error| Unready::Failed(format!("{path}: {error}")))?;
        Ok(path)
    }

    /// Whether the C compiler makes programs with LeakSanitizer that run.
    pub(crate) fn sanitizes(&self) -> bool {
        let Ok(source) = self.written("empty.c", "int main(void) { return 0; }\n") else {
            return false;
        };
        let program = self.file("empty");
        let compiled = run(Command::new("cc").args(["-fsanitize=leak", "-o", &program, &source]));
        compiled.is_ok() && run(&mut Command::new(&program)).is_ok()
    }

    /// `source`, a file of `benches/programs`, compiled with `flags`, and a second time with
    /// LeakSanitizer where there is one.
    pub(crate) fn compiled(
        &self,
        source: &str,
        flags: &[&str],
        arguments: &[&str],
    ) -> Result<Program, Unready> {
        let path = source_path(source);
        let compile = |name: &str, more: &[&str]| {
            let program = self.file(name);
            let mut command = Command::new("cc");
            command.args(["-O2", "-g", "-Wall", "-Wextra", "-o", &program, &path]);
            run(command.args(flags).args(more)).map(|_| program)
        };
        let stem = source.trim_end_matches(".c");
        let native = compile(stem, &[]).map_err(Unready::Failed)?;
        let sanitized = compile(&format!("{stem}_sanitized"), &["-fsanitize=leak"]).ok();
        Ok(Program {
            words: line(&native, arguments),
            variables: Vec::new(),
            sanitized: sanitized.map(|program| line(&program, arguments)),
        })
    }
}

/// The path of a file of `benches/programs`.
pub(crate) fn source_path(name: &str) -> String {
    format!("{}/benches/programs/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// What `command` wrote to its standard output.
///
/// # Errors
/// With its messages, where it failed.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().display().to_string();
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{name} ended with {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}

/// The path of `program` by `PATH`.
pub(crate) fn found(program: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// The path of `program` itself. By `PATH` alone one may find a script that starts it, and what
/// the script takes would be measured too.
///
/// # Errors
/// With the name of Debian's `package`, where it is not installed.
pub(crate) fn executable(program: &str, package: &str) -> Result<PathBuf, Unready> {
    let folders = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(OsStr::new("/usr/bin")).chain(env::split_paths(&folders));
    let path = folders.map(|folder| folder.join(program)).find(|path| is_elf(path));
    path.ok_or_else(|| Unready::Missing(format!("there is no {program}: apt install {package}")))
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && magic == *b"\x7fELF"
}

fn line(program: &str, arguments: &[&str]) -> Vec<String> {
    [program].iter().chain(arguments).map(|word| (*word).to_owned()).collect()
}
