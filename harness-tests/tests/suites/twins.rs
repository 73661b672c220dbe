//! The same commands in two folders: natively in one, traced in the other.

use std::path::Path;

use harness_tests::command::Exec;
use harness_tests::program::found;
use serde_json::Value;
use tempfile::TempDir;

/// What a command did in both folders.
#[derive(Debug)]
pub(crate) struct Both {
    /// The program's own exit code.
    pub(crate) code: i32,
    /// Standard output: natively, and traced.
    pub(crate) stdout: [Vec<u8>; 2],
    /// Standard error, without what is different in each run.
    stderr: [String; 2],
    /// With `--follow`, the programs that were started, each of which was traced to its end.
    pub(crate) started: Vec<String>,
}

/// Two folders, and the environment of what runs in them.
#[derive(Debug)]
pub(crate) struct Twins {
    native: TempDir,
    traced: TempDir,
    variables: Vec<(String, String)>,
    options: Vec<String>,
}

impl Twins {
    /// Two empty folders.
    pub(crate) fn new(variables: &[(&str, &str)]) -> Self {
        let folder = || tempfile::tempdir().expect("a folder");
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let variables = variables.iter().map(own).collect();
        Self { native: folder(), traced: folder(), variables, options: Vec::new() }
    }

    /// Gives the command another option.
    pub(crate) fn option(mut self, word: &str) -> Self {
        self.options.push(word.to_owned());
        self
    }

    /// The path of `name` in each folder.
    pub(crate) fn paths(&self, name: &str) -> [std::path::PathBuf; 2] {
        [self.native.path().join(name), self.traced.path().join(name)]
    }

    /// Writes the file `name` in both folders.
    pub(crate) fn write(&self, name: &str, text: &str) {
        for path in self.paths(name) {
            std::fs::write(path, text).expect("the folder takes it");
        }
    }

    /// Gives the traced folder the other one's file `name`, which is random.
    pub(crate) fn copy_from_native(&self, name: &str) {
        let [native, traced] = self.paths(name);
        let bytes = |path: &Path| std::fs::read(path).expect("both wrote it");
        assert!(bytes(&native) != bytes(&traced), "{name} is random");
        std::fs::copy(native, traced).expect("the folder takes it");
    }

    /// Exchanges the file `name` between the folders.
    pub(crate) fn exchange(&self, name: &str) {
        let [native, traced] = self.paths(name);
        let kept = self.native.path().join("exchanged");
        for (from, to) in [(&native, &kept), (&traced, &native), (&kept, &traced)] {
            std::fs::rename(from, to).expect("both wrote it");
        }
    }

    /// Runs a program of the system in both folders at the same time, with the same exit code.
    #[track_caller]
    pub(crate) fn run(&self, words: &[&str], input: &[u8]) -> Both {
        let program = found(words[0], words[0]);
        let program = program.to_str().expect("a plain path").to_owned();
        let exec = |folder: &Path| {
            let rest = words[1..].iter().map(|word| (*word).to_owned());
            let exec = Exec::of(std::iter::once(program.clone()).chain(rest).collect());
            let exec = exec.folder(folder).input(input);
            let exec = self.options.iter().fold(exec, |exec, word| exec.option(&[word]));
            self.variables.iter().fold(exec, |exec, (name, value)| exec.variable(name, value))
        };
        let (alone, checked) = std::thread::scope(|scope| {
            let alone = scope.spawn(|| exec(self.native.path()).natively());
            let checked = exec(self.traced.path()).check();
            (alone.join().expect("the run without the heap"), checked)
        });
        checked.expect_traced(10);
        if checked.run.code == Some(1) {
            println!("{words:?} leaked {}", checked.report["summary"]);
        }
        let code = alone.code.unwrap_or_else(|| panic!("{words:?}: {alone:?}"));
        let found = &checked.report["exit"]["code"];
        assert_eq!(found, code, "{words:?}: {alone:#?} {:#?}", checked.run);
        let stderr = [&alone.stderr, &checked.run.stderr].map(|text| self.plain(text));
        let descendants = checked.report["descendants"].as_array();
        let name = |it: &Value| it["command"].as_str().unwrap_or_default().to_owned();
        let started = descendants.into_iter().flatten().map(name).collect();
        Both { code, stdout: [alone.stdout, checked.run.stdout], stderr, started }
    }

    /// What a program wrote to standard error without what is different in each run.
    fn plain(&self, text: &str) -> String {
        let own = |line: &&str| !line.starts_with("leaksnap: ");
        // In front of OpenSSL's errors stands the thread's number, which is an address.
        let line = |line: &str| match line.split_once(":error:") {
            Some((_, error)) => format!("error:{error}\n"),
            None => format!("{line}\n"),
        };
        let text: String = text.lines().filter(own).map(line).collect();
        let folder = |path: &Path| path.to_string_lossy().into_owned();
        text.replace(&folder(self.native.path()), "").replace(&folder(self.traced.path()), "")
    }

    /// The same, with the same output; gives standard output.
    #[track_caller]
    pub(crate) fn same(&self, words: &[&str], code: i32) -> String {
        let both = self.run(words, b"");
        both.expect_same(words, code)
    }

    /// The file `name` has the same bytes in both folders.
    #[track_caller]
    pub(crate) fn same_file(&self, name: &str) {
        let read = |path| std::fs::read(path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let [native, traced] = self.paths(name).map(read);
        assert!(native == traced, "{name}: {} and {} bytes", native.len(), traced.len());
        assert!(!native.is_empty(), "{name} is empty");
    }
}

impl Both {
    /// Standard error of the native run.
    pub(crate) fn errors(&self) -> &str {
        &self.stderr[0]
    }

    /// The exit code is `code`, and both have written the same; gives standard output.
    #[track_caller]
    pub(crate) fn expect_same(&self, words: &[&str], code: i32) -> String {
        let [native, traced] = &self.stdout;
        let said = || format!("{}{}", String::from_utf8_lossy(native), self.errors());
        assert_eq!(self.code, code, "{words:?}: {}", said());
        let at = native.iter().zip(traced).take_while(|(one, other)| one == other).count();
        assert!(native == traced, "{words:?}: other bytes from {at} on");
        assert_eq!(self.stderr[1], self.stderr[0], "{words:?}");
        String::from_utf8_lossy(native).into_owned()
    }
}

#[test]
#[should_panic(expected = "other bytes from 7 on")]
fn other_output_is_seen() {
    let line = "echo the env${LD_PRELOAD:+ironment}; cat /dev/null; true";
    Twins::new(&[]).same(&["sh", "-c", line], 0);
}

#[test]
#[should_panic(expected = "was not traced to its end")]
fn a_run_that_was_not_traced_is_seen() {
    Twins::new(&[("LEAKSNAP_TRACE", "0")]).same(&["sh", "-c", "cat /dev/null; true"], 0);
}
