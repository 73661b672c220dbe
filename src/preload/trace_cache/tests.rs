//! What is found again, and what may not be.

use super::*;
use crate::preload::log::Log;
use crate::preload::system;
use crate::preload::unwind::stack::Live;

const PAGE: usize = 4096;

/// A caller whose words are `stack`, which is on the thread's own stack.
fn caller(stack: &[Cell<usize>], pc: usize) -> Fast {
    Fast { pc, sp: stack.as_ptr() as usize, fp: 7, fp_is_saved: false }
}

fn keep(traces: &'static Traces, stack: &[Cell<usize>], caller: Fast, reads_fp: bool, site: u32) {
    let used = traces.enter().expect("nobody else is at it");
    let log = Log::new(&used, caller, 1);
    for word in stack {
        log.push(word.as_ptr() as usize, word.get());
    }
    if reads_fp {
        log.frame_pointer(&caller);
    }
    log.keep(1, true, site, CONTEXT);
}

const CONTEXT: usize = 0x77;

/// The site of the backtrace from `caller`, wherever it is.
fn find_in(traces: &'static Traces, caller: Fast, generation: u32) -> Option<u32> {
    let far = traces.find_far(caller, CONTEXT, generation);
    let near = traces.find(caller, generation);
    assert!(near.is_none() || far.is_none() || near == far, "{near:?} {far:?}");
    far.or(near)
}

#[test]
fn a_hit_needs_everything_unchanged() {
    let stack: [Cell<usize>; 29] = std::array::from_fn(Cell::new);
    let traces = Traces::empty();
    let here = caller(&stack, 0x1000);
    assert_eq!(find_in(traces, here, 1), None);
    keep(traces, &stack, here, false, 42);
    assert_eq!(find_in(traces, here, 1), Some(42));
    assert_eq!(find_in(traces, here, 2), None, "something was closed");
    assert_eq!(find_in(traces, Fast { pc: 0x1001, ..here }, 1), None);
    assert_eq!(find_in(traces, Fast { sp: here.sp + 8, ..here }, 1), None);
    assert_eq!(find_in(traces, Fast { fp: 8, ..here }, 1), Some(42), "no rule read it");
    for (index, word) in stack.iter().enumerate() {
        word.set(999);
        assert_eq!(find_in(traces, here, 1), None, "word {index}");
        word.set(index);
    }
    assert_eq!(find_in(traces, here, 1), Some(42));
    let other = Fast { pc: 0x2000, ..here };
    keep(traces, &stack, other, true, 43);
    assert_eq!(find_in(traces, other, 1), Some(43));
    assert_eq!(find_in(traces, Fast { fp: 8, ..other }, 1), None, "a rule read it");
}

#[test]
fn what_was_overwritten_is_not_found() {
    let stack: [Cell<usize>; 200] = std::array::from_fn(Cell::new);
    let traces = Traces::empty();
    let mut found = 0;
    for round in 0..2000_u32 {
        let here = |round: u32| caller(&stack, 0x1000 + round as usize * 0x40);
        // A log that isn't kept writes words too.
        let unkept = traces.enter().expect("nobody else is at it");
        let log = Log::new(&unkept, here(round), 1);
        (0..256).for_each(|_| log.push(stack.as_ptr() as usize, 5));
        drop(unkept);
        // Sites tell which words the entry was made of.
        stack[7].set(round as usize);
        keep(traces, &stack, here(round), false, round + 1);
        for earlier in (round.saturating_sub(1500)..=round).rev().step_by(7) {
            stack[7].set(earlier as usize);
            let site = find_in(traces, here(earlier), 1);
            assert!(site.is_none() || site == Some(earlier + 1), "{earlier}: {site:?}");
            found += u32::from(site.is_some());
        }
    }
    assert!(found > 2000, "some are found: {found}");
}

#[test]
fn what_can_not_be_kept_is_not() {
    let stack: [Cell<usize>; 400] = std::array::from_fn(Cell::new);
    let traces = Traces::empty();
    let here = caller(&stack, 0x3000);
    keep(traces, &stack, here, false, 1);
    assert_eq!(find_in(traces, here, 1), None, "too many words");
    keep(traces, &stack[..256], here, false, 1);
    assert_eq!(find_in(traces, here, 1), Some(1));
}

#[test]
fn a_stack_without_an_end_is_asked_for() {
    // A page that is on no stack of this thread, with one behind it that can't be read.
    let page = system::reserve(PAGE, PAGE).expect("there is memory");
    // SAFETY: the page is this test's, and zero is a word; in front is what a leaf function may use.
    let words = unsafe { &*page.wrapping_add(PAGE / 2).cast::<[Cell<usize>; 64]>() };
    words.iter().zip(0..).for_each(|(word, number)| word.set(number));
    let traces = Traces::empty();
    let here = caller(words, 0x5000);
    assert!(!Live::current(here.sp).has_end(), "it is no stack");
    keep(traces, &words[..6], here, false, 7);
    assert_eq!(find_in(traces, here, 1), Some(7));
    words[3].set(999);
    assert_eq!(find_in(traces, here, 1), None);
    words[3].set(3);
    let used = traces.enter().expect("nobody else is at it");
    let log = Log::new(&used, here, 1);
    // As if a stack had been unmapped since.
    log.push(here.sp + PAGE, 0);
    log.keep(1, true, 8, 0);
    drop(used);
    assert_eq!(find_in(traces, here, 1), Some(7), "the older one holds");
}

#[test]
fn a_cache_in_use_is_not_entered_again() {
    let traces = Traces::empty();
    let stack = [Cell::new(1)];
    let here = caller(&stack, 0x6000);
    keep(traces, &stack, here, false, 3);
    let outer = traces.enter().expect("nobody else is at it");
    assert!(traces.enter().is_none());
    assert_eq!(find_in(traces, here, 1), None, "it may be half written");
    drop(outer);
    assert!(traces.enter().is_some());
    assert_eq!(find_in(traces, here, 1), Some(3));
}

#[test]
fn what_is_found_far_comes_near() {
    let stack: [Cell<usize>; 8] = std::array::from_fn(Cell::new);
    let traces = Traces::empty();
    let here = caller(&stack, 0x7000);
    // The same caller in more ways than are near, and as many as are far.
    let ways = FAR.1;
    for way in 0..ways {
        stack[5].set(100 + way);
        keep(traces, &stack, here, false, u32::try_from(way).expect("few"));
    }
    stack[5].set(101);
    assert_eq!(traces.find(here, 1), None);
    assert_eq!(traces.find_far(here, CONTEXT + 1, 1), None, "looked for elsewhere");
    assert_eq!(traces.find_far(here, CONTEXT, 2), None, "something was closed");
    for _ in 0..COMES_NEAR {
        assert_eq!(traces.find_far(here, CONTEXT, 1), Some(1));
    }
    assert_eq!(traces.find(here, 1), Some(1), "it came near");
    for (index, word) in stack.iter().enumerate() {
        let kept = word.replace(999);
        assert_eq!(find_in(traces, here, 1), None, "word {index}");
        word.set(kept);
    }
    for (way, site) in (0..ways).zip(0..) {
        stack[5].set(100 + way);
        assert_eq!(find_in(traces, here, 1), Some(site));
    }
}

#[test]
fn what_another_thread_has_seen_is_forgotten() {
    let stack: [Cell<usize>; 9] = std::array::from_fn(Cell::new);
    let traces = Traces::empty();
    let here = caller(&stack, 0x8000);
    keep(traces, &stack, here, false, 5);
    assert_eq!(find_in(traces, here, 1), Some(5));
    // Its handler jumped out of the middle.
    std::mem::forget(traces.enter());
    traces.forget();
    assert_eq!(find_in(traces, here, 1), None);
    keep(traces, &stack, here, false, 6);
    assert_eq!(find_in(traces, here, 1), Some(6));
}
