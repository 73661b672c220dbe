//! GitHub Actions: annotations, as workflow commands, and the job's summary, in Markdown.
//!
//! Sources: "Workflow commands for GitHub Actions" (`::error file=…,line=…,title=…::…`; `%`, line
//! feeds and carriage returns are escaped, in properties `:` and `,` as well; 10 annotations of a
//! kind are shown for a step; a step's summary holds 1 MiB).

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::finding::{Finding, Remark};

/// The annotations of a step that are shown.
const MOST: usize = 10;

/// Bytes of a step's summary, with room for the sentence that says what was left out.
const ROOM: u64 = (1 << 20) - 4096;

/// `findings` as workflow commands, a line each: errors, then notices. Where there are more than are
/// shown, the last one says so.
pub(super) fn annotations(findings: &[&Finding]) -> String {
    let (failing, passing): (Vec<_>, Vec<_>) =
        findings.iter().copied().partition(|finding| finding.fails);
    kind("error", &failing) + &kind("notice", &passing)
}

fn kind(kind: &str, findings: &[&Finding]) -> String {
    // Each trial's worst before the second of any.
    let most = findings.iter().map(|finding| finding.remarks.len()).max().unwrap_or_default();
    let in_turn = (0..most).flat_map(|turn| {
        findings.iter().filter_map(move |finding| Some((*finding, finding.remarks.get(turn)?)))
    });
    let all: Vec<_> = in_turn.collect();
    let shown = if all.len() > MOST { MOST - 1 } else { all.len() };
    let mut text: String =
        all[..shown].iter().map(|(finding, remark)| annotation(kind, finding, remark)).collect();
    if all.len() > shown {
        let more = all.len() - shown;
        text += &format!("::{kind} title=leaksnap::{more} more are in the job's summary\n");
    }
    text
}

fn annotation(kind: &str, finding: &Finding, remark: &Remark) -> String {
    let place = remark.place.as_ref().map_or_else(String::new, |place| {
        format!("file={},line={},", property(&place.file), place.line)
    });
    let title = property(&format!("{}: {}", finding.trial, remark.title));
    format!("::{kind} {place}title={title}::{}\n", data(remark.text.trim_end()))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Adds `findings` to the step's summary at `path`, as far as it has room for them.
///
/// # Errors
/// Where it can't be written.
pub(super) fn summarize(path: &Path, findings: &[&Finding]) -> io::Result<()> {
    let mut left = ROOM.saturating_sub(fs::metadata(path).map_or(0, |file| file.len()));
    let mut text = String::new();
    for (index, finding) in findings.iter().enumerate() {
        let section = section(finding);
        let Some(rest) = left.checked_sub(section.len() as u64) else {
            let more = findings.len() - index;
            text += &format!("\n{more} more are in the job's log: a summary holds 1 MiB.\n");
            break;
        };
        left = rest;
        text += &section;
    }
    // One write: nextest has a process for each trial.
    OpenOptions::new().append(true).create(true).open(path)?.write_all(text.as_bytes())
}

fn section(finding: &Finding) -> String {
    let Finding { trial, fails, headline, difference, remarks } = finding;
    let mark = if *fails { "❌" } else { "ℹ️" };
    let places: Vec<_> = remarks.iter().filter_map(|remark| remark.place.as_ref()).collect();
    let mut text = format!(
        "\n### {mark} leaksnap: {}\n\n{}\n",
        escaped(trial),
        escaped(headline.trim_end_matches(':'))
    );
    let mut listed: Vec<String> =
        places.iter().map(|place| format!("`{}:{}`", place.file, place.line)).collect();
    listed.dedup();
    let more = listed.len().saturating_sub(MOST);
    listed.truncate(MOST);
    if !listed.is_empty() {
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text += &format!("\nat {}{more}\n", listed.join(", "));
    }
    // No line of a traceback may end the block.
    let longest = difference.split(|letter| letter != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    let end = if difference.ends_with('\n') { "" } else { "\n" };
    text += &format!("\n<details{}><summary>", if *fails { " open" } else { "" });
    text +=
        &format!("tracebacks</summary>\n\n{fence}diff\n{difference}{end}{fence}\n\n</details>\n");
    text
}

/// `text` so that Markdown and HTML show it as it is.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '@' => {
                escaped.push('\\');
                escaped.push(letter);
            }
            _ => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::finding::Place;

    fn finding(trial: &str, fails: bool, remarks: usize) -> Finding {
        let remark = |number: usize| Remark {
            place: Some(Place { file: "src/a,b.c".to_owned(), line: number + 1 }),
            title: format!("leak {number}: 100%"),
            text: "a\nb: 5%\n".to_owned(),
            key: vec![number.to_string()],
        };
        Finding {
            trial: trial.to_owned(),
            fails,
            headline: "1 traceback in <T> is not accepted".to_owned(),
            remarks: (0..remarks).map(remark).collect(),
            difference: "+leak\n".to_owned(),
        }
    }

    #[test]
    fn an_annotation_is_one_line_whatever_is_in_it() {
        let expected = "::error file=src/a%2Cb.c,line=1,title=a%3A leak 0%3A 100%25::a%0Ab: 5%25\n";
        assert_eq!(annotations(&[&finding("a", true, 1)]), expected);
        let mut without = finding("a", false, 1);
        without.remarks[0].place = None;
        let expected = "::notice title=a%3A leak 0%3A 100%25::a%0Ab: 5%25\n";
        assert_eq!(annotations(&[&without]), expected);
        assert_eq!(annotations(&[]), "");
    }

    #[test]
    fn each_trial_has_an_annotation_before_one_has_two_and_what_is_left_out_is_said() {
        let (many, one) = (finding("many", true, 20), finding("one", true, 1));
        let text = annotations(&[&many, &one]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 10, "{text}");
        assert!(lines[0].contains("title=many%3A leak 0") && lines[1].contains("title=one%3A"));
        assert_eq!(lines[9], "::error title=leaksnap::12 more are in the job's summary");
        let ten = finding("ten", true, 10);
        assert!(!annotations(&[&ten]).contains("more are in"), "all of ten are shown");
    }

    #[test]
    fn a_summary_shows_text_as_it_is_and_keeps_to_its_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("summary.md");
        let mut odd = finding("a_b<i>", true, 1);
        odd.difference = "+leak\n+    ````  a.so".to_owned();
        odd.remarks = finding("", true, 12).remarks;
        summarize(&path, &[&odd]).expect("written");
        let text = fs::read_to_string(&path).expect("it is there");
        assert!(text.contains("leaksnap: a\\_b&lt;i&gt;\n\n1 traceback in &lt;T&gt; is"), "{text}");
        assert!(text.contains("`src/a,b.c:10` and 2 more\n"), "{text}");
        assert!(text.contains("\n`````diff\n+leak\n+    ````  a.so\n`````\n"), "{text}");

        let mut long = finding("long", true, 1);
        long.difference = "+leak\n".repeat(100_000);
        summarize(&path, &[&long, &long, &odd]).expect("written");
        let text = fs::read_to_string(&path).expect("it is there");
        assert!(text.len() < 1 << 20, "{}", text.len());
        assert_eq!(text.matches("### ").count(), 2);
        assert!(text.ends_with("\n2 more are in the job's log: a summary holds 1 MiB.\n"));
    }
}
