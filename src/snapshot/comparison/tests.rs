//! What counts as new, grown, moved, shrunk, vanished and the same.

use super::*;
use crate::report::amount::Amount;

/// A group from `leak 1 48: a b c`: the verdict, blocks, bytes, and the frames.
fn group(text: &str) -> SnapshotGroup {
    let (heading, frames) = text.split_once(": ").expect("a heading and frames");
    let words: Vec<_> = heading.split(' ').collect();
    let verdict = if words[0] == "leak" { Verdict::Leak } else { Verdict::Growth };
    let plural = |number: &str| if number == "1" { "" } else { "s" };
    let amount =
        format!("{} block{}, {} byte{}", words[1], plural(words[1]), words[2], plural(words[2]));
    SnapshotGroup {
        verdict,
        amount: Amount::read(&amount).expect("an amount"),
        frames: frames.split(' ').map(|frame| frame.replace('_', "  ")).collect(),
    }
}

fn groups(list: &[&str]) -> Vec<SnapshotGroup> {
    list.iter().map(|text| group(text)).collect()
}

/// The differences by name, a line each, sorted.
fn compared(accepted: &[&str], found: &[&str]) -> Vec<String> {
    let text = |group: &SnapshotGroup| {
        let words = group.heading().replace([':', ','], "");
        let words: Vec<_> = words.split(' ').collect();
        let frames = group.frames.join(" ").replace("  ", "_");
        format!("{} {} {}: {frames}", words[0], words[1], words[3])
    };
    let both = |change: &Change| format!("{} -> {}", text(&change.accepted), text(&change.found));
    let difference = compare(&groups(accepted), &groups(found));
    let named = |name: &str, texts: Vec<String>| -> Vec<String> {
        texts.into_iter().map(|text| format!("{name} {text}")).collect()
    };
    let mut lines = [
        named("new", difference.new.iter().map(text).collect()),
        named("grown", difference.grown.iter().map(both).collect()),
        named("moved", difference.moved.iter().map(both).collect()),
        named("shrunk", difference.shrunk.iter().map(both).collect()),
        named("vanished", difference.vanished.iter().map(text).collect()),
        named("same", difference.same.iter().map(|it| text(&it.accepted)).collect()),
    ]
    .concat();
    // Pairs come in the order in which they were taken.
    lines.sort();
    lines
}

#[test]
fn the_same_is_no_difference() {
    let list = ["leak 1 96: zalloc new", "growth 0 27.43: grow"];
    let difference = compare(&groups(&list), &groups(&list));
    assert!(!difference.fails());
    assert!(!difference.is_outdated());
    assert_eq!(compared(&list, &list), ["same growth 0 27.43: grow", "same leak 1 96: zalloc new"]);
    assert_eq!(compared(&[], &[]), [""; 0]);
}

#[test]
fn more_of_anything_has_grown() {
    let accepted = "growth 1 96: f";
    for found in [
        "growth 1.01 96: f",
        "growth 1 96.5: f",
        "growth 0.5 97: f",
        "growth 2 16: f",
        "leak 1 96: f",
        "leak 0.5 48: f",
    ] {
        assert_eq!(compared(&[accepted], &[found]), [format!("grown {accepted} -> {found}")]);
        let difference = compare(&groups(&[accepted]), &groups(&[found]));
        assert!(difference.fails());
        assert!(!difference.is_outdated());
    }
    // A growth instead of a leak is less, but not where it is more.
    let grown = compared(&["leak 1 96: f"], &["growth 1 97: f"]);
    assert_eq!(grown, ["grown leak 1 96: f -> growth 1 97: f"]);
}

#[test]
fn less_has_shrunk_and_passes() {
    let accepted = "leak 1 96: f";
    for found in ["leak 1 95: f", "leak 0.5 96: f", "growth 1 96: f", "growth 0 1: f"] {
        assert_eq!(compared(&[accepted], &[found]), [format!("shrunk {accepted} -> {found}")]);
        let difference = compare(&groups(&[accepted]), &groups(&[found]));
        assert!(!difference.fails());
        assert!(difference.is_outdated());
    }
}

#[test]
fn what_is_gone_has_vanished_and_passes() {
    let both = ["leak 1 96: zalloc new", "growth 0 27.43: grow"];
    assert_eq!(
        compared(&both, &both[..1]),
        ["same leak 1 96: zalloc new", "vanished growth 0 27.43: grow"]
    );
    let difference = compare(&groups(&both), &groups(&both[..1]));
    assert!(!difference.fails());
    assert!(difference.is_outdated());
}

#[test]
fn what_nobody_accepted_is_new_and_fails() {
    assert_eq!(compared(&[], &["leak 1 96: f"]), ["new leak 1 96: f"]);
    assert!(compare(&[], &groups(&["growth 0 1: f"])).fails());
}

#[test]
fn frames_that_a_compiler_left_out_are_no_difference() {
    let accepted = "leak 1 96: zalloc_a.so new_a.so open_a.so";
    for (found, same) in [
        ("zalloc_a.so open_a.so", true),
        ("zalloc_a.so copy_a.so new_a.so open_a.so main_a.so", true),
        ("zalloc_a.so_mem.c new_a.so_mem.c open_a.so_open.c", true),
        ("zalloc_a.so_mem.c open_a.so_open.c", true),
        // Half of three is more than one.
        ("zalloc_a.so", false),
        ("zalloc_a.so a b new_a.so c open_a.so", true),
        ("zalloc_a.so a b new_a.so c d open_a.so", false),
        ("zalloc_b.so open_a.so", false),
        ("open_a.so zalloc_a.so", false),
    ] {
        let compared = compared(&[accepted], &[&format!("leak 1 96: {found}")]);
        // As it was accepted: what is proposed does not change with the compiler.
        assert_eq!(compared == [format!("same {accepted}")], same, "{compared:?}");
    }
    // Two frames, of which one was left out.
    assert_eq!(compared(&["leak 1 8: f g"], &["leak 1 8: f"]), ["same leak 1 8: f g"]);
}

#[test]
fn amounts_count_where_frames_were_left_out() {
    let accepted = ["leak 1 96: f g h"];
    assert_eq!(
        compared(&accepted, &["leak 1 97: f h"]),
        ["grown leak 1 96: f g h -> leak 1 97: f h"]
    );
    assert_eq!(
        compared(&accepted, &["leak 2 96: f h"]),
        ["grown leak 1 96: f g h -> leak 2 96: f h"]
    );
    assert_eq!(
        compared(&accepted, &["leak 1 95: f h"]),
        ["shrunk leak 1 96: f g h -> leak 1 95: f h"]
    );
    // Another verdict is another traceback.
    let other = compared(&accepted, &["growth 1 96: f h"]);
    assert_eq!(other, ["new growth 1 96: f h", "vanished leak 1 96: f g h"]);
}

#[test]
fn exact_frames_are_taken_before_others() {
    // The first found one would fit the second accepted one as well, and better by its amount.
    let accepted = ["leak 1 8: f g", "leak 1 16: f x g"];
    let found = ["leak 1 16: f g", "leak 1 8: f y g"];
    assert_eq!(
        compared(&accepted, &found),
        ["grown leak 1 8: f g -> leak 1 16: f g", "moved leak 1 16: f x g -> leak 1 8: f y g"]
    );
}

#[test]
fn pairs_are_the_best_and_the_same_in_any_order() {
    // The amount tells which is which, then how much was left out.
    let by_amount = (
        ["leak 1 16: f a b z", "leak 1 32: f a c z"],
        ["leak 1 16: f z", "leak 1 32: f a z"],
        ["same leak 1 16: f a b z", "same leak 1 32: f a c z"],
    );
    let by_length = (
        ["leak 1 16: f a b z", "leak 1 16: f c d z"],
        ["leak 1 16: f a z", "leak 1 16: f z"],
        ["same leak 1 16: f a b z", "same leak 1 16: f c d z"],
    );
    // Not exceeding is better than exceeding.
    let by_room = (
        ["leak 1 16: f a z", "leak 1 64: f b c z"],
        ["leak 1 48: f z", "leak 1 8: f q z"],
        [
            "moved leak 1 16: f a z -> leak 1 8: f q z",
            "shrunk leak 1 64: f b c z -> leak 1 48: f z",
        ],
    );
    for (accepted, found, expected) in [by_amount, by_length, by_room] {
        let [first, second] = accepted;
        let [left, right] = found;
        for accepted in [[first, second], [second, first]] {
            for found in [[left, right], [right, left]] {
                assert_eq!(compared(&accepted, &found), expected);
            }
        }
    }
    // One for one: the second of two that fit is new.
    assert_eq!(
        compared(&["leak 1 16: f a z"], &["leak 1 16: f z", "leak 1 16: f b a z"]),
        ["new leak 1 16: f z", "same leak 1 16: f a z"]
    );
}

#[test]
fn another_helper_has_moved_and_fails() {
    let accepted = "leak 1 8: a b c d";
    for (found, has_moved) in [
        // One frame replaced, in the middle or at one end.
        ("a x c d", true),
        ("x b c d", true),
        ("a b c x", true),
        // Replaced and more.
        ("a x y c d", true),
        // Three of five in common, three of six: half is not most.
        ("a b x y d", true),
        ("a b x y z d", false),
        // Two of four.
        ("a x y d", false),
        // Neither end is the same.
        ("x b c y", false),
        ("x b c d y", false),
        // Another order.
        ("a c b d", true),
        ("d c b a", false),
    ] {
        let found = format!("leak 1 8: {found}");
        let expected = if has_moved {
            vec![format!("moved {accepted} -> {found}")]
        } else {
            vec![format!("new {found}"), format!("vanished {accepted}")]
        };
        assert_eq!(compared(&[accepted], &[&found]), expected);
        assert!(compare(&groups(&[accepted]), &groups(&[&found])).fails());
    }
    // Another verdict is another traceback.
    let other = compared(&[accepted], &["growth 1 8: a x c d"]);
    assert_eq!(other, ["new growth 1 8: a x c d", &format!("vanished {accepted}")]);
    // A file that is known on one side alone is no difference.
    assert_eq!(
        compared(&["leak 1 8: a_m b_m c_m"], &["leak 1 8: a_m_a.c x_m_x.c c_m_c.c"]),
        ["moved leak 1 8: a_m b_m c_m -> leak 1 8: a_m_a.c x_m_x.c c_m_c.c"]
    );
}

#[test]
fn what_is_in_a_file_of_another_name_has_moved() {
    let accepted = "leak 1 8: alloc_m_old.c get_m_old.c main_p_main.c";
    let found = "leak 1 8: alloc_m_new.c get_m_new.c main_p_main.c";
    assert_eq!(compared(&[accepted], &[found]), [format!("moved {accepted} -> {found}")]);
    assert!(compare(&groups(&[accepted]), &groups(&[found])).fails(), "somebody has to look at it");
    assert_eq!(
        compared(&["leak 1 8: f_m_old.c"], &["leak 1 8: f_m_new.c"]),
        ["moved leak 1 8: f_m_old.c -> leak 1 8: f_m_new.c"]
    );
    // Another module is another place, and what stayed in its file is paired before it.
    assert_eq!(
        compared(&["leak 1 8: f_m_a.c"], &["leak 1 8: f_n_a.c"]),
        ["new leak 1 8: f_n_a.c", "vanished leak 1 8: f_m_a.c"]
    );
    assert_eq!(
        compared(
            &["leak 1 8: f_m_a.c g_m_a.c h_m_a.c"],
            &["leak 1 8: f_m_b.c g_m_b.c h_m_b.c", "leak 1 8: f_m_a.c x_m_a.c h_m_a.c"]
        )[0],
        "moved leak 1 8: f_m_a.c g_m_a.c h_m_a.c -> leak 1 8: f_m_b.c g_m_b.c h_m_b.c"
    );
}

#[test]
fn what_has_most_in_common_has_moved() {
    // Before the amounts count.
    let accepted = ["leak 1 8: a b c d e", "leak 1 9: a b f g e"];
    let found = ["leak 1 9: a x c d e", "leak 1 8: a b y g e"];
    assert_eq!(
        compared(&accepted, &found),
        [
            "moved leak 1 8: a b c d e -> leak 1 9: a x c d e",
            "moved leak 1 9: a b f g e -> leak 1 8: a b y g e"
        ]
    );
    assert_eq!(
        compared(&["leak 1 8: a b c d e"], &["leak 1 8: a x c d e", "leak 1 8: a x c y e"]),
        ["moved leak 1 8: a b c d e -> leak 1 8: a x c d e", "new leak 1 8: a x c y e"]
    );
}

#[test]
fn what_is_proposed_has_the_accepted_words() {
    let accepted = groups(&[
        "leak 1 1: same a b",
        "leak 1 2: grown a b",
        "leak 2 4: shrunk a b",
        "leak 1 5: moved a b",
        "leak 1 6: vanished",
    ]);
    let found = groups(&[
        "leak 1 1: same b",
        "leak 2 4: grown b",
        "leak 1 3: shrunk b",
        "leak 1 5: moved x b",
        "leak 1 7: new",
    ]);
    let proposed = groups(&[
        "leak 2 4: grown a b",
        "leak 1 5: moved x b",
        "leak 1 7: new",
        "leak 1 1: same a b",
        "leak 1 3: shrunk a b",
    ]);
    let difference = compare(&accepted, &found);
    assert_eq!(difference.proposed(), proposed);
    // Once it is accepted, it is the same.
    let after = compare(&proposed, &found);
    assert!(!after.fails() && !after.is_outdated(), "{after:?}");
}

#[test]
fn a_hundred_that_moved_are_another_program() {
    // Half of the frames are the same, and both ends.
    let deep = |tag: &str, number: usize| -> SnapshotGroup {
        let frame = |at: usize| match at {
            0 | 29 => format!("end{at}_a.so"),
            _ if at.is_multiple_of(2) => format!("shared{at}_a.so_a.c"),
            _ => format!("{tag}{at}of{number}_a.so_a.c"),
        };
        group(&format!("leak 1 8: {}", (0..30).map(frame).collect::<Vec<_>>().join(" ")))
    };
    let many = |tag: &str, count: usize| -> Vec<_> { (0..count).map(|n| deep(tag, n)).collect() };
    let difference = compare(&many("old", 40), &many("new", 40));
    assert_eq!((difference.moved.len(), difference.new.len()), (40, 0));
    let difference = compare(&many("old", 101), &many("new", 100));
    assert_eq!((difference.vanished.len(), difference.new.len()), (101, 100));
}

#[test]
fn what_was_accepted_passes_where_amounts_told_tracebacks_apart() {
    let accepted = ["leak 1 8: a b d e", "leak 2 8: a b c d"];
    let found = ["leak 1 8: a c", "leak 1 8: a b c d e"];
    let seen = compared(&accepted, &found);
    assert_eq!(
        seen,
        ["same leak 1 8: a b d e", "shrunk leak 2 8: a b c d -> leak 1 8: a c"],
        "it passes"
    );
    // In accepted words the second would be the first one's, which would be nobody's.
    let wanted = ["leak 1 8: a b c d", "leak 1 8: a b d e"];
    assert!(compare(&groups(&wanted), &groups(&found)).is_outdated());
    let found = groups(&found);
    let proposed = compare(&groups(&accepted), &found).proposed();
    let again = compare(&proposed, &found);
    assert!(!again.fails() && !again.is_outdated(), "{proposed:?}");
}
