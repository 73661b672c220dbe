//! Small sections for the tests of the forms.

use super::Section;
use crate::report::{
    Exit, Frame, Group, History, Live, Reachability, Report, Rises, Ties, Tracing, Verdict,
};

/// A frame of `plugin.so`, of a line of `file`.
pub(super) fn frame(function: &str, place: Option<(&str, u32)>) -> Frame {
    Frame {
        function: Some(function.into()),
        module: Some("plugin.so".into()),
        offset: 9,
        file: place.map(|(file, _)| file.into()),
        line: place.map(|(_, line)| line),
        inlined: false,
        build_id: Some("0123abcd".into()),
    }
}

/// A lost leak of one block in each of 8 iterations, together of `bytes`.
pub(super) fn group(bytes: u64, frames: Vec<Frame>) -> Group {
    Group {
        verdict: Verdict::Leak,
        reachability: Reachability::Lost,
        blocks: 8,
        bytes,
        blocks_per_iteration: 1.0,
        bytes_per_iteration: bytes as f64 / 8.0,
        rises: Rises { steps: 8, first: 1, of: 8 },
        frames,
        ties: Ties::default(),
    }
}

/// A scenario that was checked, with 2 iterations before its 8.
pub(super) fn section(name: &str, groups: Vec<Group>) -> Section {
    let live = (1..=10).map(|blocks| Live { blocks, bytes: blocks * 100 }).collect();
    let report = Report {
        scenario: Some(name.to_owned()),
        program: vec!["plugin".to_owned(), "run".to_owned()],
        exit: Exit { code: Some(0), signal: None },
        tracing: Tracing { active: true, complete: true, ..Tracing::default() },
        iterations: 8,
        groups,
        notes: Vec::new(),
        history: History { warmup: 2, live },
        descendants: None,
    };
    Section { report, problem: None, strictly: false, compared: None, all: false }
}

/// The report of a program that leaks nothing itself and has started `sort`, whose report is `of`.
pub(super) fn started(of: Report) -> Report {
    let whole = |program: &str, groups| Report {
        scenario: None,
        program: vec![program.to_owned()],
        iterations: 1,
        history: History::default(),
        groups,
        ..of.clone()
    };
    let own = Report { scenario: of.scenario.clone(), ..whole("sh", Vec::new()) };
    Report { descendants: Some(vec![whole("sort", of.groups.clone())]), ..own }
}
