//! What is to be started: a program, its arguments, and the variables that it has beside this process's.
//!
//! `std`'s `Command` does not tell what it was given: a word with a zero in it, for which there is an
//! error, is another one afterwards.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr;

use nix::libc::c_char;

/// Where programs are looked for when there is no `PATH` (`confstr` of glibc, `_CS_PATH`).
const USUAL_PATH: &str = "/bin:/usr/bin";

/// What runs a file that is no program the kernel knows, as `execvp` has it.
pub(super) const SHELL: &CStr = c"/bin/sh";

/// A program, its arguments and variables.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    program: OsString,
    arguments: Vec<OsString>,
    variables: BTreeMap<OsString, OsString>,
}

impl Invocation {
    /// Of `program`, without arguments, with this process's variables.
    pub(crate) fn of(program: impl Into<OsString>) -> Self {
        let (program, arguments, variables) = (program.into(), Vec::new(), BTreeMap::new());
        Self { program, arguments, variables }
    }

    /// With these arguments, too.
    pub(crate) fn with(mut self, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// With a variable of its own.
    pub(crate) fn with_variable(
        mut self,
        name: impl Into<OsString>,
        value: impl Into<OsString>,
    ) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// What is started.
    pub(crate) fn program(&self) -> &Path {
        Path::new(&self.program)
    }
}

/// An invocation as the kernel is told of it.
pub(super) struct Prepared {
    /// Where the program may be, in turn.
    pub(super) files: Vec<CString>,
    pub(super) arguments: Words,
    /// What a shell is told that reads the file, whose place is [that](Words::set_script).
    pub(super) of_shell: Words,
    pub(super) variables: Words,
}

/// Strings, and pointers to them with a null behind.
///
/// Invariant: each pointer but the last is of one of `_strings`, or of a string that
/// [whoever set it](Self::set_script) keeps.
pub(super) struct Words {
    _strings: Vec<CString>,
    pointers: Vec<Cell<*const c_char>>,
}

impl Prepared {
    /// # Errors
    /// Where a word has a zero in it.
    pub(super) fn new(invocation: &Invocation) -> io::Result<Self> {
        // A test's own profile compiles this for each child: a map of them all would be sorted.
        let own = &invocation.variables;
        let kept = std::env::vars_os().filter(|(name, _)| !own.contains_key(name));
        let variables: Vec<_> = kept.chain(own.clone()).collect();
        let name = invocation.program();
        let files = if name.as_os_str().as_bytes().contains(&b'/') {
            vec![name.to_path_buf()]
        } else {
            let usual = || OsString::from(USUAL_PATH);
            let path = variables.iter().find(|(name, _)| name == "PATH");
            let path = path.map_or_else(usual, |(_, path)| path.clone());
            std::env::split_paths(&path).map(|folder| folder.join(name)).collect()
        };
        let files = files.into_iter().map(|file| text(file.into_os_string()));
        let words = || invocation.arguments.iter().map(|word| text(word.clone()));
        let shell = || Ok(SHELL.to_owned());
        // The second is the place of the script.
        let of_shell = [shell(), shell()].into_iter().chain(words());
        let variables = variables.into_iter().map(|(name, value)| {
            let mut variable = name.into_vec();
            variable.reserve_exact(value.len() + 2);
            variable.push(b'=');
            variable.extend_from_slice(value.as_bytes());
            Ok(CString::new(variable)?)
        });
        let own = text(invocation.program.clone());
        Ok(Self {
            arguments: Words::new([own].into_iter().chain(words()))?,
            of_shell: Words::new(of_shell)?,
            variables: Words::new(variables)?,
            files: files.collect::<io::Result<_>>()?,
        })
    }
}

impl Words {
    fn new(words: impl Iterator<Item = io::Result<CString>>) -> io::Result<Self> {
        let strings = words.collect::<io::Result<Vec<_>>>()?;
        let pointers = strings.iter().map(|word| word.as_ptr()).chain([ptr::null()]);
        let pointers = pointers.map(Cell::new).collect();
        Ok(Self { _strings: strings, pointers })
    }

    /// As the kernel wants them.
    pub(super) fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr().cast()
    }

    /// The second word is `file` from now on, which its owner keeps as long as these are used.
    pub(super) fn set_script(&self, file: &CStr) {
        self.pointers[1].set(file.as_ptr());
    }
}

fn text(word: OsString) -> io::Result<CString> {
    Ok(CString::new(word.into_vec())?)
}
