//! The gate: what was found passes if it was accepted, in a snapshot that insta keeps and reviews.
//!
//! ```text
//!   gate     what passes, what fails, what is said of it
//!   golden   the snapshot's files, and insta
//! ```
//! It is opened before anything is run, so that a damaged snapshot is known first. What was not
//! checked is not brought here: it touches no snapshot and no pending one.

mod golden;

use std::path::{Path, PathBuf};

pub(crate) use golden::{Assert, quiet};

use crate::report::{Group, Report, text};
use crate::snapshot::{self, Difference, SnapshotGroup};
use golden::{Golden, Proposed};

/// The variable that makes vanished tracebacks fail.
const STRICT_VARIABLE: &str = "LEAKSNAP_STRICT";

/// What the bytes of a report are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sizes {
    /// What was asked for: the same in every run.
    Requested,
    /// What the heap gave: it depends on the blocks that were free.
    Usable,
}

/// Why what was found may pass.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Passed {
    /// It is what was accepted.
    AsAccepted,
    /// There is less than was accepted, which is worth a note.
    Less(Unlike),
    /// It is not what was accepted, and insta was told to let it pass: it is pending, or accepted
    /// with this.
    Forced,
    /// It is not what was accepted, and leaks on the base, too: how many tracebacks.
    OnBase(usize),
}

/// What was found is not what was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unlike {
    /// What to say of it.
    pub(crate) text: String,
    /// How it differs.
    pub(crate) difference: Box<Difference>,
}

/// What was accepted under a name.
#[derive(Debug)]
pub(crate) struct Gate {
    golden: Golden,
    name: String,
    assert: Assert,
    accepted: Vec<SnapshotGroup>,
    body: String,
    /// What was found on the base, where a change is compared with that.
    base: Vec<SnapshotGroup>,
}

impl Gate {
    /// The gate of `name`, whose snapshot is below `folder`. `scenario` is the file that the name
    /// comes from, for reviewers; an empty path where there is none.
    ///
    /// # Errors
    /// Where the accepted snapshot can't be read or is damaged: with its place.
    pub(crate) fn open(
        folder: &Path,
        name: &str,
        scenario: &Path,
        assert: Assert,
    ) -> Result<Self, String> {
        let golden = Golden::new(folder, name, scenario);
        let (accepted, body) = golden.accepted()?.unwrap_or_default();
        Ok(Self { golden, name: name.to_owned(), assert, accepted, body, base: Vec::new() })
    }

    /// The same gate, through which passes as well what was found on the base, whose snapshots are
    /// below `folder`.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(crate) fn with_base(mut self, folder: &Path) -> Result<Self, String> {
        let golden = Golden::new(folder, &self.name, Path::new(""));
        self.base = golden.accepted()?.unwrap_or_default().0;
        Ok(self)
    }

    /// What may be there: what was accepted, and what the base has.
    fn known(&self) -> Vec<SnapshotGroup> {
        let mut known = self.accepted.clone();
        for group in &self.base {
            match known.iter_mut().find(|known| known.frames == group.frames) {
                Some(known) if snapshot::exceeds(group, known) => *known = group.clone(),
                Some(_) => {}
                None => known.push(group.clone()),
            }
        }
        known
    }

    /// How `found` differs from what may be there.
    fn compare(&self, found: &[SnapshotGroup]) -> Difference {
        let mut difference = snapshot::compare(&self.known(), found);
        // What the base alone has is not this snapshot's to lose.
        let is_accepted = |group: &SnapshotGroup| self.accepted.contains(group);
        difference.shrunk.retain(|change| is_accepted(&change.accepted));
        difference.vanished.retain(is_accepted);
        difference
    }

    /// The gate that the harness has for the scenario `file`, where its snapshots lie beside the
    /// scenarios: of the folders that the file is in, the innermost one with a snapshot of it. `None`
    /// where there is no snapshot.
    ///
    /// # Errors
    /// Where the snapshot can't be read or is damaged: with its place.
    #[cfg(feature = "exports")]
    pub(crate) fn beside(file: &Path) -> Result<Option<Self>, String> {
        let file = std::path::absolute(file).map_err(|error| error.to_string())?;
        let gates = file.ancestors().skip(1).filter_map(|root| {
            let name = file.strip_prefix(root).ok()?.with_extension("");
            let folder = root.join("snapshots");
            let is_there = folder.join(&name).with_extension("snap").is_file();
            is_there.then(|| (folder, name.to_string_lossy().into_owned()))
        });
        // Nothing is asserted by it: it is there to be compared with.
        let assert = |_: &str, _: &str| {};
        let mut gates = gates.map(|(folder, name)| Self::open(&folder, &name, &file, assert));
        gates.next().transpose()
    }

    /// The accepted snapshot's file.
    pub(crate) fn path(&self) -> PathBuf {
        self.golden.path()
    }

    /// Whether all of `groups` that fail were accepted.
    pub(crate) fn accepts(&self, groups: &[Group]) -> bool {
        !self.compare(&snapshot::found(groups)).fails()
    }

    /// Compares `report` with what was accepted, and leaves a pending snapshot where they differ.
    /// Where `sizes` are usable ones, about as many bytes are as many.
    ///
    /// # Errors
    /// Where something is not accepted: what, and how to accept it.
    pub(crate) fn pass(&self, report: &Report, sizes: Sizes) -> Result<Passed, Unlike> {
        let Self { golden, name, assert, accepted, .. } = self;
        // What the programs that it started leak is accepted with what it leaks itself.
        let report = &Report { groups: report.all_groups(), ..report.clone() };
        let found = self.found(&report.groups, sizes);
        let difference = Box::new(self.compare(&found));
        if !self.base.is_empty() && !difference.fails() {
            let own = snapshot::compare(accepted, &found);
            if own.fails() {
                // Nobody is asked to accept what others have made.
                return Ok(Passed::OnBase(own.new.len() + own.grown.len() + own.moved.len()));
            }
        }
        if !difference.fails() && !difference.is_outdated() {
            if !accepted.is_empty() {
                // The same, if in other words: it stays as it is, and insta is told that it is
                // needed.
                golden.keep(*assert, accepted, &self.body);
            }
            golden.forget_pending();
            return Ok(Passed::AsAccepted);
        }
        let strict = std::env::var_os(STRICT_VARIABLE).is_some_and(|value| value == "1");
        if found.is_empty() {
            // Clean is no snapshot: there is nothing to review, only a file to remove.
            golden.forget_pending();
            let gone =
                format!("nothing leaks in {name} any longer: remove {}", self.path().display());
            let unlike = Unlike { text: gone, difference };
            return if strict { Err(unlike) } else { Ok(Passed::Less(unlike)) };
        }
        let unwritten =
            match golden.propose(*assert, &difference.proposed(), &self.told(&difference)) {
                Proposed::Passes => return Ok(Passed::Forced),
                Proposed::Pending => None,
                Proposed::Unwritten(why) => Some(why),
            };
        if difference.fails() || strict {
            let step = unwritten.as_deref().unwrap_or(snapshot::REVIEW);
            let text = snapshot::failure_text(name, self.known_as(), report, &difference, step);
            // A suppression that hides less than it was meant to says so in a note.
            return Err(Unlike { text: text + &text::notes(report), difference });
        }
        let text = format!(
            "{} of the accepted tracebacks of {name} leak less or no longer; {}",
            difference.shrunk.len() + difference.vanished.len(),
            unwritten.as_deref().unwrap_or("`cargo insta review` makes the snapshot smaller"),
        );
        Ok(Passed::Less(Unlike { text, difference }))
    }

    /// What that is called which passes.
    fn known_as(&self) -> &'static str {
        if self.base.is_empty() { "accepted" } else { "accepted, or on the base" }
    }

    /// What a reviewer is told of `difference`: by traceback, which a comparison of lines is not.
    fn told(&self, difference: &Difference) -> String {
        let counts = snapshot::counts(difference);
        // Where nothing was accepted, all that follows is new.
        let has_none = self.accepted.is_empty() && self.base.is_empty();
        let hunks = if has_none { String::new() } else { difference.to_string() };
        format!("{}: {counts}\n{hunks}", self.name)
    }

    /// Whether what the base has passes, too.
    #[cfg(feature = "exports")]
    pub(crate) fn has_base(&self) -> bool {
        !self.base.is_empty()
    }

    /// How what `report` found differs from what may be there; no snapshot is touched.
    #[cfg(feature = "exports")]
    pub(crate) fn difference(&self, report: &Report, sizes: Sizes) -> snapshot::Difference {
        self.compare(&self.found(&report.all_groups(), sizes))
    }

    fn found(&self, groups: &[Group], sizes: Sizes) -> Vec<SnapshotGroup> {
        let mut found = snapshot::found(groups);
        if sizes == Sizes::Usable {
            self.settle(&mut found);
        }
        found
    }

    /// Gives `found` the accepted amounts where they differ by no more than usable sizes do.
    fn settle(&self, found: &mut [SnapshotGroup]) {
        for group in found {
            let accepted = self.accepted.iter().find(|accepted| accepted.frames == group.frames);
            if let Some(accepted) = accepted.filter(|it| it.amount.is_about(group.amount)) {
                group.amount = accepted.amount;
            }
        }
    }
}
