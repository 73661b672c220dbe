//! The session that VPP's developers have, line by line from a file.

use std::collections::BTreeSet;
use std::path::Path;

use harness_tests::cargo::repository;
use harness_tests::trials::read;

use super::{place, replay, said};

/// Rows of a table that the snapshot has from its start and from its end.
const ROWS: (usize, usize) = (12, 3);

/// Lines of `test crypto` that it has from its start and from its end.
const LINES: (usize, usize) = (6, 4);

/// `text` with what differs from run to run by its name: addresses, and numbers that depend on the
/// environment, on paths or on the kernel. Of what is long the ends are left.
fn normalized(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut parts = text.lines().peekable();
    while let Some(line) = parts.next() {
        let is_vector = |line: &str| line.ends_with(" OK");
        if is_vector(line) {
            let mut all = vec![line.to_owned()];
            while let Some(next) = parts.next_if(|line| is_vector(line)) {
                all.push(next.to_owned());
            }
            lines.extend(ends(all, LINES, "lines"));
        } else if line == "  Bytes    Count     Sample   Traceback" {
            lines.push(line.to_owned());
            let mut rows: Vec<String> = Vec::new();
            while let Some(next) = parts.next_if(|line| line.starts_with(' ')) {
                let next = redacted(next);
                if next.starts_with("            ") {
                    let row = rows.last_mut().expect("a row starts with its numbers");
                    *row += "\n";
                    *row += &next;
                } else {
                    rows.push(next);
                }
            }
            lines.extend(ends(rows, ROWS, "rows"));
        } else {
            lines.push(redacted(line));
        }
    }
    lines.join("\n") + "\n"
}

fn ends(all: Vec<String>, (first, last): (usize, usize), what: &str) -> Vec<String> {
    let middle = format!("… ({} {what} in all)", all.len());
    [&all[..first], &[middle], &all[all.len() - last..]].concat()
}

/// `line` without addresses, without the numbers of the heap's own lines, and without offsets in
/// what this compiler made of the plugin.
fn redacted(line: &str) -> String {
    const OF_THE_HEAP: [&str; 6] = [
        "allocated while tracing was off",
        "    page stats:",
        "      numa ",
        "    total:",
        "      free chunks",
        "      max ",
    ];
    let is_heap = OF_THE_HEAP.iter().any(|start| line.starts_with(start));
    let mut text = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(|letter: char| letter.is_ascii_digit()) {
        text += &rest[..at];
        rest = &rest[at..];
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.');
        let (number, behind) = rest.split_at(end.unwrap_or(rest.len()));
        let is_kept =
            ["page-size ", "numa ", "total: ", ", total "].map(|name| text.ends_with(name));
        text += match text.ends_with(" + ") {
            true if line.contains("crypto_tests::") => "OFFSET",
            false if number.starts_with("0x") && number.len() > 12 => "ADDRESS",
            false if is_heap && !is_kept.contains(&true) => "NUMBER",
            _ => number,
        };
        rest = behind;
    }
    text + rest
}

#[test]
fn vpp_s_session_reads_as_vpp_s() {
    let input = read(&repository().join("harness-tests/tests/console/session.txt"));
    // Time enough for all iterations that may be wanted.
    let arguments = ["--timeout", "10m", "--plugin", "crypto_openssl_forgets_hmac_key"];
    let run = replay(&place(&[]), &arguments, &input);
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""), "{}", run.text());
    let text = run.text();
    assert_eq!(text.lines().filter(|line| line.ends_with(" OK")).count(), 2 * 548);

    // Every traced object is in a row, the largest rows come first, and no two are the same.
    let shown = said(&text, "show memory main-heap verbose");
    let (_, table) = shown.split_once("Traceback\n").expect("a table");
    let mut rows: Vec<(u64, u64)> = Vec::new();
    let mut tracebacks: Vec<Vec<&str>> = Vec::new();
    for line in table.lines().filter(|line| line.starts_with(' ')) {
        if let (Some(numbers), symbol) = (line.get(..33).map(str::trim), &line[34..]) {
            let mut numbers = numbers.split_whitespace().map(str::parse::<u64>);
            match (numbers.next(), numbers.next()) {
                (Some(Ok(bytes)), Some(Ok(count))) => {
                    rows.push((bytes, count));
                    tracebacks.push(vec![symbol]);
                }
                _ => tracebacks.last_mut().expect("a row").push(symbol),
            }
        }
    }
    let total: u64 = rows.iter().map(|(_, count)| count).sum();
    assert!(table.ends_with(&format!("\n{total} total traced objects\n")), "{total} in {table}");
    assert!(rows.is_sorted_by(|one, other| one.0 >= other.0), "{rows:?}");
    assert!(rows.len() > 300, "the caches of a cold start: {}", rows.len());
    let different: BTreeSet<_> = tracebacks.iter().collect();
    assert_eq!(different.len(), rows.len());
    let named = "crypto_tests::keys::KeyTable::key_add + 0x";
    assert!(table.contains(named), "the plugin, which came late, has names");

    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(repository().join("snapshots/console"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_input_file(Path::new("harness-tests/tests/console/session.txt"));
    settings.bind(|| insta::assert_snapshot!("session", normalized(&text)));
}
