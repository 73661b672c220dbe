//! The readings of an iterated scenario, each reduced to what a verdict needs while it is read:
//! only the newest that a verdict is asked of is kept whole.
//!
//! Invariant of [`Marks`]: of each site there is a change for every mark at which its total was
//! another one than at the mark before; at first, each total is zero.

use std::ops::ControlFlow;

use super::one;
use super::sites::{Buckets, Number, Places};
use crate::child::ledger_file::{LedgerError, LedgerFile, Live};
use crate::verdict::Total;

/// What was live at the window's start and at the end of each iteration.
#[derive(Debug)]
pub(crate) struct Marks {
    /// The epoch before the first iteration; what is kept counts from there.
    base: u32,
    places: Places,
    count: usize,
    /// By mark: what is live of all sites.
    totals: Vec<Total>,
    /// By place: what is live at the mark that is read, and at the one before.
    now: Vec<Total>,
    before: Vec<Total>,
    changes: Vec<Change>,
    /// By place: what was live before the mark that is kept whole.
    earlier: Vec<Total>,
    last: Vec<Live>,
    /// The place of each block of `last`, but for those that no verdict counts.
    last_places: Vec<Option<Number>>,
}

/// A site's total from a mark on.
#[derive(Debug, Clone, Copy)]
struct Change {
    place: usize,
    mark: usize,
    total: Total,
}

/// Whether `block` is an iteration's: what was made before the first, by opening plugins, is
/// none's.
fn is_counted(block: &Live) -> bool {
    !block.is_paused() && block.entry.epoch > 0
}

impl Marks {
    /// No marks yet; the first iteration is the epoch after `base`.
    pub(crate) fn new(base: u32) -> Self {
        let places = Places::new();
        let (now, before, changes, earlier) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (last, last_places) = (Vec::new(), Vec::new());
        let totals = Vec::new();
        Self { base, places, count: 0, totals, now, before, changes, earlier, last, last_places }
    }

    /// What is live now of all sites, as a mark would count it; no mark is made.
    ///
    /// # Errors
    /// Where the ledger can't be read.
    pub(crate) fn glance(&self, ledger: &LedgerFile) -> Result<Total, LedgerError> {
        let mut total = Total::default();
        ledger.each_live(|mut block| {
            self.shift(&mut block);
            if is_counted(&block) {
                total += one(&block);
            }
            ControlFlow::Continue(())
        })?;
        Ok(total)
    }

    /// What was live at each mark, of all sites.
    pub(crate) fn totals(&self) -> &[Total] {
        &self.totals
    }

    /// Reads a mark of which totals are all that is kept.
    ///
    /// # Errors
    /// Where the ledger can't be read.
    pub(crate) fn read(&mut self, ledger: &LedgerFile) -> Result<(), LedgerError> {
        ledger.each_live(|mut block| {
            self.shift(&mut block);
            self.add(&block);
            ControlFlow::Continue(())
        })?;
        self.close();
        Ok(())
    }

    /// Reads a mark and keeps it whole.
    ///
    /// # Errors
    /// Where the ledger can't be read.
    pub(crate) fn read_whole(&mut self, ledger: &LedgerFile) -> Result<(), LedgerError> {
        let live = self.live(ledger)?;
        self.take(live);
        Ok(())
    }

    /// Reads the newest mark, which was kept whole, again, and forgets what it was; whether it is
    /// another one now.
    ///
    /// # Errors
    /// Where the ledger can't be read.
    pub(crate) fn read_again(&mut self, ledger: &LedgerFile) -> Result<bool, LedgerError> {
        let live = self.live(ledger)?;
        let changed = live != self.last;
        if changed {
            self.take_again(live);
        }
        Ok(changed)
    }

    /// The newest mark, which was kept whole, is `live` as the ledger has it.
    pub(crate) fn replace(&mut self, mut live: Vec<Live>) {
        live.iter_mut().for_each(|block| self.shift(block));
        self.take_again(live);
    }

    fn take_again(&mut self, live: Vec<Live>) {
        self.count = self.count.saturating_sub(1);
        self.totals.truncate(self.count);
        while self.changes.pop_if(|change| change.mark == self.count).is_some() {}
        self.before.clone_from(&self.earlier);
        self.take(live);
    }

    /// A mark at which `live` was read.
    pub(super) fn take(&mut self, live: Vec<Live>) {
        self.earlier.clone_from(&self.before);
        self.last_places = live.iter().map(|block| self.add(block)).collect();
        self.last = live;
        self.close();
    }

    /// The live allocations of the mark that was kept whole.
    pub(crate) fn last(&self) -> &[Live] {
        &self.last
    }

    /// The place of each of them, but for those that no verdict counts.
    pub(super) fn last_places(&self) -> &[Option<Number>] {
        &self.last_places
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Every site that was live at a mark.
    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    fn live(&self, ledger: &LedgerFile) -> Result<Vec<Live>, LedgerError> {
        let mut live = ledger.live()?;
        live.iter_mut().for_each(|block| self.shift(block));
        Ok(live)
    }

    /// Counts the epoch of `block` from the base: what is older was made before the first iteration.
    fn shift(&self, block: &mut Live) {
        block.entry.epoch = block.entry.epoch.saturating_sub(self.base);
    }

    /// Adds `block` to its site's total; the site's place, where the block is counted.
    fn add(&mut self, block: &Live) -> Option<Number> {
        if !is_counted(block) {
            return None;
        }
        let place = self.places.of(block.entry.site);
        if place == self.now.len() {
            self.now.push(Total::default());
        }
        self.now[place] += one(block);
        Some(Number::new(place))
    }

    fn close(&mut self) {
        self.before.resize(self.now.len(), Total::default());
        self.totals.push(self.now.iter().fold(Total::default(), |sum, total| sum + *total));
        for (place, (now, before)) in self.now.iter_mut().zip(&mut self.before).enumerate() {
            if now != before {
                self.changes.push(Change { place, mark: self.count, total: *now });
                *before = *now;
            }
            *now = Total::default();
        }
        self.count += 1;
    }

    /// The marks of each site.
    pub(super) fn series(&self) -> Series<'_> {
        let places = self.changes.iter().map(|change| Some(Number::new(change.place)));
        let places: Vec<_> = places.collect();
        Series { marks: self, by_place: Buckets::new(self.places.sites().len(), &places) }
    }
}

/// The marks by site.
#[derive(Debug)]
pub(super) struct Series<'a> {
    marks: &'a Marks,
    by_place: Buckets,
}

impl Series<'_> {
    /// Adds what the site at `place` had at each mark to `sums`, one for each mark.
    pub(super) fn add(&self, place: usize, sums: &mut [Total]) {
        let mut changes = self.by_place.of(place).map(|at| self.marks.changes[at]).peekable();
        while let Some(change) = changes.next() {
            let end = changes.peek().map_or(sums.len(), |next| next.mark);
            sums[change.mark..end].iter_mut().for_each(|sum| *sum += change.total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::entry::Entry;
    use crate::ledger::site::PAUSED;

    fn block(site: u32, epoch: u32, size: u64) -> Live {
        Live { address: 16, entry: Entry { site, epoch, size } }
    }

    fn marks(readings: &[&[Live]]) -> Marks {
        let mut marks = Marks::new(0);
        readings.iter().for_each(|live| marks.take(live.to_vec()));
        marks
    }

    fn of(marks: &Marks, site: u32) -> Vec<(u64, u64)> {
        let mut sums = vec![Total::default(); marks.count()];
        let place = marks.places().sites().iter().position(|found| *found == site);
        let place = place.expect("the site was live");
        marks.series().add(place, &mut sums);
        sums.iter().map(|total| (total.blocks, total.bytes)).collect()
    }

    #[test]
    fn a_site_s_totals_come_back_mark_by_mark() {
        let (one, two, three) = (block(5, 1, 10), block(5, 2, 20), block(6, 2, 1));
        let marks = marks(&[&[], &[one], &[one, two], &[two, one, three], &[], &[one]]);
        assert_eq!(of(&marks, 5), [(0, 0), (1, 10), (2, 30), (2, 30), (0, 0), (1, 10)]);
        assert_eq!(of(&marks, 6), [(0, 0), (0, 0), (0, 0), (1, 1), (0, 0), (0, 0)]);
        assert_eq!(marks.changes.len(), 6, "what stays the same takes no room");
        let bytes: Vec<_> = marks.totals().iter().map(|total| total.bytes).collect();
        assert_eq!(bytes, [0, 10, 30, 31, 0, 10]);
    }

    #[test]
    fn a_mark_that_is_read_again_leaves_nothing_of_the_first_reading() {
        let (one, two, three) = (block(5, 1, 10), block(5, 2, 20), block(6, 2, 1));
        let mut marks = marks(&[&[one], &[one, two, three]]);
        marks.replace(vec![one]);
        assert_eq!((marks.count(), of(&marks, 5)), (2, vec![(1, 10), (1, 10)]));
        assert_eq!(of(&marks, 6), [(0, 0), (0, 0)]);
        marks.take(vec![three]);
        assert_eq!(of(&marks, 5), [(1, 10), (1, 10), (0, 0)]);
        assert_eq!(of(&marks, 6), [(0, 0), (0, 0), (1, 1)]);
        assert_eq!(marks.last(), [three]);
        let bytes: Vec<_> = marks.totals().iter().map(|total| total.bytes).collect();
        assert_eq!(bytes, [10, 10, 1]);
    }

    #[test]
    fn what_is_older_than_the_base_was_made_before_the_first_iteration() {
        let mut marks = Marks::new(40);
        let (older, first) = (block(5, 40, 10), block(5, 41, 20));
        marks.take(Vec::new());
        marks.replace(vec![older, first]);
        assert_eq!(of(&marks, 5), [(1, 20)]);
        assert_eq!(marks.last(), [block(5, 0, 10), block(5, 1, 20)]);
    }

    #[test]
    fn what_was_allocated_in_a_pause_or_before_the_first_iteration_is_not_counted() {
        let marks = marks(&[&[block(PAUSED, 3, 10), block(5, 0, 10)]]);
        assert_eq!((marks.count(), marks.places().sites()), (1, &[][..]));
    }
}
