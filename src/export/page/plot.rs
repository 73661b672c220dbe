//! What was live over the iterations, as a curve and as a table.
//!
//! The curve is stretched to the page's width, so that it holds no text: what stands around it is
//! HTML, and stays readable on a narrow screen.

use maud::{Markup, html};

use crate::report::{History, Live, Report};

/// The picture's own units.
const WIDTH: usize = 1000;
const HEIGHT: u64 = 300;

/// The most points of a curve, and the most rows of a table at each of its ends.
const MOST_POINTS: usize = 400;
const MOST_ROWS: usize = 100;

/// How many of the iterations are in each part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parts {
    warmup: usize,
    window: usize,
    more: usize,
}

impl Parts {
    fn of(report: &Report) -> Self {
        let all = report.history.live.len();
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let warmup = count(report.history.warmup).min(all);
        let window = count(report.iterations).min(all - warmup);
        Self { warmup, window, more: all - warmup - window }
    }

    /// The part of iteration `number`, from 1.
    fn name(self, number: usize) -> &'static str {
        match number {
            _ if number <= self.warmup => "warm-up",
            _ if number <= self.warmup + self.window => "window",
            _ => "to decide",
        }
    }
}

/// The figure of `report`'s history; a sentence where it has none.
pub(super) fn figure(report: &Report) -> Markup {
    let History { live, .. } = &report.history;
    let heading = html! { h3 { "Live bytes over the iterations" } };
    let (Some(last), true) = (live.last(), live.len() > 1) else {
        return html! {
            (heading)
            p { "There is nothing to draw: memory was read once, or not at all." }
        };
    };
    let parts = Parts::of(report);
    let most = live.iter().map(|live| live.bytes).max().unwrap_or_default();
    let bands = [("warm-up", parts.warmup), ("window", parts.window), ("to decide", parts.more)];
    let bands: Vec<_> = bands.into_iter().filter(|(_, length)| *length > 0).collect();
    let columns: Vec<_> = bands.iter().map(|(_, length)| format!("{length}fr")).collect();
    let style = format!("grid-template-columns: {}", columns.join(" "));
    html! {
        (heading)
        figure.plot {
            div.chart {
                div.scale aria-hidden="true" {
                    span { (most) } @if most > 1 { span { (most / 2) } } span { "0" }
                }
                div.field {
                    div.bands style=(style) aria-hidden="true" {
                        @for (name, _) in &bands { div.band.(name.replace(' ', "-")) { span { (name) } } }
                    }
                    (curve(live, most))
                }
                div.numbers aria-hidden="true" { span { "0" } span { (live.len()) } }
            }
            figcaption {
                "Requested bytes of all live blocks that the iterations made, after each of them: "
                (last.bytes) " bytes after the last, at most " (most) ". " (said(parts)) " "
                @if live.len() > MOST_POINTS { "The curve has the highest of each " (step(live.len())) " iterations. " }
            }
        }
        details {
            summary { "The same as a table" }
            (table(live, parts))
        }
    }
}

/// Which iterations are which.
fn said(Parts { warmup, window, more }: Parts) -> String {
    let range = |from: usize, length: usize| match length {
        1 => format!("{}", from + 1),
        _ => format!("{} to {}", from + 1, from + length),
    };
    let mut text = String::new();
    if warmup > 0 {
        text += &format!("Warm-up: {}. ", range(0, warmup));
    }
    text += &format!("Window: {}.", range(warmup, window));
    if more > 0 {
        text += &format!(" Run to decide: {}.", range(warmup + window, more));
    }
    text
}

/// How many iterations a point is of.
fn step(iterations: usize) -> usize {
    iterations.div_ceil(MOST_POINTS).max(1)
}

/// The curve, from nothing before the first iteration.
fn curve(live: &[Live], most: u64) -> Markup {
    let step = step(live.len());
    let highest = |few: &[Live]| few.iter().map(|live| live.bytes).max().unwrap_or_default();
    let readings = live.chunks(step).map(highest).enumerate();
    let readings = readings.map(|(at, bytes)| (((at + 1) * step).min(live.len()), bytes));
    let points = [(0, 0)].into_iter().chain(readings).map(|(at, bytes)| {
        let y = u128::from(HEIGHT) * u128::from(bytes) / u128::from(most.max(1));
        format!("{} {}", at * WIDTH / live.len(), u128::from(HEIGHT) - y)
    });
    let points: Vec<String> = points.collect();
    let line = format!("M{}", points.join("L"));
    let area = format!("{line}V{HEIGHT}H0Z");
    // A line of no length with round ends is a dot, whichever way the picture is stretched.
    let dots: String = points.iter().map(|point| format!("M{point}h0")).collect();
    let label =
        format!("A curve of live bytes over {} iterations; the table has its numbers", live.len());
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
            path.half d={ "M0 " (HEIGHT / 2) "H" (WIDTH) } {}
            path.area d=(area) {}
            path.line d=(line) {}
            @if points.len() <= 64 { path.dots d=(dots) {} }
        }
    }
}

fn table(live: &[Live], parts: Parts) -> Markup {
    let left_out = live.len().saturating_sub(2 * MOST_ROWS);
    let (first, last) = match left_out {
        0 => (live.len(), live.len()),
        _ => (MOST_ROWS, live.len() - MOST_ROWS),
    };
    let row = |(at, live): (usize, &Live)| {
        html! {
            tr { th scope="row" { (at + 1) } td { (parts.name(at + 1)) } td { (live.blocks) } td { (live.bytes) } }
        }
    };
    html! {
        table.numbers {
            caption { "Live after each iteration" }
            thead {
                tr { th scope="col" { "Iteration" } th scope="col" { "Part" } th scope="col" { "Blocks" } th scope="col" { "Bytes" } }
            }
            tbody {
                @for each in live.iter().enumerate().take(first) { (row(each)) }
                @if left_out > 0 { tr { td colspan="4" { (left_out) " iterations are left out here." } } }
                @for each in live.iter().enumerate().skip(last) { (row(each)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::samples::section;

    fn report(live: Vec<u64>, warmup: u32, window: u32) -> Report {
        let mut report = section("x", Vec::new()).report;
        let live = live.into_iter().map(|bytes| Live { blocks: 1, bytes }).collect();
        report.history = History { warmup, live };
        report.iterations = window;
        report
    }

    #[test]
    fn the_curve_starts_at_nothing_and_ends_at_the_last_iteration() {
        let text = figure(&report(vec![100, 50, 200, 200], 1, 2)).into_string();
        assert!(text.contains("d=\"M0 300L250 150L500 225L750 0L1000 0\""), "{text}");
        assert!(text.contains("grid-template-columns: 1fr 2fr 1fr"), "{text}");
        assert!(text.contains("Warm-up: 1. Window: 2 to 3. Run to decide: 4."), "{text}");
        let rows = "<td>window</td><td>1</td><td>50</td>";
        assert!(text.contains(rows), "{text}");
    }

    #[test]
    fn what_was_read_once_or_never_is_not_drawn() {
        for live in [vec![], vec![1]] {
            let text = figure(&report(live, 0, 1)).into_string();
            assert!(!text.contains("<svg") && text.contains("nothing to draw"), "{text}");
        }
    }

    #[test]
    fn thousands_of_iterations_are_drawn_by_their_highest_and_listed_in_part() {
        let mut bytes = vec![0; 16_000];
        bytes[4321] = u64::MAX;
        let text = figure(&report(bytes, 2, 8000)).into_string();
        assert!(text.len() < 60_000, "{}", text.len());
        assert!(text.contains("L272 0L"), "the one that is high is drawn");
        assert!(text.contains("15800 iterations are left out here."));
        assert!(text.contains("the highest of each 40 iterations"));
        assert_eq!(text.matches("<th scope=\"row\">").count(), 200);
    }

    #[test]
    fn nothing_that_was_ever_live_is_a_flat_curve() {
        let text = figure(&report(vec![0, 0], 0, 2)).into_string();
        assert!(text.contains("d=\"M0 300L500 300L1000 300\""), "{text}");
    }
}
