//! The two traces of a comparison, and whether what they count can be compared.

use super::Arguments;
use crate::trace::{self, Trace, TraceError};

/// Reads both files, the earlier one first.
///
/// # Errors
/// Where one can't be read, or the two can't be compared with each other or with `--iterations`.
pub(super) fn read(arguments: &Arguments) -> Result<[Trace; 2], TraceError> {
    let Arguments { before, after, .. } = arguments;
    let traces = [trace::read(before)?, trace::read(after)?];
    let [earlier, later] = &traces;
    let (before, after) = (before.display(), after.display());
    if earlier.form != later.form {
        return Err(TraceError::Wrong(format!(
            "{before} is a {}, {after} is a {}; their tracebacks can't be paired: take two of one kind",
            earlier.form, later.form
        )));
    }
    match (earlier.iterations, later.iterations) {
        (Some(one), Some(other)) if one != other => {
            return Err(TraceError::Wrong(format!(
                "the `iterations` of {before} are {one}, those of {after} {other}; what so many left \
                 can't be compared: write both with the same `repeat`"
            )));
        }
        _ => {}
    }
    let Some(said) = arguments.iterations else { return Ok(traces) };
    for (path, trace) in [(before, earlier), (after, later)] {
        if let Some(own) = trace.iterations.filter(|own| *own != said) {
            return Err(TraceError::Wrong(format!(
                "{path}: its `iterations` are {own}, `--iterations` says {said}; say `--iterations \
                 {own}`, or leave it out"
            )));
        }
    }
    Ok(traces)
}
