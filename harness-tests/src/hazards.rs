//! The table of hazards: what a program or a plugin may do to be lost, to be taken for clean, or to
//! hold up who checks it; and what each has to end as.
//!
//! A row is a fixture that does it. [`Hazard::outcome`] runs it as a user would; the test compares.

mod rows;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

pub use self::rows::HAZARDS;
use crate::Workplace;
use crate::command::leaksnap;
use crate::program::{Program, found};
use crate::run::{Run, run};

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Hazard {
    /// What happens.
    pub name: &'static str,
    /// Who does it.
    pub by: By,
    /// What only some machines and users can do; the row is left out elsewhere.
    pub needs: Need,
    /// What it has to end as.
    pub ends: Ends,
}

/// Who does it.
#[derive(Debug, Clone, Copy)]
pub enum By {
    /// A file of `fixtures/programs` with its arguments, under `leaksnap exec`.
    Program {
        /// The file.
        source: &'static str,
        /// More flags for the compiler.
        flags: &'static [&'static str],
        /// Options of the command.
        options: &'static [&'static str],
        /// A line for a shell that makes something else of the program: `SOURCE` is the file.
        before: &'static str,
        /// The program's words, where `PROGRAM` is the first, or a line for a shell: `PROGRAM` is its path, `LIBRARY` that of a
        /// library whose `lose_there` loses a block, `PIPE` that of a named pipe, `CGROUP` that of
        /// a control group of 32 MiB.
        line: &'static str,
    },
    /// A step of a plugin in C, under `leaksnap run`.
    Step {
        /// The plugin.
        plugin: &'static str,
        /// The step.
        step: &'static str,
        /// More lines of the scenario.
        more: &'static str,
    },
}

/// What not every machine and user can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Anyone.
    Nothing,
    /// Give files away, change the root.
    Root,
    /// Have mounts of one's own.
    Mounts,
    /// Make control groups.
    ControlGroup,
    /// Compile for musl.
    Musl,
}

/// What a row ends as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The command's exit status.
    pub status: Option<i32>,
    /// Leaked blocks of the report; none where there is no report.
    pub blocks: Option<u64>,
    /// Whether the report says of itself that everything was traced.
    pub complete: bool,
    /// What the command wrote to standard error.
    pub stderr: String,
}

/// What a row has to end as.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// The command's exit status.
    pub status: i32,
    /// Leaked blocks.
    pub blocks: u64,
    /// Words on standard error.
    pub words: &'static str,
}

impl Need {
    /// Whether this machine and user can do it.
    #[must_use]
    pub fn is_met(self) -> bool {
        let succeeds = |words: &[&str]| {
            Command::new(words[0]).args(&words[1..]).output().is_ok_and(|it| it.status.success())
        };
        match self {
            Self::Nothing => true,
            Self::Root => succeeds(&["sh", "-c", "test $(id -u) = 0"]),
            Self::Mounts => succeeds(&["unshare", "-m", "umount", "-l", "/proc"]),
            Self::ControlGroup => ControlGroup::new().is_some(),
            Self::Musl => succeeds(&["musl-gcc", "--version"]),
        }
    }
}

impl Hazard {
    /// Runs it.
    ///
    /// # Panics
    /// Where it can't be run, or takes too long.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self.by {
            By::Program { source, flags, options, before, line } => {
                let program = Program::compile_with(source, flags);
                let place = Place::new(program.path(), source, line);
                let done = Command::new("sh").args(["-c", &place.line(before)]).status();
                assert!(done.expect("sh runs").success(), "{before}");
                let mut command = Command::new(leaksnap());
                command.args(["exec", "--format", "json", "--output"]).arg(place.report());
                command.args(options).arg("--");
                match line.strip_prefix("PROGRAM") {
                    Some(_) => command.args(place.line(line).split(' ')),
                    None => command.args(["sh", "-c", &place.line(line)]),
                };
                Outcome::of(&run(&mut command, b""), &place.report())
            }
            By::Step { plugin, step, more } => {
                let work = Workplace::new(leaksnap().to_str().expect("a plain path"));
                work.add_plugin(plugin);
                let text = format!("plugins = [\"{plugin}.so\"]\nsteps = [\"{step}\"]\n{more}\n");
                work.write("it.toml", &text);
                let mut command =
                    work.command(["run", "--format", "json", "--output", "report", "it.toml"]);
                Outcome::of(&run(&mut command, b""), &work.path("report"))
            }
        }
    }

    /// What is wrong with `outcome`; nothing where it is as it has to be.
    #[must_use]
    pub fn difference(&self, outcome: &Outcome) -> Option<String> {
        let Ends { status, blocks, words } = self.ends;
        let is_as_expected = outcome.status == Some(status)
            && outcome.blocks == Some(blocks)
            && outcome.stderr.contains(words)
            // What was not checked must not look as if it had been.
            && (status != 3 || !outcome.complete);
        (!is_as_expected)
            .then(|| format!("{}: expected {:?}, not {outcome:#?}", self.name, self.ends))
    }
}

impl Outcome {
    /// Of the command's run, which wrote its report to `report`.
    #[must_use]
    pub fn of(run: &Run, report: &Path) -> Self {
        let report = std::fs::read_to_string(report).unwrap_or_default();
        let report: Value = serde_json::from_str(&report).unwrap_or_default();
        Self {
            status: run.code,
            blocks: report["summary"]["leaked_blocks"].as_u64(),
            complete: report["tracing"]["complete"] == true,
            stderr: run.stderr.clone(),
        }
    }
}

/// A folder with what a line needs beside its program.
#[derive(Debug)]
struct Place {
    folder: tempfile::TempDir,
    program: PathBuf,
    source: PathBuf,
    library: Option<Program>,
    group: Option<ControlGroup>,
}

impl Place {
    fn new(program: PathBuf, source: &str, line: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let library = line.contains("LIBRARY").then(|| {
            let flags = ["-shared", "-fPIC", "-DNAME=lose_there", "-DSIZE=44"];
            Program::compile_with("loses_in_a_library.c", &flags)
        });
        if line.contains("PIPE") {
            let pipe = folder.path().join("p");
            let made = Command::new(found("mkfifo", "coreutils")).arg(pipe).status();
            assert!(made.expect("mkfifo runs").success());
        }
        let group = line.contains("CGROUP").then(ControlGroup::new).flatten();
        let source = Program::source(source);
        Self { folder, program, source, library, group }
    }

    fn report(&self) -> PathBuf {
        self.folder.path().join("report.json")
    }

    fn line(&self, line: &str) -> String {
        let text = |path: &Path| path.to_str().expect("a plain path").to_owned();
        let mut line = line.replace("PROGRAM", &text(&self.program));
        line = line.replace("SOURCE", &text(&self.source));
        line = line.replace("PIPE", &text(&self.folder.path().join("p")));
        if let Some(library) = &self.library {
            line = line.replace("LIBRARY", &text(&library.path()));
        }
        if let Some(group) = &self.group {
            line = line.replace("CGROUP", &text(&group.0));
        }
        line
    }
}

/// A control group whose processes may have 32 MiB; removed by the drop.
#[derive(Debug)]
struct ControlGroup(PathBuf);

impl ControlGroup {
    const LIMIT: &str = "33554432";

    /// `None` where this user or this machine has no such groups.
    fn new() -> Option<Self> {
        // Version 1 has a folder for each kind, version 2 one for all.
        let versions =
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        versions.iter().find_map(|(root, limit)| {
            let folder = Path::new(root).join(format!("leaksnap-test-{}", std::process::id()));
            std::fs::create_dir(&folder).ok()?;
            let group = Self(folder);
            std::fs::write(group.0.join(limit), Self::LIMIT).ok()?;
            Some(group)
        })
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // Its last process may not be gone yet.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}
