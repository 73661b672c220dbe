//! The frames of a block against those of a traceback.
//!
//! ```text
//!   valgrind's stack    a traceback here
//!   malloc              left out                 the first line may stand for it
//!   CRYPTO_zalloc       CRYPTO_zalloc
//!   work                work                     a block may end at any frame
//!   start_thread        left out                 lines that name such frames may stand
//!   clone               left out                 behind the traceback's end
//! ```
//! What is left out at the ends is up to [`traceback`]; it is asked, so that both agree.

use super::super::module::Modules;
use super::super::pattern::{has_wildcard, wildcards_match};
use super::function::{Function, is_mangled};
use crate::report::Frame;
use crate::traceback;

/// What a stack of valgrind's can start with. Its object is the one that valgrind preloads.
const ENTRY_POINTS: [&str; 22] = [
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "memalign",
    "aligned_alloc",
    "posix_memalign",
    "valloc",
    "pvalloc",
    "__builtin_new",
    "__builtin_vec_new",
    "_Znwm",
    "_Znam",
    "_ZnwmRKSt9nothrow_t",
    "_ZnamRKSt9nothrow_t",
    "_ZnwmSt11align_val_t",
    "_ZnamSt11align_val_t",
    "_ZnwmSt11align_val_tRKSt9nothrow_t",
    "_ZnamSt11align_val_tRKSt9nothrow_t",
    "operator new(unsigned long)",
    "operator new[](unsigned long)",
    "operator new(unsigned long, std::nothrow_t const&)",
];
const ENTRY_OBJECT: &str = "/usr/libexec/valgrind/vgpreload_memcheck-amd64-linux.so";

/// What valgrind calls an object that it doesn't know.
const UNKNOWN_OBJECT: &str = "???";

/// One line of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// `...`: any number of frames.
    Any,
    /// `fun:`: as it was written, and what that means.
    Function(String, Function),
    /// `obj:`: a name of the object.
    Object(String),
    /// `src:`: a source file, and the line in it.
    Source(String, Option<u32>),
}

/// The lines of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stack {
    /// What of them may stand for the frames of a traceback: without those that stand for what is
    /// left out at its inner end. A `...` there can stand for that, too, which makes two ways.
    ways: Vec<Vec<Line>>,
}

impl Line {
    /// Reads the line that follows the lines in `before`.
    pub(super) fn read(text: &str, before: &[Self]) -> Result<Self, String> {
        if text == "..." {
            return Ok(Self::Any);
        }
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        if !["fun", "obj", "src"].contains(&kind) {
            return Err(format!(
                "`{text}` is no frame; write `...`, or start with `fun:`, `obj:` or `src:`"
            ));
        }
        if name.is_empty() {
            return Err(format!("`{kind}:` has no pattern; write a name"));
        }
        let line = match kind {
            "fun" => Self::Function(name.to_owned(), Function::read(name)),
            "obj" => Self::Object(name.to_owned()),
            _ => match name.rsplit_once(':').map(|(file, line)| (file, line.parse())) {
                Some((file, Ok(line))) => Self::Source(file.to_owned(), Some(line)),
                _ => Self::Source(name.to_owned(), None),
            },
        };
        // Only what stands first may name how the memory was asked for.
        let is_first = before.iter().all(|line| *line == Self::Any);
        let is_entry_point = is_first && line.names_entry_point();
        if kind == "fun" && is_mangled(name) && has_wildcard(name) && !is_entry_point {
            return Err(format!(
                "`{name}` is a mangled name with wildcards, and names are demangled here; write \
                 it out, or as tracebacks show it"
            ));
        }
        Ok(line)
    }

    fn matches(&self, frame: &Frame, modules: &Modules) -> bool {
        match self {
            Self::Any => true,
            Self::Function(_, function) => function.matches(frame),
            Self::Object(pattern) => {
                let module = frame.module.as_deref().unwrap_or(UNKNOWN_OBJECT);
                modules.any(module, |name| wildcards_match(pattern, name))
            }
            Self::Source(pattern, line) => {
                let file = frame.file.as_deref().unwrap_or_default();
                let base = file.rsplit('/').next().unwrap_or(file);
                let matches = |name: &str| !name.is_empty() && wildcards_match(pattern, name);
                (matches(file) || matches(base)) && (line.is_none() || *line == frame.line)
            }
        }
    }

    /// Whether it can be the innermost frame of a stack of valgrind's.
    fn names_entry_point(&self) -> bool {
        match self {
            Self::Function(written, _) => {
                ENTRY_POINTS.iter().any(|name| wildcards_match(written, name))
            }
            Self::Object(pattern) => wildcards_match(pattern, ENTRY_OBJECT),
            Self::Any | Self::Source(..) => false,
        }
    }

    /// The frame that it names, where that is one.
    fn frame(&self) -> Option<Frame> {
        let (function, module) = match self {
            Self::Function(_, Function::Name { name, .. }) => (Some(name.as_str()), None),
            Self::Object(name) if !has_wildcard(name) => (None, name.rsplit('/').next()),
            _ => return None,
        };
        let (function, module) = (function.map(Into::into), module.map(Into::into));
        Some(Frame { function, module, ..Frame::default() })
    }
}

impl Stack {
    pub(super) fn new(lines: &[Line]) -> Self {
        let named = lines.iter().position(|line| *line != Line::Any).unwrap_or_default();
        let inner = plumbing(&lines[named..]);
        let mut ways = Vec::new();
        if named == 0 || inner > 0 {
            ways.push(lines[named + inner..].to_vec());
        }
        if named > 0 {
            ways.push(lines.to_vec());
        }
        Self { ways }
    }

    /// Whether `frames`, innermost first, start with what the lines say.
    pub(super) fn matches(&self, frames: &[Frame], modules: &Modules) -> bool {
        self.ways.iter().any(|lines| lines_match(lines, frames, modules))
    }
}

/// How many of `lines` stand for what is left out at the inner end.
fn plumbing(lines: &[Line]) -> usize {
    // A first pattern that can be the entry point is: valgrind's stacks all start with one.
    let mut inner = usize::from(lines.first().is_some_and(Line::names_entry_point));
    // It can call others of them, or be called by a language's allocator.
    while let Some(frame) = lines.get(inner).and_then(Line::frame)
        && (lines[inner].names_entry_point() || is_left_out(&[frame], End::Inner))
    {
        inner += 1;
    }
    inner
}

fn lines_match(lines: &[Line], frames: &[Frame], modules: &Modules) -> bool {
    // Before which frames the next line can stand.
    let mut places = vec![false; frames.len() + 1];
    places[0] = true;
    // The line before named the outermost frame. What `...` passed over is not known to be
    // the whole traceback.
    let mut ended = false;
    for (index, line) in lines.iter().enumerate() {
        if ended && names_left_out(&lines[index..]) {
            return true;
        }
        if *line == Line::Any {
            let first = places.iter().position(|place| *place).unwrap_or(places.len());
            places[first..].fill(true);
            ended = false;
            continue;
        }
        let mut next = vec![false; places.len()];
        for (at, frame) in frames.iter().enumerate().filter(|(at, _)| places[*at]) {
            next[at + 1] = line.matches(frame, modules);
        }
        if !next.contains(&true) {
            return false;
        }
        ended = next[frames.len()];
        places = next;
    }
    true
}

/// Whether all `lines` name frames that tracebacks leave out at their outer end.
fn names_left_out(lines: &[Line]) -> bool {
    let frames: Option<Vec<_>> = lines.iter().map(Line::frame).collect();
    frames.is_some_and(|frames| is_left_out(&frames, End::Outer))
}

/// The ends of a traceback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Inner,
    Outer,
}

/// Whether a traceback leaves out `frames` at this end.
fn is_left_out(frames: &[Frame], end: End) -> bool {
    let function = Some("f".into());
    let own = Frame { function, ..Frame::default() };
    let mut all: Vec<&Frame> = frames.iter().collect();
    let at = if end == End::Inner { all.len() } else { 0 };
    all.insert(at, &own);
    traceback::kept(&all, None) == (at..at + 1)
}

#[cfg(test)]
mod tests;
