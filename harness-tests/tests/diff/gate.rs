//! `--snapshot`: what is new or grown fails until it is accepted.

use std::fs;

use harness_tests::trials::{body, read};
use harness_tests::{Workplace, cargo};
use serde_json::{Value, json};

use super::{diff, place};

/// An array with an element for each: count, bytes, the only frame.
fn trace(rows: &[(u64, u64, &str)]) -> String {
    let element = |(count, bytes, frame): &(u64, u64, &str)| json!({ "count": count, "bytes": bytes, "sample": "0x7f00", "traceback": [frame] });
    Value::from(rows.iter().map(element).collect::<Vec<_>>()).to_string()
}

/// What `leaksnap diff` says with a snapshot: its status and its standard output.
#[track_caller]
fn gate(place: &Workplace, files: [&str; 2], variables: &[(&str, &str)], status: i32) -> String {
    let arguments = ["diff", files[0], files[1], "--iterations", "10", "--snapshot", "vpp/crypto"];
    let ended = place.end(place.command(arguments).envs(variables.iter().copied()));
    assert_eq!(ended.status, Some(status), "{}{}", ended.stdout, ended.stderr);
    ended.stdout
}

/// The accepted snapshot's file.
const ACCEPTED: &str = "snapshots/vpp/crypto.snap";

/// The pending snapshot's file.
const PENDING: &str = "snapshots/vpp/crypto.snap.new";

const PAIR: [&str; 2] = ["warm.json", "warm-plus-10.json"];

#[test]
fn a_leak_that_nobody_accepted_fails_until_it_is() {
    let place = place();
    place.write("Cargo.toml", "[package]\nname = \"vpp\"\nedition = \"2024\"\n\n[workspace]\n");
    place.write("src/lib.rs", "");
    let text = gate(&place, PAIR, &[], 1);
    assert!(text.starts_with("6 tracebacks in vpp/crypto are not accepted (6 new)\n"), "{text}");
    assert!(
        text.contains("\nnew leak: 20 blocks, 2080 bytes (2 blocks, 208 bytes per iteration)\n"),
        "{text}"
    );
    assert_eq!(text.matches("\nnew leak: ").count(), 6, "{text}");
    assert!(
        text.contains("`cargo insta review`, or `cargo insta accept`\n\nnote: 5 more"),
        "{text}"
    );
    assert!(!place.path(ACCEPTED).exists());
    let pending = read(&place.path(PENDING));
    let group = "
leak: 2 blocks, 208 bytes per iteration
    CRYPTO_zalloc
    <unknown code>
    HMAC_Init_ex
    <unknown code>
    vnet_crypto_key_add
    test_crypto_command_fn
";
    assert!(body(&pending).contains(group), "{pending}");
    for moving in ["0x", " + ", "warm", "leaksnap-"] {
        assert!(!body(&pending).contains(moving), "{moving} in {pending}");
    }

    let accepted = place.end(cargo::insta(&place.path(""), &cargo::target()).arg("accept"));
    assert_eq!(accepted.status, Some(0), "{}", accepted.stderr);
    assert!(!place.path(PENDING).exists());
    let snapshot = read(&place.path(ACCEPTED));
    assert_eq!(body(&snapshot), body(&pending));

    assert_eq!(gate(&place, PAIR, &[], 0), "as accepted in FOLDER/snapshots/vpp/crypto.snap\n");
    assert_eq!(read(&place.path(ACCEPTED)), snapshot);
    assert!(!place.path(PENDING).exists());
}

/// The pair with the leaks of `generate_digest` alone: `count` objects of `bytes` in all.
fn one_leak(place: &Workplace, count: u64, bytes: u64) -> [&'static str; 2] {
    place.write("before.json", &trace(&[(1, 100, "steady + 0x1")]));
    place.write(
        "after.json",
        &trace(&[(1, 100, "steady + 0x1"), (count, bytes, "key_add + 0x358")]),
    );
    ["before.json", "after.json"]
}

/// Accepts an object of 100 bytes in each iteration.
fn accept(place: &Workplace) -> String {
    let body = "leak: 1 block, 100 bytes per iteration\n    key_add\n";
    let text = format!("---\nsource: src/command/diff.rs\n---\n{body}");
    place.write(ACCEPTED, &text);
    text
}

#[test]
fn more_than_accepted_fails_and_less_passes_with_a_note() {
    let place = place();
    let accepted = accept(&place);
    let grown = gate(&place, one_leak(&place, 20, 2000), &[], 1);
    assert!(grown.starts_with("1 traceback in vpp/crypto is not accepted (1 grown)\n"), "{grown}");
    assert!(
        grown.contains("\ngrown leak: 20 blocks, 2000 bytes (2 blocks, 200 bytes per iteration)\n"),
        "{grown}"
    );
    assert!(place.path(PENDING).exists());
    let larger = gate(&place, one_leak(&place, 10, 1400), &[], 1);
    assert!(
        larger.contains("\ngrown leak: 10 blocks, 1400 bytes (1 block, 140 bytes per iteration)\n"),
        "{larger}"
    );

    let less = gate(&place, one_leak(&place, 10, 500), &[], 0);
    let note = "note: 1 of the accepted tracebacks of vpp/crypto leak less or no longer";
    assert!(less.starts_with(note), "{less}");
    assert!(body(&read(&place.path(PENDING))).starts_with("leak: 1 block, 50 bytes per iteration"));
    let strict = [("LEAKSNAP_STRICT", "1")];
    let text = gate(&place, one_leak(&place, 10, 500), &strict, 1);
    assert!(text.contains("\nshrunk leak: 1 block, 50 bytes per iteration\n"), "{text}");

    let gone = gate(&place, ["before.json", "before.json"], &[], 0);
    let expected =
        "nothing leaks in vpp/crypto any longer: remove FOLDER/snapshots/vpp/crypto.snap\n";
    assert_eq!(gone, format!("note: {expected}"));
    assert!(!place.path(PENDING).exists());
    assert_eq!(gate(&place, ["before.json", "before.json"], &strict, 1), expected);
    assert_eq!(read(&place.path(ACCEPTED)), accepted);
}

/// Usable sizes depend on what the heap had at hand; objects don't.
#[test]
fn about_as_many_bytes_are_as_accepted() {
    let place = place();
    let accepted = accept(&place);
    for bytes in [760, 1000, 1320] {
        let text = gate(&place, one_leak(&place, 10, bytes), &[], 0);
        assert_eq!(text, "as accepted in FOLDER/snapshots/vpp/crypto.snap\n", "{bytes}");
        assert!(!place.path(PENDING).exists(), "{bytes}");
    }
    assert_eq!(read(&place.path(ACCEPTED)), accepted);
}

#[test]
fn nothing_is_written_where_nobody_could_review_it() {
    let place = place();
    for variable in [("CI", "1"), ("INSTA_UPDATE", "no")] {
        let text = gate(&place, PAIR, &[variable], 1);
        assert!(text.contains("(6 new)"), "{text}");
        assert!(!place.path(PENDING).exists(), "{variable:?}");
        let why = match variable {
            ("CI", _) => "`CI` is set",
            _ => "`INSTA_UPDATE` is `no`",
        };
        let step = format!(
            "\nno pending snapshot was written, as {why}: run it again with `INSTA_UPDATE=new`, then `cargo \
             insta review`\n"
        );
        assert!(text.contains(&step) && !text.contains("to accept what was found"), "{text}");
        // An older one is not what was found.
        place.write(PENDING, "---\nsource: a\n---\nleak: 1 block, 8 bytes per iteration\n    a\n");
        let text = gate(&place, PAIR, &[variable], 1);
        assert!(text.contains(&step), "{text}");
        fs::remove_file(place.path(PENDING)).expect("it is there");
    }
    let _ = gate(&place, PAIR, &[("CI", "1"), ("INSTA_UPDATE", "new")], 1);
    assert!(place.path(PENDING).exists());
    // Without Cargo, that is how one is accepted.
    assert_eq!(gate(&place, PAIR, &[("INSTA_UPDATE", "always")], 0), "");
    let accepted = "as accepted in FOLDER/snapshots/vpp/crypto.snap\n";
    assert_eq!(gate(&place, PAIR, &[], 0), accepted);
}

/// Less than was accepted passes, and what is said of it is true, too.
#[test]
fn a_smaller_snapshot_that_is_not_written_is_not_offered() {
    let place = place();
    let _ = accept(&place);
    let less = gate(&place, one_leak(&place, 10, 500), &[("CI", "1")], 0);
    let note = "note: 1 of the accepted tracebacks of vpp/crypto leak less or no longer; no pending snapshot \
                was written, as `CI` is set: ";
    assert!(less.starts_with(note), "{less}");
    let less = gate(&place, one_leak(&place, 10, 500), &[], 0);
    assert!(less.contains("; `cargo insta review` makes the snapshot smaller\n"), "{less}");
}

#[test]
fn a_folder_that_takes_no_snapshot_is_named() {
    let place = place();
    for variable in [("INSTA_UPDATE", "new"), ("INSTA_UPDATE", "always")] {
        let arguments = ["diff", PAIR[0], PAIR[1], "--iterations", "10", "--snapshot", "one"];
        let mut command = place.command(arguments);
        let ended = place.end(command.args(["--snapshots", "/proc/nosuch"]).envs([variable]));
        assert_eq!(ended.status, Some(1), "{}{}", ended.stdout, ended.stderr);
        let step =
            "\nno snapshot was written: /proc/nosuch/one.snap.new: No such file or directory\n";
        assert!(ended.stdout.contains(step), "{}", ended.stdout);
        assert!(!ended.stdout.contains("cargo insta"), "{}", ended.stdout);
    }
}

/// The same function at another offset is the same traceback in a snapshot.
#[test]
fn tracebacks_that_are_one_in_the_snapshot_are_listed_as_one() {
    let place = place();
    place.write("before.json", &trace(&[(1, 100, "steady + 0x1")]));
    let three = [(10, 80, "work + 0x1"), (10, 160, "work + 0x2"), (20, 800, "work + 0x3")];
    place.write("after.json", &trace(&[&[(1, 100, "steady + 0x1")], &three[..]].concat()));
    let text = gate(&place, ["before.json", "after.json"], &[], 1);
    assert!(text.starts_with("1 traceback in vpp/crypto is not accepted (1 new)\n"), "{text}");
    let heading =
        "\nnew leak: 40 blocks, 1040 bytes (4 blocks, 104 bytes per iteration)\n    work\n";
    assert!(text.contains(heading), "{text}");
    assert_eq!(text.matches("\nnew leak").count(), 1, "{text}");
}

#[test]
fn a_damaged_snapshot_is_status_2_and_what_is_not_read_touches_none() {
    let place = place();
    place.write(ACCEPTED, "no header\n");
    let arguments = ["warm.json", "warm-plus-10.json", "--snapshot", "vpp/crypto"];
    let ended = diff(&place, &arguments);
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""));
    let file = "FOLDER/snapshots/vpp/crypto.snap";
    let expected = format!(
        "leaksnap: {file}:1: it has no insta header; restore it (`git checkout -- {file}`), or remove \
         it and accept again what is found\n"
    );
    assert_eq!(ended.stderr, expected);

    let accepted = accept(&place);
    place.write(PENDING, "older");
    let ended = diff(&place, &["warm.json", "nowhere.json", "--snapshot", "vpp/crypto"]);
    assert_eq!(ended.status, Some(2));
    assert_eq!(
        (read(&place.path(ACCEPTED)), read(&place.path(PENDING))),
        (accepted, "older".into())
    );
}

#[test]
fn snapshots_lie_where_they_are_said_to() {
    let place = place();
    let elsewhere = ["--snapshot", "crypto", "--snapshots", "here/or/there"];
    let ended = diff(&place, &[&PAIR[..], &["--iterations", "10"], &elsewhere].concat());
    assert_eq!(ended.status, Some(1));
    assert!(place.path("here/or/there/crypto.snap.new").exists());
    assert!(!fs::exists(place.path("snapshots")).expect("a plain path"));
}
