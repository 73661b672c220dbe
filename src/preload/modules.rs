//! Which loaded object an address belongs to, and its number in the ledger.
//!
//! After a `dlclose` another object may stand at the same address: each close starts a new
//! generation, and a number is used again only after path and build id were compared. What libc
//! opens for `iconv` it closes without a word: all that was learned is forgotten right after a
//! backtrace through one of these.

use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

mod object;
mod symbols;

pub(crate) use self::object::Object;
pub(crate) use self::symbols::{LinkMap, Symbols};
use super::book::Book;
use super::unwind::rule_cache;
use crate::ledger::module::NO_MODULE;

/// Grows when a `dlclose` begins and when it ends.
static GENERATION: AtomicU32 = AtomicU32::new(1);

/// How many numbers are remembered by the start of their object's mapping.
const REMEMBERED: usize = 256;

/// `[start of the mapping >> 12: 36][generation: 16][number: 12]`, zero where nothing is known.
static NUMBERS: [AtomicU64; REMEMBERED] = [const { AtomicU64::new(0) }; REMEMBERED];

static OWN_START: AtomicUsize = AtomicUsize::new(0);
static OWN_END: AtomicUsize = AtomicUsize::new(0);

/// An object is about to be closed.
pub(crate) fn closing() {
    GENERATION.fetch_add(1, Ordering::AcqRel);
    // Sixteen bits of a generation come again.
    for number in &NUMBERS {
        number.store(0, Ordering::Relaxed);
    }
    rule_cache::closing();
}

/// An object was closed: what is remembered has to be compared again.
pub(crate) fn closed() {
    GENERATION.fetch_add(1, Ordering::AcqRel);
    rule_cache::closed();
}

/// The numbers are those of another ledger, though nothing was closed: backtraces and numbers are
/// found again, rules stay.
pub(crate) fn renumber() {
    GENERATION.fetch_add(1, Ordering::AcqRel);
    for number in &NUMBERS {
        number.store(0, Ordering::Relaxed);
    }
}

/// The number of what is loaded now: what was found out under another one may be wrong.
#[inline]
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Acquire)
}

/// Whether `address` is in the preload heap's own code.
pub(crate) fn is_own(address: usize) -> bool {
    let mut end = OWN_END.load(Ordering::Acquire);
    if end == 0 {
        let Some(own) = Object::find(is_own as *const () as usize) else { return false };
        OWN_START.store(own.start, Ordering::Relaxed);
        OWN_END.store(own.end, Ordering::Release);
        end = own.end;
    }
    address >= OWN_START.load(Ordering::Relaxed) && address < end
}

/// The number of `object` in `book`; [`NO_MODULE`] where the ledger has no room for it.
pub(crate) fn number(book: &Book, object: &Object) -> u16 {
    let generation = u64::from(GENERATION.load(Ordering::Acquire) & 0xffff);
    let tag = (object.start as u64 >> 12 << 28) | (generation << 12);
    let remembered = NUMBERS.get((object.start >> 12).wrapping_rem(REMEMBERED));
    if let Some(known) = remembered.map(|word| word.load(Ordering::Relaxed))
        && known & !0xfff == tag
        && known & 0xfff != 0
    {
        return u16::try_from(known & 0xfff).unwrap_or(NO_MODULE);
    }
    let record = object.record();
    let known = (1..book.module_count()).find(|number| book.module(*number) == record);
    let Some(number) = known.or_else(|| book.add_module(&record)) else { return NO_MODULE };
    if object.is_converter() {
        closing();
        closed();
    } else if let Some(word) = remembered {
        word.store(tag | u64::from(number), Ordering::Relaxed);
    }
    number
}

#[cfg(test)]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_forgotten_when_something_closes() {
        // As many closes as a generation has numbers: it would be taken for the same.
        let start = 0x7000_0000_u64;
        for word in &NUMBERS {
            word.store(start << 28 | 5, Ordering::Relaxed);
        }
        closing();
        closed();
        let known = |word: &AtomicU64| word.load(Ordering::Relaxed) == start << 28 | 5;
        assert!(!NUMBERS.iter().any(known));
    }
}
