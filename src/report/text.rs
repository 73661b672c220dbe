//! The report as text: for people.
//!
//! ```text
//!   text    the headline, which groups, the notes
//!   group   one group
//! ```
//! Every word of it is here, but for amounts and frames, which snapshots write too. A run that
//! was not traced as a whole never reads as "no leaks".

mod group;

use std::collections::BTreeMap;
use std::fmt::Write as _;

pub(crate) use self::group::{group, group_heading};
#[cfg(feature = "exports")]
pub(crate) use self::group::{rises_text, ties_text};
use super::amount::Amount;
use super::{Report, Verdict};

/// `report` as text; groups that pass are left out unless `all` are wanted.
pub(crate) fn write(report: &Report, all: bool) -> String {
    write_under(headline, report, all)
}

/// `report` of a strict scenario as text: what is live once fails, too.
pub(crate) fn write_strictly(report: &Report) -> String {
    write_under(strict_headline, report, true)
}

fn write_under(headline: fn(&Report) -> String, report: &Report, all: bool) -> String {
    let mut text = headline(report) + "\n";
    text += &groups(report, all);
    text += &notes(report);
    let mut clean: BTreeMap<&str, usize> = BTreeMap::new();
    for descendant in report.descendants.iter().flatten() {
        let is_clean = descendant.tracing.complete && !descendant.any(|it| it.verdict.fails());
        let has_more = all && !descendant.groups.is_empty() || !descendant.notes.is_empty();
        if is_clean && !has_more {
            *clean.entry(subject(descendant)).or_default() += 1;
            continue;
        }
        let _ = write!(text, "\nstarted by it: {}\n", headline(descendant));
        text += &groups(descendant, all);
        text += &notes(descendant);
    }
    if !clean.is_empty() {
        let times = |count| if count == 1 { String::new() } else { format!(" ({count} times)") };
        let names = clean.into_iter().map(|(name, count)| format!("{name}{}", times(count)));
        let _ = writeln!(
            text,
            "\nno leaks in what it started: {}",
            names.collect::<Vec<_>>().join(", ")
        );
    }
    text
}

/// The groups of `report`, each behind an empty line.
fn groups(report: &Report, all: bool) -> String {
    let wanted = report.groups.iter().filter(|group| all || group.verdict.fails());
    wanted.map(|group| format!("\n{}", self::group(group, report.iterations))).collect()
}

/// The notes of `report` behind an empty line; nothing where there are none.
pub(crate) fn notes(report: &Report) -> String {
    let notes = note_lines(report);
    let mut text = if notes.is_empty() { String::new() } else { "\n".to_owned() };
    for note in notes {
        // Writing to a String can't fail.
        let _ = writeln!(text, "note: {note}");
    }
    text
}

/// The notes of `report`, and what its tracing says.
pub(crate) fn note_lines(report: &Report) -> Vec<&str> {
    let mut notes: Vec<&str> = report.notes.iter().map(String::as_str).collect();
    if report.tracing.active && !report.tracing.complete {
        notes.insert(0, "tracing was not complete; there may be more");
    }
    notes
}

/// The report in one line.
pub(crate) fn headline(report: &Report) -> String {
    let failing = || report.groups.iter().filter(|group| group.verdict.fails());
    let count = |verdict| failing().filter(|group| group.verdict == verdict).count();
    let subject = subject(report);
    let what = match (count(Verdict::Leak), count(Verdict::Growth)) {
        _ if !report.tracing.active => {
            return format!("not checked: the preload heap was not active in {subject}");
        }
        (0, 0) if !report.tracing.complete => {
            return format!("not checked: tracing was not complete in {subject}");
        }
        (0, 0) => return format!("no leaks in {subject}"),
        (leaks, 0) => counted(leaks, "leak"),
        (0, growths) => counted(growths, "growth"),
        (leaks, growths) => {
            format!("{} and {}", counted(leaks, "leak"), counted(growths, "growth"))
        }
    };
    let amount = Amount::sum_per_iteration(failing());
    format!("{what} in {subject}: {amount}{}", per_iteration(report.iterations))
}

/// The report of a strict scenario in one line.
pub(crate) fn strict_headline(report: &Report) -> String {
    let once = report.groups.iter().filter(|group| group.verdict == Verdict::OneTime).count();
    match once {
        _ if report.groups.iter().any(|group| group.verdict.fails()) => headline(report),
        0 => headline(report),
        1 => format!("1 traceback in {} is live once", subject(report)),
        _ => format!("{once} tracebacks in {} are live once", subject(report)),
    }
}

/// What `report` is of: its scenario, else its program.
pub(crate) fn subject(report: &Report) -> &str {
    report.scenario.as_ref().or(report.program.first()).map_or("the program", String::as_str)
}

fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A window of one iteration is the whole run: nothing is per iteration there.
fn per_iteration(iterations: u32) -> &'static str {
    if iterations > 1 { " per iteration" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Exit, Frame, Group, History, Reachability, Rises, Ties, Tracing};

    fn frame(function: &str, file: Option<&str>, line: Option<u32>) -> Frame {
        Frame {
            function: Some(function.into()),
            module: Some("plugin.so".into()),
            offset: 9,
            file: file.map(Into::into),
            line,
            inlined: false,
            build_id: None,
        }
    }

    fn group(verdict: Verdict, blocks: u64, each: (f64, f64)) -> Group {
        Group {
            verdict,
            reachability: Reachability::Lost,
            blocks,
            bytes: blocks * 80,
            blocks_per_iteration: each.0,
            bytes_per_iteration: each.1,
            rises: Rises::default(),
            frames: vec![
                frame("zalloc", None, None),
                frame("digest", Some("/src/a.c"), Some(214)),
                frame("run", Some("/src/b.c"), None),
            ],
            ties: Ties::default(),
        }
    }

    fn report(groups: Vec<Group>) -> Report {
        Report {
            scenario: Some("crypto_selftest".to_owned()),
            program: vec!["host".to_owned()],
            exit: Exit { code: Some(0), signal: None },
            tracing: Tracing { active: true, complete: true, ..Tracing::default() },
            iterations: 8,
            groups,
            notes: Vec::new(),
            history: History::default(),
            descendants: None,
        }
    }

    #[test]
    fn leaks_with_their_tracebacks() {
        let mut unknown = group(Verdict::Leak, 8, (1.0, 80.0));
        unknown.reachability = Reachability::Unknown;
        let stripped = |build_id: Option<&str>| Frame {
            function: None,
            offset: 499,
            build_id: build_id.map(Into::into),
            ..frame("", Some("x.c"), Some(1))
        };
        unknown.frames = vec![stripped(None), stripped(Some("0123abcd"))];
        let once = group(Verdict::OneTime, 3, (0.0, 0.0));
        let mut leak = group(Verdict::Leak, 48, (6.0, 480.0));
        leak.rises = Rises { steps: 8, first: 1, of: 8 };
        unknown.rises = Rises { steps: 3, first: 2, of: 8 };
        let mut report = report(vec![leak, unknown, once]);
        report.notes = vec!["1 suppression was used".to_owned(), "another".to_owned()];
        let failing = "\
2 leaks in crypto_selftest: 7 blocks, 560 bytes per iteration

leak, lost: 48 blocks, 3840 bytes (6 blocks, 480 bytes per iteration)
  in each of 8 iterations
    zalloc  plugin.so
    digest  plugin.so  /src/a.c:214
    run  plugin.so  /src/b.c

leak: 8 blocks, 640 bytes (1 block, 80 bytes per iteration)
  in 3 of 8 iterations, first in number 2
    plugin.so+0x1f3
    plugin.so+0x1f3  build-id 0123abcd
";
        let passing = "
one-time, lost: 3 blocks, 240 bytes
    zalloc  plugin.so
    digest  plugin.so  /src/a.c:214
    run  plugin.so  /src/b.c
";
        let notes = "
note: 1 suppression was used
note: another
";
        assert_eq!(write(&report, false), format!("{failing}{notes}"));
        assert_eq!(write(&report, true), format!("{failing}{passing}{notes}"));
    }

    #[test]
    fn what_holds_the_blocks_and_what_they_hold_is_above_the_frames() {
        let mut held = group(Verdict::Growth, 8, (1.0, 80.0));
        held.reachability = Reachability::Reachable;
        held.ties.held_by = Some("sessions in plugin.so -> 64 bytes from add [+0x10]".into());
        let mut lost = group(Verdict::Leak, 1, (1.0, 24.0));
        (lost.ties.blocks, lost.ties.bytes) = (3, 144);
        let text = write(&report(vec![held, lost]), false);
        let holder = "  held by sessions in plugin.so -> 64 bytes from add [+0x10]\n    zalloc";
        assert!(text.contains(&format!("per iteration)\n{holder}")), "{text}");
        assert!(text.contains("\n  leads to 3 blocks, 144 bytes more\n    zalloc"), "{text}");
    }

    #[test]
    fn a_whole_run_has_nothing_per_iteration() {
        let mut report = report(vec![group(Verdict::Leak, 1, (1.0, 80.0))]);
        report.scenario = None;
        report.iterations = 1;
        let text = "\
1 leak in host: 1 block, 80 bytes

leak, lost: 1 block, 80 bytes
    zalloc  plugin.so
    digest  plugin.so  /src/a.c:214
    run  plugin.so  /src/b.c
";
        assert_eq!(write(&report, false), text);
    }

    #[test]
    fn what_the_program_started_is_listed_and_what_is_clean_in_one_line() {
        let of = |command: &str, groups| {
            let mut report = report(groups);
            (report.scenario, report.iterations) = (None, 1);
            report.program = vec![command.to_owned()];
            report
        };
        let mut whole = of("host", vec![]);
        let (clean, leaking) =
            (of("cat", vec![]), of("sort", vec![group(Verdict::Leak, 1, (1.0, 80.0))]));
        let mut cut = of("tail", vec![]);
        cut.tracing.complete = false;
        whole.descendants =
            Some(vec![clean.clone(), clean.clone(), of("ls", vec![]), leaking, cut]);
        let text = "\
no leaks in host

started by it: 1 leak in sort: 1 block, 80 bytes

leak, lost: 1 block, 80 bytes
    zalloc  plugin.so
    digest  plugin.so  /src/a.c:214
    run  plugin.so  /src/b.c

started by it: not checked: tracing was not complete in tail

note: tracing was not complete; there may be more

no leaks in what it started: cat (2 times), ls
";
        assert_eq!(write(&whole, false), text);
    }

    #[test]
    fn headlines() {
        let leak = || group(Verdict::Leak, 8, (1.0, 80.0));
        let growth = || group(Verdict::Growth, 1, (0.25, 20.5));
        let of = |groups| headline(&report(groups));
        assert_eq!(of(vec![]), "no leaks in crypto_selftest");
        assert_eq!(
            of(vec![group(Verdict::Replaced, 1, (0.0, 0.0))]),
            "no leaks in crypto_selftest"
        );
        assert_eq!(
            of(vec![growth()]),
            "1 growth in crypto_selftest: 0.25 blocks, 20.5 bytes per iteration"
        );
        assert_eq!(
            of(vec![leak(), growth(), growth()]),
            "1 leak and 2 growths in crypto_selftest: 1.5 blocks, 121 bytes per iteration"
        );
    }

    #[test]
    fn what_was_not_traced_is_never_clean() {
        let mut report = report(vec![]);
        report.tracing.complete = false;
        let text = "\
not checked: tracing was not complete in crypto_selftest

note: tracing was not complete; there may be more
";
        assert_eq!(write(&report, false), text);
        report.groups = vec![group(Verdict::Leak, 8, (1.0, 80.0))];
        assert!(
            write(&report, false)
                .ends_with("\nnote: tracing was not complete; there may be more\n")
        );
        report.groups.clear();
        report.tracing.active = false;
        let text = "not checked: the preload heap was not active in crypto_selftest\n";
        assert_eq!(write(&report, false), text);
    }
}
