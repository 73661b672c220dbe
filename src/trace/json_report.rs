//! The JSON report, version 1, as a trace: its groups are the rows.
//!
//! The source of the form is [`crate::report::json`], whose structures are for writing. With
//! `--all` a report has everything that was live when it was made; without, what failed alone.
//! One whose tracing was not complete does not say what was live: it is no half of a comparison.

use serde::Deserialize;

use super::{Form, Live, Trace, TraceError, plain, wrong_json};
use crate::report::Frame;
use crate::traceback;

const FORM: &str = "write it again with `leaksnap run --all --format json`";

/// What a report calls its form.
const NAME: &str = "leaksnap-report";

/// The version of the report that is read here.
const VERSION: u64 = 1;

#[derive(Deserialize)]
struct Head {
    format: Option<String>,
    version: Option<u64>,
}

#[derive(Deserialize)]
struct Document {
    exit: Exit,
    tracing: Tracing,
    iterations: Option<u32>,
    /// Whether it was written with `--all`.
    #[serde(default)]
    all: bool,
    groups: Vec<GroupObject>,
    /// There only where programs that the program started were followed.
    #[serde(default)]
    descendants: Vec<Descendant>,
}

/// A program that the program started.
#[derive(Deserialize)]
struct Descendant {
    command: Option<String>,
    tracing: Tracing,
    groups: Vec<GroupObject>,
}

#[derive(Deserialize)]
struct Exit {
    signal: Option<i32>,
}

#[derive(Deserialize)]
struct Tracing {
    active: bool,
    complete: bool,
}

#[derive(Deserialize)]
struct GroupObject {
    blocks: u64,
    bytes: u64,
    frames: Vec<FrameObject>,
}

#[derive(Deserialize)]
struct FrameObject {
    function: Option<String>,
    module: Option<String>,
    offset: u64,
    file: Option<String>,
    line: Option<u32>,
    #[serde(default)]
    inlined: bool,
}

/// Reads `text`, which errors call `name`.
pub(super) fn parse(name: &str, text: &[u8]) -> Result<Trace, TraceError> {
    let wrong = |error: serde_json::Error| wrong_json(name, FORM, &error);
    let head: Head = serde_json::from_slice(text)
        .map_err(|error| several(name, text).unwrap_or_else(|| wrong(error)))?;
    if head.format.as_deref() != Some(NAME) {
        return Err(TraceError::Wrong(format!(
            "{name}: it is no memory trace, which is an array, and no `leaksnap-report`, which says \
             so in `format`; save one with VPP's `save memory-trace`, or with `leaksnap run --all \
             --format json`"
        )));
    }
    if head.version != Some(VERSION) {
        let version = head.version.map_or("none".to_owned(), |version| version.to_string());
        return Err(TraceError::Wrong(format!(
            "{name}: its `version` is {version}, this leaksnap reads {VERSION}; {FORM}"
        )));
    }
    let Document { exit, tracing, iterations, all, mut groups, descendants } =
        serde_json::from_slice(text).map_err(wrong)?;
    let not_checked = |what: String| Err(TraceError::NotChecked(format!("{name}: {what}")));
    if !tracing.active || !tracing.complete {
        return not_checked("its tracing was not complete".to_owned());
    }
    if let Some(signal) = exit.signal {
        return not_checked(format!("signal {signal} ended its program"));
    }
    for descendant in descendants {
        if !descendant.tracing.active || !descendant.tracing.complete {
            let command = descendant.command.unwrap_or_default();
            return not_checked(format!(
                "the tracing of {command}, which it started, was not complete"
            ));
        }
        groups.extend(descendant.groups);
    }
    let mut trace = Trace { is_whole: all, iterations, ..Trace::new(Form::Report) };
    for (index, group) in groups.into_iter().enumerate() {
        let frames: Vec<Frame> = group.frames.into_iter().map(frame).collect();
        let live = Live { objects: group.blocks, bytes: group.bytes };
        let key = traceback::key(&frames);
        plain(&key).and_then(|()| trace.add(key, frames, live)).map_err(|problem| {
            TraceError::Wrong(format!("{name}: group {}: {problem}; {FORM}", index + 1))
        })?;
    }
    Ok(trace)
}

/// That `text` is more than one report: `leaksnap run` of several scenarios writes one after the other.
fn several(name: &str, text: &[u8]) -> Option<TraceError> {
    let documents = serde_json::Deserializer::from_slice(text).into_iter::<Head>();
    let is_report = |head: &Head| head.format.as_deref() == Some(NAME);
    let number = documents.map_while(Result::ok).take_while(is_report).count();
    (number > 1).then(|| {
        TraceError::Wrong(format!(
            "{name}: it holds the reports of {number} scenarios, `leaksnap diff` compares one: write each \
             into a file of its own"
        ))
    })
}

fn frame(object: FrameObject) -> Frame {
    let FrameObject { function, module, offset, file, line, inlined } = object;
    Frame {
        function: function.map(Into::into),
        module: module.map(Into::into),
        offset,
        file: file.map(Into::into),
        line,
        inlined,
        build_id: None,
    }
}
