//! What a comparison of two traces leaves open: signs that it was asked for in another way than it was
//! meant. They change no verdict. Some of them are suspicions, with which no snapshot is asked.

use std::path::Path;

use super::Arguments;
use crate::trace::growth::Growth;
use crate::trace::{Form, Trace};

/// The notes on `growth` between `traces`, the earlier one first.
pub(super) fn of(arguments: &Arguments, traces: [&Trace; 2], growth: &Growth) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(out_of_step(arguments, traces, growth));
    notes.extend(in_part(arguments, traces));
    notes
}

/// Why what was compared may not be what was meant: the verdicts on `growth` could be false ones.
pub(super) fn suspicions(
    arguments: &Arguments,
    traces: [&Trace; 2],
    growth: &Growth,
) -> Vec<String> {
    let empty = empty(arguments, traces);
    if !empty.is_empty() {
        // It explains whatever else would be found.
        return empty;
    }
    other_step(arguments, growth).into_iter().chain(swapped(arguments, growth)).collect()
}

/// The iterations, of which there may be one.
fn in_each(times: u32) -> String {
    match times {
        1 => "in the 1 iteration".to_owned(),
        _ => format!("in each of {times} iterations"),
    }
}

/// What the number of iterations does to the verdicts.
fn out_of_step(arguments: &Arguments, traces: [&Trace; 2], growth: &Growth) -> Option<String> {
    let passing = growth.groups.iter().filter(|group| !group.verdict.fails()).count();
    match arguments.iterations {
        None if growth.fails() => Some(match traces.iter().find_map(|trace| trace.iterations) {
            // It says itself how many there were.
            Some(own) => format!(
                "without `--iterations {own}` all that grew counts, a cache that was filled as well"
            ),
            None => "without `--iterations N` all that grew counts, a cache that was filled as well: say \
                     how often the command ran"
                .to_owned(),
        }),
        Some(times) if passing > 0 && !arguments.options.all => Some(format!(
            "{passing} more grew, but not by as many objects {}; `--all` shows them",
            in_each(times)
        )),
        _ => None,
    }
}

/// Steps that another number of iterations would have.
fn other_step(arguments: &Arguments, growth: &Growth) -> Option<String> {
    arguments.iterations?;
    let (objects, tracebacks) = growth.other_step()?;
    let times = u32::try_from(objects).ok()?;
    Some(format!(
        "{tracebacks} tracebacks grew by {objects} objects each; with `--iterations {times}` they would \
         be leaks"
    ))
}

/// Files that say less than a whole trace.
fn in_part(arguments: &Arguments, traces: [&Trace; 2]) -> Vec<String> {
    let note = |path: &Path| {
        format!(
            "{} has what failed alone: what it has not counts as nothing; write it again with `--all`",
            path.display()
        )
    };
    such(arguments, traces, |trace| !trace.is_whole).map(note).collect()
}

/// Arrays of nothing, which VPP writes as well where nothing was traced; a report says whether it was.
fn empty(arguments: &Arguments, traces: [&Trace; 2]) -> Vec<String> {
    let note = |path: &Path| {
        format!(
            "{} holds no allocation: tracing may have been off when it was saved",
            path.display()
        )
    };
    let is_empty = |trace: &Trace| trace.form == Form::Saved && trace.is_empty();
    such(arguments, traces, is_empty).map(note).collect()
}

/// The files whose traces are as `is_such` says.
fn such<'a>(
    arguments: &'a Arguments,
    traces: [&'a Trace; 2],
    is_such: impl Fn(&Trace) -> bool + 'a,
) -> impl Iterator<Item = &'a Path> {
    let paths = [arguments.before.as_path(), arguments.after.as_path()];
    let pairs = paths.into_iter().zip(traces);
    pairs.filter(move |(_, trace)| is_such(trace)).map(|(path, _)| path)
}

/// That the earlier trace may be the later one.
fn swapped(arguments: &Arguments, growth: &Growth) -> Option<String> {
    let (before, after) = (arguments.before.display(), arguments.after.display());
    match arguments.iterations {
        _ if growth.groups.is_empty() && growth.shrunk.all > 0 => Some(format!(
            "every traceback that is not the same shrank or vanished from {before} to {after}: the \
             two files may be swapped"
        )),
        Some(times) if !growth.fails() && growth.shrunk.in_step > 0 => Some(format!(
            "{} lost as many objects {} from {before} to {after}, and none has more: the two files may \
             be swapped",
            match growth.shrunk.in_step {
                1 => "1 traceback".to_owned(),
                number => format!("{number} tracebacks"),
            },
            in_each(times)
        )),
        _ => None,
    }
}
