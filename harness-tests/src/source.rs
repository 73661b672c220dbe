//! Source files of the repository, as the rules of the house look at them.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::cargo::repository;

/// A file in Rust.
#[derive(Debug)]
pub struct Source {
    /// Its way from the repository's folder.
    pub path: String,
    /// The whole text.
    pub text: String,
    /// The text with spaces in place of comments and of what is in quotes.
    pub code: String,
}

impl Source {
    /// The code without the file's tests, which are its last module or the whole file.
    #[must_use]
    pub fn shipped(&self) -> &str {
        let whole = self.path.ends_with("tests.rs");
        let tests = if whole { Some(0) } else { self.code.find("\nmod tests") };
        &self.code[..tests.unwrap_or(self.code.len())]
    }

    /// The modules of its own crate that the file names by a path from the crate's root.
    #[must_use]
    pub fn imports(&self) -> Vec<&str> {
        let code = self.shipped();
        let starts = code.match_indices("crate::").map(|(at, word)| &code[at + word.len()..]);
        starts.flat_map(first_names).collect()
    }
}

/// The first name of each path in `tail`, which stands behind a `::`.
fn first_names(tail: &str) -> Vec<&str> {
    let name_of = |path: &str| {
        path.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(path.len())
    };
    let Some(list) = tail.strip_prefix('{') else { return vec![&tail[..name_of(tail)]] };
    let (mut names, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, letter) in list.char_indices() {
        let end = letter == '}' && depth == 0;
        if end || (letter == ',' && depth == 0) {
            let path = list[start..at].trim();
            names.extend(Some(&path[..name_of(path)]).filter(|name| !name.is_empty()));
            start = at + 1;
        }
        match letter {
            _ if end => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    names
}

/// The files in Rust at or below `folder`, a way from the repository's folder; sorted.
///
/// # Panics
/// Where a file or folder can't be read.
#[must_use]
pub fn sources(folder: &str) -> Vec<Source> {
    let rust = files(folder).into_iter().filter(|path| path.ends_with(".rs"));
    rust.map(|path| {
        let text = crate::trials::read(&repository().join(&path));
        Source { code: code(&text), path, text }
    })
    .collect()
}

/// All files at or below `folder`, but nothing that is built; sorted.
///
/// # Panics
/// Where a folder can't be read.
#[must_use]
pub fn files(folder: &str) -> Vec<String> {
    let root = repository();
    let (mut found, mut left) = (Vec::new(), vec![root.join(folder)]);
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(entries(&path).into_iter().filter(|path| !path.ends_with("target")));
        } else {
            let below = path.strip_prefix(root).expect("it was found below");
            found.push(below.display().to_string());
        }
    }
    found.sort();
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// `text` with spaces in place of comments and of what is in quotes; lines stay where they are.
fn code(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut at = 0;
    while let Some(range) = next_hidden(text.as_bytes(), &mut at) {
        let hidden = bytes[range].iter_mut().filter(|byte| **byte != b'\n');
        hidden.for_each(|byte| *byte = b' ');
    }
    String::from_utf8(bytes).expect("whole quotes and comments went")
}

/// The next comment, or what is in the next quotes, from `at` on, which moves behind it.
fn next_hidden(text: &[u8], at: &mut usize) -> Option<Range<usize>> {
    let find = |what: &[u8], from: usize| {
        let found = text.get(from..)?.windows(what.len()).position(|bytes| bytes == what)?;
        Some(from + found)
    };
    while *at < text.len() {
        let start = *at;
        let rest = &text[start..];
        let (from, end, behind) = if rest.starts_with(b"//") {
            (start, find(b"\n", start).unwrap_or(text.len()), 0)
        } else if rest.starts_with(b"/*") {
            (start, find(b"*/", start).map_or(text.len(), |end| end + 2), 0)
        } else if rest.starts_with(b"r\"") || rest.starts_with(b"r#\"") {
            let close: &[u8] = if rest[1] == b'#' { b"\"#" } else { b"\"" };
            let from = start + 1 + close.len();
            (from, find(close, from).unwrap_or(text.len()), close.len())
        } else if rest.starts_with(b"\"") {
            let mut end = start + 1;
            while end < text.len() && text[end] != b'"' {
                end += if text[end] == b'\\' { 2 } else { 1 };
            }
            (start + 1, end, 1)
        } else if rest.starts_with(b"'\\") {
            (start + 1, find(b"'", start + 3).unwrap_or(text.len()), 1)
        } else if rest.starts_with(b"'") && rest.get(2) == Some(&b'\'') {
            (start + 1, start + 2, 1)
        } else {
            *at += 1;
            continue;
        };
        *at = end + behind;
        return Some(from..end.min(text.len()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_quotes_are_hidden_and_code_is_not() {
        let shown = |text| code(text).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(shown("a // unsafe\nb /* c\n */ d"), "a b d");
        assert_eq!(shown(r#"a("x \" y", b'"', '\'', '"') // "#), r#"a(" ", b' ', ' ', ' ')"#);
        assert_eq!(shown("r#\"a \" b\"# c 'x' &'a str \"\""), "r#\" \"# c ' ' &'a str \"\"");
        assert_eq!(code("a\n/*\n*/\"\n\"").lines().count(), 5 - 1);
    }

    #[test]
    fn imports_are_found_in_every_form() {
        let text = "use crate::a;\nuse crate::{b::{x, y}, c, d::z};\n// crate::no\n\
                    fn f() { crate::e::g() }\nm!($crate::h)\n\
                    #[cfg(test)]\nmod tests { use crate::no; }\n";
        let source = Source { path: String::new(), text: text.into(), code: code(text) };
        assert_eq!(source.imports(), ["a", "b", "c", "d", "e", "h"]);
    }
}
