//! What is known of return addresses: a rule for each, compiled when it is first seen.
//!
//! One word for each address, so that no reader sees half of an entry, in sets of four: two frames
//! of one stack that shared a place would drive each other out, walk by walk.
//!
//! ```text
//!   63           29 28      0
//!   [address >> 13][rule    ]     in set (address ^ address >> 13 ^ ...) mod 2^13
//! ```
//! Set and upper bits together are the whole address: a hit is never another address's. What is no
//! rule has none of the bits of a frame's size.
//!
//! Invariant: an entry is of an object that is loaded. Code whose return address is on a stack
//! stays loaded, so that entries are right when they are made; [`flush`] empties the cache when an
//! object is closed, and none is made while that goes on.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::arch::{RULE_BITS, Rule, SIZE};

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

const SET_BITS: u32 = 13;
const ADDRESS_BITS: u32 = 48;
const _: () = assert!(ADDRESS_BITS - SET_BITS + RULE_BITS == u64::BITS, "an entry is one word");

const SETS: usize = 1 << SET_BITS;
const WAYS: usize = 4;

type Set = [AtomicU64; WAYS];
static SETS_OF_ENTRIES: [Set; SETS] = [const { [const { AtomicU64::new(0) }; WAYS] }; SETS];
static CLOSING: AtomicU32 = AtomicU32::new(0);
/// Whether there may be an entry.
static USED: AtomicBool = AtomicBool::new(false);
/// The way of the next entry in a full set.
static VICTIM: AtomicU32 = AtomicU32::new(0);

#[inline(always)]
fn set(address: usize) -> Option<&'static Set> {
    let mixed = address ^ (address >> SET_BITS) ^ (address >> (2 * SET_BITS));
    SETS_OF_ENTRIES.get(mixed & (SETS - 1))
}

fn tag(address: usize) -> u64 {
    (address >> SET_BITS) as u64
}

/// What is known of return address `address`.
#[inline(always)]
pub(crate) fn get(address: usize) -> Option<Known> {
    for entry in set(address)? {
        let word = entry.load(Ordering::Relaxed);
        if word >> RULE_BITS == tag(address) {
            return known(word);
        }
    }
    None
}

// In place of a rule; no bit of them is one of SIZE.
const NO_RULE: u64 = SIZE + 1;
const ROW: u64 = NO_RULE;
const OUTERMOST: u64 = NO_RULE << 1;

#[inline(always)]
fn known(word: u64) -> Option<Known> {
    let rule = word & ((1 << RULE_BITS) - 1);
    match rule {
        _ if rule & SIZE != 0 => Some(Known::Rule(Rule::decode(rule))),
        ROW => Some(Known::Row),
        OUTERMOST => Some(Known::Outermost),
        _ => None,
    }
}

/// Keeps what is known of return address `address`, which is on the calling thread's stack.
pub(crate) fn put(address: usize, known: Known) {
    if address >> ADDRESS_BITS != 0 || CLOSING.load(Ordering::Acquire) != 0 {
        return;
    }
    let rule = match known {
        Known::Rule(rule) => rule.encode(),
        Known::Row => ROW,
        Known::Outermost => OUTERMOST,
    };
    let Some(set) = set(address) else { return };
    let tag = tag(address);
    let is_its = |entry: &&AtomicU64| {
        let word = entry.load(Ordering::Relaxed);
        word == 0 || word >> RULE_BITS == tag
    };
    let victim = || set.get(VICTIM.fetch_add(1, Ordering::Relaxed) as usize % WAYS);
    if let Some(entry) = set.iter().find(is_its).or_else(victim) {
        entry.store(tag << RULE_BITS | rule, Ordering::Relaxed);
        USED.store(true, Ordering::Release);
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
    if !USED.swap(false, Ordering::AcqRel) {
        return;
    }
    for entry in SETS_OF_ENTRIES.iter().flatten() {
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
    fn frames_of_one_stack_do_not_drive_each_other_out() {
        // The same set, all of them.
        let address = |number: usize| {
            let upper = (0x55_0000 + number) << SET_BITS;
            upper | (0x155 ^ (upper >> SET_BITS) ^ (upper >> (2 * SET_BITS))) & (SETS - 1)
        };
        (0..WAYS).for_each(|number| put(address(number), Known::Row));
        assert!((0..WAYS).all(|number| get(address(number)) == Some(Known::Row)));
        put(address(WAYS), Known::Outermost);
        assert_eq!(get(address(WAYS)), Some(Known::Outermost));
        let left = (0..WAYS).filter(|number| get(address(*number)).is_some()).count();
        assert_eq!(left, WAYS - 1, "one made room");
    }

    #[cfg(target_arch = "x86_64")]
    fn rules(from_frame_pointer: bool) -> impl Iterator<Item = Rule> {
        let forms = [(8, 0), (8, 8), (131_064, 131_064), (16, 16), (24, 8)];
        forms.into_iter().map(move |(cfa, fp_at)| Rule { from_frame_pointer, cfa, fp_at })
    }

    #[cfg(target_arch = "aarch64")]
    fn rules(from_frame_pointer: bool) -> impl Iterator<Item = Rule> {
        let forms = [(16, 16), (65_528, 65_528), (16, 8), (32, 24)];
        let forms = forms.into_iter().flat_map(|(cfa, at)| [(cfa, at, false), (cfa, at, true)]);
        forms.map(move |(cfa, at, saves_frame_pointer)| Rule {
            from_frame_pointer,
            saves_frame_pointer,
            cfa,
            at,
        })
    }

    #[test]
    fn rules_of_every_form_are_kept() {
        for rule in [false, true].into_iter().flat_map(rules) {
            put(0x7654_3210, Known::Rule(rule));
            assert_eq!(get(0x7654_3210), Some(Known::Rule(rule)));
        }
    }

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
