//! The tracebacks of sites. Each node of the ledger's tree, each place in the code, each frame and
//! each line is looked at once; all that a site has for itself is a list of numbers.

use std::collections::HashMap;
use std::ops::Range;

use crate::child::ledger_file::{Frames, LedgerError, LedgerFile};
use crate::ledger::site::{MAX_FRAMES, Node, flag};
use crate::report::Frame;
use crate::symbols::{CodeAddress, Symbolizer};
use crate::traceback;

/// The tracebacks of one ledger's sites.
#[derive(Debug)]
pub(super) struct Tracebacks<'a> {
    ledger: &'a LedgerFile,
    symbolizer: Symbolizer<'a>,
    host: Option<&'a str>,
    names: Names,
    /// Frames of the sites, by number, innermost first.
    frames: Vec<usize>,
    sites: HashMap<u32, Traceback>,
    keys: HashMap<Box<[usize]>, usize>,
}

/// The frames of places in the code.
#[derive(Debug, Default)]
struct Names {
    codes: HashMap<CodeAddress, usize>,
    /// Which of `known` each code has.
    frames: Vec<Range<usize>>,
    known: Vec<Frame>,
    /// By frame: the number of its line.
    lines: Vec<usize>,
    by_line: HashMap<String, usize>,
}

/// The traceback of one site.
#[derive(Debug, Clone)]
pub(super) struct Traceback {
    /// Which frames of [`Tracebacks`] are kept of the backtrace.
    kept: Range<usize>,
    /// What called the outermost is not known.
    pub(super) is_truncated: bool,
    /// The same number for all that have the same lines.
    pub(super) key: usize,
}

/// The outer end of a site's codes.
#[derive(Debug, Clone, Copy)]
struct End {
    at: usize,
    is_truncated: bool,
}

impl<'a> Tracebacks<'a> {
    pub(super) fn new(
        ledger: &'a LedgerFile,
        host: Option<&'a str>,
        symbolizer: Symbolizer<'a>,
    ) -> Self {
        let (names, frames) = (Names::default(), Vec::new());
        let (sites, keys) = (HashMap::new(), HashMap::new());
        Self { ledger, symbolizer, host, names, frames, sites, keys }
    }

    /// The tracebacks of `sites`, in their order.
    ///
    /// # Errors
    /// Where the ledger can't be read.
    pub(super) fn of(&mut self, sites: &[u32]) -> Result<Vec<Traceback>, LedgerError> {
        let new: Vec<u32> =
            sites.iter().copied().filter(|site| !self.sites.contains_key(site)).collect();
        let (codes, ends) = self.codes(&new)?;
        self.names.learn(&mut self.symbolizer);
        let mut start = 0;
        for (site, End { at, is_truncated }) in new.into_iter().zip(ends) {
            let traceback = self.traceback(&codes[start..at], is_truncated);
            self.sites.insert(site, traceback);
            start = at;
        }
        Ok(sites.iter().filter_map(|site| self.sites.get(site)).cloned().collect())
    }

    /// How many keys there are.
    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }

    /// The frames of a site's traceback.
    pub(super) fn frames(&self, traceback: &Traceback) -> Vec<Frame> {
        self.collect(&traceback.kept)
    }

    /// The numbers of a site's traceback's frames: the same for the same places in the code alone.
    pub(super) fn numbers(&self, traceback: &Traceback) -> &[usize] {
        &self.frames[traceback.kept.clone()]
    }

    /// The lines by their numbers.
    pub(super) fn texts(&self) -> Vec<&str> {
        let mut texts = vec![""; self.names.by_line.len()];
        for (text, line) in &self.names.by_line {
            texts[*line] = text;
        }
        texts
    }

    /// The lines of a traceback, which `texts` has; `None` for a frame of which nothing is known.
    pub(super) fn lines<'b>(
        &self,
        traceback: &Traceback,
        texts: &[&'b str],
    ) -> Vec<Option<&'b str>> {
        let line = |frame: &usize| {
            let known = &self.names.known[*frame];
            let is_known = known.function.is_some() || known.module.is_some();
            is_known.then(|| texts[self.names.lines[*frame]])
        };
        self.numbers(traceback).iter().map(line).collect()
    }

    /// A frame that has that line.
    pub(super) fn frame(&self, line: &str) -> Option<Frame> {
        let number = self.names.by_line.get(line)?;
        let at = self.names.lines.iter().position(|line| line == number)?;
        Some(self.names.known[at].clone())
    }

    /// For each key, what sorts as the texts of its lines do.
    pub(super) fn ranks(&self) -> Vec<Vec<usize>> {
        let mut lines: Vec<_> = self.names.by_line.iter().collect();
        lines.sort_unstable();
        let mut ranks = vec![0; lines.len()];
        for (rank, (_, line)) in lines.into_iter().enumerate() {
            ranks[*line] = rank;
        }
        let mut keys = vec![Vec::new(); self.keys.len()];
        for (lines, key) in &self.keys {
            keys[*key] = lines.iter().map(|line| ranks[*line]).collect();
        }
        keys
    }

    fn collect(&self, range: &Range<usize>) -> Vec<Frame> {
        self.frames[range.clone()].iter().map(|frame| self.names.known[*frame].clone()).collect()
    }

    /// The codes of `sites`, one site behind the other, and where each one's end.
    fn codes(&mut self, sites: &[u32]) -> Result<(Vec<usize>, Vec<End>), LedgerError> {
        let mut nodes = Frames::new(self.ledger);
        // By node: its code and one.
        let mut known = vec![0_usize; nodes.count() as usize];
        let (mut codes, mut ends) = (Vec::new(), Vec::new());
        for site in sites {
            let (mut at, start) = (*site, codes.len());
            let mut is_truncated = false;
            while let Some(node) = nodes.get(at)? {
                // A million sites of a million frames each would be no end in practice.
                if codes.len() - start == MAX_FRAMES {
                    let what = format!("site {site} has more than {MAX_FRAMES} frames");
                    return Err(LedgerError::Damaged(what));
                }
                let known = &mut known[at as usize];
                if *known == 0 {
                    *known = self.names.code(&node) + 1;
                }
                codes.push(*known - 1);
                at = node.parent;
                is_truncated = node.flags & flag::TRUNCATED != 0;
            }
            ends.push(End { at: codes.len(), is_truncated });
        }
        Ok((codes, ends))
    }

    fn traceback(&mut self, codes: &[usize], is_truncated: bool) -> Traceback {
        let start = self.frames.len();
        self.frames.extend(codes.iter().flat_map(|code| self.names.frames[*code].clone()));
        let frames: Vec<&Frame> =
            self.frames[start..].iter().map(|frame| &self.names.known[*frame]).collect();
        let kept = traceback::kept(&frames, self.host);
        let kept = start + kept.start..start + kept.end;
        let lines: Box<[usize]> =
            self.frames[kept.clone()].iter().map(|frame| self.names.lines[*frame]).collect();
        let next = self.keys.len();
        let key = *self.keys.entry(lines).or_insert(next);
        Traceback { kept, is_truncated, key }
    }
}

impl Names {
    /// The number of the code of `node`.
    fn code(&mut self, node: &Node) -> usize {
        let address = (node.module, node.offset, node.flags & flag::EXACT != 0);
        let next = self.codes.len();
        *self.codes.entry(address).or_insert(next)
    }

    /// Has the frames of codes that are new.
    fn learn(&mut self, symbolizer: &mut Symbolizer<'_>) {
        let learnt = self.frames.len();
        let mut new = vec![CodeAddress::default(); self.codes.len() - learnt];
        for (address, code) in &self.codes {
            if let Some(code) = code.checked_sub(learnt) {
                new[code] = *address;
            }
        }
        for frames in symbolizer.symbolize_all(&new) {
            let start = self.known.len();
            for frame in frames {
                let next = self.by_line.len();
                self.lines.push(*self.by_line.entry(traceback::line(frame)).or_insert(next));
                self.known.push(frame.clone());
            }
            self.frames.push(start..self.known.len());
        }
    }
}
