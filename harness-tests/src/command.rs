//! The `leaksnap` command of this workspace: built once, in the profile of the test that asks.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::program::Words;
use crate::run::{Run, run};

/// The command's executable.
///
/// # Panics
/// Where cargo can't build it.
#[must_use]
pub fn leaksnap() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(build)
}

/// Cargo sets `CARGO_BIN_EXE_leaksnap` for the package's own tests alone. So cargo is asked again,
/// for the folder, the target and the profile that this executable was built in.
fn build() -> PathBuf {
    let exe = std::env::current_exe().expect("a test has a path");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or(env!("CARGO").into()));
    cargo
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["build", "--quiet", "--package", "leaksnap", "--bin", "leaksnap"])
        .arg("--message-format=json");
    if let Some(place) = Place::of(&exe) {
        cargo.arg("--target-dir").arg(place.folder).args(["--profile", &place.profile]);
        cargo.args(place.target.iter().flat_map(|target| ["--target", target]));
    } else if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.output().expect("cargo runs");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{cargo:?} failed:\n{messages}");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .next_back()
        .expect("cargo says where the executable is")
}

/// Where cargo put an executable: `FOLDER[/TARGET]/PROFILE/…`.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    folder: PathBuf,
    target: Option<String>,
    profile: String,
}

impl Place {
    /// `None` where the executable does not lie in a folder that cargo made.
    fn of(exe: &Path) -> Option<Self> {
        let folder = exe.ancestors().skip(1).find(|at| at.join("CACHEDIR.TAG").is_file())?;
        let mut names = exe
            .strip_prefix(folder)
            .ok()?
            .components()
            .map(|name| name.as_os_str().to_str().map(str::to_owned));
        let mut first = names.next()??;
        // A target's folder holds profiles, a profile's folder holds `deps`.
        let mut target = None;
        let is_profile = |name: &str| folder.join(name).join("deps").is_dir();
        if !is_profile(&first) {
            target = Some(std::mem::replace(&mut first, names.next()??));
        }
        let profile = if first == "debug" { "dev".to_owned() } else { first };
        Some(Self { folder: folder.to_path_buf(), target, profile })
    }
}

/// `leaksnap exec`, about to run.
#[derive(Debug)]
pub struct Exec {
    words: Words,
    options: Vec<String>,
    variables: Vec<(String, String)>,
    folder: Option<PathBuf>,
    input: Vec<u8>,
}

/// What `leaksnap exec` and its program did.
#[derive(Debug)]
pub struct Checked {
    /// The command's own run; standard output is the program's alone.
    pub run: Run,
    /// The JSON report.
    pub report: Value,
    /// The report as it was written.
    pub json: String,
}

/// A group of the report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leak {
    /// The verdict and the reachability: `leak/lost`.
    pub what: String,
    /// Live blocks.
    pub blocks: u64,
    /// Requested bytes of these blocks.
    pub bytes: u64,
    /// The function of the innermost frame.
    pub function: String,
}

impl Exec {
    /// A run of the program and its arguments in `words`.
    #[must_use]
    pub fn of(words: Words) -> Self {
        let (options, variables) = (Vec::new(), Vec::new());
        Self { words, options, variables, folder: None, input: Vec::new() }
    }

    /// Gives the command another option.
    #[must_use]
    pub fn option(mut self, words: &[&str]) -> Self {
        self.options.extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    /// Sets an environment variable of the command and of the program.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs in `folder`.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_path_buf());
        self
    }

    /// What the program reads from its standard input.
    #[must_use]
    pub fn input(mut self, input: &[u8]) -> Self {
        self.input = input.to_vec();
        self
    }

    /// Runs the program alone, without the command.
    #[must_use]
    pub fn natively(&self) -> Run {
        let mut command = Command::new(&self.words.list[0]);
        command.args(&self.words.list[1..]);
        self.start(&mut command)
    }

    /// Runs the program under the command, with the report as text on standard error.
    #[must_use]
    pub fn text(&self) -> Run {
        let mut command = Command::new(leaksnap());
        command.arg("exec").args(&self.options).arg("--").args(&self.words.list);
        self.start(&mut command)
    }

    /// Runs the program under the command, with a JSON report in a file.
    ///
    /// # Panics
    /// Where the report is not JSON.
    #[must_use]
    pub fn check(&self) -> Checked {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("report.json");
        let mut command = Command::new(leaksnap());
        command.args(["exec", "--format", "json", "--output"]).arg(&path);
        command.args(&self.options).arg("--").args(&self.words.list);
        let run = self.start(&mut command);
        let json = std::fs::read_to_string(&path).unwrap_or_default();
        let report = serde_json::from_str(&json)
            .unwrap_or_else(|error| panic!("{error} in the report {json:?} of {run:?}"));
        Checked { run, report, json }
    }

    fn start(&self, command: &mut Command) -> Run {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        run(command, &self.input)
    }
}

impl Checked {
    /// The groups of the report, sorted.
    #[must_use]
    pub fn groups(&self) -> Vec<Leak> {
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
        let groups = self.report["groups"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut leaks: Vec<_> = groups
            .iter()
            .map(|group| Leak {
                what: format!("{}/{}", text(&group["verdict"]), text(&group["reachability"])),
                blocks: number(&group["blocks"]),
                bytes: number(&group["bytes"]),
                function: text(&group["frames"][0]["function"]),
            })
            .collect();
        leaks.sort();
        leaks
    }

    /// The command ended with `status`, and the program with `code`.
    ///
    /// # Panics
    /// Where they did not.
    #[track_caller]
    pub fn expect(&self, status: i32, code: Option<i32>) -> &Self {
        assert_eq!(self.run.code, Some(status), "the command's status: {self:#?}");
        let found = self.report["exit"]["code"].as_i64();
        assert_eq!(found, code.map(i64::from), "the program's exit code: {self:#?}");
        self
    }

    /// The program was traced to its end, with more than `allocations`, whatever it leaked; the
    /// command's status is that of a program which ended so.
    ///
    /// # Panics
    /// Where it was not.
    #[track_caller]
    pub fn expect_traced(&self, allocations: u64) -> &Self {
        let tracing = &self.report["tracing"];
        let complete = tracing["active"] == true && tracing["complete"] == true;
        assert!(complete, "the program was not traced to its end: {self:#?}");
        assert!(tracing["allocations"].as_u64() > Some(allocations), "{tracing}");
        let leaked = self.report["summary"]["groups"].as_u64() > Some(0);
        let failed = self.report["exit"]["code"].as_i64() != Some(0);
        let status = if failed { 4 } else { i32::from(leaked) };
        assert_eq!(self.run.code, Some(status), "{self:#?}");
        self
    }

    /// The groups are `expected`: what, blocks, bytes, innermost function.
    ///
    /// # Panics
    /// Where they are not.
    #[track_caller]
    pub fn expect_groups(&self, expected: &[(&str, u64, u64, &str)]) -> &Self {
        let mut expected: Vec<_> = expected
            .iter()
            .map(|&(what, blocks, bytes, function)| Leak {
                what: what.to_owned(),
                blocks,
                bytes,
                function: function.to_owned(),
            })
            .collect();
        expected.sort();
        assert_eq!(self.groups(), expected, "{}", self.json);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_s_path_says_how_it_was_built() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |path: &str| folder.path().join(path);
        std::fs::write(at("CACHEDIR.TAG"), "").expect("the folder takes it");
        for profile in ["debug", "release", "some-target/release"] {
            std::fs::create_dir_all(at(profile).join("deps")).expect("the folder takes it");
        }
        let place = |target: Option<&str>, profile: &str| {
            let target = target.map(str::to_owned);
            Some(Place { folder: folder.path().to_path_buf(), target, profile: profile.to_owned() })
        };
        assert_eq!(Place::of(&at("debug/deps/exec-1")), place(None, "dev"));
        assert_eq!(Place::of(&at("release/deps/exec-1")), place(None, "release"));
        let other = at("some-target/release/deps/exec-1");
        assert_eq!(Place::of(&other), place(Some("some-target"), "release"));
        assert_eq!(Place::of(Path::new("/nowhere/exec-1")), None);
    }
}
