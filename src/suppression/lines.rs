//! The lines of a suppression file: what both formats have in common.
//!
//! Empty lines and `#` comments are no entries. One kind of comment is ours, so that the other
//! tools still read the file: `# leaksnap: most 3` bounds the entry that follows.

use std::path::Path;

use super::Place;

/// What starts a comment of ours, behind the `#`.
const OURS: &str = "leaksnap:";

/// What is wrong with a file, and in which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) line: usize,
    pub(super) problem: String,
}

impl Wrong {
    pub(super) fn at(line: usize, problem: impl Into<String>) -> Self {
        Self { line, problem: problem.into() }
    }
}

/// The lines of a file that are left to read.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    path: &'a Path,
    left: std::iter::Enumerate<std::str::Lines<'a>>,
    /// The bound of the next entry, and its line.
    bound: Option<(usize, u64)>,
}

impl<'a> Lines<'a> {
    /// All lines of `text`; `path` is what places call the file.
    pub(super) fn new(path: &'a Path, text: &'a str) -> Self {
        Self { path, left: text.lines().enumerate(), bound: None }
    }

    pub(super) fn place(&self, line: usize) -> Place {
        Place { path: self.path.to_owned(), line }
    }

    /// The next line that is no comment, without the spaces around it, and its number.
    pub(super) fn next_line(&mut self) -> Result<Option<(usize, &'a str)>, Wrong> {
        for (index, text) in self.left.by_ref() {
            let (line, text) = (index + 1, text.trim());
            let Some(comment) = text.strip_prefix('#') else {
                if text.is_empty() {
                    continue;
                }
                return Ok(Some((line, text)));
            };
            let Some(bound) = comment.trim().strip_prefix(OURS) else { continue };
            let most = read_bound(bound).map_err(|problem| Wrong::at(line, problem))?;
            if let Some((earlier, _)) = self.bound.replace((line, most)) {
                let problem = format!("line {earlier} bounds the same entry; remove one of them");
                return Err(Wrong::at(line, problem));
            }
        }
        Ok(None)
    }

    /// The next line where an entry starts; a bound in front of it is there to take.
    pub(super) fn next_entry(&mut self) -> Result<Option<(usize, &'a str)>, Wrong> {
        let next = self.next_line()?;
        match self.bound {
            Some((line, _)) if next.is_none() => {
                Err(Wrong::at(line, "nothing follows that this bounds; remove it"))
            }
            _ => Ok(next),
        }
    }

    /// The next line inside an entry, where no bound can stand.
    pub(super) fn next_inside(&mut self) -> Result<Option<(usize, &'a str)>, Wrong> {
        let next = self.next_line()?;
        match self.bound {
            Some((line, _)) => Err(Wrong::at(line, "a bound stands before its entry, not in it")),
            None => Ok(next),
        }
    }

    /// The bound of the entry that was just read.
    pub(super) fn take_bound(&mut self) -> Option<u64> {
        self.bound.take().map(|(_, most)| most)
    }
}

fn read_bound(text: &str) -> Result<u64, String> {
    let words: Vec<_> = text.split_whitespace().collect();
    match words.as_slice() {
        ["most", number] => match number.parse() {
            Ok(most) if most > 0 => Ok(most),
            _ => Err(format!("`most {number}` is no bound; write a number of blocks from 1 on")),
        },
        _ => Err("`# leaksnap:` is followed by `most` and a number of blocks".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Entry<'a> = (usize, &'a str, Option<u64>);

    fn entries(text: &str) -> Result<Vec<Entry<'_>>, (usize, String)> {
        let mut lines = Lines::new(Path::new("x.supp"), text);
        let mut found = Vec::new();
        loop {
            match lines.next_entry().map_err(|wrong| (wrong.line, wrong.problem))? {
                Some((line, text)) => found.push((line, text, lines.take_bound())),
                None => return Ok(found),
            }
        }
    }

    #[test]
    fn comments_and_empty_lines_are_none() {
        let text =
            "# a comment\n\n  a  \r\n\t# leaksnap: most 3\n# why\nb\n#leaksnap:most  12\nc\nd";
        let expected = [(3, "a", None), (6, "b", Some(3)), (8, "c", Some(12)), (9, "d", None)];
        assert_eq!(entries(text), Ok(expected.to_vec()));
        assert_eq!(entries(""), Ok(vec![]));
    }

    #[test]
    fn a_bound_is_a_number_before_an_entry() {
        let cases = [
            ("a\n# leaksnap: most 3", 2, "nothing follows that this bounds; remove it"),
            (
                "# leaksnap: most 3\n# leaksnap: most 4\na",
                2,
                "line 1 bounds the same entry; remove one of them",
            ),
            (
                "# leaksnap: most few\na",
                1,
                "`most few` is no bound; write a number of blocks from 1 on",
            ),
            ("# leaksnap: most 0", 1, "`most 0` is no bound; write a number of blocks from 1 on"),
            ("# leaksnap: most", 1, "`# leaksnap:` is followed by `most` and a number of blocks"),
            (
                "# leaksnap: least 3",
                1,
                "`# leaksnap:` is followed by `most` and a number of blocks",
            ),
        ];
        for (text, line, problem) in cases {
            assert_eq!(entries(text), Err((line, problem.to_owned())), "of {text:?}");
        }
    }
}
