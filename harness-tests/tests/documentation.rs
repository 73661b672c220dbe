//! What the documentation says of the sources: the messages that the troubleshooting page starts
//! from, the README's commands, and an example for each public item.

use std::collections::BTreeSet;
use std::process::Command;

use harness_tests::cargo::{cargo, repository, target};
use harness_tests::outcome::Outcome;
use harness_tests::source::{Source, sources};
use harness_tests::trials::read;

/// Items whose words each have to be explained, and their files.
const EXPLAINED: [(&str, &str); 10] = [
    ("src/check.rs", "fn activity("),
    ("src/check.rs", "fn completeness("),
    ("src/check/descendants.rs", "fn unfollowed("),
    ("src/child/ledger_file.rs", "pub(crate) enum LedgerError "),
    ("src/child/preload_file.rs", "pub(crate) enum PreloadError "),
    ("src/child/program_file.rs", "fn why_silent("),
    ("src/command/diff/notes.rs", "fn other_step("),
    ("src/command/diff/notes.rs", "fn empty("),
    ("src/command/diff/notes.rs", "fn swapped("),
    ("src/trace/json_report.rs", "let not_checked = "),
];

/// What is called, in all files, with such words.
const CALLS: [&str; 4] = ["NotChecked(", "not_checked(", "unchecked(", "unproven("];

fn page() -> String {
    read(&repository().join("src/troubleshooting.md"))
}

/// The messages of the page, without the marks of code.
fn messages(page: &str) -> Vec<String> {
    let headings = page.lines().filter_map(|line| line.strip_prefix("### "));
    let bare = |heading: &str| {
        let inner = heading.strip_prefix("`` ").and_then(|rest| rest.strip_suffix(" ``"));
        inner.unwrap_or_else(|| heading.trim_matches('`')).to_owned()
    };
    headings.map(bare).collect()
}

/// The files of the library, without those of tests.
fn product() -> Vec<Source> {
    let mut all = sources("src");
    all.retain(|source| !source.path.ends_with("tests.rs") && !source.path.contains("/tests/"));
    all
}

/// What a source says in quotes, each with its line breaks taken away and `…` for what is filled in.
fn quoted(text: &str) -> Vec<String> {
    let text = text.replace("\\\"", "\u{1}");
    let strings = text.split('"').skip(1).step_by(2);
    strings.map(|string| filled(&joined(string)).replace('\u{1}', "\"")).collect()
}

/// The lines of a source that are no comments, as [`quoted`] has strings.
fn lines(text: &str) -> Vec<String> {
    // Its tests say what it says.
    let text = text.split("\nmod tests {").next().unwrap_or_default();
    let text = joined(text).replace("\\\"", "\"");
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.map(filled).collect()
}

/// Without a line's end behind a backslash, and the spaces that follow.
fn joined(string: &str) -> String {
    let mut lines = string.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| text + line.trim_start())
}

/// With `…` in place of `{name}`.
fn filled(string: &str) -> String {
    let mut parts = string.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + "…" + part.split_once('}').map_or(part, |(_, behind)| behind)
    })
}

/// Whether `said` has the parts of `message` in their order.
fn has(said: &str, message: &str) -> bool {
    let mut rest = said;
    message.split('…').filter(|part| !part.trim().is_empty()).all(|part| {
        let found = rest.find(part.trim());
        rest = found.map_or("", |at| &rest[at + part.trim().len()..]);
        found.is_some()
    })
}

#[test]
fn each_message_of_the_troubleshooting_page_is_in_the_sources() {
    let said: Vec<_> = product().iter().flat_map(|source| lines(&source.text)).collect();
    let messages = messages(&page());
    assert!(messages.len() > 40, "{}", messages.len());
    for message in &messages {
        let long = message.split('…').any(|part| part.trim().len() > 9);
        assert!(long, "`{message}` could be anything");
        assert!(said.iter().any(|said| has(said, message)), "nothing says `{message}`");
    }
    let different: BTreeSet<_> = messages.iter().collect();
    assert_eq!(different.len(), messages.len(), "a message is explained twice");
}

/// The first words in quotes that a call gets, whose parenthesis opened before `arguments`.
fn first_words(arguments: &str) -> Option<String> {
    let start = arguments.find('"')?;
    // They stand first, or are what a `format!` or a `match` has there.
    let is_before = |word: &str| arguments[..start].contains(word);
    if is_before(";") || is_before("}") || is_before("=> return") {
        return None;
    }
    quoted(&arguments[start..]).into_iter().next()
}

#[test]
fn each_reason_for_no_check_is_on_the_troubleshooting_page() {
    let messages = messages(&page());
    let mut reasons = BTreeSet::new();
    for (file, item) in EXPLAINED {
        let text = read(&repository().join(file));
        let start = text.find(item).unwrap_or_else(|| panic!("{file} has no {item}"));
        let body = &text[start..];
        let body = &body[..body.find("\n}\n").expect("an item ends")];
        let found = quoted(body);
        assert!(!found.is_empty(), "{item}");
        reasons.extend(found.into_iter().map(|reason| (file.to_owned(), reason)));
    }
    for source in product() {
        let text = source.text.split("\nmod tests {").next().unwrap_or_default();
        for call in CALLS {
            let calls = text.match_indices(call).map(|(at, _)| &text[at + call.len()..]);
            let words = calls.filter_map(first_words);
            reasons.extend(words.map(|reason| (source.path.clone(), reason)));
        }
    }
    // Others are made of reasons alone.
    let has_words = |said: &str| said.split(' ').filter(|word| !word.contains('…')).count() > 2;
    reasons.retain(|(_, reason)| has_words(reason));
    assert!(reasons.len() > 40, "{}", reasons.len());
    let unexplained: Vec<_> = reasons
        .iter()
        .filter(|(_, reason)| !messages.iter().any(|message| has(reason, message)))
        .collect();
    assert!(unexplained.is_empty(), "the page does not explain {unexplained:#?}");
}

#[test]
fn the_readme_leads_to_the_guide_and_the_page() {
    let readme = read(&repository().join("README.md"));
    for path in ["src/guide.md", "src/troubleshooting.md"] {
        assert!(readme.contains(&format!("]({path})")), "{path}");
    }
}

#[test]
#[ignore = "it compiles what the documentation needs, which takes a minute or two"]
fn every_public_item_has_docs_and_an_example() {
    let folder = target().join("coverage");
    let mut rustdoc = cargo(repository(), &folder);
    rustdoc.env("RUSTC_BOOTSTRAP", "1");
    rustdoc.args(["rustdoc", "--quiet", "-p", "leaksnap", "--lib", "--"]);
    rustdoc.args(["-Z", "unstable-options", "--show-coverage", "--output-format", "json"]);
    let found = Outcome::of(&mut rustdoc).ends_with(0);
    let files: serde_json::Value = serde_json::from_str(found.out.trim()).expect("JSON");
    let files = files.as_object().expect("an object");
    assert!(files.len() > 5, "{files:?}");
    for (file, counts) in files {
        assert_eq!(counts["total"], counts["with_docs"], "{file}: {counts}");
        // The page is a module, and an example of nothing.
        let is_page = file == "src/troubleshooting.rs";
        let all = counts["total_examples"] == counts["with_examples"];
        assert!(all || is_page, "{file}: {counts}");
    }
}

#[test]
fn the_command_s_own_words_are_in_the_readme() {
    let readme = read(&repository().join("README.md"));
    let help = Outcome::of(Command::new(harness_tests::command::leaksnap()).arg("--help"));
    let help = help.ends_with(0);
    let commands = help.out.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = commands.map_while(|line| line.split_whitespace().next());
    let names: Vec<_> = names.filter(|name| *name != "help").collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        assert!(readme.contains(&format!("leaksnap {name}")), "README.md has no `{name}`");
    }
}
