//! From the pull request's side: a branch adds a leak to a git repository, the gate fails with
//! annotations and a summary, the leak is accepted, then mended, and a strict gate asks to shrink.

#[path = "review/action.rs"]
mod action;
#[path = "review/repository.rs"]
mod repository;

use std::fs;
use std::path::Path;

use harness_tests::cargo;
use harness_tests::outcome::Outcome;
use harness_tests::trials::read;
use serde_json::{Value, json};

use repository::{CLEAN, NAME, Repository, commands, leaky};

#[test]
fn a_pull_request_that_leaks_is_stopped_accepted_mended_and_made_strict() {
    let repository = Repository::new();
    let green = repository.gate(&[]).ends_with(0);
    assert_eq!(commands(&green), [""; 0]);
    assert_eq!(repository.summary(), "");

    // The leak: line 7 is where the block is made.
    repository.git(&["switch", "--quiet", "--create", "keeps-sessions"]);
    repository.program(&leaky());
    repository.commit("Keep sessions");
    let red = repository.gate(&[("INSTA_UPDATE", "new")]).ends_with(101);
    let expected = "::error file=src/session.c,line=7,title=sessions%3A new leak%2C lost%3A 1 block%2C \
                    40 bytes::in sessions%0Aleak, lost: 1 block, 40 bytes%0A    session_new  \
                    sessions  src/session.c:7%0A    main  sessions  src/session.c:12";
    assert_eq!(commands(&red), [expected], "{}", red.text);
    let summary = "
### ❌ leaksnap: sessions

1 traceback in sessions is not accepted (1 new)

at `src/session.c:7`

<details open><summary>tracebacks</summary>

```diff
@@ new @@
+leak: 1 block, 40 bytes per iteration
+    session_new  sessions  session.c
+    main  sessions  session.c
```

</details>
";
    assert_eq!(repository.summary(), summary);

    // Accepted, it passes, and the gate says nothing.
    let folder = repository.trials.folder();
    let mut accept = cargo::insta(folder, &cargo::target());
    let _ = Outcome::of(accept.arg("accept")).ends_with(0);
    repository.commit("Accept the leak");
    let green = repository.gate(&[]).ends_with(0);
    assert_eq!(commands(&green), [""; 0]);
    assert_eq!(repository.summary(), "");

    // Mended, it passes with a notice; a strict gate asks for the smaller snapshot.
    repository.program(CLEAN);
    repository.commit("Mend the leak");
    let note = repository.gate(&[]).ends_with(0);
    let start = "::notice file=tests/leaks/sessions.toml,line=2,title=sessions%3A nothing leaks in \
                 sessions any longer%3A remove ";
    assert!(commands(&note)[0].starts_with(start), "{}", note.text);
    assert!(repository.summary().contains("### ℹ️ leaksnap: sessions"), "{}", repository.summary());
    let strict = repository.gate(&[("LEAKSNAP_STRICT", "1")]).ends_with(101);
    assert!(commands(&strict)[0].starts_with(&start.replace("notice", "error")), "{}", strict.text);
    assert!(repository.summary().contains("\n-leak: 1 block, 40 bytes per iteration\n"));
    fs::remove_file(repository.trials.accepted(NAME)).expect("removed");
    let green = repository.gate(&[("LEAKSNAP_STRICT", "1")]).ends_with(0);
    assert_eq!(commands(&green), [""; 0]);
}

#[test]
fn against_the_base_only_what_the_change_adds_fails() {
    let repository = Repository::new();
    let leaky = leaky();
    repository.program(&leaky);
    repository.commit("A leak that nobody has accepted");
    let base = repository.path("base");
    let base = base.to_str().expect("a name in UTF-8");
    repository.git(&["worktree", "add", "--quiet", "--detach", base]);
    let program = format!("tests/leaks/{NAME}");
    fs::copy(repository.path(&program), Path::new(base).join(&program)).expect("copied");
    let there = [("CARGO_MANIFEST_DIR", base), ("INSTA_UPDATE", "always"), ("CI", "1")];
    let _ = repository.trials.run(&[], &there);

    let note = "note: 1 traceback leaks in sessions on the base, too\n";
    let against = [("LEAKSNAP_BASE", base), ("INSTA_UPDATE", "new")];
    let same = repository.gate(&against).ends_with(0).says(&[note]);
    assert_eq!(commands(&same), [""; 0]);
    assert!(!repository.trials.pending(NAME).exists(), "nobody has to accept it");
    let _ = repository.gate(&[]).ends_with(101);

    let second = "int main(void)\n{\n    newest = malloc(7);\n    newest = malloc(9);\n";
    repository.program(&leaky.replace("int main(void)\n{\n", second));
    let more = repository.gate(&against).ends_with(101);
    let more = more.says(&["1 traceback in sessions is not accepted (1 new)", "session.c:12"]);
    assert_eq!(commands(&more).len(), 1, "{}", more.text);
    assert!(!repository.summary().contains("session_new"), "{}", repository.summary());
    let grown = leaky.replace("malloc(", "malloc(9 + ");
    assert_ne!(grown, leaky);
    repository.program(&grown);
    let pages = [against[0], against[1], ("LEAKSNAP_HTML", "pages")];
    let more = repository.gate(&pages).ends_with(101);
    let more = more.says(&["(1 grown)", "--- accepted, or on the base\n"]);
    let more = more.is_silent_about("nothing was accepted before");
    let page =
        more.text.split("page: ").nth(1).and_then(|rest| rest.lines().next()).expect("a page");
    let page = fs::read_to_string(page).expect("it is there");
    assert!(page.contains("<span class=\"badge quiet\">grown</span>"), "{page}");
    assert!(!page.contains("Nothing was accepted before"), "{page}");
    repository.program(CLEAN);
    let _ = repository.gate(&against).ends_with(0).is_silent_about("note: ");

    let nowhere = [("LEAKSNAP_BASE", "/nowhere")];
    let text = "leaksnap: LEAKSNAP_BASE: /nowhere: there is no such folder";
    let _ = repository.gate(&nowhere).ends_with(2).says(&[text]);

    // The base's executable, which cargo took for the change's.
    let compiled = cargo::repository();
    let compiled = compiled.to_str().expect("a name in UTF-8");
    let text = "harness-tests: this executable was compiled there, from the base's sources";
    let stale = repository.gate(&[("LEAKSNAP_BASE", compiled)]).ends_with(2).says(&[text]);
    assert!(!stale.text.contains("test sessions"), "{}", stale.text);
}

/// The entries of the report at `path`.
fn entries(path: &Path) -> Value {
    serde_json::from_str(&read(path)).expect("JSON")
}

#[test]
fn gitlab_s_report_has_what_fails_at_its_line() {
    let repository = Repository::new();
    let path = repository.path("gl-code-quality-report.json");
    let report = path.to_str().expect("a name in UTF-8");
    let project = repository.trials.folder().to_str().expect("a name in UTF-8");
    let variables = [("LEAKSNAP_CODE_QUALITY", report), ("CI_PROJECT_DIR", project)];
    let run = || repository.trials.run(&[], &variables);
    let _ = run().ends_with(0);
    assert_eq!(entries(&path), json!([]));

    // Another job's entry stays, this trial's come and go.
    let other = json!({
        "description": "d", "check_name": "other", "fingerprint": "0", "severity": "minor",
        "location": { "path": "a.c", "lines": { "begin": 3 } },
    });
    fs::write(&path, json!([other]).to_string()).expect("written");
    repository.program(&leaky());
    let _ = run().ends_with(101);
    let found = entries(&path);
    let fingerprint = found[1]["fingerprint"].clone();
    let expected = json!([other, {
        "description": "sessions: new leak, lost: 1 block, 40 bytes",
        "check_name": "leaksnap/sessions",
        "fingerprint": fingerprint,
        "severity": "major",
        "location": { "path": "src/session.c", "lines": { "begin": 7 } },
    }]);
    assert_eq!(found, expected);
    // The same traceback is the same finding on another line.
    let moved = leaky().replace("char", "\n\nchar");
    repository.program(&moved);
    let _ = run().ends_with(101);
    let found = entries(&path);
    assert_eq!(found[1]["fingerprint"], fingerprint);
    assert_eq!(found[1]["location"]["lines"]["begin"], 9);
    repository.program(CLEAN);
    let _ = run().ends_with(0);
    assert_eq!(entries(&path), json!([other]));

    fs::write(&path, "[]\n{\n").expect("written");
    let wrong = format!("leaksnap: {report}:2: it is no code quality report (");
    let _ = run().ends_with(2).says(&[&wrong, "remove it"]);
    assert_eq!(read(&path), "[]\n{\n");
}

#[test]
fn what_was_not_checked_is_annotated_too() {
    let repository = Repository::new();
    fs::write(
        repository.trials.folder().join("tests/leaks/sessions.toml"),
        "steps = ['a']\nrepaet = 3\n",
    )
    .expect("written");
    let wrong = repository.gate(&[]).ends_with(101);
    let expected = "::error file=tests/leaks/sessions.toml,line=2,title=sessions%3A \
                    tests/leaks/sessions.toml%3A2%3A unknown key `repaet`; did you mean `repeat`?\
                    ::tests/leaks/sessions.toml:2: unknown key `repaet`; did you mean `repeat`?";
    assert_eq!(commands(&wrong), [expected], "{}", wrong.text);
    let off = repository.gate(&[("LEAKSNAP_ANNOTATE", "0")]).ends_with(101);
    assert_eq!(commands(&off), [""; 0]);
    assert_eq!(repository.summary(), "");
}
