//! What grows from one trace to the next.

use super::*;
use crate::trace::growth::{Shrunk, between};

/// Verdict, blocks, bytes and innermost frame as written.
fn seen(groups: &[Group]) -> Vec<(Verdict, u64, u64, String)> {
    let innermost = |group: &Group| group.frames[0].function.as_deref().unwrap_or("?").to_owned();
    groups.iter().map(|it| (it.verdict, it.blocks, it.bytes, innermost(it))).collect()
}

/// A traceback of one frame, and its objects and bytes before and after.
type Case = (&'static str, (u64, u64), (u64, u64));

/// The traces before and after; two objects of `steady` are in both.
fn pair(cases: &[Case]) -> (Trace, Trace) {
    let side = |pick: fn(&Case) -> (u64, u64)| {
        let there = cases.iter().filter(|case| pick(case).0 > 0);
        let row = |case| (pick(case).0, pick(case).1, std::slice::from_ref(&case.0));
        let steady = (2, 16, &["steady"][..]);
        trace(&there.map(row).chain([steady]).collect::<Vec<_>>())
    };
    (side(|case| case.1), side(|case| case.2))
}

#[test]
fn only_what_grew_in_step_is_a_leak_of_iterations() {
    let (before, after) = pair(&[
        ("once", (3, 24), (7, 56)),
        ("twice", (3, 24), (11, 88)),
        ("new", (0, 0), (4, 8)),
        ("cache", (0, 0), (3, 900)),
        ("more than one each", (1, 8), (7, 50)),
        ("vector", (1, 64), (1, 128)),
        ("merged", (3, 24), (1, 100)),
        ("smaller", (4, 400), (8, 300)),
        ("shrunk", (8, 64), (4, 32)),
        ("gone", (8, 64), (0, 0)),
    ]);
    let text = |name: &str| name.to_owned();
    let groups = between(&before, &after, Some(4)).groups;
    let expected = [
        (Verdict::Leak, 8, 64, text("twice")),
        (Verdict::Leak, 4, 32, text("once")),
        (Verdict::Leak, 4, 8, text("new")),
        (Verdict::Leak, 4, 0, text("smaller")),
        (Verdict::OneTime, 3, 900, text("cache")),
        (Verdict::OneTime, 0, 76, text("merged")),
        (Verdict::OneTime, 0, 64, text("vector")),
        (Verdict::OneTime, 6, 42, text("more than one each")),
    ];
    assert_eq!(seen(&groups), expected);
    let each = |group: &Group| (group.blocks_per_iteration, group.bytes_per_iteration);
    assert_eq!(each(&groups[0]), (2.0, 16.0));
    assert_eq!(each(&groups[3]), (1.0, 0.0));
    assert_eq!(each(&groups[4]), (0.0, 0.0));
}

#[test]
fn one_iteration_is_in_step_with_any_number_of_objects() {
    let (before, after) = pair(&[("f", (0, 0), (3, 24)), ("vector", (1, 8), (1, 16))]);
    let verdicts = |iterations| -> Vec<_> {
        let growth = between(&before, &after, iterations);
        growth.groups.iter().map(|group| (group.verdict, group.blocks_per_iteration)).collect()
    };
    assert_eq!(verdicts(Some(1)), [(Verdict::Leak, 3.0), (Verdict::OneTime, 0.0)]);
    assert_eq!(verdicts(None), [(Verdict::Leak, 3.0), (Verdict::Growth, 0.0)]);
}

#[test]
fn what_leaks_at_another_depth_each_time_is_in_step_as_one() {
    let stack =
        |depth: usize, inner: &'static str| [vec![inner], vec!["rec"; depth], vec!["run"]].concat();
    let rows = |rows: &[(u64, usize, &'static str)]| {
        let stacks: Vec<_> =
            rows.iter().map(|(count, depth, inner)| (*count, stack(*depth, inner))).collect();
        trace(&stacks.iter().map(|(count, it)| (*count, *count * 8, &it[..])).collect::<Vec<_>>())
    };
    let before = rows(&[(2, 9, "rec"), (5, 1, "cache")]);
    let leaked = [(1, 1, "rec"), (1, 2, "rec"), (1, 3, "rec"), (2, 4, "rec"), (1, 9, "rec")];
    let after = rows(&[&leaked[..], &[(6, 1, "cache"), (1, 3, "cache"), (3, 8, "once")]].concat());
    let groups = between(&before, &after, Some(4)).groups;
    let expected = [
        (Verdict::Leak, 4, 32, "rec".to_owned()),
        (Verdict::OneTime, 3, 24, "once".to_owned()),
        (Verdict::OneTime, 1, 8, "cache".to_owned()),
        (Verdict::OneTime, 1, 8, "cache".to_owned()),
    ];
    assert_eq!(seen(&groups), expected, "what has less at one depth counts, too");
    assert_eq!(groups[0].frames.len(), 2, "{:?}", groups[0].frames);
    let functions = |iterations| -> Vec<usize> {
        between(&before, &after, iterations).groups.iter().map(|group| group.frames.len()).collect()
    };
    assert!(!functions(Some(3)).contains(&2), "five objects less one are not in step with three");
    assert!(!functions(None).contains(&2), "each is a leak");
}

#[test]
fn a_recursion_by_two_calls_by_two_functions_or_deeper_than_the_trace_is_one() {
    let run = "run + 0x5";
    let by_two_calls: Vec<Vec<&str>> = vec![
        vec!["rec + 0x1", "rec + 0x10", "rec + 0x20", run],
        vec!["rec + 0x1", "rec + 0x20", "rec + 0x20", "rec + 0x10", run],
        vec!["rec + 0x1", "rec + 0x10", run],
        vec!["rec + 0x1", run],
    ];
    let by_two_functions = vec![
        vec!["leaf", "ev", run],
        vec!["leaf", "od", "ev", run],
        vec!["leaf", "ev", "od", "ev", run],
        vec!["leaf", "od", "ev", "od", "ev", run],
    ];
    let deeper = vec![
        vec!["rec", run],
        vec!["rec", "rec", run],
        vec!["rec", "rec", "rec", run],
        vec!["rec", "rec", "rec", "rec"],
    ];
    for (stacks, frames) in [(by_two_calls, 2), (by_two_functions, 3), (deeper, 2)] {
        let after = trace(&stacks.iter().map(|it| (1, 8, &it[..])).collect::<Vec<_>>());
        let groups = between(&trace(&[]), &after, Some(4)).groups;
        assert_eq!(groups.len(), 1, "{groups:?}");
        assert_eq!((groups[0].verdict, groups[0].blocks), (Verdict::Leak, 4));
        assert_eq!(groups[0].frames.len(), frames, "{groups:?}");
    }
}

#[test]
fn nothing_grew_from_a_trace_to_itself_or_backwards() {
    let (before, after) = pair(&[("f", (1, 8), (5, 40)), ("g", (1, 8), (1, 16))]);
    for iterations in [None, Some(1), Some(4)] {
        for (one, other) in [(&before, &before), (&after, &after), (&after, &before)] {
            assert_eq!(between(one, other, iterations).groups, []);
        }
    }
}

#[test]
fn a_snapshot_has_neither_offsets_nor_addresses_and_adds_up_what_is_the_same_then() {
    let after = trace(&[
        (4, 32, &["new + 0x1", "0x7f00", "run + 0x5"]),
        (8, 64, &["new + 0x1", "0x7f08", "run + 0x5"]),
        (4, 96, &["new + 0x2", "0x7f00", "run + 0x5"]),
        (4, 16, &["a.so + 0x1", "run + 0x5"]),
    ]);
    let growth = between(&trace(&[]), &after, Some(4));
    assert_eq!(growth.groups.len(), 4);
    let body = crate::snapshot::write(&crate::snapshot::found(&growth.without_addresses()));
    let expected = "\
leak: 1 block, 4 bytes per iteration
    a.so+0x1
    run

leak: 4 blocks, 48 bytes per iteration
    new
    <unknown code>
    run
";
    assert_eq!(body, expected);
}

#[test]
fn a_leak_among_growths_of_one_traceback_is_the_snapshot_s() {
    let before = trace(&[(1, 8, &["vector + 0x1"]), (1, 8, &["vector + 0x2"])]);
    let after = trace(&[(1, 800, &["vector + 0x1"]), (2, 16, &["vector + 0x2"])]);
    let growth = between(&before, &after, None);
    assert_eq!(growth.groups[0].verdict, Verdict::Growth);
    let body = crate::snapshot::write(&crate::snapshot::found(&growth.without_addresses()));
    assert_eq!(body, "leak: 1 block, 800 bytes per iteration\n    vector\n");
}

#[test]
fn what_shrank_is_counted_as_what_grows_the_other_way_round() {
    let before = trace(&[(20, 200, &["a"]), (3, 30, &["b"]), (5, 90, &["c"]), (1, 8, &["d"])]);
    let after = trace(&[(10, 100, &["a"]), (5, 80, &["c"]), (1, 8, &["d"]), (1, 1, &["e"])]);
    let shrunk = |iterations| {
        let Shrunk { all, in_step } = between(&before, &after, iterations).shrunk;
        (all, in_step)
    };
    assert_eq!([None, Some(10), Some(7), Some(1)].map(shrunk), [(3, 3), (3, 1), (3, 0), (3, 2)]);
    assert_eq!(between(&after, &before, Some(10)).shrunk, Shrunk { all: 1, in_step: 0 });
}

#[test]
fn another_step_is_that_of_the_most_tracebacks() {
    let before = trace(&[]);
    let other = |counts: &[u64], iterations| {
        let names: Vec<String> = (0..counts.len()).map(|number| format!("f{number}")).collect();
        let each: Vec<[&str; 1]> = names.iter().map(|name| [name.as_str()]).collect();
        let elements: Vec<(u64, u64, &[&str])> =
            counts.iter().zip(&each).map(|(count, name)| (*count, 8, name.as_slice())).collect();
        between(&before, &trace(&elements), Some(iterations)).other_step()
    };
    assert_eq!(other(&[8, 8, 8, 3, 3], 10), Some((8, 3)));
    assert_eq!(other(&[8, 8, 8], 8), None, "they are in step");
    assert_eq!(other(&[8, 8, 10], 10), Some((8, 2)), "more than those in step");
    assert_eq!(other(&[8, 8, 10, 20], 10), None);
    assert_eq!(other(&[8, 7, 9], 10), None, "each by itself");
    assert_eq!(other(&[1, 1, 1], 10), None, "one object each is what a session leaves");
}
