//! The groups of a run, each with its frames, and the code around them.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::source::Sources;
use crate::export::Section;
use crate::report::amount::Amount;
use crate::report::{Frame, Group, Reachability, text};
use crate::traceback;

/// The most groups of a run that are listed, and how many of the first are open.
const MOST_GROUPS: usize = 500;
const OPEN: usize = 1;

/// The wanted groups of `section`, which is the page's run `run`.
pub(super) fn list(run: usize, section: &Section, sources: &mut Sources) -> Markup {
    let groups: Vec<_> = section.groups().collect();
    let standings = standings(section);
    let left_out = groups.get(MOST_GROUPS..).unwrap_or_default();
    let mut rest = Amount::default();
    left_out.iter().for_each(|(_, group)| rest += Amount::live(group));
    let iterations = section.report.iterations;
    html! {
        @if !groups.is_empty() {
            h3 { "Tracebacks" }
            @for (number, (started, group)) in groups.iter().take(MOST_GROUPS).enumerate() {
                details.group open[number < OPEN] {
                    summary { (heading(*started, group, iterations, standings.get(&traceback::key(&group.frames)))) }
                    div.about {
                        (facts(group, iterations))
                        ol.frames { @for frame in &group.frames { (line(frame, sources)) } }
                    }
                }
            }
            @if !left_out.is_empty() {
                p.left-out id={ "left-out-" (run) } {
                    (left_out.len()) " more tracebacks are left out here, with " (rest)
                    ": folded stacks, a profile and the JSON report have them all."
                }
            }
            @if !sources.has_room() { p.left-out { "The page has no room for more lines of code." } }
        }
    }
}

/// What a comparison says of each traceback.
fn standings(section: &Section) -> BTreeMap<Vec<String>, &'static str> {
    let Some(compared) = &section.compared else { return BTreeMap::new() };
    let difference = &compared.difference;
    let changes = [
        (&difference.grown, "grown"),
        (&difference.moved, "moved"),
        (&difference.shrunk, "shrunk"),
        (&difference.same, "as accepted"),
    ];
    let new = difference.new.iter().map(|group| (group.frames.clone(), "new"));
    let changes = changes.into_iter().flat_map(|(changes, word)| {
        changes.iter().map(move |change| (change.found.frames.clone(), word))
    });
    new.chain(changes).collect()
}

fn heading(
    started: Option<&str>,
    group: &Group,
    iterations: u32,
    standing: Option<&&'static str>,
) -> Markup {
    let fails = if group.verdict.fails() { "leaks" } else { "quiet" };
    html! {
        span.badge.(fails) { (group.verdict) } " "
        @if group.reachability != Reachability::Unknown { span.badge.quiet { (group.reachability) } " " }
        @if let Some(standing) = standing { span.badge.quiet { (standing) } " " }
        @if let Some(started) = started { span.badge.quiet { "in " (started) } " " }
        span.amount {
            (Amount::live(group))
            @if iterations > 1 && group.verdict.fails() { " (" (Amount::per_iteration(group)) " per iteration)" }
        }
        " "
        code.where { (told_by(group)) }
    }
}

/// How many frames a group is told by.
const TOLD_BY: usize = 3;

/// What a group is told by: its innermost frames, and the first behind them whose file is known.
fn told_by(group: &Group) -> String {
    let (inner, outer) = group.frames.split_at(group.frames.len().min(TOLD_BY));
    let has_file = |frame: &&Frame| frame.file.is_some();
    let own = outer.iter().find(has_file).filter(|_| !inner.iter().any(|frame| has_file(&frame)));
    let names = inner.iter().map(|frame| match &frame.function {
        Some(function) => function.to_string(),
        None => traceback::line(frame),
    });
    let more = match (own, outer.is_empty()) {
        (Some(frame), _) => Some(format!("… ← {}", traceback::line(frame))),
        (None, more) => (!more).then(|| "…".to_owned()),
    };
    names.chain(more).collect::<Vec<_>>().join(" ← ")
}

fn facts(group: &Group, iterations: u32) -> Markup {
    let rises = text::rises_text(&group.rises).filter(|_| iterations > 1 && group.verdict.fails());
    let ties = text::ties_text(&group.ties);
    html! {
        @for line in rises.iter().map(String::as_str).chain(ties.lines()) { p { (line.trim().replace("->", "→")) } }
    }
}

fn line(frame: &Frame, sources: &mut Sources) -> Markup {
    let place = frame.file.as_ref().map(|file| match frame.line {
        Some(line) => format!("{file}:{line}"),
        None => file.to_string(),
    });
    let build_id = frame.build_id.as_ref().filter(|_| frame.function.is_none());
    html! {
        li {
            @match &frame.function {
                Some(function) => {
                    code.function { (function) }
                    @if let Some(module) = &frame.module { " " span.module { (module) } }
                }
                None => code.function { (traceback::line(frame)) },
            }
            @if frame.inlined { " " span.module { "(inlined)" } }
            @if let Some(build_id) = build_id { " " span.module { "build-id " (build_id) } }
            @if let Some(place) = &place { " " span.place { (place) } }
            @if let Some(source) = sources.around(frame) { (source) }
        }
    }
}
