//! What leaks as a flame graph, by inferno, in a frame of its own: its script and its names stay
//! there. The keyboard moves in it too (`flame.js`).

use std::cmp::Reverse;

use inferno::flamegraph::color::BasicPalette;
use inferno::flamegraph::{Options, Palette, from_lines};
use maud::{Markup, html};

use crate::export::{Section, folded};

/// The most stacks of a graph.
const MOST_STACKS: usize = 5000;

/// In percent of the whole: what is narrower is not drawn.
const NARROWEST: f64 = 0.1;

/// The graph of the wanted groups of `section`, with a heading; nothing where there are none.
pub(super) fn figure(section: &Section) -> Markup {
    let mut stacks = folded::stacks(section.groups());
    if stacks.is_empty() {
        return html! {};
    }
    let what = if section.all { "live" } else { "leaked" };
    let heading = html! { h3 { "Flame graph of " (what) " bytes" } };
    let all = stacks.len();
    if all > MOST_STACKS {
        stacks.sort_by_key(|(_, bytes)| Reverse(*bytes));
        stacks.truncate(MOST_STACKS);
    }
    let Some(graph) = graph(&stacks) else {
        return html! { (heading) p { "There is nothing to draw: no stack has a byte." } };
    };
    let height = height(&graph);
    let title = format!("Flame graph of {what} bytes by traceback");
    html! {
        (heading)
        figure.flame {
            iframe title=(title) srcdoc=(document(&graph)) height=(height) {}
            figcaption {
                "The wider, the more bytes; callers are below. A click or Enter zooms in, Escape out; the "
                "arrow keys move, Ctrl-F searches. What is narrower than " (NARROWEST) " % is not drawn. "
                @if all > MOST_STACKS {
                    "The " (all - MOST_STACKS) " smallest of " (all) " stacks are left out. "
                }
            }
        }
    }
}

/// The graph as SVG, without what stands in front of it in a file; `None` where nothing has a byte.
fn graph(stacks: &[(String, u64)]) -> Option<String> {
    let mut options = Options::default();
    options.title = String::new();
    "bytes".clone_into(&mut options.count_name);
    "monospace".clone_into(&mut options.font_type);
    options.colors = Palette::Basic(BasicPalette::Aqua);
    options.deterministic = true;
    options.min_width = NARROWEST;
    options.frame_height = 18;
    let lines: Vec<String> =
        stacks.iter().map(|(stack, bytes)| format!("{stack} {bytes}")).collect();
    let mut svg = Vec::new();
    from_lines(&mut options, lines.iter().map(String::as_str), &mut svg).ok()?;
    let svg = String::from_utf8(svg).ok()?;
    let start = svg.find("<svg")?;
    // It would start before it has a width: `flame.js` starts it.
    Some(svg[start..].replacen(" onload=\"init(evt)\"", "", 1))
}

/// How high the graph is: its first attribute of that name.
fn height(graph: &str) -> u32 {
    let digits = graph.split_once(" height=\"").and_then(|(_, rest)| rest.split('"').next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(400)
}

/// What the frame shows.
fn document(graph: &str) -> String {
    let style = include_str!("flame.css");
    let script = include_str!("flame.js");
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Flame graph</title>\
         <style>{style}</style></head><body>{graph}<script>{script}</script></body></html>"
    )
}
