//! The figures as text: a block for each workload, and at the end a line for each.

use crate::figures::{Figures, Row, Spread};
use crate::peer::{Kind, Missing};

/// In the lines at the end, in this order.
const COLUMNS: [Kind; 6] = [
    Kind::Untraced,
    Kind::Traced,
    Kind::Heaptrack,
    Kind::Valgrind,
    Kind::LeakSanitizer,
    Kind::Gperftools,
];

/// One workload: what native took, and each kind as ratios to it.
pub(crate) fn block(figures: &Figures) -> String {
    let native = &figures.native;
    let mut text = format!(
        "{}: native takes {:.3} s CPU, {:.3} s wall, {:.1} MiB\n",
        figures.workload,
        native.cpu_seconds.median,
        native.wall_seconds.median,
        native.peak_rss_kib.median / 1024.0,
    );
    line(
        &mut text,
        ["", "runs", "CPU", "(min – max)", "wall", "(min – max)", "RSS", "(min – max)"],
    );
    for row in &figures.rows {
        let runs = row.readings.len().to_string();
        let [cpu, wall, rss] = [row.cpu, row.wall, row.peak_rss].map(|spread| cells(row, spread));
        let cells = [row.kind, &runs, &cpu.0, &cpu.1, &wall.0, &wall.1, &rss.0, &rss.1];
        line(&mut text, cells);
    }
    text
}

fn line(text: &mut String, cells: [&str; 8]) {
    let [kind, runs, cpu, cpu_spread, wall, wall_spread, rss, rss_spread] = cells;
    let line = format!(
        "  {kind:<10} {runs:>4} {cpu:>8} {cpu_spread:<15} {wall:>8} {wall_spread:<15} \
         {rss:>8} {rss_spread}"
    );
    text.push_str(line.trim_end());
    text.push('\n');
}

/// The median, and the least and the most where they are of several.
fn cells(row: &Row, spread: Spread) -> (String, String) {
    let ends = if row.readings.len() == 1 {
        String::new()
    } else {
        format!("({} – {})", digits(spread.min), digits(spread.max))
    };
    (median(row, spread), ends)
}

/// Of a run that was cut short nobody knows what it would have taken.
fn median(row: &Row, spread: Spread) -> String {
    format!("{}{}", if row.cut { ">" } else { "" }, digits(spread.median))
}

/// Three digits or so say all that a ratio on a shared machine says.
fn digits(ratio: f64) -> String {
    match ratio {
        ..10.0 => format!("{ratio:.2}"),
        ..100.0 => format!("{ratio:.1}"),
        _ => format!("{ratio:.0}"),
    }
}

/// All workloads: the CPU of each kind, and what heaptrack adds to native for each that we add.
pub(crate) fn summary(all: &[Figures], missing: &[Missing], limit: u64) -> String {
    let mut text = String::from("CPU relative to native\n");
    let names = COLUMNS.map(Kind::name).map(str::to_owned);
    summary_line(&mut text, "", &names, "heaptrack/traced net");
    for figures in all {
        let cpu = COLUMNS.map(|kind| match figures.row(kind.name()) {
            Some(row) => median(row, row.cpu),
            None => "-".to_owned(),
        });
        let net = figures.heaptrack_over_traced.map_or("-".to_owned(), digits);
        summary_line(&mut text, figures.workload, &cpu, &net);
    }
    text.push_str(&notes(all, missing, limit));
    text
}

fn summary_line(text: &mut String, workload: &str, cells: &[String; 6], net: &str) {
    let [untraced, traced, heaptrack, valgrind, lsan, gperftools] = cells;
    let line = format!(
        "  {workload:<17} {untraced:>8} {traced:>7} {heaptrack:>9} {valgrind:>8} {lsan:>6} \
         {gperftools:>10} {net:>21}\n"
    );
    text.push_str(&line);
}

fn notes(all: &[Figures], missing: &[Missing], limit: u64) -> String {
    let mut text = String::from("  net: (heaptrack - native) / (traced - native)\n");
    let is_here = |kind: &Kind| all.iter().any(|figures| figures.row(kind.name()).is_some());
    for kind in COLUMNS.into_iter().filter(|kind| kind.runs_once() && is_here(kind)) {
        let name = kind.name();
        text.push_str(&format!("  {name}: run once; > where it was cut short after {limit} s\n"));
    }
    for Missing { peer, package } in missing {
        let note = format!("  {peer}: not on this machine; Debian's package {package} has it\n");
        text.push_str(&note);
    }
    text
}
