//! Programs to check: the fixtures, compiled by the system's C compiler, and programs of the
//! system.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// A compiled fixture; its file is gone with the value and with its command lines.
#[derive(Debug)]
pub struct Program {
    folder: Arc<tempfile::TempDir>,
    name: String,
}

/// A program and its arguments.
#[derive(Debug)]
pub struct Words {
    /// The program first.
    pub list: Vec<String>,
    folder: Option<Arc<tempfile::TempDir>>,
}

impl<T: Into<String>> FromIterator<T> for Words {
    fn from_iter<I: IntoIterator<Item = T>>(words: I) -> Self {
        Self { list: words.into_iter().map(Into::into).collect(), folder: None }
    }
}

impl Words {
    /// Other words, for which the program is kept as long as they are.
    #[must_use]
    pub fn instead<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Self {
        Self { folder: self.folder.clone(), ..words.into_iter().collect() }
    }
}

impl Program {
    /// Compiles `source`, a file of `fixtures/programs` in C, C++ or Rust, optimized and with debug
    /// information.
    ///
    /// # Panics
    /// Where it doesn't compile.
    #[must_use]
    pub fn compile(source: &str) -> Self {
        Self::compile_with(source, &[])
    }

    /// The same with more flags for the compiler.
    ///
    /// # Panics
    /// Where it doesn't compile.
    #[must_use]
    pub fn compile_with(source: &str, flags: &[&str]) -> Self {
        let path = Self::source(source);
        let (stem, extension) = source.rsplit_once('.').expect("a source has an extension");
        // The compiler knows malloc and would leave out what is never used.
        let c = ["-O2", "-g", "-fno-builtin", "-pthread", "-Wall", "-Wextra"];
        let rust = ["-O", "-g", "--edition", "2024", "-A", "unexpected_cfgs"];
        let (compiler, usual) = match extension {
            "c" => (found("cc", "gcc libc6-dev"), &c[..]),
            "rs" => (found("rustc", "rustc"), &rust[..]),
            _ => (found("c++", "g++"), &c[..]),
        };
        let program = Self {
            folder: Arc::new(tempfile::tempdir().expect("a folder")),
            name: stem.to_owned(),
        };
        let output = Command::new(compiler)
            .args(usual)
            .arg("-o")
            .args([&program.path(), &path])
            .args(flags)
            .output()
            .expect("the compiler runs");
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "compile {}:\n{messages}", path.display());
        program
    }

    /// Where `source` lies, a file of `fixtures/programs`.
    #[must_use]
    pub fn source(source: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/programs").join(source)
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    /// The program with `arguments`, as a command line.
    ///
    /// # Panics
    /// Where temporary folders have names that are not UTF-8.
    #[must_use]
    pub fn with<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Words {
        let path = self.path();
        let path = path.to_str().expect("temporary folders have plain names").to_owned();
        let arguments = arguments.into_iter().map(str::to_owned);
        let words: Words = std::iter::once(path).chain(arguments).collect();
        Words { folder: Some(Arc::clone(&self.folder)), ..words }
    }
}

/// The path of `program` of the system, which `packages` of Debian have.
///
/// # Panics
/// Where it is not installed: a test that needs it must not be skipped in silence.
#[must_use]
pub fn found(program: &str, packages: &str) -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("there is no {program} here: apt install {packages}"))
}
