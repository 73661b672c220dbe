//! `leaksnap init`: the first leak test of a crate.
//!
//! Invariants: all that could be in the way is looked at before anything is written; of `Cargo.toml`
//! only lines are added to; no file that is there is written to; a second run changes nothing.

mod manifest;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{say, show};
use manifest::Manifest;

/// The scenarios' folder, from that of `Cargo.toml`.
const SCENARIOS: &str = "tests/leaks";

/// The scenario file there.
const PROGRAM: &str = "tests/leaks/program.toml";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The crate's Cargo.toml; that of the current folder where it is left out
    #[arg(long, value_name = "PATH", default_value = "Cargo.toml")]
    manifest_path: PathBuf,
}

/// Writes what is missing, and says what there is; the exit status.
pub(super) fn run(arguments: &Arguments) -> u8 {
    match init(&arguments.manifest_path) {
        Ok(said) => {
            show(&said);
            0
        }
        Err(error) => {
            say(&format!("leaksnap: {error}\n"));
            2
        }
    }
}

/// Makes the test of the crate at `path`; what there is then, a line each.
fn init(path: &Path) -> Result<String, String> {
    let wrong = |error: &io::Error| match error.kind() {
        ErrorKind::NotFound => missing(path),
        _ => format!("{}: {error}", path.display()),
    };
    let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut manifest = Manifest::parse(path, &text)?;
    let test = folder.join(manifest.test_file());
    let has_test = is_ready(&test, folder)?;
    let binary = manifest.binary(folder.join("src/main.rs").is_file());
    let first = first_file(folder, binary.as_deref())?;

    let mut said = manifest.complete();
    let changed = manifest.text();
    if changed != text {
        replace(path, &changed).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if has_test {
        said += &format!("{}: is there, and stays as it is\n", test.display());
    } else {
        write_new(&test, &rust_file(&manifest.package()))?;
        said += &format!("{}: has a first scenario in Rust\n", test.display());
    }
    match first {
        None => {
            let scenarios = folder.join(SCENARIOS);
            said += &format!("{}: has scenario files, and stays as it is\n", scenarios.display());
        }
        Some(text) => {
            let file = folder.join(PROGRAM);
            write_new(&file, &text)?;
            said += &format!("{}: has a first scenario with a program\n", file.display());
        }
    }
    Ok(said + "\nnow `cargo test --test leaks` runs them\n")
}

/// What to do where there is no `Cargo.toml` at `path`.
fn missing(path: &Path) -> String {
    let here = std::path::absolute(path).unwrap_or_default();
    let above = here.ancestors().skip(2).map(|folder| folder.join("Cargo.toml"));
    let found = above.filter(|_| path == Path::new("Cargo.toml")).find(|above| above.is_file());
    match found {
        Some(above) => format!(
            "there is no Cargo.toml in this folder: say `--manifest-path {}` for the one above",
            above.display()
        ),
        None => format!(
            "{}: there is no such file; `cargo init` makes a crate, `--manifest-path` names one",
            path.display()
        ),
    }
}

/// Whether the test's source at `test` is there already.
///
/// # Errors
/// Where something else is in its place.
fn is_ready(test: &Path, folder: &Path) -> Result<bool, String> {
    let other = folder.join(SCENARIOS).join("main.rs");
    if other.exists() {
        return Err(format!(
            "{}: is the test `leaks` already; it has to have another name",
            other.display()
        ));
    }
    match fs::read_to_string(test) {
        Ok(text) if text.contains("leaksnap::main!") => Ok(true),
        Ok(_) => Err(format!(
            "{}: is there, and has no `leaksnap::main!(\"{SCENARIOS}\");`: give it another name, or \
             that line in place of its tests",
            test.display()
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(format!("{}: {error}", test.display())),
    }
}

/// The first scenario file, which runs the crate's `binary` or else any program; none where the
/// folder has scenarios.
fn first_file(folder: &Path, binary: Option<&str>) -> Result<Option<String>, String> {
    let scenarios = folder.join(SCENARIOS);
    if scenarios.exists() {
        let found = crate::scenario::find_all(&scenarios).map_err(|error| error.to_string())?;
        if !found.is_empty() {
            return Ok(None);
        }
    }
    Ok(Some(match binary {
        Some(name) => toml_file(
            &format!("\"{name}\", \"--help\""),
            "The crate's own program, whose whole run is checked.",
        ),
        None => toml_file("\"true\"", "Any program: its whole run is checked."),
    }))
}

fn toml_file(program: &str, title: &str) -> String {
    format!(
        "# {title} What no pointer leads to when it ends is a\n\
         # leak; it has to end with exit code 0.\n\
         program = [{program}]\n\
         \n\
         # Instead, a server that is driven from outside, once per iteration:\n\
         # program = [\"server\", \"--port\", \"{{port}}\"]\n\
         # ready   = \"tcp:127.0.0.1:{{port}}\"\n\
         # drive   = [\"curl\", \"--silent\", \"--fail\", \"http://127.0.0.1:{{port}}/\"]\n\
         \n\
         # Or plugins, shared objects with include/leaksnap_plugin.h, and their commands:\n\
         # plugins = [\"parser\"]\n\
         # steps   = [\"parse\"]\n"
    )
}

fn rust_file(package: &str) -> String {
    format!(
        "//! What leaks fails `cargo test`: in the functions here, and in the scenario files below\n\
         //! `{SCENARIOS}/`.\n\
         \n\
         leaksnap::main!(\"{SCENARIOS}\");\n\
         \n\
         /// Each of the 8 iterations has to free what it allocates. Call what `{package}` does there.\n\
         #[leaksnap::scenario]\n\
         fn first(run: &leaksnap::Run) -> leaksnap::Result {{\n    \
             run.repeat(8, || {{\n        \
                 let text = String::from(\"freed at the end of the iteration\");\n        \
                 // It fails, and shows this line, with:\n        \
                 // let text: &str = text.leak();\n        \
                 assert!(!text.is_empty());\n    \
             }})\n\
         }}\n"
    )
}

/// Writes `text` to a file that is not there yet, whoever makes it in the meantime.
fn write_new(file: &Path, text: &str) -> Result<(), String> {
    let write = || {
        file.parent().map(fs::create_dir_all).transpose()?;
        File::create_new(file)?.write_all(text.as_bytes())
    };
    write().map_err(|error| format!("{}: {error}", file.display()))
}

/// Has `text` in the file at `path`, or what was there where that can't be written.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // What a link leads to, not the link.
    let path = path.canonicalize()?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut new = tempfile::Builder::new().prefix(".Cargo.toml").tempfile_in(folder)?;
    new.write_all(text.as_bytes())?;
    new.as_file().set_permissions(fs::metadata(&path)?.permissions())?;
    new.persist(&path)?;
    Ok(())
}
