//! Groups of ledgers that the tests write.

mod recursion;

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::*;
use crate::child::reach::{self, Block, Origin, Root};
use crate::ledger::entry::Entry;
use crate::ledger::layout::Layout;
use crate::ledger::site::{NODE, Node, PAUSED, ROOT};
use crate::symbols::DebugFiles;
use crate::verdict::Window;

const HEAP: u64 = 1 << 20;
const NODES: u32 = 200;

/// A ledger with a node for each offset, whose parents are as given; they are of no module.
fn ledger(nodes: &[(u32, u64)]) -> LedgerFile {
    // A module that has no file names its frames by their offsets.
    ledger_of("/a.x", nodes)
}

/// The same for nodes of the module `path`.
fn ledger_of(path: &str, nodes: &[(u32, u64)]) -> LedgerFile {
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
    let length = u16::try_from(path.len()).expect("short").to_le_bytes();
    file.write_all_at(&length, layout.modules_at + 1024 + 24).expect("it is writable");
    file.write_all_at(path.as_bytes(), layout.modules_at + 1024 + 60).expect("it is writable");
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

fn reached(states: &[Reachability]) -> Reached {
    reach::Reached::from(states.to_vec()).into()
}

fn by_age(readings: &[&[Live]], states: Option<&[Reachability]>) -> Vec<Group> {
    judged(readings, states).groups
}

fn judged(readings: &[&[Live]], states: Option<&[Reachability]>) -> Judged {
    judged_in(&two_of_a_kind(), readings, states)
}

fn judged_in(ledger: &LedgerFile, readings: &[&[Live]], states: Option<&[Reachability]>) -> Judged {
    let mut marks = Marks::new(0);
    marks.take(Vec::new());
    readings.iter().for_each(|live| marks.take(live.to_vec()));
    let mut symbols = Symbols::new(DebugFiles::Ignored);
    let mut tally = Tally::new(ledger, None, &mut symbols).expect("it makes sense");
    let window = Window { warmup: 2, repeat: u32::try_from(readings.len()).expect("few") };
    let reached = states.map(reached);
    tally.by_age(&marks, window, reached.as_ref()).expect("it makes sense")
}

#[test]
fn what_the_newest_iteration_holds_decides_nothing() {
    use Reachability::{Lost, Reachable};
    let (old, new) = (block(2, 3, 10), block(2, 4, 10));
    let is_open = |states| {
        let judged = judged(&[&[old], &[old, new]], Some(states));
        assert_eq!(judged.groups[0].verdict, Verdict::Leak);
        judged.held
    };
    assert!(!is_open(&[Lost, Reachable]), "the next one overwrites the pointer");
    assert!(is_open(&[Reachable, Lost]), "a list may be a ring");
    let one = judged(&[&[block(2, 3, 10)]], Some(&[Reachable]));
    assert!(one.held, "there is no other");
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
fn the_order_of_sites_chooses_no_place() {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("procfs is there");
    let executable = std::env::current_exe().expect("it has a path");
    let executable = executable.to_str().expect("a name in UTF-8");
    let first = maps.lines().find(|line| line.ends_with(executable)).expect("it is mapped");
    let (bias, _) = first.split_once('-').expect("a range comes first");
    let bias = u64::from_str_radix(bias, 16).expect("a hexadecimal number");
    let function = two_of_a_kind as fn() -> LedgerFile as usize as u64 - bias;
    // Two calls of one function, of which either may be the first in the ledger.
    for calls in [[4, 8], [8, 4]] {
        let nodes = calls.map(|offset| (ROOT, function + offset));
        let ledger = ledger_of(executable, &nodes);
        let live = [block(1, 3, 10), block(2, 4, 10)];
        let iterated = judged_in(&ledger, &[&live[..1], &live], None).groups;
        let mut symbols = Symbols::new(DebugFiles::Ignored);
        let mut tally = Tally::new(&ledger, None, &mut symbols).expect("it makes sense");
        let whole = tally.by_reachability(&live, None, true).expect("it makes sense");
        for groups in [iterated, whole] {
            assert_eq!(groups.len(), 1, "{groups:?}");
            assert_eq!((groups[0].blocks, offsets(&groups[0])), (2, vec![4]), "{calls:?}");
        }
        let rows = tally.memory(&live, 0).expect("it makes sense").rows;
        let offsets: Vec<_> = rows.iter().map(|row| row.frames[0].offset).collect();
        assert_eq!(offsets, [4, 8]);
    }
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
    let mut symbols = Symbols::new(DebugFiles::Ignored);
    let mut tally = Tally::new(&ledger, None, &mut symbols).expect("it makes sense");
    let live = [block(6, 1, 1), block(2, 1, 2), block(2, 1, 4), block(4, 1, 8), block(3, 1, 16)];
    let states =
        [Reachability::Lost, Reachability::Lost, Reachability::Reachable, Reachability::Indirect];
    let groups =
        tally.by_reachability(&live, Some(&reached(&states)), true).expect("it makes sense");
    let found: Vec<_> =
        groups.iter().map(|group| (offsets(group), group.reachability, group.bytes)).collect();
    assert_eq!(
        found,
        [
            (vec![20, 10], Reachability::Lost, 3),
            (vec![40], Reachability::Indirect, 8),
            (vec![30, 10], Reachability::Unknown, 16),
            (vec![20, 10], Reachability::Reachable, 4),
        ]
    );
    let some =
        tally.by_reachability(&live, Some(&reached(&states)), false).expect("it makes sense");
    assert_eq!(some, groups[..3], "the reachable are left out");
    let table = tally.memory(&live, 0).expect("it makes sense");
    let rows: Vec<_> = table.rows.iter().map(|row| (row.count, row.bytes)).collect();
    assert_eq!(rows, [(3, 7), (1, 16), (1, 8)], "a row for each traceback");
}

#[test]
fn a_damaged_tree_is_an_error() {
    let ledger = ledger(&[(ROOT, 10), (2, 20), (9, 30)]);
    let mut symbols = Symbols::new(DebugFiles::Ignored);
    let mut tally = Tally::new(&ledger, None, &mut symbols).expect("its header is right");
    for site in [2, 3, 4, 99] {
        let found = tally.by_reachability(&[block(site, 1, 1)], None, true);
        assert!(matches!(found, Err(LedgerError::Damaged(_))), "{site}: {found:?}");
    }
    assert_eq!(tally.by_reachability(&[block(1, 1, 1)], None, true).expect("it is whole").len(), 1);
}

/// A row of blocks of these sites and epochs, of 32 bytes, at 0x1000, 0x1020 and so on. Each points to
/// the next one with its second word, but for the last; the root, a register, to the first if `held`.
fn row(sites: &[(u32, u32)], held: bool) -> (Vec<Live>, Reached) {
    let address = |index: u64| 0x1000 + index * 32;
    let live: Vec<Live> = (0..)
        .zip(sites)
        .map(|(at, (site, epoch))| Live { address: address(at), ..block(*site, *epoch, 32) })
        .collect();
    let blocks: Vec<_> =
        live.iter().map(|live| Block { address: live.address, size: live.entry.size }).collect();
    let root = Root { word: address(0), origin: Origin::Register(7) };
    let roots = if held { vec![root] } else { Vec::new() };
    let marked = reach::mark(&blocks, &[roots], |at, buffer| {
        for (word, at) in buffer.chunks_exact_mut(8).zip((at..).step_by(8)) {
            let value = if at % 32 == 8 { at + 24 } else { 0 };
            word.copy_from_slice(&value.to_le_bytes());
        }
        buffer.len()
    });
    (live, marked.into())
}

fn ties(group: &Group) -> (Option<&str>, u64, u64) {
    (group.ties.held_by.as_deref(), group.ties.blocks, group.ties.bytes)
}

#[test]
fn what_holds_a_program_s_blocks_is_told_where_they_are_wanted() {
    let ledger = two_of_a_kind();
    let mut symbols = Symbols::new(DebugFiles::Ignored);
    let mut tally = Tally::new(&ledger, None, &mut symbols).expect("it makes sense");
    let (live, reached) = row(&[(3, 1), (4, 1), (2, 1), (PAUSED, 1), (2, 1), (3, 1)], true);
    let groups = tally.by_reachability(&live, Some(&reached), true).expect("it makes sense");
    let chain = "a register of thread 7 -> 32 bytes from a.x+0x1e [+0x8]";
    let held: Vec<_> = groups.iter().map(|group| (offsets(group)[0], ties(group))).collect();
    assert_eq!(
        held,
        [
            (20, (Some(&*format!("{chain} -> 32 bytes from a.x+0x28 [+0x8]")), 0, 0)),
            (30, (Some("a register of thread 7"), 0, 0)),
            (40, (Some(chain), 0, 0)),
        ]
    );
    assert_eq!(tally.by_reachability(&live, Some(&reached), false).expect("it is the same"), []);
}

#[test]
fn a_long_chain_is_written_by_its_ends() {
    let ledger = two_of_a_kind();
    let mut symbols = Symbols::new(DebugFiles::Ignored);
    let mut tally = Tally::new(&ledger, None, &mut symbols).expect("it makes sense");
    let list: Vec<_> = (0..10_000).map(|_| (4, 1)).chain([(3, 1)]).collect();
    let (live, reached) = row(&list, true);
    let groups = tally.by_reachability(&live, Some(&reached), true).expect("it makes sense");
    let link = " -> 32 bytes from a.x+0x28 [+0x8]";
    let text = format!("a register of thread 7{link}{link} -> … 9997 more …{link}");
    let end = groups.iter().find(|group| offsets(group) == [30, 10]);
    assert_eq!(end.map(ties), Some((Some(&*text), 0, 0)));
}

#[test]
fn a_program_s_lost_group_has_what_its_blocks_lead_to() {
    let ledger = two_of_a_kind();
    let mut symbols = Symbols::new(DebugFiles::Ignored);
    let mut tally = Tally::new(&ledger, None, &mut symbols).expect("it makes sense");
    let (live, reached) = row(&[(2, 1), (3, 1), (2, 1), (PAUSED, 1), (4, 1)], false);
    let groups = tally.by_reachability(&live, Some(&reached), false).expect("it makes sense");
    let lost: Vec<_> = groups.iter().filter(|it| it.reachability == Reachability::Lost).collect();
    assert_eq!((lost.len(), ties(lost[0])), (1, (None, 3, 96)), "the paused one is nobody's");
    let others = groups.iter().filter(|it| it.reachability != Reachability::Lost);
    let is_behind = |group: &Group| group.ties.behind == [lost[0].ties.number];
    assert!(others.clone().all(|group| ties(group) == (None, 0, 0)), "{groups:?}");
    assert!(others.clone().all(is_behind) && others.count() == 3, "{groups:?}");
}

#[test]
fn only_groups_that_fail_have_their_holders_told_and_only_by_the_window() {
    let ledger = two_of_a_kind();
    let mut symbols = Symbols::new(DebugFiles::Ignored);
    let mut tally = Tally::new(&ledger, None, &mut symbols).expect("it makes sense");
    // Site 2 leaks; its first block is the warm-up's, and 3 is live once.
    let (live, reached) = row(&[(2, 1), (3, 3), (2, 3), (2, 4)], true);
    let mut marks = Marks::new(0);
    marks.take(Vec::new());
    marks.take(live[..3].to_vec());
    marks.take(live);
    let window = Window { warmup: 2, repeat: 2 };
    let groups = tally.by_age(&marks, window, Some(&reached)).expect("it makes sense").groups;
    let [leak, once] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!((leak.verdict, once.verdict), (Verdict::Leak, Verdict::OneTime));
    let chain =
        "a register of thread 7 -> 32 bytes from a.x+0x14 [+0x8] -> 32 bytes from a.x+0x1e [+0x8]";
    assert_eq!(ties(leak), (Some(chain), 0, 0));
    assert_eq!((ties(once), &once.ties.behind[..]), ((None, 0, 0), &[][..]));
}

#[test]
fn a_group_of_the_window_has_what_its_lost_blocks_lead_to() {
    let ledger = two_of_a_kind();
    let mut symbols = Symbols::new(DebugFiles::Ignored);
    let mut tally = Tally::new(&ledger, None, &mut symbols).expect("it makes sense");
    let (live, reached) = row(&[(2, 3), (2, 4), (3, 3), (3, 4)], false);
    let mut marks = Marks::new(0);
    marks.take(Vec::new());
    marks.take(live[..1].to_vec());
    marks.take(live);
    let window = Window { warmup: 2, repeat: 2 };
    let groups = tally.by_age(&marks, window, Some(&reached)).expect("it makes sense").groups;
    let lost = groups.iter().find(|group| group.reachability == Reachability::Lost);
    assert_eq!(lost.map(ties), Some((None, 2, 64)), "its own block is in the group already");
    let behind = groups.iter().find(|group| offsets(group) == [30, 10]);
    let number = lost.map(|lost| lost.ties.number);
    assert_eq!(behind.map(|group| group.ties.behind.clone()), number.map(|number| vec![number]));
    // A further iteration is no part of the window.
    let (live, reached) = row(&[(2, 3), (2, 4), (3, 3), (3, 4), (3, 5)], false);
    let mut marks = Marks::new(0);
    [&live[..0], &live[..1], &live[..4], &live].into_iter().for_each(|it| marks.take(it.to_vec()));
    let groups = tally.by_age(&marks, window, Some(&reached)).expect("it makes sense").groups;
    let lost = groups.iter().find(|group| group.reachability == Reachability::Lost);
    assert_eq!(lost.map(ties), Some((None, 2, 64)), "{groups:?}");
}

#[test]
fn a_site_with_more_frames_than_a_backtrace_is_nonsense() {
    let groups_of = |frames: u32| {
        let nodes: Vec<_> = (0..frames).map(|parent| (parent, 1)).collect();
        let ledger = ledger(&nodes);
        let mut symbols = Symbols::new(DebugFiles::Ignored);
        let mut tally = Tally::new(&ledger, None, &mut symbols).expect("it makes sense");
        tally.by_reachability(&[block(frames, 1, 1)], None, true).map(|groups| groups.len())
    };
    assert!(matches!(groups_of(128), Ok(1)));
    assert!(matches!(groups_of(129), Err(LedgerError::Damaged(_))));
}
