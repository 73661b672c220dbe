//! What suppressions hide, count and say, whatever their format.

use super::*;
use crate::report::{Frame, Reachability, Rises, Ties, Verdict};

/// A group of 3 lost blocks of 100 bytes; a frame is `function@module`.
pub(super) fn group(frames: &[&str]) -> Group {
    let frame = |text: &&str| {
        let (function, module) = text.split_once('@').unwrap_or((text, "libcrypto.so.3"));
        Frame {
            function: Some(function).filter(|name| !name.is_empty()).map(Into::into),
            module: Some(module).filter(|name| !name.is_empty()).map(Into::into),
            offset: 1,
            file: Some("/src/hmac.c".into()),
            line: Some(12),
            inlined: false,
            build_id: None,
        }
    };
    Group {
        verdict: Verdict::Leak,
        reachability: Reachability::Lost,
        blocks: 3,
        bytes: 300,
        blocks_per_iteration: 3.0,
        bytes_per_iteration: 300.0,
        rises: Rises::default(),
        ties: Ties::default(),
        frames: frames.iter().map(frame).collect(),
    }
}

/// Entries of `ignore`, from line 7 of x.toml on.
fn ignore(list: &[(&str, Option<u64>)]) -> Vec<Suppression> {
    let of = |(index, (text, most)): (usize, &(&str, Option<u64>))| {
        Suppression::of_ignore(Path::new("x.toml"), index + 7, text, *most).expect("it is right")
    };
    list.iter().enumerate().map(of).collect()
}

/// How many groups are kept, the notes, and what is wrong.
fn suppressed(
    list: &[(&str, Option<u64>)],
    groups: Vec<Group>,
) -> (usize, Vec<String>, Option<String>) {
    let Suppressed { kept, notes, unused } = suppress(&ignore(list), &Modules::default(), groups);
    (kept.len(), notes, unused.map(|unused| unused.to_string()))
}

#[test]
fn a_part_of_any_frame_s_name_matches() {
    let groups = vec![group(&["CRYPTO_zalloc", "HMAC_CTX_new"]), group(&["", "grow"])];
    let list = ignore(&[("HMAC_CTX", None), ("zalloc", None)]);
    let found = suppress(&list, &Modules::default(), groups.clone());
    assert_eq!(found.kept, groups[1..]);
    assert_eq!(found.unused, None);
    let notes = [
        "suppressed by x.toml:7 \"HMAC_CTX\": 1 traceback, 3 blocks, 300 bytes",
        "suppressed by x.toml:8 \"zalloc\": 1 traceback, 3 blocks, 300 bytes",
    ];
    assert_eq!(found.notes, notes, "both count what both match");
}

#[test]
fn what_only_hidden_blocks_lead_to_is_hidden() {
    let numbered = |number, group: Group| Group { ties: Ties { number, ..group.ties }, ..group };
    let behind = |behind: &[usize], group: Group| Group {
        reachability: Reachability::Indirect,
        ties: Ties { number: 9, behind: behind.to_vec(), ..Ties::default() },
        ..group
    };
    let head = || numbered(5, group(&["make_head"]));
    let note = "suppressed by x.toml:7 \"make_head\": 1 traceback, 3 blocks, 300 bytes".to_owned();
    let more = "suppressed behind them: 1 traceback, 3 blocks, 300 bytes".to_owned();
    let of = |groups| suppressed(&[("make_head", None)], groups);
    let node = || group(&["make_node"]);
    assert_eq!(of(vec![head(), behind(&[5], node())]), (0, vec![note.clone(), more], None));
    let others = numbered(6, group(&["other"]));
    let kept = of(vec![head(), others, behind(&[5, 6], node())]);
    assert_eq!(kept, (2, vec![note.clone()], None), "another one leads there too");
    assert_eq!(of(vec![head(), behind(&[], node())]), (1, vec![note.clone()], None), "not known");
    let lost = Group { reachability: Reachability::Lost, ..behind(&[5], node()) };
    assert_eq!(of(vec![head(), lost]), (1, vec![note], None), "some of it is lost by itself");
}

#[test]
fn a_part_of_a_module_s_name_matches_and_of_a_file_s_does_not() {
    let groups = || vec![group(&["a"]), group(&["b"])];
    let note = "suppressed by x.toml:7 \"libcrypto\": 2 tracebacks, 6 blocks, 600 bytes";
    let found = suppressed(&[("libcrypto", None)], groups());
    assert_eq!(found, (0, vec![note.to_owned()], None));
    let error = "x.toml:7: \"hmac.c\" in `ignore` matches no traceback; remove it";
    assert_eq!(suppressed(&[("hmac.c", None)], groups()), (2, vec![], Some(error.to_owned())));
    // It is a part of a name, not a pattern.
    let error = "x.toml:7: \"^libcrypto\" in `ignore` matches no traceback; remove it";
    assert_eq!(suppressed(&[("^libcrypto", None)], groups()).2.as_deref(), Some(error));
}

#[test]
fn a_pattern_matches_as_lsan_s() {
    let matches =
        |pattern: &str, frames: &[&str]| suppressed(&[(pattern, None)], vec![group(frames)]).0 == 0;
    assert!(matches("leak:CRYPTO_*alloc$", &["a", "CRYPTO_zalloc"]));
    assert!(matches("leak:^libcrypto", &["a"]));
    assert!(matches("leak:/src/hmac.c", &["a"]));
    assert!(matches("leak:<unknown module>", &["@"]));
    assert!(!matches("leak:<unknown module>", &["a"]));
    assert!(!matches("leak:^zalloc", &["CRYPTO_zalloc"]));
    // As former rules wrote names.
    assert!(matches("leak:^alloc::str::<impl str>::repeat$", &["<str>::repeat"]));
    assert!(matches("<alloc::string::String>::push", &["alloc::string::String::push_str"]));
    assert!(matches("f<(lambda at /x.cpp:1:2)>", &["f<(lambda)>"]));
    assert!(!matches("a::<impl str>::repeat", &["<[T]>::repeat"]));
    // A path of C++ or Rust, as it always was.
    assert!(matches("leak::Cache", &["leak::Cache::grow"]));
    assert!(!matches("leak::Cache", &["other::Cache::grow"]));
}

#[test]
fn nothing_suppressed_is_nothing_lost() {
    assert_eq!(suppressed(&[], vec![group(&["a"])]), (1, vec![], None));
}

#[test]
fn an_entry_that_matches_nothing_is_an_error() {
    let list = [("a", None), ("OPENSSL_init_crypto", None), ("b", None)];
    let error = "x.toml:8: \"OPENSSL_init_crypto\" in `ignore` matches no traceback; remove it";
    assert_eq!(suppressed(&list, vec![group(&["a"])]).2.as_deref(), Some(error), "the first one");
}

#[test]
fn a_bound_that_is_kept_hides() {
    let groups = || vec![group(&["a"]), group(&["a", "b"]), group(&["c"])];
    let note = "suppressed by x.toml:7 \"a\": 2 tracebacks, 6 blocks, 600 bytes";
    assert_eq!(suppressed(&[("a", Some(6))], groups()), (1, vec![note.to_owned()], None));
}

#[test]
fn a_bound_that_is_passed_hides_nothing_and_says_so() {
    let groups = || vec![group(&["a"]), group(&["a", "b"]), group(&["c"])];
    let note = "x.toml:7: \"leak:^a\" hides at most 5 blocks, and 6 match";
    assert_eq!(suppressed(&[("leak:^a", Some(5))], groups()), (3, vec![note.to_owned()], None));
    let note = "x.toml:7: \"leak:^c\" hides at most 1 block, and 3 match";
    assert_eq!(suppressed(&[("leak:^c", Some(1))], groups()).1, [note]);
    // What another one hides stays hidden.
    let (kept, notes, unused) = suppressed(&[("leak:^a", Some(5)), ("leak:^b", None)], groups());
    assert_eq!((kept, notes.len(), unused), (2, 2, None));
}
