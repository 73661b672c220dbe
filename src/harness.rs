//! The harness: a trial for each scenario file, on libtest-mimic.
//!
//! ```text
//!   harness  lists the trials and runs them
//!   trial    one scenario: checked, brought to the gate
//!   registered  functions that are scenarios
//!   unit     one of these as an ordinary test
//! ```

mod registered;
mod trial;
mod unit;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::gate::{self, Assert};
use crate::host::closure::ClosureScenario;
pub use crate::host::closure::{IntoResult, Run};
use crate::review::Review;
use crate::scenario::{self, Entry};
pub use registered::Registered;
use trial::{Case, Source};
pub use unit::{Unit, test};

/// The variable that names a checkout of the base, in which the tests have run.
const BASE_VARIABLE: &str = "LEAKSNAP_BASE";

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
    let mut closures = (setup.closures)();
    closures.extend(registered::all());
    if let Some(code) = crate::host::run_if_asked(&closures) {
        return code;
    }
    gate::quiet(&[]);
    let arguments = Arguments::from_args();
    // An archive of tests is run in another place than it was built in.
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or(PathBuf::from(setup.manifest), PathBuf::from);
    let review = Arc::new(Review::from_environment(&manifest));
    let trials = match trials(&setup, &arguments, &closures, &manifest, &review) {
        Ok(trials) => trials,
        Err(error) => {
            eprintln!("leaksnap: {error}");
            return ExitCode::from(2);
        }
    };
    let code = libtest_mimic::run(&arguments, trials).exit_code();
    match review.tell() {
        Ok(()) => code,
        Err(error) => {
            eprintln!("leaksnap: {error}");
            ExitCode::from(2)
        }
    }
}

fn trials(
    setup: &Setup,
    arguments: &Arguments,
    closures: &[ClosureScenario],
    manifest: &Path,
    review: &Arc<Review>,
) -> Result<Vec<Trial>, String> {
    let root = manifest.join(setup.scenarios);
    let snapshots = setup
        .snapshots
        .map_or_else(|| root.join("snapshots"), |snapshots| manifest.join(snapshots));
    let base = base_of(&snapshots, review)?;
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
        let shown = shown(manifest, &file);
        sources.push((scenario::name_of(&root, &file), Source::File { file, shown }));
    }
    sources.extend(closures.iter().map(|closure| {
        let name = closure.name().to_owned();
        let at = (PathBuf::new(), 0);
        (name.clone(), Source::Closure { path: name, entry: Entry::Main, at })
    }));
    let ignored: BTreeSet<_> =
        closures.iter().filter(|it| it.is_ignored()).map(ClosureScenario::name).collect();
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
        let (snapshots, base) = (snapshots.clone(), base.clone());
        let case = Case { snapshots, base, source, name: name.clone(), assert: setup.assert };
        let (review, is_ignored) = (Arc::clone(review), ignored.contains(name.as_str()));
        let trial = Trial::test(name, move || case.run(&review).map_err(Failed::from));
        trials.push(trial.with_ignored_flag(is_ignored));
    }
    Ok(trials)
}

/// Where the base has the snapshots that lie in `snapshots` here, where a change is compared with it.
fn base_of(snapshots: &Path, review: &Review) -> Result<Option<PathBuf>, String> {
    let Some(base) = std::env::var_os(BASE_VARIABLE).map(PathBuf::from) else { return Ok(None) };
    if !base.is_dir() {
        return Err(format!("{BASE_VARIABLE}: {}: there is no such folder", base.display()));
    }
    let below = review
        .below(snapshots)
        .ok_or_else(|| format!("{BASE_VARIABLE}: {} is in no repository", snapshots.display()))?;
    Ok(Some(base.join(below)))
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
/// [`scenario`](crate::scenario()):
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

/// Registers a function as a scenario; what `#[leaksnap::scenario]` leaves.
///
/// With Rust's own harness it is a test of its own, in a module of the function's name: without
/// that harness the compiler drops what is a `#[test]`.
#[doc(hidden)]
#[macro_export]
macro_rules! register {
    ($(#[$ignore:meta])? $function:ident) => {
        $crate::inventory::submit! {
            $crate::harness::Registered::new(
                ::core::module_path!(),
                ::core::stringify!($function),
                |run| $crate::harness::IntoResult::into_result($function(run)),
            )
            $(.ignored(::core::stringify!($ignore)))?
        }

        #[cfg(test)]
        mod $function {
            #[test]
            $(#[$ignore])?
            fn no_leaks() {
                $crate::harness::test(&$crate::harness::Unit {
                    scenario: $crate::harness::Registered::new(
                        $crate::harness::parent(::core::module_path!()),
                        ::core::stringify!($function),
                        |run| $crate::harness::IntoResult::into_result(super::$function(run)),
                    ),
                    manifest: ::core::env!("CARGO_MANIFEST_DIR"),
                    assert: |name, body| $crate::insta::assert_snapshot!(name, body),
                });
            }
        }
    };
}

/// The module that `module` is in.
#[doc(hidden)]
#[must_use]
pub fn parent(module: &'static str) -> &'static str {
    module.rsplit_once("::").map_or(module, |(parent, _)| parent)
}
