//! Sites by number: what is known of each lies in a row, not behind a hash.

use std::num::NonZeroU32;

/// Numbers for the sites that appear, in the order in which they do.
#[derive(Debug)]
pub(super) struct Places {
    /// By site, up to the newest that has one: its place. A row for each site that could be would
    /// be megabytes for a program of a thousand.
    by_site: Vec<Option<NonZeroU32>>,
    sites: Vec<u32>,
}

impl Places {
    /// No places yet.
    pub(super) fn new() -> Self {
        Self { by_site: Vec::new(), sites: Vec::new() }
    }

    /// The place of `site`, which a reading has checked to be below the number of nodes.
    pub(super) fn of(&mut self, site: u32) -> usize {
        let index = site as usize;
        if index >= self.by_site.len() {
            self.by_site.resize((index + 1).next_power_of_two(), None);
        }
        let place = &mut self.by_site[index];
        let known = place.get_or_insert_with(|| {
            self.sites.push(site);
            Number::new(self.sites.len() - 1).0
        });
        Number(*known).get()
    }

    /// The place of `site`, if it has one.
    pub(super) fn known(&self, site: u32) -> Option<usize> {
        self.by_site.get(site as usize).copied().flatten().map(|place| Number(place).get())
    }

    /// The sites by place.
    pub(super) fn sites(&self) -> &[u32] {
        &self.sites
    }

    /// The sites in their own order, with their places.
    pub(super) fn sorted(&self) -> Vec<(u32, usize)> {
        let mut sorted: Vec<_> = self.sites.iter().copied().zip(0..).collect();
        sorted.sort_unstable();
        sorted
    }
}

/// A number in four bytes, with a value to spare for none: there is one for each live block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(NonZeroU32);

impl Number {
    /// `number`, of which there are fewer than a u32 has values.
    pub(super) fn new(number: usize) -> Self {
        let more = u32::try_from(number).ok().and_then(|number| number.checked_add(1));
        Self(more.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX))
    }

    /// The number.
    pub(super) fn get(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Positions in a list, by a number that each item has.
#[derive(Debug)]
pub(super) struct Buckets {
    /// Where each number's positions end.
    ends: Vec<usize>,
    positions: Vec<u32>,
}

impl Buckets {
    /// The positions of items whose `numbers`, all below `count`, are these; an item without a
    /// number is in no bucket.
    pub(super) fn new(count: usize, numbers: &[Option<Number>]) -> Self {
        let mut ends = vec![0; count + 1];
        for number in numbers.iter().flatten() {
            ends[number.get() + 1] += 1;
        }
        for number in 0..count {
            ends[number + 1] += ends[number];
        }
        let mut positions = vec![0; ends[count]];
        // What is the start of a bucket now is its end once the bucket is full.
        for (position, number) in (0..).zip(numbers) {
            if let Some(number) = number {
                let end = &mut ends[number.get()];
                positions[*end] = position;
                *end += 1;
            }
        }
        ends.truncate(count);
        Self { ends, positions }
    }

    /// The positions of the items with `number`, in order.
    pub(super) fn of(&self, number: usize) -> impl Iterator<Item = usize> + '_ {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.positions[start..self.ends[number]].iter().map(|position| *position as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_site_has_a_place_of_its_own() {
        let mut places = Places::new();
        assert_eq!([7, 3, 99, 3, 7].map(|site| places.of(site)), [0, 1, 2, 1, 0]);
        assert_eq!(places.sites(), [7, 3, 99]);
        assert_eq!(places.sorted(), [(3, 1), (7, 0), (99, 2)]);
    }

    #[test]
    fn buckets_keep_the_order_and_leave_out_what_has_no_number() {
        let numbers = [Some(2), None, Some(0), Some(2), Some(0), None, Some(2)];
        let buckets = Buckets::new(4, &numbers.map(|number| number.map(Number::new)));
        let of = |number| buckets.of(number).collect::<Vec<_>>();
        assert_eq!([of(0), of(1), of(2), of(3)], [vec![2, 4], vec![], vec![0, 3, 6], vec![]]);
    }
}
