//! What a comparison of two traces leaves open: signs that it was asked for in another way than it was
//! meant. They change no verdict.

use super::Arguments;
use crate::trace::Trace;
use crate::trace::growth::Growth;

/// The notes on `growth` between `traces`, the earlier one first.
pub(super) fn of(arguments: &Arguments, traces: [&Trace; 2], growth: &Growth) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(out_of_step(arguments, growth));
    notes.extend(other_step(arguments, growth));
    notes.extend(contents(arguments, traces));
    if !traces.iter().any(|trace| trace.is_empty()) {
        notes.extend(swapped(arguments, growth));
    }
    notes
}

/// What the number of iterations does to the verdicts.
fn out_of_step(arguments: &Arguments, growth: &Growth) -> Option<String> {
    let passing = growth.groups.iter().filter(|group| !group.verdict.fails()).count();
    match arguments.iterations {
        None if growth.fails() => Some(
            "without `--iterations N` all that grew counts, a cache that was filled as well: say \
             how often the command ran"
                .to_owned(),
        ),
        Some(times) if passing > 0 && !arguments.options.all => Some(format!(
            "{passing} more grew, but not by as many objects in each of {times} iterations; `--all` shows \
             them"
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
fn contents(arguments: &Arguments, traces: [&Trace; 2]) -> Vec<String> {
    let paths = [&arguments.before, &arguments.after].map(|path| path.display());
    let note = |(path, trace): (_, &Trace)| match trace {
        trace if !trace.is_whole => Some(format!(
            "{path} has what failed alone: what it has not counts as nothing; write it again with \
             `--all`"
        )),
        trace if trace.is_empty() => {
            Some(format!("{path} holds no allocation: was tracing on when it was saved?"))
        }
        _ => None,
    };
    let pairs = paths.iter().zip(traces);
    pairs.filter_map(note).collect()
}

/// That the earlier trace may be the later one.
fn swapped(arguments: &Arguments, growth: &Growth) -> Option<String> {
    let (before, after) = (arguments.before.display(), arguments.after.display());
    match arguments.iterations {
        _ if growth.groups.is_empty() && growth.shrunk.all > 0 => Some(format!(
            "every traceback that is not the same shrank or vanished from {before} to {after}: are the \
             two files swapped?"
        )),
        Some(times) if !growth.fails() && growth.shrunk.in_step > 0 => Some(format!(
            "{} lost as many objects in each of {times} iterations from {before} to {after}, and none \
             has more: are the two files swapped?",
            match growth.shrunk.in_step {
                1 => "1 traceback".to_owned(),
                number => format!("{number} tracebacks"),
            }
        )),
        _ => None,
    }
}
