//! The tracebacks of sites. Each node of the ledger's tree, each place in the code, each frame and
//! each line is looked at once; all that a site has for itself is a list of numbers.
//!
//! Of threads another one comes first in each run, and so do sites. What is said of several of them
//! follows the places of their code, not the order in which the ledger got to know them.

use std::collections::HashMap;
use std::ops::Range;

use crate::child::ledger_file::{Frames, LedgerError, LedgerFile};
use crate::ledger::site::{MAX_FRAMES, Node, flag};
use crate::report::Frame;
use crate::symbols::{CodeAddress, Module, Symbolizer, Symbols};
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
    /// By module: its place in the order of their paths.
    modules: Vec<usize>,
    known: Vec<Frame>,
    /// By frame: the number of its line.
    lines: Vec<usize>,
    by_line: HashMap<String, usize>,
}

/// The traceback of one site.
#[derive(Debug, Clone)]
pub(super) struct Traceback {
    /// Which frames of [`Tracebacks`] are kept of the backtrace: of those that were asked for at once,
    /// in the order of their places in the code.
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
        symbols: &'a mut Symbols,
    ) -> Result<Self, LedgerError> {
        let modules = ledger.modules()?;
        let names = Names { modules: ranks(&modules), ..Names::default() };
        let (symbolizer, frames) = (symbols.of(modules), Vec::new());
        let (sites, keys) = (HashMap::new(), HashMap::new());
        Ok(Self { ledger, symbolizer, host, names, frames, sites, keys })
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
        let starts = [0].into_iter().chain(ends.iter().map(|end| end.at));
        let mut backtraces: Vec<_> = new
            .into_iter()
            .zip(starts.zip(&ends))
            .map(|(site, (start, end))| (&codes[start..end.at], end.is_truncated, site))
            .collect();
        let ranks = self.names.code_ranks();
        let rank = |code: &usize| ranks[*code];
        backtraces.sort_by(|(one, one_ends, _), (other, other_ends, _)| {
            one.iter().map(rank).cmp(other.iter().map(rank)).then(one_ends.cmp(other_ends))
        });
        for (codes, is_truncated, site) in backtraces {
            let traceback = self.traceback(codes, is_truncated);
            self.sites.insert(site, traceback);
        }
        Ok(sites.iter().filter_map(|site| self.sites.get(site)).cloned().collect())
    }

    /// The tracebacks of sites, each with what comes with it, in the order of their places in the
    /// code.
    ///
    /// # Errors
    /// As for [`of`](Self::of).
    pub(super) fn sorted<T>(
        &mut self,
        sites: Vec<(u32, T)>,
    ) -> Result<Vec<(T, Traceback)>, LedgerError> {
        let (sites, with): (Vec<u32>, Vec<T>) = sites.into_iter().unzip();
        let mut sorted: Vec<_> = with.into_iter().zip(self.of(&sites)?).collect();
        sorted.sort_by_key(|(_, traceback)| (traceback.kept.start, traceback.kept.end));
        Ok(sorted)
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

    /// The first frame that has that line.
    pub(super) fn frame(&self, line: &str) -> Option<Frame> {
        let number = self.names.by_line.get(line)?;
        let of_line = self.names.lines.iter().zip(&self.names.known);
        let frames = of_line.filter(|(line, _)| *line == number).map(|(_, frame)| frame);
        frames.min_by_key(|it| (&it.module, it.offset, &it.file, it.line)).cloned()
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

    /// For each code, what sorts as places in the code do.
    fn code_ranks(&self) -> Vec<usize> {
        let mut codes: Vec<_> = self.codes.iter().collect();
        let rank = |module: u16| self.modules.get(usize::from(module)).copied();
        codes.sort_unstable_by_key(|((module, offset, is_exact), _)| {
            (rank(*module), *offset, *is_exact)
        });
        let mut ranks = vec![0; codes.len()];
        codes.into_iter().enumerate().for_each(|(rank, (_, code))| ranks[*code] = rank);
        ranks
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

/// The place of each of `modules` in the order of their paths.
fn ranks(modules: &[Option<Module>]) -> Vec<usize> {
    let mut sorted: Vec<usize> = (0..modules.len()).collect();
    sorted.sort_by_key(|number| modules[*number].as_ref().map(|it| (&it.path, &it.build_id)));
    let mut ranks = vec![0; modules.len()];
    sorted.into_iter().enumerate().for_each(|(rank, number)| ranks[number] = rank);
    ranks
}
