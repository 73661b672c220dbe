//! The harness: a trial for each scenario file, on libtest-mimic.
//!
//! ```text
//!   harness  lists the trials and runs them
//!   trial    one scenario: checked, brought to the gate
//!   pages    what a trial found, as a page, where that is wanted
//! ```

#[cfg(feature = "exports")]
mod pages;
mod trial;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::gate::{self, Assert};
use crate::host::closure::ClosureScenario;
use crate::scenario;
use trial::{Case, Source};

/// The variable that names the folder of pages.
const PAGES_VARIABLE: &str = "LEAKSNAP_HTML";

/// What [`main!`](crate::main!) hands over.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// The folder of the user's `Cargo.toml`, when the test was compiled.
    pub manifest: &'static str,
    /// Where the scenario files are, from there.
    pub scenarios: &'static str,
    /// Where the snapshots are, from there; beside the scenarios where nobody says.
    pub snapshots: Option<&'static str>,
    /// The scenarios that the executable holds itself.
    pub closures: fn() -> Vec<ClosureScenario>,
    /// insta's assertion, expanded in the user's crate: the snapshot names that as its source.
    pub assert: Assert,
}

/// Runs the trials; the `main` of a test executable.
#[doc(hidden)]
#[must_use]
pub fn run(setup: Setup) -> ExitCode {
    if let Some(code) = crate::host::run_if_asked(&(setup.closures)()) {
        return code;
    }
    gate::quiet(&[]);
    let arguments = Arguments::from_args();
    match trials(&setup, &arguments) {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            eprintln!("leaksnap: {error}");
            ExitCode::from(2)
        }
    }
}

fn trials(setup: &Setup, arguments: &Arguments) -> Result<Vec<Trial>, String> {
    // An archive of tests is run in another place than it was built in.
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or(PathBuf::from(setup.manifest), PathBuf::from);
    let root = manifest.join(setup.scenarios);
    let snapshots = setup
        .snapshots
        .map_or_else(|| root.join("snapshots"), |snapshots| manifest.join(snapshots));
    let pages = std::env::var_os(PAGES_VARIABLE).filter(|folder| !folder.is_empty());
    #[cfg(feature = "exports")]
    let pages = match pages.filter(|_| !arguments.list) {
        Some(folder) => Some(pages::Pages::open(Path::new(&folder), &manifest)?),
        None => None,
    };
    #[cfg(not(feature = "exports"))]
    if pages.is_some() {
        return Err(format!("{PAGES_VARIABLE} needs leaksnap's feature `exports`"));
    }
    let closures = (setup.closures)();
    let files = match (&arguments.filter, arguments.exact && !arguments.list) {
        // One test by its name: there is no need to look at the others.
        (Some(name), true) => {
            let file = root.join(format!("{name}.toml"));
            file.is_file().then_some(file).into_iter().collect()
        }
        // A test of closures alone needs no folder.
        _ if !closures.is_empty() && !root.exists() => Vec::new(),
        _ => {
            let found = scenario::find_all(&root).map_err(|error| error.to_string())?;
            if found.is_empty() && closures.is_empty() {
                // Nothing that is checked is not clean.
                return Err(format!("{}: there is no scenario (NAME.toml) in it", root.display()));
            }
            found
        }
    };
    let mut sources: Vec<(String, Source)> = Vec::new();
    for file in files {
        // Errors and snapshots name the file as the author knows it.
        let shown = shown(&manifest, &file);
        sources.push((scenario::name_of(&root, &file), Source::File { file, shown }));
    }
    sources.extend(closures.iter().map(|closure| (closure.name().to_owned(), Source::Closure)));
    let mut names = BTreeSet::new();
    let mut trials = Vec::new();
    for (name, source) in sources {
        // insta writes `__` for it, and would find the snapshot of another scenario.
        if name.contains('\\') {
            return Err(format!("rename the scenario `{name}`: a name can't have a backslash"));
        }
        if !names.insert(name.clone()) {
            return Err(format!(
                "there are two scenarios `{name}`; each needs a snapshot of its own"
            ));
        }
        let case = Case {
            snapshots: snapshots.clone(),
            source,
            name: name.clone(),
            assert: setup.assert,
            #[cfg(feature = "exports")]
            pages: pages.clone(),
        };
        trials.push(Trial::test(name, move || case.run().map_err(Failed::from)));
    }
    Ok(trials)
}

fn shown(manifest: &Path, file: &Path) -> PathBuf {
    file.strip_prefix(manifest).unwrap_or(file).to_path_buf()
}

/// The `main` of a leak test: every scenario file below the folder is a trial.
///
/// The test has `harness = false` in `Cargo.toml`, and nothing else in it:
///
/// ```no_run
/// leaksnap::main!("tests/leaks");
/// ```
///
/// Snapshots lie in `snapshots/` in that folder, unless another is named, from the folder of
/// `Cargo.toml`:
///
/// ```no_run
/// leaksnap::main!("tests/leaks", snapshots: "snapshots");
/// ```
///
/// Scenarios can be closures too, each in a child process of its own; see
/// [`scenario`](crate::scenario):
///
/// ```no_run
/// leaksnap::main!("tests/leaks", scenarios: [
///     leaksnap::scenario("parse", |run| run.repeat(8, || "17".parse::<u32>())),
/// ]);
/// ```
#[macro_export]
macro_rules! main {
    ($folder:expr $(, snapshots: $snapshots:expr)? $(, scenarios: [$($scenario:expr),* $(,)?])? $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            #[allow(unused_mut, unused_assignments, reason = "without the option it stays")]
            let mut snapshots: ::core::option::Option<&'static str> = ::core::option::Option::None;
            $(snapshots = ::core::option::Option::Some($snapshots);)?
            $crate::harness::run($crate::harness::Setup {
                manifest: ::core::env!("CARGO_MANIFEST_DIR"),
                scenarios: $folder,
                snapshots,
                closures: || ::std::vec![$($($scenario),*)?],
                assert: |name, body| $crate::insta::assert_snapshot!(name, body),
            })
        }
    };
}
