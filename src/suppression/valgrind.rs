//! valgrind's suppressions: `{ … }` blocks that name a stack, innermost frame first.
//!
//! The format is that of the manual's chapter "Suppressing errors" and of `m_errormgr.c`, with
//! `match-leak-kinds` from "Suppressing errors" of the chapter on Memcheck:
//!
//! ```text
//!   {
//!      a name
//!      Memcheck:Leak                  other tools and kinds are not about leaks: skipped
//!      match-leak-kinds: definite     all, where the line is missing
//!      fun:malloc                     one line a frame: fun:, obj:, src:
//!      ...                            any number of frames
//!   }
//! ```

mod function;
mod stack;

use self::stack::{Line, Stack};
use super::lines::{Lines, Wrong};
use super::module::Modules;
use super::{Origin, Rule, Suppression};
use crate::report::{Group, Reachability};

/// What starts the line of leak kinds.
const KINDS: &str = "match-leak-kinds:";

/// What starts the lines of frames.
const FRAMES: [&str; 4] = ["fun:", "obj:", "src:", "..."];

/// A block: which stacks of which kinds of leaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    kinds: Kinds,
    stack: Stack,
}

/// The states that a block hides. Where nobody knows the state, the stack alone decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kinds {
    lost: bool,
    indirect: bool,
    reachable: bool,
}

impl Block {
    /// Whether it is for the kind and for the frames of `group`.
    pub(super) fn matches(&self, group: &Group, modules: &Modules) -> bool {
        let of_kind = match group.reachability {
            Reachability::Lost => self.kinds.lost,
            Reachability::Indirect => self.kinds.indirect,
            Reachability::Reachable => self.kinds.reachable,
            Reachability::Unknown => true,
        };
        of_kind && self.stack.matches(&group.frames, modules)
    }
}

/// The blocks on leaks in `lines`, a whole file.
pub(super) fn read(lines: &mut Lines<'_>) -> Result<Vec<Suppression>, Wrong> {
    let mut found = Vec::new();
    while let Some((line, text)) = lines.next_entry()? {
        if text != "{" {
            return Err(Wrong::at(line, outside(text)));
        }
        let most = lines.take_bound();
        let mut inside = Inside { lines, start: line };
        let name = inside.heading()?;
        let about = inside.heading()?;
        let rule = if is_on_leaks(about)? {
            Some(inside.block()?)
        } else {
            while inside.next()?.is_some() {}
            None
        };
        found.extend(rule.map(|block| Suppression {
            place: lines.place(line),
            title: name.1.to_owned(),
            origin: Origin::File,
            rule: Rule::Block(block),
            most,
        }));
    }
    Ok(found)
}

fn outside(text: &str) -> String {
    let frame = FRAMES.iter().find(|prefix| text.starts_with(**prefix));
    match frame {
        Some(prefix) => format!("`{prefix}` stands outside of a {{ … }} block"),
        None if text.starts_with("leak:") => {
            "a `leak:` line among valgrind's blocks; put it into a file of its own".to_owned()
        }
        None => "a block starts with a line that is `{`".to_owned(),
    }
}

/// Whether the second line of a block says that it is on leaks.
fn is_on_leaks((line, text): (usize, &str)) -> Result<bool, Wrong> {
    let Some((tools, kind)) = text.split_once(':') else {
        let problem = format!("`{text}` has to be a tool and a kind, such as `Memcheck:Leak`");
        return Err(Wrong::at(line, problem));
    };
    let is = |same: fn(&str, &str) -> bool| {
        tools.split(',').any(|tool| same(tool, "Memcheck")) && same(kind, "Leak")
    };
    let on_leaks = is(|found, exact| found == exact);
    // To valgrind it is another tool's or an error: to skip it in silence helps nobody.
    if !on_leaks && is(|found, exact| found.trim().eq_ignore_ascii_case(exact)) {
        return Err(Wrong::at(line, format!("`{text}` has to be written `Memcheck:Leak`")));
    }
    Ok(on_leaks)
}

/// The lines of one block.
#[derive(Debug)]
struct Inside<'a, 'b> {
    lines: &'a mut Lines<'b>,
    start: usize,
}

impl<'b> Inside<'_, 'b> {
    /// The next line; none at the block's end.
    fn next(&mut self) -> Result<Option<(usize, &'b str)>, Wrong> {
        match self.lines.next_inside()? {
            Some((_, "}")) => Ok(None),
            Some((_, "{")) | None => Err(Wrong::at(self.start, "this block has no `}`; add it")),
            Some(found) => Ok(Some(found)),
        }
    }

    /// One of the two lines before the frames.
    fn heading(&mut self) -> Result<(usize, &'b str), Wrong> {
        let found = self.next()?;
        let found = found.filter(|(_, text)| {
            !text.starts_with(KINDS) && !FRAMES.iter().any(|prefix| text.starts_with(prefix))
        });
        let problem = "this block has to start with a name and, in the next line, `Memcheck:Leak`";
        found.ok_or_else(|| Wrong::at(self.start, problem))
    }

    fn block(&mut self) -> Result<Block, Wrong> {
        let mut kinds = None;
        let mut lines: Vec<Line> = Vec::new();
        while let Some((line, text)) = self.next()? {
            if let Some(list) = text.strip_prefix(KINDS) {
                if kinds.is_some() || !lines.is_empty() {
                    let problem = format!("`{KINDS}` stands once, before the frames");
                    return Err(Wrong::at(line, problem));
                }
                kinds = Some(read_kinds(list).map_err(|problem| Wrong::at(line, problem))?);
            } else {
                let read = Line::read(text, &lines);
                lines.push(read.map_err(|problem| Wrong::at(line, problem))?);
            }
        }
        if lines.iter().all(|line| *line == Line::Any) {
            return Err(Wrong::at(self.start, "this block names no frame; add a `fun:` or `obj:`"));
        }
        let all = Kinds { lost: true, indirect: true, reachable: true };
        Ok(Block { kinds: kinds.unwrap_or(all), stack: Stack::new(&lines) })
    }
}

fn read_kinds(list: &str) -> Result<Kinds, String> {
    let mut kinds = Kinds { lost: false, indirect: false, reachable: false };
    for word in list.split(',').map(str::trim) {
        match word {
            "definite" => kinds.lost = true,
            "indirect" => kinds.indirect = true,
            // What only a pointer into its middle leads to is reachable here.
            "possible" | "reachable" => kinds.reachable = true,
            "all" => kinds = Kinds { lost: true, indirect: true, reachable: true },
            _ => {
                let kinds = "definite, indirect, possible, reachable, all";
                return Err(format!("`{word}` is no kind of leak; the kinds are {kinds}"));
            }
        }
    }
    Ok(kinds)
}
