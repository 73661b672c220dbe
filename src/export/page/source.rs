//! Lines of the code around those that frames name, from the files as they are now.
//!
//! Debug information may name any path: what is no plain file is never opened, and no more is read
//! than a source file may have.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use maud::{Markup, html};

use crate::report::Frame;

/// Lines that are shown before and behind the one that is named.
const AROUND: usize = 2;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// The longest line, in characters, and the most places of one page.
const LONGEST: usize = 200;
const MOST_PLACES: usize = 2000;

/// The files that were looked at.
#[derive(Debug, Default)]
pub(super) struct Sources {
    files: HashMap<Arc<str>, Option<Vec<String>>>,
    shown: usize,
}

impl Sources {
    /// The lines around the one that `frame` names; nothing where it names none, the file can't be
    /// read or has no such line, or the page has enough of them.
    pub(super) fn around(&mut self, frame: &Frame) -> Option<Markup> {
        let (file, line) = (frame.file.as_ref()?, usize::try_from(frame.line?).ok()?);
        if !self.has_room() {
            return None;
        }
        let lines = self.files.entry(file.clone()).or_insert_with(|| read(Path::new(&**file)));
        let lines = lines.as_ref()?;
        let named = line.checked_sub(1).filter(|at| *at < lines.len())?;
        let first = named.saturating_sub(AROUND);
        let shown = lines.iter().enumerate().skip(first).take(named + AROUND + 1 - first);
        self.shown += 1;
        Some(html! {
            ol.source start=(first + 1) {
                @for (at, text) in shown {
                    @if at == named { li.named value=(at + 1) { code { mark { (text) } } } }
                    @else { li value=(at + 1) { code { (text) } } }
                }
            }
        })
    }

    /// Whether more lines would be shown.
    pub(super) fn has_room(&self) -> bool {
        self.shown < MOST_PLACES
    }
}

/// The lines of the file at `path`.
fn read(path: &Path) -> Option<Vec<String>> {
    // A relative path is one of another folder: where the compiler ran.
    let about = path.is_absolute().then(|| fs::metadata(path).ok())??;
    // The kernel's own files have no length, and some of them no end.
    if !about.is_file() || !(1..=LARGEST).contains(&about.len()) {
        return None;
    }
    let text = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text);
    let line =
        |line: &str| -> String { line.replace('\t', "    ").chars().take(LONGEST).collect() };
    Some(text.lines().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::samples::frame;

    fn around(file: &Path, line: u32) -> Option<String> {
        let place = file.to_str().expect("a path");
        Sources::default().around(&frame("f", Some((place, line)))).map(Markup::into_string)
    }

    #[test]
    fn two_lines_stand_around_the_one_that_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.c");
        fs::write(&file, "one\n\ttwo <&\nthree\nfour\nfive\nsix\n").expect("written");
        let text = around(&file, 4).expect("it is there");
        assert!(text.starts_with("<ol class=\"source\" start=\"2\">"), "{text}");
        assert!(text.contains("<li value=\"2\"><code>    two &lt;&amp;</code></li>"), "{text}");
        assert!(text.contains("value=\"4\"><code><mark>four</mark></code></li>"), "{text}");
        assert!(text.contains(">six<") && !text.contains(">one<"), "{text}");
        let first = around(&file, 1).expect("it is there");
        assert!(first.contains("<mark>one</mark>") && !first.contains("four"), "{first}");
        assert_eq!((around(&file, 7), around(&file, 0)), (None, None));
    }

    #[test]
    fn what_is_no_plain_file_is_not_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        for path in ["/dev/zero", "/proc/self/maps", "/etc", "/no/such/file.c", "relative.c"] {
            assert_eq!(around(Path::new(path), 1), None, "{path}");
        }
        let large = folder.path().join("large.c");
        let file = fs::File::create(&large).expect("a file");
        file.set_len(LARGEST + 1).expect("a hole");
        assert_eq!(around(&large, 1), None);
    }
}
