//! Whole pages: what they say, and that nothing in them is taken for markup.

use super::*;
use crate::check::Problem;
use crate::export::Compared;
use crate::export::samples::{frame, group, section, started};
use crate::report::{Frame, Group, Verdict};
use crate::snapshot::{compare, found, parse};

/// Elements without an end.
const VOID: [&str; 5] = ["meta", "br", "hr", "img", "input"];

/// The names of all elements of `page`, in their order.
///
/// # Panics
/// Where an element has another one's end, or none, or an attribute no quotes.
#[track_caller]
fn elements(page: &str) -> Vec<&str> {
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("it is HTML");
    let (mut open, mut all) = (Vec::new(), Vec::new());
    while let Some((_, tag)) = rest.split_once('<') {
        let mut quoted = false;
        let end = tag.find(|letter| {
            quoted ^= letter == '"';
            letter == '>' && !quoted
        });
        let (tag, behind) = tag.split_at(end.expect("a tag has an end"));
        rest = &behind[1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "before {:.80}", rest);
            continue;
        }
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "<{tag:.80}>");
        while !attributes.is_empty() {
            let end = attributes.find([' ', '=']).unwrap_or(attributes.len());
            let value = attributes[end..].strip_prefix("=\"").and_then(|it| it.split_once('"'));
            attributes = value.map_or(&attributes[end..], |(_, rest)| rest).trim_start();
        }
        all.push(name);
        if name == "style" {
            rest = rest.split_once("</style>").expect("it has an end").1;
        } else if !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    all
}

fn page(sections: &[Section]) -> String {
    let page = write(sections);
    let count = |name: &str| elements(&page).iter().filter(|element| **element == name).count();
    assert_eq!((count("main"), count("h1"), count("script")), (1, 1, 0));
    // inferno's comments and its script name addresses, and load none.
    assert!(!page.contains("onload="), "inferno's script is started by flame.js");
    let loaded = page.replace("url(#background)", "");
    for outside in [" src=", "href=\"http", "href=&quot;", "@import", "url("] {
        assert!(!loaded.contains(outside), "the page needs {outside}");
    }
    page
}

/// What accepted `body` is to `groups`.
fn compared(body: &str, groups: &[Group]) -> Option<Compared> {
    let accepted = parse(body).expect("a snapshot's body");
    let difference = compare(&accepted, &found(groups));
    Some(Compared { snapshot: "snapshots/<x>.snap".into(), has_base: false, difference })
}

fn leak() -> Group {
    group(96, vec![frame("zalloc", None), frame("parse<int>", None), frame("run", None)])
}

#[test]
fn nothing_that_users_name_is_markup() {
    let nasty = "</code></iframe></style><script>alert(\"1\" & '2')</script>";
    let mut leak = group(8, vec![frame(nasty, Some((nasty, 3)))]);
    leak.frames[0].module = Some(nasty.into());
    leak.ties.held_by = Some(nasty.into());
    let mut bad = section(nasty, vec![leak]);
    bad.report.program = vec![nasty.to_owned()];
    bad.report.notes = vec![nasty.to_owned()];
    bad.compared = compared(&format!("leak: 1 block, 9 bytes per iteration\n    {nasty}\n"), &[]);
    let mut other = section(nasty, vec![]);
    other.problem = Some(Problem::Wrong(nasty.to_owned()));
    let page = page(&[bad, other]);
    assert!(!page.contains("<script>alert") && !page.contains("</iframe></style>"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(&quot;1&quot; &amp; '2')&lt;/script&gt;"), "{page}");
    // In the frame's document, which is an attribute, it is text too.
    assert!(page.contains("&amp;lt;script&amp;gt;alert("), "{page}");
}

#[test]
fn what_was_not_checked_does_not_look_clean() {
    let unchecked = |problem: Option<Problem>, edit: fn(&mut Report)| {
        let mut section = section("x", vec![]);
        section.problem = problem;
        edit(&mut section.report);
        let page = page(&[section]);
        assert!(!page.contains("o leaks") && !page.contains("state clean"), "{page}");
        page
    };
    let reason = || Some(Problem::NotChecked("the ledger was full".into()));
    let text = unchecked(reason(), |_| ());
    assert!(text.contains("not checked: the ledger was full"));
    assert!(text.contains("What is not checked is not clean."));
    let text = unchecked(Some(Problem::Failed("step 1 failed".into())), |_| ());
    assert!(text.contains("<span class=\"badge failed\">failed</span> step 1 failed"));
    for edit in [
        (|report| report.tracing.active = false) as fn(&mut Report),
        |report| report.tracing.complete = false,
        |report| {
            *report = started(report.clone());
            report.descendants.iter_mut().flatten().for_each(|it| it.tracing.complete = false);
            report.scenario = Some("y".into());
        },
    ] {
        let mut section = section("x", vec![]);
        edit(&mut section.report);
        assert_eq!(section.state(), State::NotChecked);
    }
    assert!(page(&[]).contains("Nothing was run."));
}

#[test]
fn what_leaked_before_a_failure_is_said_to_be_so() {
    let mut section = section("x", vec![leak()]);
    section.problem = Some(Problem::NotChecked("the heap was full".into()));
    let text = page(&[section]);
    assert!(text.contains("Found until then: 1 leak in x: 1 block, 12 bytes per iteration"));
}

#[test]
fn states_are_told_apart() {
    let same = "leak: 1 block, 12 bytes per iteration\n    zalloc  plugin.so\n    parse<int>  \
                plugin.so\n    run  plugin.so\n";
    let mut accepted = section("accepted", vec![leak()]);
    accepted.compared = compared(same, &accepted.report.groups);
    assert_eq!(accepted.state(), State::Accepted);
    let mut grown = section("grown", vec![leak()]);
    grown.compared = compared(&same.replace("12 bytes", "8 bytes"), &grown.report.groups);
    assert_eq!(grown.state(), State::Leaks);
    let mut strict = section("strict", vec![]);
    strict.strictly = true;
    assert_eq!(strict.state(), State::Failed);
    assert_eq!(section("clean", vec![]).state(), State::Clean);
    let text = page(&[accepted, grown, strict, section("clean", vec![])]);
    assert!(text.contains("All of it was accepted in <code>snapshots/&lt;x&gt;.snap</code>."));
    assert!(text.contains("<span class=\"badge quiet\">grown</span>"));
    assert!(text.contains("<a href=\"#run-3\">clean</a>"));
    assert!(text.contains("no leaks in clean"));
}

#[test]
fn accepted_and_found_stand_side_by_side() {
    let mut section = section("x", vec![leak()]);
    let body = "\
leak: 1 block, 12 bytes per iteration
    zalloc  plugin.so
    read  plugin.so
    run  plugin.so

leak: 2 blocks, 4 bytes per iteration
    gone  plugin.so
";
    section.compared = compared(body, &section.report.groups);
    let text = page(&[section]);
    let row = "<tr class=\"other\"><td><code>read  plugin.so</code></td><td class=\"mark\"><span \
               aria-hidden=\"true\">|</span><span class=\"unseen\">changed</span></td><td>\
               <code>parse&lt;int&gt;  plugin.so</code></td></tr>";
    assert!(text.contains(row));
    assert!(text.contains("<span class=\"badge quiet\">vanished</span>"));
    assert!(text.contains("0 tracebacks found as accepted, 2 tracebacks not."));
}

#[test]
fn a_new_leak_beside_no_snapshot_is_not_repeated() {
    let mut section = section("x", vec![leak()]);
    section.compared = compared("", &section.report.groups);
    let text = page(&[section]);
    assert!(text.contains("Nothing was accepted before: there is no <code>"));
    assert!(!text.contains("class=\"beside\""));
}

#[test]
fn what_the_base_has_is_said_to_be_on_it() {
    let mut section = section("x", vec![leak()]);
    let body = "leak: 1 block, 12 bytes per iteration
    zalloc  plugin.so
    parse<int>  plugin.so
    run  plugin.so
";
    section.compared =
        compared(body, &section.report.groups).map(|it| Compared { has_base: true, ..it });
    let text = page(&[section]);
    assert!(text.contains("</code>, or found on the base."), "{text}");
    assert!(text.contains("</code>, or found on the base: 1 traceback found as"), "{text}");
}

#[test]
fn programs_that_were_started_have_their_say() {
    let mut section = section("x", vec![leak()]);
    section.report = started(section.report);
    let text = page(&[section]);
    assert!(text.contains("Started by it: 1 leak in sort: 1 block, 12 bytes"));
    assert!(text.contains("<span class=\"badge quiet\">in sort</span>"));
}

#[test]
fn groups_that_pass_are_there_where_all_are_wanted() {
    let mut cache = leak();
    cache.verdict = Verdict::OneTime;
    let mut section = section("x", vec![cache]);
    section.all = false;
    assert!(!page(std::slice::from_ref(&section)).contains("Tracebacks"));
    section.all = true;
    let text = page(&[section]);
    assert!(text.contains("one-time") && text.contains("Flame graph of live bytes"));
}

#[test]
fn a_page_of_twenty_thousand_groups_can_be_opened() {
    let frames = |number: usize| -> Vec<Frame> {
        (0..30).map(|at| frame(&format!("function_{}", number * at), None)).collect()
    };
    let groups: Vec<_> = (0..20_000).map(|number| group(96, frames(number))).collect();
    let mut section = section("x", groups);
    section.compared =
        compared("leak: 1 block, 1 byte per iteration\n    f  m\n", &section.report.groups);
    let text = page(&[section]);
    assert!(text.len() < 8 << 20, "{}", text.len());
    assert!(
        text.contains("19500 more tracebacks are left out here, with 156000 blocks, 1872000 bytes")
    );
    assert!(text.contains("19801 tracebacks more of these are left out here."));
    assert!(text.contains("The 15000 smallest of 20000 stacks are left out."));
}

#[test]
fn the_same_sections_are_the_same_page() {
    let make = || write(&[section("x", vec![leak()]), section("y", vec![leak(), leak()])]);
    assert_eq!(make(), make());
}

#[test]
fn leaks_without_a_byte_have_no_graph() {
    let mut empty = leak();
    empty.bytes = 0;
    let text = page(&[section("x", vec![empty])]);
    assert!(text.contains("no stack has a byte") && !text.contains("<iframe"));
}
