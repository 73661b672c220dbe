//! The same commands in two folders: natively in one, traced in the other.

use std::path::Path;

use harness_tests::command::Exec;
use harness_tests::program::found;
use tempfile::TempDir;

/// What a command did in both folders.
#[derive(Debug)]
pub(crate) struct Both {
    /// The program's own exit code.
    pub(crate) code: i32,
    /// Standard output: natively, and traced.
    pub(crate) stdout: [Vec<u8>; 2],
    /// Standard error, without the lines of leaksnap's own.
    stderr: [String; 2],
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
        let code = alone.code.unwrap_or_else(|| panic!("{words:?}: {alone:?}"));
        let found = &checked.report["exit"]["code"];
        assert_eq!(found, code, "{words:?}: {alone:#?} {:#?}", checked.run);
        let own = |line: &&str| !line.starts_with("leaksnap: ");
        let stderr = checked.run.stderr.lines().filter(own).map(|line| format!("{line}\n"));
        let stderr = [alone.stderr, stderr.collect()];
        let [native, traced] = self.paths("").map(|path| path.to_string_lossy().into_owned());
        let stderr = stderr.map(|text| text.replace(&native, "").replace(&traced, ""));
        Both { code, stdout: [alone.stdout, checked.run.stdout], stderr }
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
