//! The harness: a trial for each scenario file, on libtest-mimic.
//!
//! ```text
//!   harness     lists the trials and runs them
//!   flags       the command line, libtest's
//!   runner      one trial after the other, those that are left out among them
//!   trial       one scenario: checked, brought to the gate
//!   folders     where snapshots and pages lie
//!   account     what trials leave to be told: output, notes, times
//!   junit       the same as a JUnit document
//!   pages       what a trial found, as a page, where that is wanted
//!   progress    how far long scenarios are, on a terminal
//!   registered  functions that are scenarios
//!   unit        one of these as an ordinary test
//! ```

mod account;
mod flags;
mod folders;
mod junit;
#[cfg(feature = "exports")]
mod pages;
mod progress;
mod registered;
mod runner;
mod trial;
mod unit;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anstream::{AutoStream, ColorChoice};
use clap::Parser as _;
use libtest_mimic::{Arguments, ColorSetting, Trial};

use crate::check;
use crate::gate::{self, Assert};
use crate::host::closure::ClosureScenario;
pub use crate::host::closure::{IntoResult, Run};
use crate::review::Review;
use crate::scenario::{self, Entry};
use account::Account;
use flags::{Flags, Format};
use folders::Folders;
use progress::Progress;
pub use registered::Registered;
use runner::Runner;
use trial::{Case, Source};
pub use unit::{Unit, test};

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
    start(&setup, &Flags::parse(), &closures).unwrap_or_else(|error| {
        eprintln!("leaksnap: {error}");
        ExitCode::from(2)
    })
}

fn start(setup: &Setup, flags: &Flags, closures: &[ClosureScenario]) -> Result<ExitCode, String> {
    let mut arguments = flags.arguments()?;
    // An archive of tests is run in another place than it was built in.
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or(PathBuf::from(setup.manifest), PathBuf::from);
    let review = Review::from_environment(&manifest);
    let mut cases = cases(setup, flags, closures, &manifest, &review)?;
    choose(&mut arguments, &flags.filters, cases.iter().map(|case| case.name.as_str()));
    if let Some(seed) = flags.seed()?.filter(|_| !flags.list) {
        fastrand::Rng::with_seed(seed).shuffle(&mut cases);
        say(flags, &format!("shuffle seed: {seed}"));
    }
    let coloured = AutoStream::choice(&std::io::stdout()) != ColorChoice::Never;
    let progress = Progress::open(flags);
    if progress.is_some() && arguments.color == Some(ColorSetting::Auto) {
        let setting = if coloured { ColorSetting::Always } else { ColorSetting::Never };
        arguments.color = Some(setting);
    }
    let runner = Arc::new(Runner {
        review,
        account: Account::default(),
        progress,
        echo: flags.is_uncaptured(),
        fail_fast: flags.fail_fast,
        unsupported: check::unsupported(),
    });
    let trials = cases.into_iter().map(|case| {
        let runner = Arc::clone(&runner);
        let (name, is_ignored) = (case.name.clone(), case.is_ignored);
        Trial::ignorable_test(name, move || runner.run(&case)).with_ignored_flag(is_ignored)
    });
    let code = libtest_mimic::run(&arguments, trials.collect()).exit_code();
    let Runner { review, account, progress, .. } =
        Arc::into_inner(runner).ok_or("a scenario still runs, behind the end of all")?;
    drop(progress);
    if !flags.list {
        account.tell(flags).map_err(|error| format!("say what came of the scenarios: {error}"))?;
    }
    review.tell()?;
    Ok(code)
}

/// Says `text` where libtest's own title stands, if there is one.
fn say(flags: &Flags, text: &str) {
    match flags.format() {
        Format::Pretty | Format::Terse if flags.logfile().is_none() => println!("\n{text}"),
        _ => eprintln!("{text}"),
    }
}

/// libtest-mimic knows one filter: of more, what none of them chooses is left out by its name.
fn choose<'a>(arguments: &mut Arguments, filters: &[String], names: impl Iterator<Item = &'a str>) {
    if filters.len() < 2 {
        return;
    }
    let exact = arguments.exact;
    let is_of =
        |name: &str, word: &String| if exact { name == word } else { name.contains(word.as_str()) };
    let has = |words: &[String], name: &str| words.iter().any(|word| is_of(name, word));
    let left_out = names.filter(|name| !has(filters, name) || has(&arguments.skip, name));
    arguments.skip = left_out.map(str::to_owned).collect();
    arguments.exact = true;
}

fn cases(
    setup: &Setup,
    flags: &Flags,
    closures: &[ClosureScenario],
    manifest: &Path,
    review: &Review,
) -> Result<Vec<Case>, String> {
    let root = manifest.join(setup.scenarios);
    let snapshots = setup
        .snapshots
        .map_or_else(|| root.join("snapshots"), |snapshots| manifest.join(snapshots));
    let folders = Folders::open(snapshots, manifest, Path::new(setup.manifest), review)?;
    let most_time = flags.most_time()?;
    let files = if flags.exact && !flags.list && !flags.filters.is_empty() {
        // Tests by their names: there is no need to look at the others.
        let named: BTreeSet<_> =
            flags.filters.iter().map(|name| root.join(format!("{name}.toml"))).collect();
        named.into_iter().filter(|file| file.is_file()).collect()
    } else if !closures.is_empty() && !root.exists() {
        // A test of closures alone needs no folder.
        Vec::new()
    } else {
        let found = scenario::find_all(&root).map_err(|error| error.to_string())?;
        if found.is_empty() && closures.is_empty() {
            // Nothing that is checked is not clean.
            return Err(format!("{}: there is no scenario (NAME.toml) in it", root.display()));
        }
        found
    };
    let mut sources: Vec<(String, Source)> = Vec::new();
    for file in files {
        // Errors and snapshots name the file as the author knows it.
        let shown = shown(manifest, &file);
        sources.push((scenario::name_of(&root, &file), Source::File { file, shown }));
    }
    sources.extend(closures.iter().map(|closure| {
        let name = closure.name().to_owned();
        let at = registered::place(&name).map_or((PathBuf::new(), 0), |place| {
            (
                unit::source(manifest, place.file()),
                usize::try_from(place.line()).unwrap_or_default(),
            )
        });
        (name.clone(), Source::Closure { path: name, entry: Entry::Main, at })
    }));
    let ignored: BTreeSet<_> =
        closures.iter().filter(|it| it.is_ignored()).map(ClosureScenario::name).collect();
    let mut names = BTreeSet::new();
    let mut cases = Vec::new();
    for (name, source) in sources {
        if let Some(problem) = problem_of(&name) {
            return Err(format!("rename the scenario `{name}`: {problem}"));
        }
        if !names.insert(name.clone()) {
            return Err(format!(
                "there are two scenarios `{name}`; each needs a snapshot of its own"
            ));
        }
        let (folders, assert) = (folders.clone(), setup.assert);
        let is_ignored = ignored.contains(name.as_str());
        cases.push(Case { folders, source, name, assert, most_time, is_ignored });
    }
    Ok(cases)
}

/// Why a scenario can't have this `name`.
fn problem_of(name: &str) -> Option<&'static str> {
    if name.contains('\\') {
        // insta writes `__` for it, and would find the snapshot of another scenario.
        return Some("a name can't have a backslash");
    }
    // Its snapshot would lie elsewhere.
    let is_way = |part: &str| ["", ".", ".."].contains(&part);
    name.split('/').any(is_way).then_some("a name is words with `/` between them")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_no_other_folder() {
        for name in ["", "a/", "/a", "a//b", "a/../../b", "./a", "a\\b"] {
            assert!(problem_of(name).is_some(), "{name}");
        }
        for name in ["a", "a/b", "a.b", "..a", "a b"] {
            assert_eq!(problem_of(name), None, "{name}");
        }
    }
}
