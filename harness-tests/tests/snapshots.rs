//! What is found against what was accepted: the result, the text, and the files afterwards.

use std::fs;
use std::sync::OnceLock;

use harness_tests::cargo;
use harness_tests::outcome::Outcome;
use harness_tests::trials::{Trials, body, read};

/// The scenario's name in each test here.
const NAME: &str = "forgets";

/// A group of another program.
const VANISHED: &str = "leak: 1 block, 8 bytes per iteration\n    gone  libgone.so  gone.c\n";

fn trials(plugins: &str, steps: &str) -> Trials {
    let text = format!("plugins = [{plugins}]\nsteps = [{steps}]\n");
    Trials::new(env!("CARGO_BIN_EXE_trials")).scenario(NAME, &text)
}

/// A leak of 48 bytes in each iteration, and a growth.
fn leaky() -> Trials {
    trials(r#""leaks_per_call", "grows_per_call""#, r#""forget", "grow""#)
}

fn clean() -> Trials {
    trials(r#""crypto_openssl""#, r#""test crypto""#)
}

/// The body of the snapshot that the leak has.
fn found() -> &'static str {
    static FOUND: OnceLock<String> = OnceLock::new();
    FOUND.get_or_init(|| {
        let trials = leaky();
        // insta writes it and fails nonetheless: nobody had accepted it.
        let _ = trials.run(&[], &[("INSTA_UPDATE", "always")]);
        body(&read(&trials.accepted(NAME))).to_owned()
    })
}

/// What was found with one amount in place of another.
fn with_amount(amount: &str) -> String {
    const AMOUNT: &str = "1 block, 48 bytes per iteration";
    assert_eq!(found().matches(AMOUNT).count(), 1, "{}", found());
    found().replace(AMOUNT, amount)
}

/// What a scenario's accepted snapshot is turned into, and what becomes of the trial.
struct Edit {
    body: String,
    text: &'static [&'static str],
    /// Whether the trial fails where nothing else is said.
    fails: bool,
}

fn edits() -> [Edit; 6] {
    let growth = found().split_once("\n\n").expect("there are two groups").0;
    [
        Edit {
            body: format!("{growth}\n"),
            text: &[
                "1 traceback in forgets is not accepted (1 new)",
                "\nnew leak, lost: 8 blocks, 384",
            ],
            fails: true,
        },
        Edit {
            body: with_amount("1 block, 24 bytes per iteration"),
            text: &[
                "1 traceback in forgets is not accepted (1 grown)",
                "\ngrown leak, lost: 8 blocks, 384 bytes (1 block, 48 bytes per iteration)",
                "\naccepted leak: 1 block, 24 bytes per iteration",
            ],
            fails: true,
        },
        Edit {
            body: found().replace("leak: 1 block", "growth: 1 block"),
            text: &[
                "1 traceback in forgets is not accepted (1 grown)",
                "\naccepted growth: 1 block, 48 bytes per iteration",
            ],
            fails: true,
        },
        Edit {
            body: found().replace("growth: 0 blocks", "leak: 0 blocks"),
            text: &[
                "the accepted snapshot of forgets is out of date (1 shrunk)",
                "\naccepted leak: 0 blocks, ",
            ],
            fails: false,
        },
        Edit {
            body: with_amount("2 blocks, 64 bytes per iteration"),
            text: &["the accepted snapshot of forgets is out of date (1 shrunk)"],
            fails: false,
        },
        Edit {
            body: format!("{}\n{VANISHED}", found()),
            text: &[
                "the accepted snapshot of forgets is out of date (1 vanished)",
                "\nvanished leak: 1 block, 8 bytes per iteration\n    gone  libgone.so  gone.c",
            ],
            fails: false,
        },
    ]
}

/// Runs each edit with `variables`; the accepted snapshot stays as it is, and there is a pending
/// one, with what was found, where `pending` says so.
#[track_caller]
fn each_edit(variables: &[(&str, &str)], pending: bool, check: impl Fn(&Edit, Outcome)) {
    for edit in edits() {
        let trials = leaky();
        let accepted = trials.accept(NAME, &edit.body);
        check(&edit, trials.run(&[], variables));
        assert_eq!(read(&trials.accepted(NAME)), accepted, "{:?}", edit.text);
        assert_eq!(trials.pending(NAME).exists(), pending, "{:?}", edit.text);
        if pending {
            assert_eq!(body(&read(&trials.pending(NAME))), found());
        }
    }
}

/// A failure shows the edit; a pass says that the snapshot could be smaller.
fn as_usual(edit: &Edit, run: Outcome) {
    if edit.fails {
        let _ = run.ends_with(101).says(edit.text).says(&["--- accepted", "cargo insta review"]);
    } else {
        let note = "note: 1 of the accepted tracebacks of forgets leak less or no longer";
        let _ = run.ends_with(0).says(&[note]);
    }
}

#[test]
fn new_and_grown_fail_and_less_passes_with_a_note() {
    each_edit(&[], true, as_usual);
}

#[test]
fn strict_fails_less_as_well() {
    let strict = |edit: &Edit, run: Outcome| _ = run.ends_with(101).says(edit.text);
    each_edit(&[("LEAKSNAP_STRICT", "1")], true, strict);
    each_edit(&[("LEAKSNAP_STRICT", "1"), ("CI", "1")], false, strict);
}

#[test]
fn nothing_is_written_where_nobody_could_review_it() {
    each_edit(&[("CI", "1")], false, as_usual);
    each_edit(&[("INSTA_UPDATE", "no")], false, as_usual);
}

#[test]
fn under_cargo_insta_test_everything_is_pending_and_passes() {
    let passes = |_: &Edit, run: Outcome| _ = run.ends_with(0);
    each_edit(&[("INSTA_FORCE_PASS", "1")], true, passes);
    each_edit(&[("INSTA_FORCE_PASS", "1"), ("LEAKSNAP_STRICT", "1")], true, passes);
}

#[test]
fn frames_that_another_build_has_are_no_difference() {
    let accepted = found()
        .replace("    forget  ", "    called_here_and_inlined_there  forgets.so\n    forget  ")
        .replace("  leaks_per_call.c", "");
    assert_eq!(accepted.lines().count(), found().lines().count() + 1, "{accepted}");
    for variable in [("CI", "0"), ("CI", "1"), ("LEAKSNAP_STRICT", "1"), ("INSTA_UPDATE", "always")]
    {
        let trials = leaky();
        let accepted = trials.accept(NAME, &accepted);
        let _ = trials.run(&[], &[variable]).ends_with(0).is_silent_about("note: ");
        assert_eq!(trials.snapshots(), ["forgets.snap"], "{variable:?}");
        assert_eq!(read(&trials.accepted(NAME)), accepted, "{variable:?}");
    }
}

/// VPP's leak in `generate_digest`: an HMAC's key.
#[test]
fn a_leak_that_nobody_accepted_fails_until_it_is() {
    let trials = trials(r#""crypto_openssl_forgets_hmac_key""#, r#""test crypto""#).package();
    let _ = trials.run(&[], &[]).ends_with(101).says(&[
        "7 tracebacks in forgets are not accepted (7 new)",
        "1 block, 32 bytes per iteration",
        "CRYPTO_zalloc",
        "HMAC_Init_ex",
        "crypto_tests::incremental::generate_digest",
        "crypto_tests::keys::KeyTable::key_add",
        "nothing was accepted before",
        "cargo insta accept",
    ]);
    assert_eq!(trials.snapshots(), ["forgets.snap.new"]);
    let pending = read(&trials.pending(NAME));

    let mut accept = cargo::insta(trials.folder(), &cargo::target());
    let _ = Outcome::of(accept.arg("accept")).ends_with(0).says(&["forgets"]);
    assert_eq!(trials.snapshots(), ["forgets.snap"]);
    let accepted = read(&trials.accepted(NAME));
    assert_eq!(body(&accepted), body(&pending));

    let _ = trials.run(&[], &[]).ends_with(0).is_silent_about("note");
    assert_eq!(trials.snapshots(), ["forgets.snap"]);
    assert_eq!(read(&trials.accepted(NAME)), accepted);

    fs::remove_file(trials.accepted(NAME)).expect("it is there");
    let _ = trials.run(&[], &[]).ends_with(101).says(&["(7 new)"]);
}

#[test]
fn clean_is_green_and_leaves_no_file() {
    let trials = clean();
    let _ = trials.run(&[], &[]).ends_with(0).says(&["1 passed"]);
    let _ = trials.run(&[], &[("INSTA_UPDATE", "always")]).ends_with(0);
    assert_eq!(trials.snapshots(), [""; 0]);
}

#[test]
fn a_pending_snapshot_goes_when_nothing_is_pending() {
    let trials = clean();
    fs::create_dir_all(trials.folder().join("tests/leaks/snapshots")).expect("a folder");
    fs::write(trials.pending(NAME), "stale").expect("a file");
    let _ = trials.run(&[], &[]).ends_with(0);
    assert_eq!(trials.snapshots(), [""; 0]);

    let trials = leaky();
    let accepted = trials.accept(NAME, found());
    fs::write(trials.pending(NAME), "stale").expect("a file");
    let _ = trials.run(&[], &[]).ends_with(0);
    assert_eq!(trials.snapshots(), ["forgets.snap"]);
    assert_eq!(read(&trials.accepted(NAME)), accepted);
}

#[test]
fn a_scenario_that_became_clean_asks_for_its_snapshot_to_go() {
    let trials = clean();
    let accepted = trials.accept(NAME, VANISHED);
    let gone = ["nothing leaks in forgets any longer: remove ", "forgets.snap"];
    let _ = trials.run(&[], &[]).ends_with(0).says(&["note: "]).says(&gone);
    let _ = trials.run(&[], &[("LEAKSNAP_STRICT", "1")]).ends_with(101).says(&gone);
    assert_eq!(trials.snapshots(), ["forgets.snap"]);
    assert_eq!(read(&trials.accepted(NAME)), accepted);
}

#[test]
fn what_is_not_checked_fails_and_touches_nothing() {
    let trials = leaky();
    let accepted = trials.accept(NAME, VANISHED);
    fs::write(trials.pending(NAME), "older").expect("a file");
    for force in ["0", "1"] {
        let variables = [("LEAKSNAP_FRAMES", "4"), ("INSTA_FORCE_PASS", force)];
        let _ =
            trials.run(&[], &variables).ends_with(101).says(&["not checked: the ledger was full"]);
    }
    assert_eq!(read(&trials.accepted(NAME)), accepted);
    assert_eq!(read(&trials.pending(NAME)), "older");
}

#[test]
fn a_damaged_snapshot_is_an_error_with_its_place_and_stays() {
    let damages = [
        ("leak: many\n", "forgets.snap:4: "),
        ("leak: 1 block, 8 bytes per iteration\n    f  m\n\n    g  m\n", "forgets.snap:7: "),
        ("leak: 1 block, 8 bytes per iteration\n", "forgets.snap:4: "),
    ];
    for (body, place) in damages {
        let trials = leaky();
        let accepted = trials.accept(NAME, body);
        for variable in [
            ("INSTA_FORCE_PASS", "0"),
            ("INSTA_FORCE_PASS", "1"),
            ("INSTA_UPDATE", "always"),
            ("LEAKSNAP_STRICT", "1"),
        ] {
            let _ = trials.run(&[], &[variable]).ends_with(101).says(&[place]);
        }
        assert_eq!(trials.snapshots(), ["forgets.snap"]);
        assert_eq!(read(&trials.accepted(NAME)), accepted);
    }
    let trials = leaky();
    let _ = trials.accept(NAME, "");
    fs::write(trials.accepted(NAME), "no header\n").expect("a file");
    let _ = trials.run(&[], &[]).ends_with(101).says(&["forgets.snap:1: it has no insta header"]);
    assert_eq!(read(&trials.accepted(NAME)), "no header\n");
    assert_eq!(trials.snapshots(), ["forgets.snap"]);
}

#[test]
fn what_was_accepted_is_not_looked_at_again() {
    // More iterations than the window's are the end of this one.
    let trials = || trials(r#""fills_a_ring""#, r#""append or end""#);
    let killed = trials().run(&[], &[]);
    let _ = killed.ends_with(101).says(&["was killed by signal 6 (SIGABRT)"]);
    let frames = ["make_node", "append_to_list", "append_or_end"]
        .map(|function| format!("    {function}  libfills_a_ring.so  fills_a_ring.c\n"));
    let accepted = trials();
    accepted.accept(NAME, &format!("leak: 1 block, 40 bytes per iteration\n{}", frames.concat()));
    let _ = accepted.run(&[], &[]).ends_with(0);
}
