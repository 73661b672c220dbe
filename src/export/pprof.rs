//! A profile that `pprof` opens: profile.proto, compressed by gzip.
//!
//! ```text
//!   pprof     sections -> a profile
//!   message   what a profile consists of
//! ```
//! A sample is a group: its blocks and bytes, its frames, and labels with the scenario, the verdict,
//! the reachability and the program, where another one was started. Functions that were inlined
//! into one another are one location. Addresses are offsets in modules, known only of what has no
//! symbol and is called by them; each module's mapping starts at 0, so that they stay what they are.
//! Functions have no second name, or `pprof` would shorten the first one. What is not checked
//! has no samples, and a comment that says so (`pprof -comments`).

mod message;

use std::collections::HashMap;
use std::hash::Hash;
use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message as _;

use super::{Section, names};
use crate::report::{Frame, Group, text};
use crate::traceback;
use message::{Function, Label, Line, Location, Mapping, Profile, Sample, ValueType};

/// The wanted groups of `sections` as a compressed profile.
///
/// # Errors
/// Never of a profile in memory; the encoder says otherwise.
pub(crate) fn write(sections: &[Section]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&profile(sections).encode_to_vec())?;
    encoder.finish()
}

fn profile(sections: &[Section]) -> Profile {
    let mut tables = Tables::default();
    // The empty string has number 0.
    tables.string("");
    let mut profile = Profile {
        sample_type: vec![
            ValueType { r#type: tables.string("blocks"), unit: tables.string("count") },
            ValueType { r#type: tables.string("bytes"), unit: tables.string("bytes") },
        ],
        default_sample_type: tables.string("bytes"),
        ..Profile::default()
    };
    for (section, name) in sections.iter().zip(names(sections)) {
        for (started, group) in section.groups() {
            let sample = tables.sample(&name, started, group);
            profile.sample.push(sample);
        }
        let problem = section.problem_text().map(|problem| format!("{name}: {problem}"));
        let headline = format!("{name}: {}", text::headline(&section.report));
        let notes = text::note_lines(&section.report).into_iter();
        let notes = notes.map(|note| format!("{name}: note: {note}"));
        let comments = [problem.unwrap_or(headline)].into_iter().chain(notes);
        profile.comment.extend(comments.map(|comment| tables.string(&comment)));
    }
    let Tables { strings, mappings, locations, functions } = tables;
    profile.mapping = mappings.values;
    profile.location = locations.values;
    profile.function = functions.values;
    profile.string_table = strings.values;
    profile
}

/// Values that are written once and have numbers.
#[derive(Debug)]
struct Table<K, V> {
    numbers: HashMap<K, usize>,
    values: Vec<V>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), values: Vec::new() }
    }
}

impl<K: Eq + Hash, V> Table<K, V> {
    /// The number of `key` from 0; what `make` makes of that number, where it is new, is its value.
    fn number(&mut self, key: K, make: impl FnOnce(usize) -> V) -> usize {
        let next = self.values.len();
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.values.push(make(next));
        }
        number
    }
}

/// A mapping, an address, and the functions with their lines.
type Place = (u64, u64, Vec<(u64, i64)>);

/// What samples share. Strings count from 0, the others from 1: 0 is none.
#[derive(Debug, Default)]
struct Tables {
    strings: Table<String, String>,
    /// By module and build id.
    mappings: Table<[i64; 2], Mapping>,
    /// By what a location says, without its number.
    locations: Table<Place, Location>,
    /// By name and file.
    functions: Table<[i64; 2], Function>,
}

/// What the value in place `number` is called: 0 is none.
fn id(number: usize) -> u64 {
    number as u64 + 1
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Tables {
    fn string(&mut self, text: &str) -> i64 {
        signed(self.strings.number(text.to_owned(), |_| text.to_owned()) as u64)
    }

    fn sample(&mut self, name: &str, started: Option<&str>, group: &Group) -> Sample {
        let labels = [
            ("scenario", Some(name.to_owned())),
            ("verdict", Some(group.verdict.to_string())),
            ("reachability", Some(group.reachability.to_string())),
            ("program", started.map(str::to_owned)),
        ];
        let labels = labels.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let label = labels
            .map(|(key, value)| Label { key: self.string(key), str: self.string(&value) })
            .collect();
        // Inlined functions stand in front of the one that they were inlined into.
        let places = group.frames.split_inclusive(|frame| !frame.inlined);
        let location_id = places.map(|frames| self.location(frames)).collect();
        Sample { location_id, value: vec![signed(group.blocks), signed(group.bytes)], label }
    }

    /// The location of `frames`, of which the last one alone is not inlined.
    fn location(&mut self, frames: &[Frame]) -> u64 {
        let Some(last) = frames.last() else { return 0 };
        let mapping = self.mapping(last);
        let mapping_id = mapping.map_or(0, id);
        let address = if last.function.is_none() { last.offset } else { 0 };
        let lines: Vec<_> = frames
            .iter()
            .map(|frame| (self.function(frame), i64::from(frame.line.unwrap_or_default())))
            .collect();
        let line = |&(function_id, line): &(u64, i64)| Line { function_id, line };
        let place = (mapping_id, address, lines.clone());
        let number = self.locations.number(place, |number| Location {
            id: id(number),
            mapping_id,
            address,
            line: lines.iter().map(line).collect(),
        });
        if let Some(mapping) = mapping.and_then(|number| self.mappings.values.get_mut(number)) {
            mapping.has_functions |= last.function.is_some();
            mapping.has_filenames |= last.file.is_some();
            mapping.has_line_numbers |= last.line.is_some();
            mapping.has_inline_frames |= frames.len() > 1;
            mapping.memory_limit = mapping.memory_limit.max(address + 1);
        }
        id(number)
    }

    fn mapping(&mut self, frame: &Frame) -> Option<usize> {
        let module = frame.module.as_ref()?;
        let filename = self.string(module);
        let build_id = self.string(frame.build_id.as_deref().unwrap_or_default());
        Some(self.mappings.number([filename, build_id], |number| Mapping {
            id: id(number),
            filename,
            build_id,
            ..Mapping::default()
        }))
    }

    fn function(&mut self, frame: &Frame) -> u64 {
        let name = match &frame.function {
            Some(function) => self.string(function),
            None => self.string(&traceback::line(frame)),
        };
        let filename = self.string(frame.file.as_deref().unwrap_or_default());
        let number = self.functions.number([name, filename], |number| Function {
            id: id(number),
            name,
            filename,
        });
        id(number)
    }
}

#[cfg(test)]
mod tests;
