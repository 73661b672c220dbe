//! What a reviewer sees and does: the real cargo-insta, on a terminal.

use std::fs;
use std::process::Command;

use harness_tests::cargo;
use harness_tests::command::leaksnap;
use harness_tests::outcome::Outcome;
use harness_tests::terminal::Terminal;
use harness_tests::trials::{Trials, body, read};

const NAME: &str = "crypto/session";

/// What accepted snapshots had for the group that another build calls otherwise.
const MOVED: &str = "    crypto_tests::older::digest  libcrypto_openssl_forgets_hmac_key.so";

/// A group of another program.
const VANISHED: &str = "leak: 1 block, 8 bytes per iteration\n    gone  libgone.so  gone.c\n";

/// The scenario that leaks what VPP's `generate_digest` does: seven tracebacks.
fn leaky() -> Trials {
    let text = "plugins = [\"crypto_openssl_forgets_hmac_key\"]\nsteps = [\"test crypto\"]\n";
    Trials::new(env!("CARGO_BIN_EXE_trials")).package().scenario(NAME, text)
}

/// cargo-insta in the folder of `trials`.
fn insta(trials: &Trials, arguments: &[&str]) -> Command {
    let mut command = cargo::insta(trials.folder(), &cargo::target());
    command.args(arguments);
    command
}

/// What `cargo insta review` shows; `key` is what the reviewer types then.
fn review(trials: &Trials, variables: &[(&str, &str)], key: &str) -> String {
    let mut command = insta(trials, &["review"]);
    command.envs(variables.iter().copied());
    let mut terminal = Terminal::start(command);
    terminal.until(|terminal| terminal.plain().contains("toggle snapshot diff"));
    let shown = terminal.plain();
    terminal.write(key);
    assert_eq!(terminal.end(), Some(0), "{}", terminal.plain());
    shown
}

/// Something of each kind of difference to `found`: what is accepted then.
fn edited(found: &str) -> String {
    let mut groups: Vec<String> =
        found.split("\n\n").map(|group| group.trim_end().into()).collect();
    assert_eq!(groups.len(), 7, "{found}");
    // New.
    groups.remove(6);
    // Grown.
    let heading = groups[0].lines().next().expect("a heading").to_owned();
    groups[0] = groups[0].replace(&heading, "leak: 1 block, 1 byte per iteration");
    // Moved: one frame in the middle is another.
    let lines: Vec<_> = groups[1].lines().collect();
    let middle = lines.iter().rposition(|line| line.contains("crypto_tests::")).expect("ours") - 1;
    groups[1] = groups[1].replace(lines[middle], MOVED);
    groups.push(VANISHED.trim_end().into());
    groups.join("\n\n") + "\n"
}

/// The hunks of `text`: the kind of each, and its lines.
fn hunks(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("@@ ").and_then(|rest| rest.strip_suffix(" @@")) {
            found.push((kind, Vec::new()));
        } else if let Some((_, lines)) = found.last_mut() {
            if !line.starts_with(['+', '-', ' ']) {
                break;
            }
            lines.push(line);
        }
    }
    found
}

/// Each kind of difference is a hunk of its own, with the whole traceback, and nothing else is.
#[track_caller]
fn is_by_traceback(text: &str) {
    let hunks = hunks(text);
    let kinds: Vec<_> = hunks.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, ["new", "grown", "moved", "vanished"], "{text}");
    let lines = |kind: &str| &hunks.iter().find(|(other, _)| *other == kind).expect("there").1;
    assert!(lines("new").iter().all(|line| line.starts_with('+')), "{text}");
    assert!(lines("grown")[..2] == ["-leak: 1 block, 1 byte per iteration", lines("grown")[1]]);
    assert!(lines("grown")[1].starts_with("+leak: "), "{text}");
    assert!(lines("grown")[2..].iter().all(|line| line.starts_with("     ")), "{text}");
    let changed = lines("moved").iter().filter(|line| !line.starts_with(' '));
    let changed: Vec<_> = changed.collect();
    assert!(matches!(changed[..], [old, new] if old[1..] == *MOVED && new.starts_with('+')));
    let gone: Vec<_> = VANISHED.lines().map(|line| format!("-{line}")).collect();
    assert_eq!(*lines("vanished"), gone);
}

#[test]
fn a_review_shows_whose_leak_it_is_and_each_traceback_that_differs() {
    let trials = leaky();
    let _ = trials.run(&[], &[]).ends_with(101);
    let found = body(&read(&trials.pending(NAME))).to_owned();
    let shown = review(&trials, &[], "s");
    for line in [
        "Input file: tests/leaks/crypto/session.toml",
        "crypto/session: 7 new",
        "scenario: crypto/session",
        "verdict: leak",
        "tracebacks: 7",
        "blocks_per_iteration: 8",
        "bytes_per_iteration: 968",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in {shown}");
    }
    assert!(hunks(&shown).is_empty(), "all is new: {shown}");
    assert_eq!(trials.snapshots(), [format!("{NAME}.snap.new")]);

    let before = trials.accept(NAME, &edited(&found));
    let _ = trials.run(&[], &[]).ends_with(101).says(&["(1 new, 1 grown, 1 moved, 1 vanished)"]);
    let shown = review(&trials, &[], "s");
    assert!(shown.contains("\ncrypto/session: 1 new, 1 grown, 1 moved, 1 vanished\n"), "{shown}");
    is_by_traceback(&shown);
    assert!(shown.contains("-old snapshot"), "cargo-insta compares lines: {shown}");

    // Its own comparison can be one by traceback, too.
    let leaksnap = leaksnap();
    let tool = format!("{} diff", leaksnap.display());
    let shown = review(&trials, &[("INSTA_DIFF_TOOL", &tool)], "r");
    let (_, below) = shown.split_once("bytes_per_iteration: 968").expect("the info");
    is_by_traceback(below);
    assert!(!shown.contains("-old snapshot"), "{shown}");
    // The key was to reject.
    assert_eq!(trials.snapshots(), [format!("{NAME}.snap")]);
    assert_eq!(read(&trials.accepted(NAME)), before);

    let _ = trials.run(&[], &[]).ends_with(101);
    let _ = review(&trials, &[], "a");
    assert_eq!(trials.snapshots(), [format!("{NAME}.snap")]);
    let accepted = read(&trials.accepted(NAME));
    assert_eq!(body(&accepted), found);
    let _ = trials.run(&[], &[]).ends_with(0);
    assert_eq!(read(&trials.accepted(NAME)), accepted);
}

/// A small leak.
fn forgets() -> Trials {
    let text = "plugins = [\"leaks_per_call\"]\nsteps = [\"forget\"]\n";
    Trials::new(env!("CARGO_BIN_EXE_trials")).package().scenario("forgets", text)
}

#[test]
fn a_header_is_never_compared() {
    let trials = forgets();
    let _ = trials.run(&[], &[]).ends_with(101);
    let pending = read(&trials.pending("forgets"));
    let with_info = pending.replace("assertion_line: ", "was_at: ");
    let older = format!("---\nsource: tests/leaks.rs\n---\n{}", body(&pending));
    let of_another =
        with_info.replace("tracebacks: 1", "tracebacks: 12").replace("forgets: 1 new", "2 new");
    assert_ne!(of_another, with_info);
    fs::remove_file(trials.pending("forgets")).expect("it is there");
    for accepted in [with_info, older, of_another] {
        fs::write(trials.accepted("forgets"), &accepted).expect("a file");
        for variable in [
            ("INSTA_REQUIRE_FULL_MATCH", "1"),
            ("INSTA_REQUIRE_FULL_MATCH", "0"),
            ("INSTA_UPDATE", "always"),
            ("LEAKSNAP_STRICT", "1"),
        ] {
            let _ = trials.run(&[], &[variable]).ends_with(0);
            assert_eq!(trials.snapshots(), ["forgets.snap"], "{variable:?}");
            assert_eq!(read(&trials.accepted("forgets")), accepted, "{variable:?}");
        }
    }
}

#[test]
fn pending_snapshots_are_accepted_and_rejected_without_a_terminal() {
    let trials = forgets();
    let _ = trials.run(&[], &[]).ends_with(101);
    let _ = Outcome::of(&mut insta(&trials, &["pending-snapshots"]))
        .ends_with(0)
        .says(&["tests/leaks/snapshots/forgets.snap"]);
    let _ = Outcome::of(&mut insta(&trials, &["reject"])).ends_with(0);
    assert_eq!(trials.snapshots(), [""; 0]);
    let _ = trials.run(&[], &[]).ends_with(101);
    let _ = Outcome::of(&mut insta(&trials, &["accept"])).ends_with(0);
    assert_eq!(trials.snapshots(), ["forgets.snap"]);
    let _ = trials.run(&[], &[]).ends_with(0);
}

#[test]
fn two_snapshots_are_compared_by_traceback() {
    let trials = forgets();
    let folder = trials.folder();
    let diff = |arguments: &[&str]| {
        Outcome::of(Command::new(leaksnap()).arg("diff").args(arguments).current_dir(folder))
    };
    let group = |bytes: u32| format!("leak: 1 block, {bytes} bytes per iteration\n    f  a.so\n");
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("a file");
    write("old.snap", &format!("---\nsource: tests/leaks.rs\n---\n{}", group(8)));
    write("new.snap", &group(16));
    write("none.snap", "");
    write("wrong.snap", "---\nsource: tests/leaks.rs\n---\nleak: many\n");
    let hunk = "@@ grown @@\n-leak: 1 block, 8 bytes per iteration\n\
                +leak: 1 block, 16 bytes per iteration\n     f  a.so\n";
    assert_eq!(diff(&["old.snap", "new.snap"]).ends_with(1).out, hunk);
    assert_eq!(diff(&["new.snap", "new.snap"]).ends_with(0).out, "");
    let _ = diff(&["none.snap", "new.snap"]).ends_with(1).says(&["@@ new @@\n+leak: "]);
    let _ = diff(&["new.snap", "none.snap"]).ends_with(0).says(&["@@ vanished @@\n-leak: "]);
    let _ = diff(&["new.snap", "wrong.snap"]).ends_with(2).says(&["leaksnap: wrong.snap:4: "]);
    let _ = diff(&["new.snap", "missing.snap"]).ends_with(2).says(&["leaksnap: missing.snap: "]);
    let _ = diff(&["new.snap", "old.snap", "--iterations", "3"]).ends_with(2);
}
