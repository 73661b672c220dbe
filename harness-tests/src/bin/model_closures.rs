//! Closures of the model: each leaks, or keeps, in a way of its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::{Mutex, OnceLock};

leaksnap::main!("no/such/folder", scenarios: [
    leaksnap::scenario("drops_all", |run| run.repeat(8, || drop(make_text()))),
    leaksnap::scenario("forgets_text", |run| run.repeat(8, forget_text)),
    leaksnap::scenario("forgets_two", |run| run.warmup(0).repeat(3, forget_two)),
    leaksnap::scenario("ties_a_cycle", |run| run.repeat(8, tie_cycle)),
    leaksnap::scenario("pushes_to_a_static", |run| run.repeat(8, push)),
    leaksnap::scenario("fills_a_table_once", |run| run.warmup(0).repeat(8, fill_once)),
    leaksnap::scenario("replaces_what_it_keeps", |run| {
        let mut kept = None;
        run.repeat(8, || kept = Some(make_text()))?;
        drop(kept);
        Ok::<(), Box<dyn std::error::Error>>(())
    }),
    leaksnap::scenario("keeps_the_last_two", |run| {
        let mut kept = BTreeMap::new();
        let mut next = 0;
        run.repeat(8, || {
            kept.insert(next, make_text());
            kept.remove(&(next - 2));
            next += 1;
        })
    }),
]);

#[inline(never)]
fn make_text() -> String {
    black_box("a text of 33 characters, no fewer".to_owned())
}

#[inline(never)]
fn forget_text() {
    std::mem::forget(make_text());
}

#[inline(never)]
fn leak_box() {
    black_box(Box::leak(black_box(Box::new([7_u64; 9]))));
}

fn forget_two() {
    forget_text();
    leak_box();
}

struct Node {
    next: RefCell<Option<Rc<Node>>>,
}

#[inline(never)]
fn tie_cycle() {
    let node = Rc::new(Node { next: RefCell::new(None) });
    *node.next.borrow_mut() = Some(Rc::clone(black_box(&node)));
}

static NUMBERS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

#[inline(never)]
fn push() {
    NUMBERS.lock().expect("no closure panics with it").push(1);
}

#[inline(never)]
fn fill_once() {
    static TABLE: OnceLock<Vec<u32>> = OnceLock::new();
    assert_eq!(TABLE.get_or_init(|| (0..100).collect()).len(), 100);
}
