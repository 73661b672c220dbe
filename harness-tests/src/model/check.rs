//! Checking the model: every row by `leaksnap run`, a handful at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::counter::{Count, Counter};
use super::programs::{PROGRAMS, Whole};
use super::verdicts::Verdicts;
use super::{Row, blocks, bounds, closures, fixture, objects, openssl};
use crate::Workplace;
use crate::program::Program;

/// Rows that are run at the same time: a run waits for its child half of the time.
const AT_A_TIME: usize = 4;

/// All rows, for an executable that is the `leaksnap` command.
#[derive(Debug)]
pub struct Model {
    executable: &'static str,
    closures: &'static str,
    counter: Counter,
    scenarios: Vec<Scenario>,
    programs: Vec<(Arc<Program>, &'static Whole)>,
}

/// A row, or its twin.
#[derive(Debug, Clone, Copy)]
struct Scenario {
    row: Row,
    repaired: bool,
}

/// What is run.
enum Run<'a> {
    Scenario(&'a Scenario),
    Program(&'a (Arc<Program>, &'static Whole)),
}

impl Model {
    /// The rows and their twins, by the command `executable` and the program `closures`.
    #[must_use]
    pub fn new(executable: &'static str, closures: &'static str) -> Self {
        let tables = [
            blocks::FORGOTTEN,
            blocks::FROM_LIBC,
            blocks::STRUCTURES,
            blocks::TEARDOWN,
            blocks::NOW_AND_THEN,
            blocks::KEPT,
            blocks::DESCENDS,
            bounds::BOUNDS,
            bounds::ANEW,
            bounds::THREADS,
            objects::CPP,
            objects::RUST,
            openssl::ROWS,
            openssl::CRYPTO,
            openssl::IKEV2,
            bounds::MORE_ITERATIONS,
        ];
        let mut scenarios = Vec::new();
        for row in tables.into_iter().flatten() {
            scenarios.push(Scenario { row: *row, repaired: false });
            if row.has_twin {
                scenarios.push(Scenario { row: *row, repaired: true });
            }
        }
        let mut compiled = BTreeMap::new();
        let programs = PROGRAMS.iter().map(|whole| {
            let compile = || Arc::new(Program::compile(whole.source));
            (Arc::clone(compiled.entry(whole.source).or_insert_with(compile)), whole)
        });
        let programs = programs.collect();
        Self { executable, closures, counter: Counter::compile(), scenarios, programs }
    }

    /// How many scenarios there are, and how many of them have to stay silent.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let silent = self.scenarios.iter().filter(|scenario| scenario.is_silent());
        let clean = self.programs.iter().filter(|(_, whole)| whole.total() == (0, 0));
        let (closures, drop_all) = closures::count();
        let all = self.scenarios.len() + self.programs.len() + closures;
        (all, silent.count() + clean.count() + drop_all)
    }

    /// Runs every scenario; what was not as expected, a text for each.
    ///
    /// # Panics
    /// Where a run gives no report.
    #[must_use]
    pub fn differences(&self) -> Vec<String> {
        let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let of_programs = self.programs.iter().map(Run::Program);
        let runs: Vec<_> = self.scenarios.iter().map(Run::Scenario).chain(of_programs).collect();
        std::thread::scope(|scope| {
            for _ in 0..AT_A_TIME {
                scope.spawn(|| {
                    while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let difference = match run {
                            Run::Scenario(scenario) => scenario.difference(self),
                            Run::Program((program, whole)) => whole.difference(program),
                        };
                        found.lock().expect("no thread panics with it").extend(difference);
                    }
                });
            }
        });
        let mut found = found.into_inner().expect("no thread panics with it");
        found.extend(closures::differences(self.closures));
        found.sort();
        found
    }
}

impl Scenario {
    fn is_silent(&self) -> bool {
        self.repaired || self.row.is_silent()
    }

    fn words(&self) -> Vec<&str> {
        let repaired = self.repaired.then_some("repaired");
        std::iter::once(self.row.step).chain(repaired).collect()
    }

    fn difference(&self, model: &Model) -> Option<String> {
        let (found, report) = self.run(model.executable);
        let count = self.count(&model.counter);
        let wrong = self.compare(&found, count)?;
        let (plugin, words) = (self.row.plugin, self.words().join(" "));
        Some(format!("{plugin}: {words}: {wrong}\n{found}\n    {count:?}\n{report}"))
    }

    /// The verdicts of `leaksnap run`, and what it said beside the report.
    fn run(&self, executable: &str) -> (Verdicts, String) {
        let Row { plugin, warmup, repeat, .. } = self.row;
        let work = Workplace::new(executable);
        let (object, step) = (fixture::object(plugin), self.words().join(" "));
        let scenario = format!(
            "plugins = [{object:?}]\nsteps = [\"{step}\"]\nwarmup = {warmup}\n\
             repeat = {repeat}\n"
        );
        work.write("it.toml", &scenario);
        let ended =
            work.run(["run", "--format", "json", "--all", "--output", "report.json", "it.toml"]);
        let text = std::fs::read_to_string(work.path("report.json")).unwrap_or_default();
        let report = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{plugin}, {step}: {error} in {text:?}: {ended:?}"));
        (Verdicts::of(&report, plugin, ended.status), ended.stderr)
    }

    fn count(&self, counter: &Counter) -> Count {
        let Row { plugin, warmup, repeat, .. } = self.row;
        // What a leak leaves does not depend on the warm-up; what is left once does.
        counter.count(plugin, warmup.max(2), repeat, &self.words())
    }

    /// What is not as expected.
    fn compare(&self, found: &Verdicts, count: Count) -> Option<String> {
        let status = Some(i32::from(!self.is_silent()));
        if found.status != status {
            return Some(format!("the exit status is not {status:?}"));
        }
        if self.repaired {
            self.compare_twin(found, count)
        } else if self.is_silent() {
            self.compare_kept(found, count)
        } else if self.row.counted.is_empty() {
            self.compare_groups(found, count)
        } else {
            self.compare_counted(found, count)
        }
    }

    /// Nothing fails, and a twin that does nothing has nothing to repair.
    fn compare_twin(&self, found: &Verdicts, count: Count) -> Option<String> {
        let forgotten: f64 = self.row.fails.iter().map(|found| found.blocks).sum();
        let wanted = (forgotten * f64::from(self.row.repeat - 1)).round();
        let did_it = count.allocations as f64 >= wanted;
        (!found.fails.is_empty() || !did_it)
            .then(|| format!("nothing fails, and {wanted} blocks or more are allocated"))
    }

    /// Nothing fails, and what is kept is there, or was.
    fn compare_kept(&self, found: &Verdicts, count: Count) -> Option<String> {
        let keeps = self.row.keeps;
        let missing = keeps.iter().find(|kept| !found.keeps(kept));
        let does_nothing = keeps.is_empty() && count.allocations == 0;
        (!found.fails.is_empty() || missing.is_some() || does_nothing)
            .then(|| format!("nothing fails, and there is {keeps:?}"))
    }

    /// The groups are those of the row, and a leak is what the counter counts.
    fn compare_groups(&self, found: &Verdicts, count: Count) -> Option<String> {
        let expected = Verdicts::lines_of(self.row.fails);
        let is_counted = !found.all_leak() || found.leaked() == (count.blocks, count.bytes);
        let missing = self.row.keeps.iter().any(|kept| !found.keeps(kept));
        (found.lines() != expected || !is_counted || missing)
            .then(|| format!("{}, as counted", expected.join("; ")))
    }

    /// These functions leak, and together what the counter counts.
    fn compare_counted(&self, found: &Verdicts, count: Count) -> Option<String> {
        let expected: BTreeSet<_> = self.row.counted.iter().copied().collect();
        let by: BTreeSet<_> = found.fails.iter().map(|group| group.function.as_str()).collect();
        let is_counted = found.all_leak() && found.leaked() == (count.blocks, count.bytes);
        (by != expected || !is_counted).then(|| format!("leaks by {expected:?}, as counted"))
    }
}
