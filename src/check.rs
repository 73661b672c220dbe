//! Checking: a child is run, its ledger read, and what came of it is a value.
//!
//! ```text
//!   program     a whole program, looked at when it is about to exit
//!   marked      a program that marks its iterations itself
//!   server      a program that stays up, driven from outside
//!   iterations  the host, looked at after each iteration
//!   window      how many iterations of each of these are looked at, and when
//!   driver      a host, started, asked and ended
//!   heap        a host's heap, looked at between two requests
//!   tally       live allocations -> groups with verdicts
//!   unseen      what is said of memory that the preload heap does not see
//!   descendants what a program starts, where that is wanted
//!   onlooker    what somebody sees of a check while it goes on
//!   signals     what ends this process is the child's
//!   capture     the child's output, bounded
//!   clock       how long a child may take, and what took it
//!   problem     what keeps a check from being one
//!   input       a ledger made of bytes, for tests and fuzz targets
//!   plugin_path where a plugin lies
//! ```
//! An [`Outcome`] says what was found and what kept it from being found, apart: a report whose
//! outcome has a problem is never clean.

pub(crate) mod capture;
mod clock;
mod descendants;
pub(crate) mod driver;
pub(crate) mod heap;
#[cfg(any(test, feature = "internals"))]
pub(crate) mod input;
pub(crate) mod iterations;
pub(crate) mod job;
mod marked;
pub(crate) mod onlooker;
pub(crate) mod plugin_path;
mod problem;
pub(crate) mod program;
mod rest;
mod server;
mod signals;
pub(crate) mod tally;
mod unseen;
mod window;

use std::path::Path;
use std::sync::atomic::Ordering;

use self::job::Job;
use self::onlooker::Onlooker;
pub(crate) use self::problem::{Problem, explained};
use crate::child::ledger_file::{DEFAULT_NODES, LedgerError, LedgerFile};
use crate::child::preload_file;
use crate::ledger::header::{Header, TRACE_VARIABLE, VERSION, state, trouble};
use crate::report::table::Memory;
use crate::report::{Exit, Group, History, Report, Tracing, Verdict};
use crate::scenario::{Located, Scenario, Work};
use crate::suppression::file::{SuppressionError, load};
use crate::suppression::module::Modules;
use crate::suppression::{Suppression, suppress};

/// What of a report is wanted beside what leaks, which may take its time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted {
    /// The memory table.
    pub(crate) memory: bool,
    /// A program's groups of reachable blocks.
    pub(crate) all: bool,
}

/// Runs `scenario`, which lies at `file`, by the name that its snapshot and report have.
/// `onlooker` sees how far it is. `accepts` says of groups whether all that fail were
/// accepted.
pub(crate) fn scenario(
    scenario: &Scenario,
    file: &Path,
    name: &str,
    wanted: Wanted,
    onlooker: &Onlooker,
    accepts: &dyn Fn(&[Group]) -> bool,
) -> Outcome {
    let suppressions = match suppressions(scenario, file) {
        Ok(suppressions) => suppressions,
        Err(error) => return Outcome::refused(name, Problem::Wrong(error.to_string())),
    };
    let accepts = &|groups: &[Group], modules: &Modules| {
        accepts(&suppress(&suppressions, modules, groups.to_vec()).kept)
    };
    let memory = wanted.memory;
    let job = Job { scenario, file, name, memory, onlooker, accepts };
    let outcome = match &scenario.work {
        Work::Host { .. } | Work::Closure { .. } => iterations::check(&job),
        Work::Marked(words) => marked::check(&job, words),
        Work::Server(server) => server::check(&job, server),
        Work::Program(words) => program::check(&program::Program {
            words: program::words(&words.value, file),
            heap: scenario.heap,
            timeout: Some(scenario.timeout),
            captured: true,
            place: Some(format!("{}:{}", scenario.path.display(), words.line)),
            scenario: Some(name),
            strict: scenario.strict,
            follow: scenario.follow,
            memory: wanted.memory,
            // One of them may be what a suppression is for.
            all: wanted.all || scenario.strict || !suppressions.is_empty(),
            onlooker,
        }),
    };
    outcome.suppressed(&suppressions)
}

/// What `scenario` has itself and in its files, which lie beside it.
fn suppressions(scenario: &Scenario, file: &Path) -> Result<Vec<Suppression>, SuppressionError> {
    let beside = |of: &Path, name: &str| of.parent().unwrap_or(Path::new("")).join(name);
    let mut all = scenario.ignore.clone();
    for Located { value: name, line } in &scenario.suppressions {
        let place = format!("{}:{line}", scenario.path.display());
        all.extend(load(&beside(file, name), &beside(&scenario.path, name), &place)?);
    }
    Ok(all)
}

/// The variable that says how many distinct frames a ledger holds.
pub(crate) const NODES_VARIABLE: &str = "LEAKSNAP_FRAMES";

/// Why a strict scenario fails without a leak.
pub(crate) const STRICT_TEXT: &str =
    "`strict = true` fails what is live once: free it, raise `warmup`, or name it in `ignore`";

/// What is said where processes were seen that a child has started, and nobody followed.
const FORKED: &str = "what the processes allocated that it forked was not checked";

/// What came of a check.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What was found, as far as it was.
    pub(crate) report: Report,
    /// What went wrong.
    pub(crate) problem: Option<Problem>,
    /// What the child wrote, where it was captured.
    pub(crate) output: String,
    /// The scenario wants one-time blocks to fail.
    pub(crate) strict: bool,
    /// The live allocations, for the memory table.
    pub(crate) memory: Memory,
    /// The objects that the child loaded.
    pub(crate) modules: Modules,
}

impl Outcome {
    /// Of a scenario that was not started.
    pub(crate) fn refused(name: &str, problem: Problem) -> Self {
        let before = Self::before(Some(name.to_owned()), Vec::new(), 1, false);
        Self { problem: Some(problem), ..before }
    }

    /// Before anything was run.
    fn before(
        scenario: Option<String>,
        program: Vec<String>,
        iterations: u32,
        strict: bool,
    ) -> Self {
        Self {
            report: Report {
                scenario,
                program,
                exit: Exit::default(),
                tracing: Tracing::default(),
                iterations,
                groups: Vec::new(),
                notes: Vec::new(),
                history: History::default(),
                descendants: None,
            },
            problem: None,
            output: String::new(),
            strict,
            memory: Memory::default(),
            modules: Modules::default(),
        }
    }

    /// The same with what its check came to. What was not checked is not complete, whatever was traced.
    fn with(mut self, result: Result<(), Problem>) -> Self {
        self.problem = result.err();
        self.report.tracing.complete &= !matches!(self.problem, Some(Problem::NotChecked(_)));
        self
    }

    /// The same without what `suppressions` hide. What was not checked may lack what one of them
    /// is for.
    pub(crate) fn suppressed(mut self, suppressions: &[Suppression]) -> Self {
        let suppressed = suppress(suppressions, &self.modules, self.report.all_groups());
        self.report.keep(suppressed.kept);
        self.report.notes.extend(suppressed.notes);
        if self.problem.is_none() {
            self.problem = suppressed.unused.map(|unused| Problem::Wrong(unused.to_string()));
        }
        self
    }

    /// The command's exit status: 0 only where everything was checked and nothing leaked.
    pub(crate) fn status(&self) -> u8 {
        match &self.problem {
            Some(problem) => problem.status(),
            None => {
                let fails = self.report.any(|group| group.verdict.fails());
                u8::from(fails || self.fails_strictly())
            }
        }
    }

    /// Whether the scenario is strict, and something is live once.
    pub(crate) fn fails_strictly(&self) -> bool {
        self.strict && self.report.any(|group| group.verdict == Verdict::OneTime)
    }
}

/// A ledger for a heap of `heap` bytes, as many frames as the environment says.
fn new_ledger(heap: u64) -> Result<LedgerFile, Problem> {
    let nodes = match std::env::var(NODES_VARIABLE) {
        Ok(text) => text.parse().map_err(|_| {
            Problem::Wrong(format!("{NODES_VARIABLE} has to be a number of frames, not `{text}`"))
        })?,
        Err(_) => DEFAULT_NODES,
    };
    LedgerFile::create(heap, nodes).map_err(|error| match error {
        // Heaps are checked where they are read.
        LedgerError::Size { .. } => Problem::Wrong(format!(
            "{NODES_VARIABLE} has to be from 2 to {}, not {nodes}",
            crate::ledger::site::INHERITED
        )),
        other => Problem::NotChecked(other.to_string()),
    })
}

/// Why nothing can be checked on this target; `None` where it can.
pub(crate) fn unsupported() -> Option<String> {
    preload_file::unsupported().map(|why| why.to_string())
}

/// Whether the preload heap came up; why not, where it did not. `silent` is the reason for one
/// that said nothing.
pub(crate) fn activity(
    header: &Header,
    child: u32,
    silent: impl FnOnce() -> String,
) -> Result<(), Problem> {
    let unchecked = |reason: String| Err(Problem::NotChecked(reason));
    let version = header.child_version.load(Ordering::Acquire);
    match header.state.load(Ordering::Acquire) {
        state::ACTIVE if header.owner.load(Ordering::Relaxed) != child => {
            unchecked("the program handed its work to another process".into())
        }
        state::ACTIVE => Ok(()),
        state::OTHER_VERSION => unchecked(format!(
            "the preload heap has ledger version {version}, this leaksnap has {VERSION}; rebuild it"
        )),
        state::NO_REGION => unchecked(
            "the heap and its ledger could not be mapped; lower `heap`, or raise the limits on \
             address space and data (`ulimit -v`, `ulimit -d`)"
                .into(),
        ),
        state::INTERPOSED => unchecked("another malloc is in front of the preload heap's".into()),
        state::OPERATORS => unchecked(
            "`operator new` is that of another allocator, behind the preload heap's malloc".into(),
        ),
        state::UNTRACED => unchecked(format!("{TRACE_VARIABLE}=0 turned tracing off")),
        _ => unchecked(format!("the preload heap did not become active: {}", silent())),
    }
}

/// The heap that a child has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    bytes: u64,
    /// What makes it larger.
    by: &'static str,
}

impl Room {
    /// One of `bytes`, as a scenario says or leaves it.
    pub(crate) fn of_scenario(bytes: u64) -> Self {
        Self { bytes, by: "heap" }
    }

    /// One of `bytes`, as the command line says or leaves it.
    pub(crate) fn of_option(bytes: u64) -> Self {
        Self { bytes, by: "--heap" }
    }
}

/// Whether every allocation was traced; why not, where it was not.
pub(crate) fn completeness(header: &Header, room: Room) -> Result<(), Problem> {
    let trouble = header.trouble.load(Ordering::Acquire);
    let has = |bit| trouble & bit != 0;
    let reason = if has(trouble::HEAP_FULL) {
        let Room { bytes, by } = room;
        format!("the heap of {} MiB was full; raise `{by}`", bytes >> 20)
    } else if has(trouble::NODES_FULL) {
        format!(
            "the ledger was full: more than {} distinct frames; raise {NODES_VARIABLE}",
            header.nodes.load(Ordering::Relaxed)
        )
    } else if has(trouble::MODULES_FULL) {
        "the ledger was full: more loaded objects than it has records".into()
    } else if has(trouble::APART) {
        "the program opened an object with a malloc of its own (RTLD_DEEPBIND or dlmopen), which \
         is not traced"
            .into()
    } else {
        return Ok(());
    };
    Err(Problem::NotChecked(reason))
}

/// The objects in `ledgers`; none of one that can't be read, which is told elsewhere.
fn modules<'a>(ledgers: impl IntoIterator<Item = &'a LedgerFile>) -> Modules {
    let modules = ledgers.into_iter().flat_map(|ledger| ledger.modules().unwrap_or_default());
    Modules::new(modules.flatten().map(|module| module.path))
}

/// The report's part on the tracing, from the ledger's counters.
fn tracing(ledger: &LedgerFile) -> Tracing {
    let (header, counts) = (ledger.header(), ledger.counts());
    let active = header.state.load(Ordering::Acquire) == state::ACTIVE;
    Tracing {
        active,
        allocations: counts.allocations,
        frees: counts.frees,
        peak_bytes: counts.peak_bytes,
        complete: active && header.trouble.load(Ordering::Relaxed) == 0,
    }
}

/// What a reader should know of allocations that the heap never saw.
fn notes(header: &Header) -> Vec<String> {
    let before = header.before_ready.load(Ordering::Relaxed);
    let note = format!(
        "libc allocation requested before the heap was ready, defaulting to libc ({before} times)"
    );
    (before > 0).then_some(note).into_iter().collect()
}
