//! The result of one checked run, as a value: what the text, the JSON and the snapshot are made of.

pub(crate) mod amount;
pub(crate) mod heap;
pub(crate) mod history;
pub(crate) mod json;
pub(crate) mod table;
pub(crate) mod text;

use std::fmt;
use std::sync::Arc;

pub use self::history::{History, Live};
use serde::{Deserialize, Serialize};

/// What the ages of a traceback's live allocations say.
///
/// ```
/// use leaksnap::report::Verdict;
///
/// assert_eq!(Verdict::OneTime.to_string(), "one-time");
/// assert!(Verdict::Leak < Verdict::Growth);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verdict {
    /// Live blocks remain from every measured iteration.
    Leak,
    /// Bytes or blocks grow over the iterations, not in each.
    Growth,
    /// Live, from warm-up or from one iteration: a cache.
    OneTime,
    /// Only the last iteration's block is live: a context made anew each time.
    Replaced,
}

impl Verdict {
    /// Whether the verdict fails a trial unless it was accepted.
    ///
    /// ```
    /// use leaksnap::report::Verdict;
    ///
    /// assert!(Verdict::Leak.fails() && Verdict::Growth.fails());
    /// assert!(!Verdict::OneTime.fails() && !Verdict::Replaced.fails());
    /// ```
    #[must_use]
    pub fn fails(self) -> bool {
        matches!(self, Self::Leak | Self::Growth)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leak => "leak",
            Self::Growth => "growth",
            Self::OneTime => "one-time",
            Self::Replaced => "replaced",
        })
    }
}

/// Whether the program could still reach the blocks when they were counted.
///
/// ```no_run
/// use leaksnap::report::Reachability;
///
/// let report = leaksnap::check(|run| run.repeat(8, || std::mem::forget(vec![1])))?;
/// assert_eq!(report.groups[0].reachability, Reachability::Lost);
/// assert_eq!(Reachability::Lost.to_string(), "lost");
/// # Ok::<(), leaksnap::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reachability {
    /// No pointer leads there.
    Lost,
    /// Only lost blocks lead there.
    Indirect,
    /// A pointer leads there.
    Reachable,
    /// The child's memory was not read.
    Unknown,
}

impl fmt::Display for Reachability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Indirect => "indirect",
            Self::Reachable => "reachable",
            Self::Unknown => "unknown",
        })
    }
}

/// One frame of a traceback.
///
/// ```
/// use leaksnap::report::Frame;
///
/// /// As `parse at src/xml.c:17`.
/// fn shown(frame: &Frame) -> String {
///     let function = frame.function.as_deref().unwrap_or("<unknown code>");
///     match (&frame.file, frame.line) {
///         (Some(file), Some(line)) => format!("{function} at {file}:{line}"),
///         _ => function.to_owned(),
///     }
/// }
/// let frame = Frame { function: Some("parse".into()), offset: 5, ..Frame::default() };
/// assert_eq!(shown(&frame), "parse");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Frame {
    /// The demangled function, without a hash; `None` where no symbol is known.
    pub function: Option<Arc<str>>,
    /// The base name of the module's file; `None` for generated code.
    pub module: Option<Arc<str>>,
    /// Bytes from the function's start, or from the module's where no symbol is known.
    pub offset: u64,
    /// The source file, where debug information names it.
    pub file: Option<Arc<str>>,
    /// The line in the source file, from 1.
    pub line: Option<u32>,
    /// The function was inlined into the next frame.
    pub inlined: bool,
    /// The module's build id in hexadecimal digits, by which its debug files can be found; `None`
    /// where it has none, or a saved trace did not say.
    pub build_id: Option<Arc<str>>,
}

/// All live allocations of one traceback.
///
/// ```no_run
/// let report = leaksnap::check(|run| run.repeat(8, || std::mem::forget(vec![1_u8; 100])))?;
/// let group = &report.groups[0];
/// assert_eq!((group.blocks, group.bytes), (8, 800));
/// assert_eq!(group.bytes_per_iteration, 100.0);
/// # Ok::<(), leaksnap::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// What their ages say.
    pub verdict: Verdict,
    /// The worst of theirs.
    pub reachability: Reachability,
    /// Live blocks, of the measured iterations where the verdict is a leak.
    pub blocks: u64,
    /// Requested bytes of these blocks.
    pub bytes: u64,
    /// Blocks that an iteration adds.
    pub blocks_per_iteration: f64,
    /// Requested bytes that an iteration adds.
    pub bytes_per_iteration: f64,
    /// In which iterations of the window the live total rose.
    pub rises: Rises,
    /// The frames, innermost first.
    pub frames: Vec<Frame>,
    /// What holds the blocks, and what they hold.
    pub ties: Ties,
}

/// What a program's pointers say of a group's blocks beside whether they are reachable. It
/// explains, and differs from run to run: no verdict depends on it, and no snapshot has it.
///
/// ```
/// use leaksnap::report::Group;
///
/// /// Who has to let go of the blocks.
/// fn holder(group: &Group) -> &str {
///     group.ties.held_by.as_deref().unwrap_or("nobody")
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ties {
    /// How the program still reaches one of them: the root, and the blocks between. `None` where it
    /// does not, or nobody looked.
    pub held_by: Option<Arc<str>>,
    /// Indirect blocks of other groups that the lost ones of this group lead to; one that several
    /// lost blocks lead to counts for the first.
    pub blocks: u64,
    /// Their requested bytes.
    pub bytes: u64,
    /// How many depths of a recursion the blocks came from, where they are one group for that; else 0.
    pub depths: usize,
    /// The group's number in its run.
    pub number: usize,
    /// For indirect blocks: the groups, by their numbers, whose lost blocks lead to them. Empty where
    /// that is not known of each.
    pub behind: Vec<usize>,
}

/// In which iterations of a window the live total of a traceback rose.
///
/// ```
/// use leaksnap::report::Rises;
///
/// let rises = Rises { steps: 3, first: 1, of: 8 };
/// assert!(rises.steps < rises.of, "it did not rise in each iteration");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Rises {
    /// How many.
    pub steps: u32,
    /// The first of them, from 1; 0 where there is none.
    pub first: u32,
    /// The iterations of the window; 0 for a whole program.
    pub of: u32,
}

/// How the child ended.
///
/// ```
/// use leaksnap::report::Exit;
///
/// let exit = Exit { code: None, signal: Some(9) };
/// assert!(exit.code.is_none(), "it was killed");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Exit {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

/// What the preload heap did.
///
/// ```no_run
/// let report = leaksnap::check(|run| run.repeat(8, || drop(vec![1, 2, 3])))?;
/// assert!(report.tracing.active && report.tracing.complete);
/// assert!(report.tracing.allocations >= 8);
/// # Ok::<(), leaksnap::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tracing {
    /// It served the program.
    pub active: bool,
    /// Traced allocations.
    pub allocations: u64,
    /// Traced frees.
    pub frees: u64,
    /// The most requested bytes that were live at a time.
    pub peak_bytes: u64,
    /// Every allocation was traced.
    pub complete: bool,
}

/// The result of one checked run.
///
/// ```no_run
/// let report = leaksnap::check(|run| run.repeat(8, || std::mem::forget(vec![1])))?;
/// assert_eq!(report.iterations, 8);
/// for group in report.groups.iter().filter(|group| group.verdict.fails()) {
///     println!("{}: {} blocks", group.verdict, group.blocks);
/// }
/// # Ok::<(), leaksnap::Error>(())
/// ```
#[must_use]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The scenario's name; `None` for a program that was run without one.
    pub scenario: Option<String>,
    /// The program and its arguments; the plugins and steps where the host ran.
    pub program: Vec<String>,
    /// How the child ended.
    pub exit: Exit,
    /// What the preload heap did.
    pub tracing: Tracing,
    /// Measured iterations.
    pub iterations: u32,
    /// One group for each traceback: those that fail first, indirect ones behind the others, then by
    /// bytes, largest first.
    pub groups: Vec<Group>,
    /// What a reader should know beside the verdicts, a sentence each.
    pub notes: Vec<String>,
    /// What was live over the iterations; nothing for a whole program.
    pub history: History,
    /// The programs that the program started, where they were followed: a report each, whose program
    /// is the name that it was called by. By name; those of one name by what they leaked.
    pub descendants: Option<Vec<Report>>,
}

impl Report {
    /// Whether nothing leaked: all was traced, and no group of this program, nor of those that it
    /// started, has a verdict that fails.
    ///
    /// ```no_run
    /// let report = leaksnap::check(|run| run.repeat(8, || drop(vec![1, 2, 3])))?;
    /// assert!(report.is_clean(), "{report}");
    /// # Ok::<(), leaksnap::Error>(())
    /// ```
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let is_whole = |report: &Report| report.tracing.active && report.tracing.complete;
        is_whole(self)
            && self.descendants.iter().flatten().all(is_whole)
            && !self.any(|group| group.verdict.fails())
    }

    /// Nothing leaked; a leak fails the test that calls this with its traceback.
    ///
    /// # Panics
    /// Where it is not [clean](Self::is_clean), with the report as text.
    ///
    /// ```no_run
    /// leaksnap::check(|run| run.repeat(8, || drop(vec![1, 2, 3])))?.assert_clean();
    /// # Ok::<(), leaksnap::Error>(())
    /// ```
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.is_clean(), "{self}");
    }

    /// The groups of this program and of those that it started, with numbers of their own.
    ///
    /// ```no_run
    /// let report = leaksnap::check(|run| run.repeat(8, || drop(vec![1, 2, 3])))?;
    /// let leaked: u64 = report.all_groups().iter().map(|group| group.bytes).sum();
    /// # Ok::<(), leaksnap::Error>(())
    /// ```
    #[must_use]
    pub fn all_groups(&self) -> Vec<Group> {
        let mut all = self.groups.clone();
        let end = |groups: &[Group]| groups.iter().map(|group| group.ties.number + 1).max();
        let mut first = end(&all).unwrap_or_default();
        for descendant in self.descendants.iter().flatten() {
            all.extend(descendant.groups.iter().cloned().map(|mut group| {
                group.ties.number += first;
                group.ties.behind.iter_mut().for_each(|number| *number += first);
                group
            }));
            first += end(&descendant.groups).unwrap_or_default();
        }
        all
    }

    /// Has of its groups only `kept`, which are of [`all_groups`](Self::all_groups).
    pub(crate) fn keep(&mut self, kept: Vec<Group>) {
        let mut left = kept.into_iter().peekable();
        let mut end = 0;
        let others = self.descendants.iter_mut().flatten().map(|report| &mut report.groups);
        let all: Vec<_> = std::iter::once(&mut self.groups).chain(others).collect();
        let last = all.len() - 1;
        for (place, groups) in all.into_iter().enumerate() {
            let numbers = groups.iter().map(|group| group.ties.number + 1);
            let first = end;
            end += numbers.max().unwrap_or_default();
            groups.clear();
            while let Some(mut group) =
                left.next_if(|group| place == last || group.ties.number < end)
            {
                group.ties.number -= first;
                group.ties.behind.iter_mut().for_each(|number| *number -= first);
                groups.push(group);
            }
        }
    }

    /// Whether this program or one that it started has a group of `is`.
    pub(crate) fn any(&self, is: impl Fn(&Group) -> bool + Copy) -> bool {
        let others = self.descendants.iter().flatten().flat_map(|report| &report.groups);
        self.groups.iter().chain(others).any(is)
    }
}

/// The text report, without what passes.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::write(self, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(number: usize, behind: &[usize]) -> Group {
        Group {
            verdict: Verdict::Leak,
            reachability: Reachability::Lost,
            blocks: 1,
            bytes: 1,
            blocks_per_iteration: 1.0,
            bytes_per_iteration: 1.0,
            rises: Rises::default(),
            frames: Vec::new(),
            ties: Ties { number, behind: behind.to_vec(), ..Ties::default() },
        }
    }

    fn report(groups: Vec<Group>, descendants: Option<Vec<Report>>) -> Report {
        Report {
            scenario: None,
            program: Vec::new(),
            exit: Exit::default(),
            tracing: Tracing::default(),
            iterations: 1,
            groups,
            notes: Vec::new(),
            history: History::default(),
            descendants,
        }
    }

    #[test]
    fn the_groups_of_all_programs_are_told_apart_and_put_back() {
        let others = vec![
            report(vec![], None),
            report(vec![group(2, &[0]), group(0, &[])], None),
            report(vec![group(1, &[1])], None),
        ];
        let whole = report(vec![group(3, &[]), group(1, &[3])], Some(others));
        let all = whole.all_groups();
        let numbers: Vec<_> =
            all.iter().map(|it| (it.ties.number, it.ties.behind.clone())).collect();
        let expected = [(3, vec![]), (1, vec![3]), (6, vec![4]), (4, vec![]), (8, vec![8])];
        assert_eq!(numbers, expected);
        let mut kept = whole.clone();
        kept.keep(all.clone());
        assert_eq!(kept, whole);
        kept.keep(all.into_iter().filter(|it| [1, 4].contains(&it.ties.number)).collect());
        let mut expected = whole;
        expected.groups.remove(0);
        let others = expected.descendants.as_mut().expect("they were followed");
        others[1].groups.remove(0);
        others[2].groups.clear();
        assert_eq!(kept, expected);
    }
}
