//! The command line: libtest's, flag by flag, so that whatever `cargo test --workspace -- FLAG`
//! passes to every test executable is taken here, too.
//!
//! libtest wants `-Z unstable-options` and a nightly compiler for some of them; here that is
//! accepted and not needed.

use std::env::VarError;
use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime};

use clap::{Parser, ValueEnum};
use libtest_mimic::{Arguments, ColorSetting, FormatSetting};

/// The flags, as they are given.
#[derive(Debug, Default, Parser)]
#[command(
    disable_version_flag = true,
    args_override_self = true,
    override_usage = "[OPTIONS] [FILTERS]...",
    after_help = "The environment has a say where no flag has one: RUST_TEST_THREADS, RUST_TEST_NOCAPTURE, \
                  RUST_TEST_SHUFFLE, RUST_TEST_SHUFFLE_SEED, RUST_TEST_TIME_INTEGRATION."
)]
pub(super) struct Flags {
    /// Run ignored trials as well
    #[arg(long, conflicts_with = "ignored")]
    include_ignored: bool,
    /// Run ignored trials alone
    #[arg(long)]
    ignored: bool,
    /// Accepted: a scenario always has a process of its own
    #[arg(long)]
    force_run_in_process: bool,
    /// Accepted: no scenario is to panic
    #[arg(long)]
    exclude_should_panic: bool,
    /// Run tests and not benchmarks: every scenario is a test
    #[arg(long)]
    test: bool,
    /// Run benchmarks instead of tests: there are none
    #[arg(long)]
    bench: bool,
    /// List the scenarios
    #[arg(long)]
    pub(super) list: bool,
    /// Start no scenario after the first failure
    #[arg(long)]
    pub(super) fail_fast: bool,
    /// Write into the file instead of to standard output
    #[arg(long, value_name = "PATH")]
    logfile: Option<String>,
    /// Pass on what children write as it comes
    #[arg(long, alias = "nocapture")]
    no_capture: bool,
    /// How many scenarios run at the same time
    #[arg(long, value_name = "N")]
    test_threads: Option<NonZeroUsize>,
    /// Leave out scenarios whose names contain FILTER; may be given several times
    #[arg(long, value_name = "FILTER")]
    skip: Vec<String>,
    /// One character for each scenario: `--format terse`
    #[arg(short, long, conflicts_with = "format")]
    quiet: bool,
    /// Filters are whole names; a scenario that is named so is gone to at once
    #[arg(long)]
    pub(super) exact: bool,
    /// When to colour the output
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    color: Color,
    /// How to say what came of the scenarios
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Show what the children of passing scenarios wrote, too
    #[arg(long)]
    pub(super) show_output: bool,
    /// Accepted: `unstable-options`
    #[arg(short = 'Z', value_enum, value_name = "OPTION")]
    unstable: Vec<Unstable>,
    /// Say how long each scenario took
    #[arg(long)]
    pub(super) report_time: bool,
    /// Fail a scenario that takes longer than RUST_TEST_TIME_INTEGRATION=WARN,MOST allows
    /// (milliseconds; 500,1000)
    #[arg(long)]
    ensure_time: bool,
    /// Run the scenarios in random order, and say its seed
    #[arg(long)]
    shuffle: bool,
    /// Run the scenarios in the random order of SEED
    #[arg(long, value_name = "SEED")]
    shuffle_seed: Option<u64>,
    /// Parts of the names of scenarios that are run; without one all are
    #[arg(value_name = "FILTERS")]
    pub(super) filters: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Color {
    /// Where standard output is a terminal
    #[default]
    Auto,
    Always,
    Never,
}

/// The form of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A line for each scenario
    #[default]
    Pretty,
    /// A character for each scenario
    Terse,
    /// A JSON document on each line
    Json,
    /// One JUnit document
    Junit,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Unstable {
    UnstableOptions,
}

/// Milliseconds that a test outside `src/` may take by libtest's rule.
const DEFAULT_MOST: u64 = 1000;

impl Flags {
    /// The form of the output.
    pub(super) fn format(&self) -> Format {
        if self.quiet { Format::Terse } else { self.format.unwrap_or_default() }
    }

    /// Where the output goes instead of standard output.
    pub(super) fn logfile(&self) -> Option<&str> {
        self.logfile.as_deref()
    }

    /// Whether what children write is passed on as it comes.
    pub(super) fn is_uncaptured(&self) -> bool {
        self.no_capture || is_on("RUST_TEST_NOCAPTURE")
    }

    /// The seed of the order, where that is random.
    ///
    /// # Errors
    /// Where the environment's is no number.
    pub(super) fn seed(&self) -> Result<Option<u64>, String> {
        let given = match self.shuffle_seed {
            None => variable("RUST_TEST_SHUFFLE_SEED", "has to be a whole number", number)?,
            given => given,
        };
        let by_itself = || {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            now.map_or(0, |since| since.as_secs() ^ u64::from(since.subsec_nanos()))
        };
        let shuffled = self.shuffle || is_on("RUST_TEST_SHUFFLE");
        Ok(given.or_else(|| shuffled.then(by_itself)))
    }

    /// How long a scenario may take, where that is to be ensured.
    ///
    /// # Errors
    /// Where the environment says it in another form.
    pub(super) fn most_time(&self) -> Result<Option<Duration>, String> {
        if !self.ensure_time {
            return Ok(None);
        }
        let form = "has to be WARN,MOST in milliseconds, WARN at most MOST";
        let most = variable("RUST_TEST_TIME_INTEGRATION", form, |text| {
            let (warn, most) = text.split_once(',')?;
            number(most).filter(|most| number(warn).is_some_and(|warn| warn <= *most))
        })?;
        Ok(Some(Duration::from_millis(most.unwrap_or(DEFAULT_MOST))))
    }

    /// The same for libtest-mimic, of which one filter at most is asked.
    ///
    /// # Errors
    /// Where the environment's number of threads is none.
    pub(super) fn arguments(&self) -> Result<Arguments, String> {
        let threads = match self.test_threads {
            None => variable("RUST_TEST_THREADS", "has to be a number above 0", |text| {
                text.parse().ok()
            })?,
            given => given,
        };
        let (format, logfile) = match self.format() {
            Format::Pretty => (FormatSetting::Pretty, self.logfile.clone()),
            Format::Terse => (FormatSetting::Terse, self.logfile.clone()),
            Format::Json => (FormatSetting::Json, self.logfile.clone()),
            // It is written from what the trials leave.
            Format::Junit => (FormatSetting::Terse, (!self.list).then(|| "/dev/null".to_owned())),
        };
        Ok(Arguments {
            include_ignored: self.include_ignored,
            ignored: self.ignored,
            bench: self.bench && !self.test,
            list: self.list,
            exact: self.exact,
            test_threads: threads.map(NonZeroUsize::get),
            logfile,
            skip: self.skip.clone(),
            color: Some(match self.color {
                Color::Auto => ColorSetting::Auto,
                Color::Always => ColorSetting::Always,
                Color::Never => ColorSetting::Never,
            }),
            format: Some(format),
            filter: self.filters.first().filter(|_| self.filters.len() == 1).cloned(),
            ..Arguments::default()
        })
    }
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

/// What `read` makes of the variable `name`; none where it is not set.
fn variable<T>(
    name: &str,
    form: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, String> {
    match std::env::var(name) {
        Err(VarError::NotPresent) => Ok(None),
        Ok(text) => match read(&text) {
            Some(value) => Ok(Some(value)),
            None => Err(format!("{name} {form}, not `{text}`")),
        },
        Err(VarError::NotUnicode(_)) => Err(format!("{name} {form}")),
    }
}

/// Whether the variable `name` is set, to anything but 0, as libtest has it.
fn is_on(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| value != "0")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(words: &[&str]) -> Flags {
        Flags::try_parse_from([&["leaks"], words].concat())
            .unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    #[test]
    fn the_command_line_is_sound() {
        Flags::command().debug_assert();
    }

    #[test]
    fn flags_stand_in_any_order_and_more_than_once() {
        let flags = parse(&["a", "--nocapture", "-Zunstable-options", "b", "--no-capture"]);
        assert!(flags.is_uncaptured());
        assert_eq!(flags.filters, ["a", "b"]);
        let flags = parse(&["--skip", "a", "--skip=b", "-Z", "unstable-options", "-q", "-q"]);
        let arguments = flags.arguments().expect("sound");
        assert_eq!(arguments.skip, ["a", "b"]);
        assert_eq!(arguments.format, Some(FormatSetting::Terse));
    }

    #[test]
    fn what_libtest_refuses_is_refused() {
        for wrong in [
            &["--test-threads", "0"][..],
            &["--test-threads", "many"],
            &["--shuffle-seed", "-1"],
            &["--format", "xml"],
            &["--quiet", "--format", "json"],
            &["--ignored", "--include-ignored"],
            &["--no-such-flag"],
        ] {
            assert!(Flags::try_parse_from([&["leaks"], wrong].concat()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_seed_is_kept_and_another_one_made_where_none_is_given() {
        assert_eq!(parse(&["--shuffle-seed", "7"]).seed(), Ok(Some(7)));
        assert!(matches!(parse(&["--shuffle"]).seed(), Ok(Some(_))));
        assert_eq!(parse(&[]).seed(), Ok(None));
    }
}
