//! A recursion that is another time as deep.

use super::*;

/// Site `depth + 2` is a recursion, of offset 20, that deep below offset 10; 10 beyond the recursion's
/// innermost it has offset 30.
fn recursions() -> LedgerFile {
    let deeper = (1..10).map(|parent| (parent, 20));
    let below = (2..11).map(|parent| (parent, 30));
    ledger(&[(ROOT, 10)].into_iter().chain(deeper).chain(below).collect::<Vec<_>>())
}

/// Blocks of these sites and epochs.
fn live(blocks: &[(u32, u32)]) -> Vec<Live> {
    blocks.iter().map(|(site, epoch)| block(*site, *epoch, 8)).collect()
}

/// What is said of iterations that each add a block of one of `sites`.
fn added_one_by_one(sites: &[u32], state: Reachability) -> Judged {
    let all = live(&sites.iter().copied().zip(3..).collect::<Vec<_>>());
    let readings: Vec<&[Live]> = (1..=all.len()).map(|count| &all[..count]).collect();
    judged_in(&recursions(), &readings, Some(&vec![state; all.len()]))
}

fn said(judged: &Judged) -> Vec<(Verdict, u64, Vec<u64>)> {
    judged.groups.iter().map(|group| (group.verdict, group.blocks, offsets(group))).collect()
}

#[test]
fn what_leaks_at_another_depth_each_time_leaks() {
    let leak = vec![(Verdict::Leak, 4, vec![20, 10])];
    for sites in [[2, 3, 4, 5], [5, 3, 5, 2], [7, 6, 2, 6]] {
        let judged = added_one_by_one(&sites, Reachability::Lost);
        assert_eq!((said(&judged), judged.held), (leak.clone(), false), "{sites:?}");
    }
    let judged = added_one_by_one(&[5, 3, 5, 2], Reachability::Lost);
    assert_eq!(judged.groups[0].ties.depths, 3);
    let judged = added_one_by_one(&[2, 3, 4, 5], Reachability::Reachable);
    assert_eq!((said(&judged), judged.held), (leak, true), "it may be a buffer for each depth");
}

#[test]
fn what_leaks_by_itself_is_told_from_the_rest_of_its_recursion() {
    // At depth 3 each time, and besides at another one each time.
    let all: Vec<Live> = (3..7).flat_map(|epoch| live(&[(5, epoch), (epoch + 3, epoch)])).collect();
    let readings: Vec<&[Live]> = (1..=4).map(|count| &all[..2 * count]).collect();
    let lost = vec![Reachability::Lost; all.len()];
    let judged = judged_in(&recursions(), &readings, Some(&lost));
    let alone = vec![20, 20, 20, 20, 10];
    let expected = [(Verdict::Leak, 4, vec![20, 10]), (Verdict::Leak, 4, alone)];
    assert_eq!(said(&judged), expected);
    // What is the recursion without its loops would be there twice.
    let all: Vec<Live> = (3..7).flat_map(|epoch| live(&[(2, epoch), (epoch, epoch)])).collect();
    let readings: Vec<&[Live]> = (1..=4).map(|count| &all[..2 * count]).collect();
    let judged = judged_in(&recursions(), &readings, Some(&lost));
    assert_eq!(said(&judged), [(Verdict::Leak, 8, vec![20, 10])]);
}

#[test]
fn a_recursion_that_frees_as_much_as_it_makes_passes() {
    // A block at each depth in turn, and the one before it is freed.
    let readings: Vec<Vec<Live>> = (3..11).map(|epoch| live(&[(epoch - 1, epoch)])).collect();
    let readings: Vec<&[Live]> = readings.iter().map(Vec::as_slice).collect();
    let judged = judged_in(&recursions(), &readings, None);
    assert_eq!(said(&judged)[0].0, Verdict::Replaced, "{judged:?}");
    // The warm-up's blocks at other depths go one by one.
    let old: Vec<(u32, u32)> = (2..6).map(|site| (site, 1)).collect();
    let new: Vec<(u32, u32)> = (6..10).zip(3..).collect();
    let readings: Vec<Vec<Live>> =
        (1..=4).map(|count| live(&[&old[count..], &new[..count]].concat())).collect();
    let readings: Vec<&[Live]> = readings.iter().map(Vec::as_slice).collect();
    let judged = judged_in(&recursions(), &readings, None);
    assert_eq!(said(&judged)[0].0, Verdict::Leak, "a ring looks like that at first: {judged:?}");
    assert!(judged.held);
}

#[test]
fn other_frames_are_another_recursion() {
    let judged = added_one_by_one(&[2, 12, 3, 13], Reachability::Lost);
    let expected = [(Verdict::Growth, 2, vec![20, 10]), (Verdict::Growth, 2, vec![30, 20, 10])];
    assert_eq!(said(&judged), expected);
}
