//! A trial's finding: what it says of itself, and remarks at lines of the repository.
//!
//! A remark stands at the innermost frame of its traceback whose source is in the repository: that
//! is the line which a reviewer can change. Without such a frame it stands at the scenario.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::gate::Unlike;
use crate::report::{Group, Report, text};
use crate::snapshot::SnapshotGroup;
use crate::traceback;

/// What came of a trial that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The trial's name.
    pub(crate) trial: String,
    /// Whether it failed; else there is something to make smaller.
    pub(crate) fails: bool,
    /// What was found, in a sentence.
    pub(crate) headline: String,
    /// What to see at which line.
    pub(crate) remarks: Vec<Remark>,
    /// The difference by tracebacks, as lines with `+` and `-`; for what was not checked, why.
    pub(crate) difference: String,
}

/// Something to see at a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remark {
    /// Where; `None` where no file of the repository has to do with it.
    pub(crate) place: Option<Place>,
    /// What it is, in a line.
    pub(crate) title: String,
    /// All of it.
    pub(crate) text: String,
    /// What tells it from the trial's other ones, in every run.
    pub(crate) key: Vec<String>,
}

/// A line of the repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The file, from the repository's root, with `/`.
    pub(crate) file: String,
    /// The line, from 1.
    pub(crate) line: usize,
}

/// Where the repository and the scenario are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene<'a> {
    /// The repository's root.
    pub(crate) root: &'a Path,
    /// The scenario's file; empty where there is none.
    pub(crate) file: &'a Path,
    /// The line in it that says what to run, from 1; 0 where no line does.
    pub(crate) line: usize,
}

/// What the repository calls files.
type Names = BTreeMap<Arc<str>, Option<String>>;

impl Scene<'_> {
    /// What the repository calls `file`, if it has it.
    fn name(&self, file: &Path) -> Option<String> {
        // Paths in debug information may go through links and `..`.
        let file = file.canonicalize().ok()?;
        let below = file.strip_prefix(self.root).ok()?;
        let parts: Vec<_> = below.components().map(|part| part.as_os_str()).collect();
        // What is built is in no repository.
        if parts.is_empty() || parts.contains(&"target".as_ref()) {
            return None;
        }
        let parts: Vec<_> = parts.iter().map(|part| part.to_string_lossy()).collect();
        Some(parts.join("/"))
    }

    /// `text` with the repository's files by their names in it.
    fn shorten(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.root.display()), "")
    }

    /// The scenario's own line.
    fn scenario(&self) -> Option<Place> {
        Some(Place { file: self.name(self.file)?, line: self.line.max(1) })
    }

    /// The line that a reviewer can change to mend `group`. What files are called is kept in `names`:
    /// many groups have the same ones.
    fn source(&self, group: &Group, names: &mut Names) -> Option<Place> {
        let mut frames = group.frames.iter();
        let source = frames.find_map(|frame| {
            let (file, line) = (frame.file.as_ref()?, usize::try_from(frame.line?).ok()?);
            let name =
                names.entry(Arc::clone(file)).or_insert_with(|| self.name(Path::new(&**file)));
            Some(Place { file: name.clone()?, line: line.max(1) })
        });
        source.or_else(|| self.scenario())
    }
}

impl Finding {
    /// A trial whose tracebacks, in `report`, are `unlike` the accepted ones; whether it `fails`.
    pub(crate) fn of(
        trial: &str,
        fails: bool,
        unlike: &Unlike,
        report: &Report,
        scene: Scene<'_>,
    ) -> Self {
        let Unlike { text, difference } = unlike;
        let headline = text.lines().next().unwrap_or_default();
        let groups = report.all_groups();
        let changed = difference.grown.iter().map(|change| ("grown", &change.found));
        let moved = difference.moved.iter().map(|change| ("moved", &change.found));
        let new = difference.new.iter().map(|group| ("new", group));
        let mut ranks = BTreeMap::new();
        for (rank, group) in groups.iter().enumerate().filter(|(_, group)| group.verdict.fails()) {
            ranks.entry(traceback::key(&group.frames)).or_insert(rank);
        }
        let all = new.chain(changed).chain(moved);
        let mut failing: Vec<_> = all
            .filter_map(|(what, found)| Some((*ranks.get(&found.frames)?, what, found)))
            .collect();
        failing.sort_by_key(|(rank, ..)| *rank);
        let mut names = Names::new();
        let remark = |(rank, what, found): (usize, &str, &SnapshotGroup)| Remark {
            place: scene.source(&groups[rank], &mut names),
            title: format!("{what} {}", text::group_heading(&groups[rank], report.iterations)),
            text: scene
                .shorten(&format!("in {trial}\n{}", text::group(&groups[rank], report.iterations))),
            key: found.frames.clone(),
        };
        let mut remarks: Vec<_> = failing.into_iter().map(remark).collect();
        if remarks.is_empty() {
            remarks.push(Remark::of_scenario(headline, &difference.to_string(), scene));
        }
        let (trial, headline) = (trial.to_owned(), headline.to_owned());
        Self { trial, fails, headline, remarks, difference: difference.to_string() }
    }

    /// A trial that failed with `text`, whose first line is what there is to know.
    pub(crate) fn of_text(trial: &str, text: &str, scene: Scene<'_>) -> Self {
        let headline = text.lines().next().unwrap_or_default();
        let trial = trial.to_owned();
        let remarks = vec![Remark::of_scenario(headline, text, scene)];
        let (headline, difference) = (headline.to_owned(), text.to_owned());
        Self { trial, fails: true, headline, remarks, difference }
    }
}

impl Remark {
    fn of_scenario(headline: &str, text: &str, scene: Scene<'_>) -> Self {
        let (title, text) = (scene.shorten(headline), scene.shorten(text));
        Self { place: scene.scenario(), title, text, key: Vec::new() }
    }
}
