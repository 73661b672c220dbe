//! One live allocation: a word of the side table, at the granule where the block starts.
//!
//! ```text
//!   63        40 39     26 25       0
//!   [size: 24  ][epoch: 14][site: 26]
//! ```
//! A word of site 0 is no entry: that is the root, which no allocation has. A block whose size
//! does not fit has [`LARGE`] there and its size in the word of the next granule, which is the
//! block's own because the block is larger than a granule.
//!
//! ```text
//!   63                        26 25       0
//!   [size: 38                  ][0       ]
//! ```
//! So that word is no entry by itself: a child can be killed, or looked at, where one of the two
//! is there and the other is not.

use super::site;

/// The highest epoch that an entry can hold.
pub(crate) const MAX_EPOCH: u32 = (1 << EPOCH_BITS) - 1;

/// The size field of a block whose size is in the next word.
pub(crate) const LARGE: u64 = (1 << SIZE_BITS) - 1;

const SITE_BITS: u32 = 26;
const EPOCH_BITS: u32 = 14;
const SIZE_BITS: u32 = 24;

const SITE: u64 = (1 << SITE_BITS) - 1;

/// More bytes than any heap has.
const MOST: u64 = u64::MAX >> SITE_BITS;

const _: () = assert!(SITE_BITS + EPOCH_BITS + SIZE_BITS == 64, "an entry is one word");
const _: () = assert!(site::MAX_NODES <= 1 << SITE_BITS, "a site fits an entry");

/// One live allocation, as the side table holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The interned backtrace that made it.
    pub(crate) site: u32,
    /// The epoch it was made in.
    pub(crate) epoch: u32,
    /// Requested bytes.
    pub(crate) size: u64,
}

impl Entry {
    /// The entry's word, and the word for the next granule where the size needs one.
    #[inline(always)]
    pub(crate) fn encode(self) -> (u64, Option<u64>) {
        let large = self.size >= LARGE;
        let size = if large { LARGE } else { self.size };
        let epoch = u64::from(self.epoch.min(MAX_EPOCH));
        let word = (size << (SITE_BITS + EPOCH_BITS)) | (epoch << SITE_BITS) | u64::from(self.site);
        (word, large.then_some(self.size.min(MOST) << SITE_BITS))
    }

    /// The entry of `word`; `next` gives the following granule's word, asked only for a large
    /// block. `None` for a word that is no entry.
    #[inline(always)]
    pub(crate) fn decode(word: u64, next: impl FnOnce() -> u64) -> Option<Self> {
        if word & SITE == 0 {
            return None;
        }
        let field = |shift: u32, bits: u32| (word >> shift) & ((1_u64 << bits).wrapping_sub(1));
        let size = field(SITE_BITS + EPOCH_BITS, SIZE_BITS);
        Some(Self {
            site: u32::try_from(field(0, SITE_BITS)).unwrap_or_default(),
            epoch: u32::try_from(field(SITE_BITS, EPOCH_BITS)).unwrap_or_default(),
            size: if size == LARGE { next() >> SITE_BITS } else { size },
        })
    }

    /// The size in `word`, where it is the entry of a block that is counted and whose size is in
    /// that word alone.
    #[inline(always)]
    pub(crate) fn plain_size(word: u64) -> Option<u64> {
        let (size, site) = (word >> (SITE_BITS + EPOCH_BITS), word & SITE);
        (site != 0 && size != LARGE && site < site::INHERITED as u64).then_some(size)
    }

    /// Whether `word` is the entry of a block whose size is in the next word.
    pub(crate) fn is_large(word: u64) -> bool {
        word >> (SITE_BITS + EPOCH_BITS) == LARGE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_survives() {
        for size in [0, 1, 16, LARGE - 1, LARGE, LARGE + 1, MOST] {
            for epoch in [0, 1, MAX_EPOCH] {
                for site in [1, 2, site::MAX_NODES - 1] {
                    let entry = Entry { site, epoch, size };
                    let (word, next) = entry.encode();
                    assert_eq!(next.is_some(), size >= LARGE);
                    assert_eq!(Entry::is_large(word), size >= LARGE);
                    assert_eq!(Entry::decode(word, || next.unwrap_or(7)), Some(entry));
                }
            }
        }
    }

    #[test]
    fn a_late_epoch_stays_at_the_highest() {
        let (word, _) = Entry { site: 1, epoch: MAX_EPOCH + 9, size: 1 }.encode();
        assert_eq!(Entry::decode(word, || 0).map(|entry| entry.epoch), Some(MAX_EPOCH));
    }

    #[test]
    fn what_has_no_backtrace_or_a_large_size_is_not_plain() {
        for (site, size, plain) in [
            (1, 0, Some(0)),
            (site::INHERITED - 1, LARGE - 1, Some(LARGE - 1)),
            (1, LARGE, None),
            (site::INHERITED, 8, None),
            (site::UNTRACED, 8, None),
            (site::PAUSED, 8, None),
        ] {
            let (word, _) = Entry { site, epoch: 1, size }.encode();
            assert_eq!(Entry::plain_size(word), plain, "site {site}, {size} bytes");
        }
        assert_eq!(Entry::plain_size(0), None);
    }

    #[test]
    fn zero_and_a_size_are_no_entries() {
        let (_, size) = Entry { site: 1, epoch: 1, size: 17_867_658 }.encode();
        for word in [0, size.expect("it is large")] {
            assert_eq!(Entry::decode(word, || unreachable!()), None);
            assert_eq!(Entry::plain_size(word), None);
        }
    }
}
