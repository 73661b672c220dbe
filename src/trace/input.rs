//! Two saved traces of any bytes, compared. For tests and fuzz targets.

use super::growth::between;
use super::parse;
use crate::report::{Exit, Group, History, Report, Tracing, json, text};

/// Reads what is before the first NUL of `bytes` as a saved trace, and what is behind it as a later
/// one; how many groups grew, where both are traces of one form.
///
/// # Panics
/// Where a trace grows against itself, or an error is more than a line.
pub(crate) fn compare(bytes: &[u8]) -> Option<usize> {
    let cut = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let later = bytes.get(cut + 1..).unwrap_or_default();
    let read = |text| {
        let trace = parse("x.json", text);
        trace.inspect_err(|error| assert!(!error.to_string().contains('\n'), "{error}")).ok()
    };
    let (before, after) = (read(&bytes[..cut])?, read(later)?);
    assert!(between(&before, &before, Some(3)).groups.is_empty());
    if before.form != after.form {
        return None;
    }
    for iterations in [None, Some(1), Some(100)] {
        let growth = between(&before, &after, iterations);
        show(growth.as_written());
        show(growth.without_addresses());
    }
    Some(between(&before, &after, None).groups.len())
}

/// Everything that a report says of `groups`.
fn show(groups: Vec<Group>) {
    let report = Report {
        scenario: None,
        program: Vec::new(),
        exit: Exit::default(),
        tracing: Tracing { active: true, complete: true, ..Tracing::default() },
        iterations: 1,
        groups,
        notes: Vec::new(),
        history: History::default(),
        descendants: None,
    };
    let _ = (text::write(&report, true), json::write(&report, true));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::{corpus, each_damaged};

    #[test]
    fn any_two_files_are_compared_or_refused() {
        for (name, bytes) in corpus("trace") {
            assert_eq!(compare(&bytes).is_some(), !name.starts_with("refused"), "{name}");
        }
        let mut compared = 0;
        each_damaged("trace", 1500, |bytes| compared += usize::from(compare(bytes).is_some()));
        assert!((20..1480).contains(&compared), "{compared} of 1500 are compared");
    }
}
