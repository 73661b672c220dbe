//! The page: one HTML file for people, that needs no other and no network.
//!
//! ```text
//!   page        the document, and a section for each run
//!   plot        what was live over the iterations
//!   flame       what leaks, as a flame graph
//!   beside      accepted and found tracebacks, side by side
//!   traceback   each group, with its frames
//!   source      the lines of the code that frames name
//! ```
//! Invariants: what stands in it as text was escaped (maud does); it says what it leaves out; what was
//! not checked does not look clean.

mod beside;
mod flame;
mod plot;
mod source;
mod traceback;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::source::Sources;
use super::{Section, State, names};
use crate::report::{Exit, Report, text};

/// What no page may load; what it holds itself runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// The wanted groups of `sections` as an HTML document. Lines of the code that frames name are read
/// from the files where they are now.
pub(crate) fn write(sections: &[Section]) -> String {
    let names = names(sections);
    let (heading, title) = match names.as_slice() {
        [name] => ("Memory leaks".to_owned(), format!("Memory leaks of {name}")),
        names => {
            let all = format!("Memory leaks of {} runs", names.len());
            (all.clone(), all)
        }
    };
    let mut sources = Sources::default();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (title) " · leaksnap" }
                style { (PreEscaped(include_str!("page/style.css"))) }
            }
            body {
                header { h1 { (heading) } }
                main {
                    @if names.len() > 1 { (contents(sections, &names)) }
                    @for (number, (section, name)) in sections.iter().zip(&names).enumerate() {
                        (run(number, name, section, &mut sources))
                    }
                    @if sections.is_empty() { p.state.not-checked { "Nothing was run." } }
                }
                footer { p { "Written by leaksnap " (env!("CARGO_PKG_VERSION")) "." } }
            }
        }
    };
    page.into_string() + "\n"
}

/// The runs, in a list that leads to them.
fn contents(sections: &[Section], names: &[String]) -> Markup {
    html! {
        nav aria-labelledby="runs" {
            h2 id="runs" { "Runs" }
            ul.runs {
                @for (number, (section, name)) in sections.iter().zip(names).enumerate() {
                    li { (badge(section.state())) " " a href={ "#run-" (number) } { (name) } }
                }
            }
        }
    }
}

fn badge(state: State) -> Markup {
    let (class, word) = words(state);
    html! { span.badge.(class) { (word) } }
}

/// How a state looks, and what it is called.
fn words(state: State) -> (&'static str, &'static str) {
    match state {
        State::NotChecked => ("not-checked", "not checked"),
        State::Failed => ("failed", "failed"),
        State::Leaks => ("leaks", "leaks"),
        State::Accepted => ("accepted", "as accepted"),
        State::Clean => ("clean", "no leaks"),
    }
}

fn run(number: usize, name: &str, section: &Section, sources: &mut Sources) -> Markup {
    let id = format!("run-{number}");
    html! {
        section aria-labelledby=(id) {
            h2 id=(id) { (name) }
            (verdict(section))
            (facts(&section.report))
            (notes(&section.report))
            @if was_run(&section.report) { (plot::figure(&section.report)) }
            (flame::figure(section))
            @if let Some(compared) = &section.compared { (beside::tables(compared)) }
            (traceback::list(number, section, sources))
        }
    }
}

/// What came of it, in a sentence for each program.
fn verdict(section: &Section) -> Markup {
    let Section { report, .. } = section;
    let state = section.state();
    let (class, _) = words(state);
    let problem = section.problem_text();
    let fails = report.any(|group| group.verdict.fails());
    // `no leaks` is no word for what went wrong.
    let headline = (problem.is_none() || fails).then(|| text::headline(report));
    let descendants = report.descendants.iter().flatten();
    let is_clean = |report: &&Report| {
        let clean = report.tracing.active && report.tracing.complete;
        clean && !report.any(|group| group.verdict.fails())
    };
    let (clean, others): (Vec<_>, Vec<_>) = descendants.partition(is_clean);
    html! {
        div.state.(class) {
            p {
                // The others say it themselves.
                @if state == State::Failed { (badge(state)) " " }
                (problem.as_ref().or(headline.as_ref()).map_or("", String::as_str))
            }
            @if state == State::NotChecked { p { "What is not checked is not clean." } }
            @if let (Some(_), Some(headline)) = (&problem, &headline) { p { "Found until then: " (headline) } }
            @if let (State::Accepted, Some(compared)) = (state, &section.compared) {
                p { "All of it was accepted in " code { (compared.snapshot.display()) } (beside::base(compared)) "." }
            }
            @for started in &others { p { "Started by it: " (text::headline(started)) } }
            @if !clean.is_empty() {
                p { "No leaks in what it started: " (clean.iter().map(|report| text::subject(report)).collect::<Vec<_>>().join(", ")) }
            }
        }
    }
}

/// Whether a child ran: a comparison of saved traces has none, nor a file that can't be read.
fn was_run(report: &Report) -> bool {
    report.exit != Exit::default()
}

fn facts(report: &Report) -> Markup {
    let exit = match (report.exit.code, report.exit.signal) {
        (Some(code), _) => Some(format!("exit code {code}")),
        (None, Some(signal)) => Some(format!("signal {signal}")),
        (None, None) => None,
    };
    let ran = exit.is_some();
    let iterations = match report.iterations {
        1 => ran.then(|| "1: the whole run".to_owned()),
        more => Some(format!("{more} in the window")),
    };
    let tracing = &report.tracing;
    // A comparison of saved traces counts nothing.
    let counted = tracing.allocations > 0;
    html! {
        dl.facts {
            @if !report.program.is_empty() { div { dt { (if ran { "Ran" } else { "Of" }) } dd { code { (report.program.join(" ")) } } } }
            @if let Some(exit) = exit { div { dt { "Ended" } dd { (exit) } } }
            @if let Some(iterations) = iterations { div { dt { "Iterations" } dd { (iterations) } } }
            @if counted {
                div { dt { "Allocations" } dd { (tracing.allocations) ", freed " (tracing.frees) } }
                div { dt { "Most that was live" } dd { (tracing.peak_bytes) " bytes" } }
            }
        }
    }
}

fn notes(report: &Report) -> Markup {
    let notes = text::note_lines(report);
    html! {
        @if !notes.is_empty() { ul.notes { @for note in notes { li { "Note: " (note) } } } }
    }
}

#[cfg(test)]
mod tests;
