//! Accepted tracebacks and those that were found, side by side.

use maud::{Markup, html};

use crate::export::Compared;
use crate::snapshot::{Change, Difference, Row, SnapshotGroup, rows};

/// The most tables of a run.
const MOST_TABLES: usize = 200;

/// A table for each traceback that is not what was accepted.
pub(super) fn tables(compared: &Compared) -> Markup {
    let Difference { new, grown, moved, shrunk, vanished, same } = &compared.difference;
    let snapshot = compared.snapshot.display();
    let pair = |what: &'static str| {
        move |Change { accepted, found }: &Change| {
            (what, Some(accepted.clone()), Some(found.clone()))
        }
    };
    let changes = grown.iter().map(pair("grown"));
    let changes = changes.chain(moved.iter().map(pair("moved")));
    let changes = changes.chain(new.iter().map(|found| ("new", None, Some(found.clone()))));
    let changes = changes.chain(shrunk.iter().map(pair("shrunk")));
    let gone = |accepted: &SnapshotGroup| ("vanished", Some(accepted.clone()), None);
    let changes: Vec<_> = changes.chain(vanished.iter().map(gone)).collect();
    let left_out = changes.len().saturating_sub(MOST_TABLES);
    html! {
        h3 { "Accepted against found" }
        @if !compared.has_accepted() {
            p { "Nothing was accepted before: there is no " code { (snapshot) } "." }
        } @else {
            p {
                "Accepted in " code { (snapshot) } (base(compared)) ": "
                (counted(same.len(), "found as accepted")) ", " (counted(changes.len(), "not")) "."
            }
            @for (what, accepted, found) in changes.iter().take(MOST_TABLES) {
                (table(what, accepted.as_ref(), found.as_ref()))
            }
            @if left_out > 0 { p.left-out { (counted(left_out, "more of these are left out here")) "." } }
        }
    }
}

/// Where else what passes may be from.
pub(super) fn base(compared: &Compared) -> &'static str {
    if compared.has_base { ", or found on the base" } else { "" }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {} {what}", if number == 1 { "traceback" } else { "tracebacks" })
}

/// A traceback in two columns; open where there are two sides to compare.
fn table(what: &str, accepted: Option<&SnapshotGroup>, found: Option<&SnapshotGroup>) -> Markup {
    let frames = |group: Option<&'_ SnapshotGroup>| group.map(|it| it.frames.clone());
    let (old, new) = (frames(accepted).unwrap_or_default(), frames(found).unwrap_or_default());
    let heading = |group: Option<&SnapshotGroup>| {
        group.map_or_else(|| "nothing".to_owned(), SnapshotGroup::heading)
    };
    let kind = if heading(accepted) == heading(found) { "same" } else { "other" };
    let innermost = new.first().or(old.first()).map_or("", String::as_str);
    html! {
        details.group open[accepted.is_some() && found.is_some()] {
            summary {
                span.badge.quiet { (what) } " " (heading(found.or(accepted)))
                " " code.where { (innermost) }
            }
            div.about {
                table.beside {
                    thead {
                        tr {
                            th scope="col" { "Accepted" }
                            th.mark scope="col" { span.unseen { "Difference" } }
                            th scope="col" { "Found" }
                        }
                    }
                    tbody {
                        tr.(kind) { td { (heading(accepted)) } (mark(kind)) td { (heading(found)) } }
                        @for row in rows(&old, &new) { (cells(row)) }
                    }
                }
            }
        }
    }
}

fn cells(row: Row<'_>) -> Markup {
    let (kind, old, new) = match row {
        Row::Same(old, new) => ("same", old, new),
        Row::Other(old, new) => ("other", old, new),
        Row::Accepted(old) => ("gone", old, ""),
        Row::Found(new) => ("new", "", new),
    };
    html! { tr.(kind) { td { code { (old) } } (mark(kind)) td { code { (new) } } } }
}

/// The sign between the columns, as the text report has it, and its meaning.
fn mark(kind: &str) -> Markup {
    let (sign, meaning) = match kind {
        "other" => ("|", "changed"),
        "gone" => ("<", "gone"),
        "new" => (">", "new"),
        _ => ("", "same"),
    };
    html! { td.mark { span aria-hidden="true" { (sign) } span.unseen { (meaning) } } }
}
