//! A folder where a test writes scenarios and runs an executable on them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::outcome::{Outcome, without_foreign};

/// The plugin in C `name`, as it was built with this package.
#[must_use]
pub fn plugin(name: &str) -> PathBuf {
    Path::new(env!("PLUGINS_IN_C")).join(format!("lib{name}.so"))
}

/// A temporary folder, and the executable that runs in it.
#[derive(Debug)]
pub struct Workplace {
    folder: TempDir,
    executable: PathBuf,
}

/// How an executable ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status; none where a signal ended it.
    pub status: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Workplace {
    /// An empty folder for `executable`.
    #[must_use]
    pub fn new(executable: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, executable: executable.into() }
    }

    /// The way to `name` in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the file `name`.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).expect("a folder in the temporary folder");
        fs::write(path, text).expect("a file in the temporary folder");
    }

    /// Puts the plugin in C `name` into the folder, as `NAME.so`.
    pub fn add_plugin(&self, name: &str) {
        self.add_plugin_as(name, &format!("{name}.so"));
    }

    /// Puts the plugin in C `name` at `path` in the folder.
    pub fn add_plugin_as(&self, name: &str, path: &str) {
        self.link(&plugin(name), path);
    }

    /// Puts the program that is linked statically at `path` in the folder.
    pub fn add_static_program(&self, path: &str) {
        self.link(Path::new(env!("STATIC_PROGRAM")), path);
    }

    fn link(&self, file: &Path, path: &str) {
        assert!(file.is_file(), "{} was not built", file.display());
        std::os::unix::fs::symlink(file, self.path(path)).expect("a link in the folder");
    }

    /// The executable, about to run in the folder without what the test's own surroundings say
    /// to leaksnap and insta.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        self.command_of(&self.executable, arguments)
    }

    /// Another program, in the same way.
    pub fn command_of<A: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path());
        without_foreign(&mut command).env_remove("LD_PRELOAD");
        command
    }

    /// Runs `command` to its end; the folder's own name reads as `FOLDER`.
    pub fn end(&self, command: &mut Command) -> Ended {
        let Output { status, stdout, stderr } = command.output().expect("the executable runs");
        let folder = self.folder.path().to_string_lossy();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&*folder, "FOLDER");
        Ended { status: status.code(), stdout: text(&stdout), stderr: text(&stderr) }
    }

    /// Runs the executable with `arguments`.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ended {
        self.end(&mut self.command(arguments))
    }

    /// Runs the scenario of `text`, which is called `it`.
    pub fn check(&self, text: &str) -> Outcome {
        self.write("it.toml", text);
        let Ended { status, stdout, stderr } = self.run(["run", "it.toml"]);
        Outcome { code: status, text: stdout.clone() + &stderr, out: stdout }
    }
}
