//! What files mean, and the whole text of every error.

use super::super::module::Modules;
use super::super::suppress;
use super::super::tests::group;
use super::*;
use crate::report::{Group, Reachability};

fn read(text: &str) -> Vec<Suppression> {
    parse(Path::new("x.supp"), text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
}

/// Whether the file `text` hides a group.
fn hides(text: &str, group: Group) -> bool {
    suppress(&read(text), &Modules::default(), vec![group]).kept.is_empty()
}

/// A block of these lines behind its name.
fn block(lines: &[&str]) -> String {
    format!("{{\n   it\n   Memcheck:Leak\n   {}\n}}\n", lines.join("\n   "))
}

/// The place and the name of each suppression in `text`, and its bound.
fn names(text: &str) -> Vec<(String, String, Option<u64>)> {
    let name = |suppression: &Suppression| {
        let Suppression { place, title, most, .. } = suppression;
        (place.to_string(), title.clone(), *most)
    };
    read(text).iter().map(name).collect()
}

#[test]
fn a_file_of_lsan_s() {
    let text = "# known\n  leak:zalloc  \r\n\n# leaksnap: most 3\nleak:^HMAC_*new$\nleak: b\n";
    let expected = [
        ("x.supp:2", "leak:zalloc", None),
        ("x.supp:5", "leak:^HMAC_*new$", Some(3)),
        ("x.supp:6", "leak: b", None),
    ];
    let expected = expected.map(|(place, name, most)| (place.to_owned(), name.to_owned(), most));
    assert_eq!(names(text), expected);
    assert!(hides("leak:zalloc", group(&["CRYPTO_zalloc", "main"])));
    assert!(hides("leak:main", group(&["CRYPTO_zalloc", "main"])));
    assert!(!hides("leak: main", group(&["CRYPTO_zalloc", "main"])), "the space is of the pattern");
}

#[test]
fn a_file_of_valgrind_s() {
    let text = "# known\n{\n  one\n  Memcheck:Leak\n  fun:malloc\n}\n\n{\n  not about leaks\n  \
                Memcheck:Cond\n  fun:a\n}\n{\n  another tool's\n  Helgrind:Race\n  fun:a\n}\n\
                # leaksnap: most 3\n{\n  two\n  Helgrind,Memcheck:Leak\n  match-leak-kinds: all\n  \
                # why\n  fun:a\n  ...\n}\n";
    let expected = [("x.supp:2", "one", None), ("x.supp:19", "two", Some(3))];
    let expected = expected.map(|(place, name, most)| (place.to_owned(), name.to_owned(), most));
    assert_eq!(names(text), expected);
    assert_eq!(names("{\n a\n Memcheck:Param\n write(buf)\n fun:a\n}"), [], "and nothing else");
}

#[test]
fn kinds_are_states() {
    let states = [
        Reachability::Lost,
        Reachability::Indirect,
        Reachability::Reachable,
        Reachability::Unknown,
    ];
    let cases = [
        ("match-leak-kinds: definite", [true, false, false, true]),
        ("match-leak-kinds:indirect", [false, true, false, true]),
        ("match-leak-kinds: possible", [false, false, true, true]),
        ("match-leak-kinds: definite,reachable", [true, false, true, true]),
        ("match-leak-kinds: all", [true; 4]),
        ("# no kinds", [true; 4]),
    ];
    for (kinds, expected) in cases {
        let found = states.map(|reachability| {
            hides(&block(&[kinds, "fun:malloc", "fun:a"]), Group { reachability, ..group(&["a"]) })
        });
        assert_eq!(found, expected, "{kinds}");
    }
}

#[test]
fn every_error_names_its_line() {
    let unfinished = "this block has no `}`; add it";
    let heading = "this block has to start with a name and, in the next line, `Memcheck:Leak`";
    let cases = [
        ("", "1: there is no suppression in it; write one, or don't name it"),
        ("# a\n\n", "1: there is no suppression in it; write one, or don't name it"),
        // LeakSanitizer's.
        (
            "leak:",
            "1: `leak:` has no pattern; write a part of a function's, object's or file's name",
        ),
        (
            "leak:a\n\nrace:b",
            "3: `race:` lines are not read; those that are have `leak:` and a pattern, or are \
             valgrind's { … } blocks of Memcheck:Leak",
        ),
        (
            "zalloc",
            "1: `zalloc` is no suppression; write `leak:` and a pattern, or a { … } block as \
             valgrind has",
        ),
        (
            "leak:a\n{\nb",
            "2: a block of valgrind's among `leak:` lines; put it into a file of its own",
        ),
        ("\nfun:malloc", "2: `fun:` stands outside of a { … } block"),
        (
            "# leaksnap: most -1\nleak:a",
            "1: `most -1` is no bound; write a number of blocks from 1 on",
        ),
        // valgrind's.
        ("{\na\nMemcheck:Leak\nfun:b\n", &format!("1: {unfinished}")),
        ("{\na\nMemcheck:Leak\nfun:b\n{\nc", &format!("1: {unfinished}")),
        ("{\na\nMemcheck:Cond\nfun:b\n", &format!("1: {unfinished}")),
        ("\n{\n}", &format!("2: {heading}")),
        ("{\na\nfun:b\n}", &format!("1: {heading}")),
        ("{\nMemcheck:Leak\nmatch-leak-kinds: all\nfun:b\n}", &format!("1: {heading}")),
        ("{\na\nLeak\n}", "3: `Leak` has to be a tool and a kind, such as `Memcheck:Leak`"),
        ("{\na\nmemcheck: leak\n}", "3: `memcheck: leak` has to be written `Memcheck:Leak`"),
        ("{\na\nMemcheck:Leak\n...\n}", "1: this block names no frame; add a `fun:` or `obj:`"),
        ("{\na\nMemcheck:Leak\n}", "1: this block names no frame; add a `fun:` or `obj:`"),
        (
            "{\na\nMemcheck:Leak\nmalloc\n}",
            "4: `malloc` is no frame; write `...`, or start with `fun:`, `obj:` or `src:`",
        ),
        ("{\na\nMemcheck:Leak\nobj:\n}", "4: `obj:` has no pattern; write a name"),
        (
            "{\na\nMemcheck:Leak\nmatch-leak-kinds: lost\nfun:b\n}",
            "4: `lost` is no kind of leak; the kinds are definite, indirect, possible, reachable, \
             all",
        ),
        (
            "{\na\nMemcheck:Leak\nfun:b\nmatch-leak-kinds: all\n}",
            "5: `match-leak-kinds:` stands once, before the frames",
        ),
        (
            "{\na\nMemcheck:Leak\nfun:malloc\nfun:_ZN3foo*\n}",
            "5: `_ZN3foo*` is a mangled name with wildcards, and names are demangled here; write \
             it out, or as tracebacks show it",
        ),
        (
            "{\na\nMemcheck:Leak\n# leaksnap: most 3\nfun:b\n}",
            "4: a bound stands before its entry, not in it",
        ),
        ("{\na\nMemcheck:Leak\nfun:b\n}\n...\n", "6: `...` stands outside of a { … } block"),
        ("{ a", "1: a block starts with a line that is `{`"),
        (
            "{\na\nMemcheck:Leak\nfun:b\n}\nleak:c\n",
            "6: a `leak:` line among valgrind's blocks; put it into a file of its own",
        ),
    ];
    for (text, expected) in cases {
        let error = parse(Path::new("x.supp"), text).map_err(|error| error.to_string());
        assert_eq!(error.err(), Some(format!("x.supp:{expected}")), "of {text:?}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named_with_who_names_it() {
    let error = load(Path::new("/gone/x.supp"), Path::new("t/x.supp"), "t/it.toml:3");
    let text = "t/it.toml:3: t/x.supp cannot be read: No such file or directory (os error 2)";
    assert_eq!(error.map_err(|error| error.to_string()), Err(text.to_owned()));
}
