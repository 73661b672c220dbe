//! One process's ledger, written and read back.

use super::*;
use crate::ledger::entry::Entry;
use crate::ledger::site::PAUSED;
use crate::preload::thread::words;

const HEAP: usize = 0x10_0000;

/// A ledger in plain memory.
fn book(nodes: u32) -> (Book, Vec<u64>) {
    let layout = Layout::new(1 << 20, nodes).expect("the sizes are fine");
    let mut memory = vec![0_u64; usize::try_from(layout.len / 8).expect("it fits")];
    // SAFETY: the memory holds a whole ledger; the caller keeps it as long as the book.
    let book = unsafe { Book::new(memory.as_mut_ptr().cast(), HEAP, layout) };
    let book = book.expect("there is memory");
    book.header().node_count.store(1, Ordering::Relaxed);
    book.header().module_count.store(1, Ordering::Relaxed);
    (book, memory)
}

fn intern(book: &Book, outside: Interned, offset: u64) -> Option<Interned> {
    book.intern(outside, 1, 0, offset)
}

#[test]
fn entering_and_removing_keeps_the_counts() {
    let (book, _memory) = book(16);
    book.header().epoch.store(2, Ordering::Relaxed);
    let (small, large) =
        (Entry { site: 3, epoch: 2, size: 5 }, Entry { site: 4, epoch: 2, size: 1 << 30 });
    let place = |granule: usize| book.place(HEAP + granule * 16).expect("it is in the heap");
    let header = book.header();
    let words = words();
    place(0).enter(words, 3, 5);
    place(100).enter(words, 4, 1 << 30);
    assert_eq!(header.live_bytes.load(Ordering::Relaxed), 5 + (1 << 30));
    assert_eq!(place(0).remove(words), Some(small));
    assert_eq!(place(0).remove(words), None, "it is gone");
    assert_eq!(place(100).remove(words), Some(large));
    assert_eq!(place(101).remove(words), None, "its size is gone with it");
    assert_eq!(header.frees.load(Ordering::Relaxed), 2);
    assert_eq!(header.live_bytes.load(Ordering::Relaxed), 0);
    assert_eq!(header.peak_bytes.load(Ordering::Relaxed), 5 + (1 << 30));
    place(100).restore(words, large);
    assert_eq!(header.frees.load(Ordering::Relaxed), 1);
    assert_eq!(place(100).remove(words), Some(large));
}

#[test]
fn a_paused_block_is_entered_and_not_counted() {
    let (book, _memory) = book(16);
    let place = book.place(HEAP + 7 * 16).expect("it is in the heap");
    let words = words();
    place.enter(words, PAUSED, 40);
    assert_eq!(place.site(), Some(PAUSED));
    assert!(place.remove(words).is_some());
    assert_eq!(book.header().allocations.load(Ordering::Relaxed), 0);
    assert_eq!(book.header().frees.load(Ordering::Relaxed), 0);
}

#[test]
fn the_last_granule_is_safe_and_what_is_outside_has_no_place() {
    let (book, _memory) = book(16);
    let last = book.place(HEAP + (1 << 20) - 16).expect("it is in the heap");
    let words = words();
    last.enter(words, 1, 16);
    assert!(last.remove(words).is_some());
    assert!(book.place(HEAP + (1 << 20)).is_none());
    assert!(book.place(HEAP - 1).is_none());
    assert!(book.place(0).is_none());
}

#[test]
fn equal_backtraces_are_one_site() {
    let (book, _memory) = book(64);
    let outer = intern(&book, Interned::ROOT, 10).expect("there is room");
    let inner = intern(&book, outer, 20).expect("there is room");
    assert_eq!(intern(&book, Interned::ROOT, 10), Some(outer));
    assert_eq!(intern(&book, outer, 20), Some(inner));
    assert_ne!(intern(&book, inner, 20), Some(inner));
    assert!(outer.number < inner.number, "a parent has the smaller number");
}

#[test]
fn a_frame_has_one_node_while_the_index_grows() {
    let (book, _memory) = book(1 << 15);
    let frames = if cfg!(miri) { 3000 } else { 20_000 };
    let all =
        || -> Vec<_> { (0..frames).map(|offset| intern(&book, Interned::ROOT, offset)).collect() };
    assert!(all() == all(), "a second node for a frame");
    assert_eq!(u64::from(book.header().node_count.load(Ordering::Relaxed)), frames + 1);
}

#[test]
fn a_full_ledger_says_so_and_goes_on() {
    let (book, _memory) = book(4);
    let made: Vec<_> = (0..10).map(|offset| intern(&book, Interned::ROOT, offset)).collect();
    assert_eq!(made.iter().flatten().count(), 3, "node 0 is the root");
    assert_eq!(book.header().trouble.load(Ordering::Relaxed), trouble::NODES_FULL);
    assert_eq!(intern(&book, Interned::ROOT, 0), made[0], "what is in stays in");
}

#[test]
fn threads_agree_on_the_sites() {
    let (book, _memory) = book(4096);
    let all = || (0..500).map(|at| intern(&book, Interned::ROOT, at)).collect::<Vec<_>>();
    let sites: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(all)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    for other in &sites {
        let mut pairs = sites[0].iter().flatten().zip(other.iter().flatten());
        assert!(pairs.all(|(one, other)| book.is_same(one.number, other.number)));
    }
}

#[test]
fn sites_are_told_apart_by_their_frames() {
    let (book, _memory) = book(64);
    let outer = intern(&book, Interned::ROOT, 10).expect("there is room");
    let inner = intern(&book, outer, 20).expect("there is room");
    let words = Node { parent: outer.number, module: 1, flags: 0, offset: 20 }.encode();
    let again = book.make_node(words).expect("there is room");
    assert!(book.is_same(inner.number, again) && inner.number != again);
    let other = intern(&book, Interned::ROOT, 20).expect("there is room");
    assert!(!book.is_same(inner.number, other.number));
    assert!(!book.is_same(inner.number, outer.number));
}
