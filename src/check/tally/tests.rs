//! Groups of ledgers that the tests write.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::*;
use crate::ledger::entry::Entry;
use crate::ledger::layout::Layout;
use crate::ledger::site::{NODE, Node, ROOT};

const HEAP: u64 = 1 << 20;
const NODES: u32 = 100;

/// A ledger with a node for each offset, whose parents are as given; they are of no module.
fn ledger(nodes: &[(u32, u64)]) -> LedgerFile {
    let ledger = LedgerFile::create(HEAP, NODES).expect("the kernel has memfds");
    let layout = Layout::new(HEAP, NODES).expect("the sizes are fine");
    let file = File::options().write(true).open(ledger.path()).expect("it is this process's own");
    for (number, (parent, offset)) in (1..).zip(nodes) {
        let node = Node { parent: *parent, module: 1, flags: 0, offset: *offset };
        let (first, second) = node.encode();
        let at = layout.nodes_at + number * NODE;
        for (word, at) in [first, second].into_iter().zip([at, at + 8]) {
            file.write_all_at(&word.to_le_bytes(), at).expect("it is writable");
        }
    }
    // A module that has no file names its frames by their offsets.
    file.write_all_at(b"\x04\0", layout.modules_at + 1024 + 24).expect("it is writable");
    file.write_all_at(b"/a.x", layout.modules_at + 1024 + 60).expect("it is writable");
    let count = u32::try_from(nodes.len()).expect("few") + 1;
    ledger.header().node_count.store(count, Ordering::Relaxed);
    ledger.header().module_count.store(2, Ordering::Relaxed);
    ledger
}

fn block(site: u32, epoch: u32, size: u64) -> Live {
    Live { address: 0x1000, entry: Entry { site, epoch, size } }
}

fn offsets(group: &Group) -> Vec<u64> {
    group.frames.iter().map(|frame| frame.offset).collect()
}

/// Sites 2 and 4 are two backtraces of the same frames; 3 is another one.
fn two_of_a_kind() -> LedgerFile {
    ledger(&[(ROOT, 10), (1, 20), (1, 30), (ROOT, 40), (ROOT, 10), (5, 20)])
}

fn by_age(readings: &[&[Live]], states: Option<&[Reachability]>) -> Vec<Group> {
    let ledger = two_of_a_kind();
    let mut marks = Marks::new(&ledger);
    marks.take(Vec::new());
    readings.iter().for_each(|live| marks.take(live.to_vec()));
    let mut tally = Tally::new(&ledger, None, DebugFiles::Ignored).expect("it makes sense");
    let window = Window { warmup: 2, repeat: u32::try_from(readings.len()).expect("few") };
    tally.by_age(&marks, window, states).expect("it makes sense").groups
}

#[test]
fn the_histories_of_one_traceback_are_added_before_the_rule() {
    // Each of the two is live from one iteration only; together they leak.
    let first = [block(2, 3, 10)];
    let last = [block(2, 3, 10), block(6, 4, 30), block(3, 1, 5)];
    let groups = by_age(&[&first, &last], None);
    assert_eq!(groups.len(), 2, "{groups:?}");
    assert_eq!((groups[0].verdict, offsets(&groups[0])), (Verdict::Leak, vec![20, 10]));
    assert_eq!((groups[0].blocks, groups[0].bytes_per_iteration), (2, 20.0));
    assert_eq!((groups[1].verdict, offsets(&groups[1])), (Verdict::OneTime, vec![30, 10]));
}

#[test]
fn what_is_gone_at_the_end_counts_at_its_marks() {
    // Without the first mark's blocks of site 2, site 6 would grow.
    let readings: [&[Live]; 3] = [
        &[block(2, 3, 50), block(2, 3, 50)],
        &[block(6, 1, 10)],
        &[block(6, 1, 10), block(6, 2, 10)],
    ];
    let groups = by_age(&readings, None);
    assert_eq!(groups.len(), 1, "{groups:?}");
    assert_eq!((groups[0].verdict, groups[0].blocks), (Verdict::OneTime, 2));
}

#[test]
fn the_worst_block_of_the_window_speaks_for_its_group() {
    let last = [block(2, 1, 1), block(2, 3, 1), block(6, 4, 1), block(3, 2, 1)];
    let states =
        [Reachability::Lost, Reachability::Reachable, Reachability::Indirect, Reachability::Lost];
    let groups = by_age(&[&last], Some(&states));
    let found = |index: usize| (offsets(&groups[index]), groups[index].reachability);
    assert_eq!(found(0), (vec![20, 10], Reachability::Indirect));
    assert_eq!(found(1), (vec![30, 10], Reachability::Unknown), "it is the warm-up's");
}

#[test]
fn a_program_s_blocks_are_grouped_by_what_reaches_them() {
    let ledger = two_of_a_kind();
    let mut tally = Tally::new(&ledger, None, DebugFiles::Ignored).expect("it makes sense");
    let live = [block(6, 1, 1), block(2, 1, 2), block(2, 1, 4), block(4, 1, 8), block(3, 1, 16)];
    let states =
        [Reachability::Lost, Reachability::Lost, Reachability::Reachable, Reachability::Indirect];
    let groups = tally.by_reachability(&live, Some(&states), true).expect("it makes sense");
    let found: Vec<_> =
        groups.iter().map(|group| (offsets(group), group.reachability, group.bytes)).collect();
    assert_eq!(
        found,
        [
            (vec![40], Reachability::Indirect, 8),
            (vec![20, 10], Reachability::Lost, 3),
            (vec![30, 10], Reachability::Unknown, 16),
            (vec![20, 10], Reachability::Reachable, 4),
        ]
    );
    let some = tally.by_reachability(&live, Some(&states), false).expect("it makes sense");
    assert_eq!(some, groups[..3], "the reachable are left out");
    let table = tally.memory(&live, 0).expect("it makes sense");
    let rows: Vec<_> = table.rows.iter().map(|row| (row.count, row.bytes)).collect();
    assert_eq!(rows, [(2, 6), (1, 16), (1, 8), (1, 1)], "a row for each site");
}

#[test]
fn a_damaged_tree_is_an_error() {
    let ledger = ledger(&[(ROOT, 10), (2, 20), (9, 30)]);
    let mut tally = Tally::new(&ledger, None, DebugFiles::Ignored).expect("its header is right");
    for site in [2, 3, 4, 99] {
        let found = tally.by_reachability(&[block(site, 1, 1)], None, true);
        assert!(matches!(found, Err(LedgerError::Damaged(_))), "{site}: {found:?}");
    }
    assert_eq!(tally.by_reachability(&[block(1, 1, 1)], None, true).expect("it is whole").len(), 1);
}
