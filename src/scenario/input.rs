//! A scenario file of any bytes. For tests and fuzz targets.

use std::path::Path;

use super::{MAX_ITERATIONS, Scenario, ScenarioError, Work};

/// Reads `bytes` as a scenario file; how many steps or words of a program it has, where it is one.
///
/// # Panics
/// Where a scenario breaks its invariants, or an error names a line that is not there.
pub(crate) fn read(bytes: &[u8]) -> Option<usize> {
    // What is not UTF-8 is refused where the file is read.
    let text = str::from_utf8(bytes).ok()?;
    match Scenario::parse(Path::new("x.toml"), text) {
        Ok(scenario) => {
            assert!(scenario.repeat >= 1 && scenario.warmup + scenario.repeat <= MAX_ITERATIONS);
            let parts: Vec<&str> = match &scenario.work {
                Work::Host { plugins, steps } => {
                    plugins.iter().chain(steps).map(|part| part.value.as_str()).collect()
                }
                Work::Program(words) | Work::Marked(words) => {
                    words.value.iter().map(String::as_str).collect()
                }
                Work::Server(server) => {
                    let words = server.program.value.iter().chain(&server.drive.value);
                    words.chain([&server.ready.value]).map(String::as_str).collect()
                }
                Work::Closure { name, .. } => unreachable!("{name} is in no file"),
            };
            assert!(parts.iter().all(|part| !part.contains('\0')), "a NUL ends a name");
            Some(parts.len())
        }
        Err(ScenarioError::Wrong { line, problem, .. }) => {
            assert!((1..=text.split('\n').count()).contains(&line), "line {line}: {problem}");
            assert!(!problem.contains('\n'), "an error is one line: {problem}");
            None
        }
        Err(error) => unreachable!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::{corpus, each_damaged};

    #[test]
    fn any_file_is_a_scenario_or_refused_with_its_line() {
        for (name, bytes) in corpus("scenario") {
            assert_eq!(read(&bytes).is_some(), !name.starts_with("refused"), "{name}");
        }
        let mut read_whole = 0;
        each_damaged("scenario", 3000, |bytes| read_whole += usize::from(read(bytes).is_some()));
        assert!((100..2900).contains(&read_whole), "{read_whole} of 3000 are scenarios");
    }
}
