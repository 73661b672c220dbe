//! The tables of the machine's libraries against gimli, and the walk against damaged input.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "a test may panic"
)]

mod damage;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use object::{Object, ObjectSection, ObjectSegment};

/// The unwind data of a library, as it lies in its file.
struct Library {
    data: Vec<u8>,
    /// The segment with the unwind data: its address, and its place in `data`.
    start: usize,
    range: std::ops::Range<usize>,
    header: usize,
    frames: std::ops::Range<usize>,
}

impl Library {
    /// The library that lies at `path`; `None` where it is no library or has no unwind data.
    fn read(path: &std::path::Path) -> Option<Self> {
        let data = std::fs::read(path).ok()?;
        let file = object::File::parse(&*data).ok()?;
        let at = |name: &str| {
            let section = file.section_by_name(name)?;
            Some(section.address() as usize..(section.address() + section.size()) as usize)
        };
        let (header, frames) = (at(".eh_frame_hdr")?.start, at(".eh_frame")?);
        let segment = file.segments().find(|segment| {
            let start = segment.address() as usize;
            start <= header && header < start + segment.size() as usize
        })?;
        let (offset, len) = segment.file_range();
        let (start, range) = (segment.address() as usize, offset as usize..(offset + len) as usize);
        Some(Self { start, range, header, frames, data })
    }

    fn window(&self) -> super::window::Window<'_> {
        super::window::Window::new(self.start, &self.data[self.range.clone()])
    }

    fn frame_bytes(&self) -> &[u8] {
        let bytes = &self.data[self.range.clone()];
        &bytes[self.frames.start - self.start..self.frames.end - self.start]
    }
}

/// The machine's own libc, by the address of one of its functions.
fn libc() -> Library {
    Library::read(&libc_path()).expect("libc has unwind data")
}

fn libc_path() -> PathBuf {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux has it");
    let path = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    path.into_iter().find(|path| path.ends_with("/libc.so.6")).expect("it is loaded").into()
}

/// The files beside libc whose names start with `start`, each file once.
fn beside_libc(start: &str) -> BTreeSet<PathBuf> {
    let folder = libc_path().parent().expect("it is in a folder").to_path_buf();
    let entries = std::fs::read_dir(folder).expect("it can be listed").flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(start))
        .filter(|entry| entry.file_name().to_string_lossy().contains(".so"))
        .filter_map(|entry| entry.path().canonicalize().ok())
        .collect()
}

/// What the fuzz target starts from, by name.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/unwind");
    let inputs = std::fs::read_dir(folder).expect("there is a corpus");
    inputs
        .map(|input| {
            let input = input.expect("an entry");
            let name = input.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(input.path()).expect("it is readable"))
        })
        .collect()
}
