//! The report as JSON, version 1: for other programs.
//!
//! The order and the names of the fields are a contract: the structures here repeat it, whatever
//! the value types of [`Report`] are called.

use serde::Serialize;

use super::{Frame, Group, Report};

/// `report` as JSON; groups that pass are left out unless `all` are wanted.
pub(crate) fn write(report: &Report, all: bool) -> String {
    let document = Document {
        format: "leaksnap-report",
        version: 1,
        scenario: report.scenario.as_deref(),
        program: &report.program,
        exit: Exit { code: report.exit.code, signal: report.exit.signal },
        tracing: Tracing::of(report),
        iterations: report.iterations,
        all,
        groups: groups(report, all),
        summary: Summary::of(report),
        descendants: report.descendants.as_ref().map(|descendants| {
            descendants.iter().map(|descendant| Descendant::of(descendant, all)).collect()
        }),
    };
    // Strings and numbers alone can't fail to be written.
    let text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text + "\n"
}

/// The groups of `report`; those that pass only where `all` are wanted.
fn groups(report: &Report, all: bool) -> Vec<GroupObject<'_>> {
    let wanted = report.groups.iter().filter(|group| all || group.verdict.fails());
    wanted.map(GroupObject::of).collect()
}

#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    version: u32,
    scenario: Option<&'a str>,
    program: &'a [String],
    exit: Exit,
    tracing: Tracing,
    iterations: u32,
    /// Groups that pass are here, too; there only where they are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    all: bool,
    groups: Vec<GroupObject<'a>>,
    summary: Summary,
    /// There only where programs that the program started were followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    descendants: Option<Vec<Descendant<'a>>>,
}

/// A program that the program started.
#[derive(Serialize)]
struct Descendant<'a> {
    command: Option<&'a str>,
    tracing: Tracing,
    groups: Vec<GroupObject<'a>>,
    summary: Summary,
}

impl<'a> Descendant<'a> {
    fn of(report: &'a Report, all: bool) -> Self {
        Self {
            command: report.program.first().map(String::as_str),
            tracing: Tracing::of(report),
            groups: groups(report, all),
            summary: Summary::of(report),
        }
    }
}

#[derive(Serialize)]
struct Exit {
    code: Option<i32>,
    signal: Option<i32>,
}

#[derive(Serialize)]
struct Tracing {
    active: bool,
    allocations: u64,
    frees: u64,
    peak_bytes: u64,
    complete: bool,
}

impl Tracing {
    fn of(report: &Report) -> Self {
        let super::Tracing { active, allocations, frees, peak_bytes, complete } = report.tracing;
        Self { active, allocations, frees, peak_bytes, complete }
    }
}

#[derive(Serialize)]
struct GroupObject<'a> {
    verdict: String,
    reachability: String,
    blocks: u64,
    bytes: u64,
    blocks_per_iteration: f64,
    bytes_per_iteration: f64,
    frames: Vec<FrameObject<'a>>,
}

impl<'a> GroupObject<'a> {
    fn of(group: &'a Group) -> Self {
        Self {
            verdict: group.verdict.to_string(),
            reachability: group.reachability.to_string(),
            blocks: group.blocks,
            bytes: group.bytes,
            blocks_per_iteration: group.blocks_per_iteration,
            bytes_per_iteration: group.bytes_per_iteration,
            frames: group.frames.iter().map(FrameObject::of).collect(),
        }
    }
}

#[derive(Serialize)]
struct FrameObject<'a> {
    function: Option<&'a str>,
    module: Option<&'a str>,
    offset: u64,
    file: Option<&'a str>,
    line: Option<u32>,
    inlined: bool,
}

impl<'a> FrameObject<'a> {
    fn of(frame: &'a Frame) -> Self {
        Self {
            function: frame.function.as_deref(),
            module: frame.module.as_deref(),
            offset: frame.offset,
            file: frame.file.as_deref(),
            line: frame.line,
            inlined: frame.inlined,
        }
    }
}

#[derive(Serialize)]
struct Summary {
    leaked_blocks: u64,
    leaked_bytes: u64,
    groups: usize,
}

impl Summary {
    fn of(report: &Report) -> Self {
        let failing = || report.groups.iter().filter(|group| group.verdict.fails());
        Self {
            leaked_blocks: failing().map(|group| group.blocks).sum(),
            leaked_bytes: failing().map(|group| group.bytes).sum(),
            groups: failing().count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Exit, History, Reachability, Rises, Ties, Tracing, Verdict};

    fn report() -> Report {
        let known = Frame {
            function: Some("CRYPTO_zalloc".into()),
            module: Some("libcrypto.so.3".into()),
            offset: 21,
            file: None,
            line: None,
            inlined: false,
            build_id: None,
        };
        let unknown = Frame { function: None, module: None, offset: 4096, ..known.clone() };
        let leak = Group {
            verdict: Verdict::Leak,
            reachability: Reachability::Lost,
            blocks: 8,
            bytes: 1536,
            blocks_per_iteration: 1.0,
            bytes_per_iteration: 192.0,
            rises: Rises::default(),
            frames: vec![known],
            ties: Ties::default(),
        };
        let once = Group {
            verdict: Verdict::OneTime,
            reachability: Reachability::Unknown,
            blocks: 3,
            bytes: 30,
            blocks_per_iteration: 0.0,
            bytes_per_iteration: 0.0,
            rises: Rises::default(),
            frames: vec![unknown],
            ties: Ties::default(),
        };
        Report {
            scenario: Some("crypto_selftest".to_owned()),
            program: vec!["…".to_owned()],
            exit: Exit { code: Some(0), signal: None },
            tracing: Tracing {
                active: true,
                allocations: 17730,
                frees: 17720,
                peak_bytes: 1_048_576,
                complete: true,
            },
            iterations: 8,
            groups: vec![leak, once],
            notes: Vec::new(),
            history: History::default(),
            descendants: None,
        }
    }

    const HEAD: &str = r#"{
  "format": "leaksnap-report",
  "version": 1,
  "scenario": "crypto_selftest",
  "program": [
    "…"
  ],
  "exit": {
    "code": 0,
    "signal": null
  },
  "tracing": {
    "active": true,
    "allocations": 17730,
    "frees": 17720,
    "peak_bytes": 1048576,
    "complete": true
  },
  "iterations": 8,
  "groups": [
    {
      "verdict": "leak",
      "reachability": "lost",
      "blocks": 8,
      "bytes": 1536,
      "blocks_per_iteration": 1.0,
      "bytes_per_iteration": 192.0,
      "frames": [
        {
          "function": "CRYPTO_zalloc",
          "module": "libcrypto.so.3",
          "offset": 21,
          "file": null,
          "line": null,
          "inlined": false
        }
      ]
    }"#;

    const ONCE: &str = r#",
    {
      "verdict": "one-time",
      "reachability": "unknown",
      "blocks": 3,
      "bytes": 30,
      "blocks_per_iteration": 0.0,
      "bytes_per_iteration": 0.0,
      "frames": [
        {
          "function": null,
          "module": null,
          "offset": 4096,
          "file": null,
          "line": null,
          "inlined": false
        }
      ]
    }"#;

    const TAIL: &str = r#"
  ],
  "summary": {
    "leaked_blocks": 8,
    "leaked_bytes": 1536,
    "groups": 1
  }
}
"#;

    #[test]
    fn what_fails_is_written() {
        assert_eq!(write(&report(), false), format!("{HEAD}{TAIL}"));
    }

    #[test]
    fn all_is_written_on_request_and_the_summary_stays() {
        let head = HEAD.replace("\"iterations\": 8,", "\"iterations\": 8,\n  \"all\": true,");
        assert_eq!(write(&report(), true), format!("{head}{ONCE}{TAIL}"));
    }

    #[test]
    fn what_the_program_started_is_behind_all_else() {
        let mut whole = report();
        let mut started = report();
        started.program = vec!["helper".to_owned()];
        started.groups.truncate(1);
        whole.descendants = Some(vec![started]);
        let text = write(&whole, false);
        let own = format!("{HEAD}{TAIL}");
        let (own, _) = own.rsplit_once("\n}").expect("it ends so");
        let others = text.strip_prefix(own).expect("the program's own part is as ever");
        let begin =
            ",\n  \"descendants\": [\n    {\n      \"command\": \"helper\",\n      \"tracing\"";
        assert!(others.starts_with(begin), "{others}");
        assert!(others.contains("\"leaked_blocks\": 8"), "{others}");
        whole.descendants = Some(Vec::new());
        assert!(write(&whole, false).ends_with("},\n  \"descendants\": []\n}\n"));
    }

    #[test]
    fn nulls() {
        let mut report = report();
        report.scenario = None;
        report.exit = Exit { code: None, signal: Some(11) };
        report.groups.clear();
        let text = write(&report, false);
        assert!(text.contains("\"scenario\": null,"), "{text}");
        assert!(text.contains("\"code\": null,\n    \"signal\": 11\n"), "{text}");
        assert!(text.contains("\"groups\": [],"), "{text}");
    }
}
