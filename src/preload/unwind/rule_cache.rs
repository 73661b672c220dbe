//! What is known of return addresses: a rule for each, compiled when it is first seen.
//!
//! One word for each place, so that no reader sees half of an entry:
//!
//! ```text
//!   63           31 30   29 28      0
//!   [address >> 15][kind   ][rule    ]     at place (address ^ address >> 15 ^ ...) mod 2^15
//! ```
//! Place and upper bits together are the whole address: a hit is never another address's.
//!
//! Invariant: an entry is of an object that is loaded. Code whose return address is on a stack
//! stays loaded, so that entries are right when they are made; [`flush`] empties the cache when an
//! object is closed, and none is made while that goes on.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::arch::{RULE_BITS, Rule};

/// What is known of a return address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Two registers lead to the caller.
    Rule(Rule),
    /// The whole row of the unwind table is needed.
    Row,
    /// It is in the outermost frame.
    Outermost,
}

const PLACE_BITS: u32 = 15;
const KIND_BITS: u32 = 2;
const ADDRESS_BITS: u32 = 48;
const _: () =
    assert!(ADDRESS_BITS - PLACE_BITS + KIND_BITS + RULE_BITS == u64::BITS, "an entry is one word");

const PLACES: usize = 1 << PLACE_BITS;

static ENTRIES: [AtomicU64; PLACES] = [const { AtomicU64::new(0) }; PLACES];
static CLOSING: AtomicU32 = AtomicU32::new(0);

#[inline]
fn place(address: usize) -> Option<&'static AtomicU64> {
    let mixed = address ^ (address >> PLACE_BITS) ^ (address >> (2 * PLACE_BITS));
    ENTRIES.get(mixed & (PLACES - 1))
}

/// What is known of return address `address`.
#[inline]
pub(crate) fn get(address: usize) -> Option<Known> {
    let word = place(address)?.load(Ordering::Relaxed);
    if word >> (RULE_BITS + KIND_BITS) != (address >> PLACE_BITS) as u64 {
        return None;
    }
    match (word >> RULE_BITS) & 3 {
        1 => Some(Known::Rule(Rule::decode(word))),
        2 => Some(Known::Row),
        3 => Some(Known::Outermost),
        _ => None,
    }
}

/// Keeps what is known of return address `address`, which is on the calling thread's stack.
pub(crate) fn put(address: usize, known: Known) {
    if address >> ADDRESS_BITS != 0 || CLOSING.load(Ordering::Acquire) != 0 {
        return;
    }
    let (kind, rule) = match known {
        Known::Rule(rule) => (1_u64, rule.encode()),
        Known::Row => (2, 0),
        Known::Outermost => (3, 0),
    };
    let tag = (address >> PLACE_BITS) as u64;
    if let Some(entry) = place(address) {
        let word = tag << (RULE_BITS + KIND_BITS) | kind << RULE_BITS | rule;
        entry.store(word, Ordering::Relaxed);
    }
}

/// An object is about to be closed.
pub(crate) fn closing() {
    CLOSING.fetch_add(1, Ordering::AcqRel);
    flush();
}

/// It was closed.
pub(crate) fn closed() {
    flush();
    CLOSING.fetch_sub(1, Ordering::AcqRel);
}

/// Forgets everything.
fn flush() {
    for entry in &ENTRIES {
        // A page that was never written stays untouched.
        if entry.load(Ordering::Relaxed) != 0 {
            entry.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_own_entry_or_none() {
        for address in [0x1234_5678_9abc_usize, 0x7fff_ffff_ffff, 0x40_1000] {
            put(address, Known::Row);
            assert_eq!(get(address), Some(Known::Row));
            for bit in 0..ADDRESS_BITS {
                assert_eq!(get(address ^ (1 << bit)), None, "bit {bit} of {address:x}");
            }
            put(address, Known::Outermost);
            assert_eq!(get(address), Some(Known::Outermost));
        }
        put(1 << ADDRESS_BITS, Known::Row);
        assert_eq!(get(1 << ADDRESS_BITS), None, "it doesn't fit");
    }
}
