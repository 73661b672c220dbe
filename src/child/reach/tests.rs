//! Graphs made by hand: four blocks of 32 bytes, at 0x1000, 0x1100, 0x1200, 0x1300, and longer ones.

use std::collections::HashMap;

use super::reached::Chain;
use super::*;
use crate::report::Reachability::{self, Indirect, Lost, Reachable};

fn address(index: u64) -> u64 {
    0x1000 + index * 0x100
}

/// Blocks of 32 bytes with these words each, and one class of roots behind the other.
fn graph(roots: &[&[u64]], pointers: &[&[u64]]) -> Reached {
    let blocks: Vec<_> =
        (0..).zip(pointers).map(|(index, _)| Block { address: address(index), size: 32 }).collect();
    let memory: HashMap<u64, u64> = (0..)
        .zip(pointers)
        .flat_map(|(index, words)| (address(index)..).step_by(8).zip(words.iter().copied()))
        .collect();
    let mut origin = 0;
    let roots: Vec<Vec<Root>> = roots
        .iter()
        .map(|class| {
            let root = |word: &u64| {
                origin += 1;
                Root { word: *word, origin: Origin::Memory(origin) }
            };
            class.iter().map(root).collect()
        })
        .collect();
    mark(&blocks, &roots, |at, buffer| {
        for (word, at) in buffer.chunks_exact_mut(8).zip((at..).step_by(8)) {
            let value = memory.get(&at).copied().unwrap_or_default();
            word.copy_from_slice(&value.to_le_bytes());
        }
        buffer.len()
    })
}

fn states(roots: &[u64], pointers: [&[u64]; 4]) -> Vec<Reachability> {
    let reached = graph(&[roots], &pointers);
    (0..pointers.len()).map(|block| reached.state(block)).collect()
}

#[test]
fn without_roots_everything_is_lost() {
    assert_eq!(states(&[], [&[], &[], &[], &[]]), [Lost, Lost, Lost, Lost]);
}

#[test]
fn a_chain_from_a_root_is_reachable() {
    let found = states(&[0x1000], [&[7, 0x1100], &[0x1200], &[], &[]]);
    assert_eq!(found, [Reachable, Reachable, Reachable, Lost]);
}

#[test]
fn a_pointer_into_the_middle_counts_and_one_past_the_end_does_not() {
    assert_eq!(states(&[0x101f, 0x1120], [&[], &[], &[], &[]])[..2], [Reachable, Lost]);
}

#[test]
fn what_only_lost_blocks_lead_to_is_indirect() {
    let found = states(&[], [&[0x1100], &[0x1200], &[], &[]]);
    assert_eq!(found, [Lost, Indirect, Indirect, Lost]);
    let backwards = states(&[], [&[], &[], &[0x1000], &[0x1200]]);
    assert_eq!(backwards, [Indirect, Lost, Indirect, Lost]);
}

#[test]
fn of_a_ring_one_is_lost() {
    let found = states(&[], [&[0x1100], &[0x1000], &[0x1200], &[]]);
    assert_eq!(found, [Lost, Indirect, Lost, Lost], "a pointer to itself says nothing");
}

#[test]
fn a_block_of_no_bytes_is_found_by_its_address() {
    let block = Block { address: 0x2000, size: 0 };
    let root = Root { word: 0x2000, origin: Origin::Register(1) };
    assert_eq!(mark(&[block], &[vec![root]], |_, _| 0).state(0), Reachable);
}

fn owners(pointers: &[&[u64]]) -> Vec<Option<usize>> {
    let reached = graph(&[], pointers);
    (0..pointers.len()).map(|block| reached.owner(block)).collect()
}

#[test]
fn an_indirect_block_is_the_lost_one_s_that_leads_to_it() {
    let found = owners(&[&[0x1100], &[0x1200], &[], &[]]);
    assert_eq!(found, [None, Some(0), Some(0), None]);
    let of_two = owners(&[&[0x1100], &[], &[0x1100], &[]]);
    assert_eq!(of_two, [None, Some(0), None, None], "the first of two that lead to it");
    let of_a_ring = owners(&[&[0x1100], &[0x1200], &[0x1000, 0x1300], &[]]);
    assert_eq!(of_a_ring, [None, Some(0), Some(0), Some(0)]);
}

#[test]
fn what_a_lost_block_had_goes_to_the_block_that_leads_to_it() {
    // Each block leads to the one before it: 0 has 1 first, that one then goes to 2, and so on.
    let backwards = owners(&[&[], &[0x1000], &[0x1100], &[0x1200]]);
    assert_eq!(backwards, [Some(3), Some(3), Some(3), None]);
    // The ring of 0 and 2 is 0's until 3 leads to it.
    let ring = owners(&[&[0x1200], &[], &[0x1000], &[0x1000, 0x1100]]);
    assert_eq!(ring, [Some(3), Some(3), Some(3), None]);
}

#[test]
fn reachable_blocks_belong_to_nobody() {
    let reached = graph(&[&[0x1000]], &[&[0x1100], &[], &[0x1100], &[0x1000]]);
    assert_eq!([0, 1, 2, 3].map(|at| reached.state(at)), [Reachable, Reachable, Lost, Lost]);
    assert_eq!((reached.owner(0), reached.owner(1), reached.owner(2)), (None, None, None));
}

#[test]
fn a_chain_names_the_root_and_the_blocks_between() {
    let reached = graph(&[&[7, 0x1008]], &[&[7, 0x1100], &[1, 2, 3, 0x121f], &[], &[]]);
    let chain =
        |between: &[usize]| Some(Chain { origin: Origin::Memory(2), between: between.to_vec() });
    assert_eq!(reached.chain(0), chain(&[]));
    assert_eq!(reached.chain(1), chain(&[0]));
    assert_eq!(reached.chain(2), chain(&[0, 1]));
    assert_eq!(reached.chain(3), None, "it is lost");
    assert_eq!((reached.offset(0, 1), reached.offset(1, 2)), (Some(8), Some(24)));
    assert_eq!(reached.offset(0, 2), None);
}

#[test]
fn a_chain_is_the_shortest_from_the_first_class_of_roots() {
    // 0 -> 1 -> 2 -> 3, 0 -> 3; a root of the second class points to 2.
    let pointers: [&[u64]; 5] = [&[0x1100, 0x1300], &[0x1200], &[0x1300], &[], &[]];
    let reached = graph(&[&[0x1000], &[0x1200, 0x1400]], &pointers);
    let chain = |block| reached.chain(block).map(|chain| (chain.origin, chain.between));
    assert_eq!(chain(3), Some((Origin::Memory(1), vec![0])));
    assert_eq!(chain(2), Some((Origin::Memory(1), vec![0, 1])));
    assert_eq!(chain(4), Some((Origin::Memory(3), vec![])));
    assert_eq!(reached.nearest([2, 3, 4]), Some(3));
    assert_eq!(reached.nearest([4, 1]), Some(1));
    assert_eq!(graph(&[], &pointers).nearest([0, 1]), None);
}

#[test]
fn a_long_list_is_one_chain() {
    const LENGTH: u64 = 10_000;
    let words: Vec<[u64; 1]> = (1..=LENGTH).map(|next| [address(next)]).collect();
    let pointers: Vec<&[u64]> = words.iter().map(|word| &word[..]).collect();
    let last = pointers.len() - 1;
    let held = graph(&[&[address(0)]], &pointers);
    assert_eq!(held.chain(last).map(|chain| chain.between), Some((0..last).collect()));
    let lost = graph(&[], &pointers);
    assert_eq!((lost.owner(last), lost.owner(0)), (Some(0), None));
}
