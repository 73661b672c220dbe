//! Processes that a child starts, each with a ledger of its own: programs, and what is only forked.
//!
//! The parent keeps a few ledgers ready, whose descriptors stand in the first program's; the preload
//! heap of each further process takes one (`preload/follow.rs`, `fork.rs`). What such a program says of itself is
//! proved before it is believed: its ledger is mapped into the process that it names.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::departures::{Departed, Departures, text};
use super::family;
use super::ledger_file::{LedgerError, LedgerFile, Live};
use super::proc_file;
use super::process::release;
use super::unseen::{self, Unseen};
use super::view::{self, Reached};
use super::watch::Watch;
use crate::ledger::header::{SPARES, follow, mark};

/// The most processes that are followed in one run; descriptors are not endless.
pub(crate) const MOST: usize = 400;

/// How long processes that are on their way to a ledger are waited for once all others have ended;
/// they themselves wait as long for one.
const PATIENCE: Duration = Duration::from_secs(10);

/// What follows the programs that a child starts.
#[derive(Debug)]
pub(super) struct Follow {
    first: Arc<LedgerFile>,
    watch: Watch,
    /// By the places in the first ledger.
    spares: [Option<LedgerFile>; SPARES],
    /// Ledgers that were taken by who has not claimed them yet, and tells when it has.
    taken: Vec<LedgerFile>,
    /// In the order in which they were seen.
    descendants: Vec<Descendant>,
    /// Processes that were left behind and are waited for.
    children: Vec<(u32, OwnedFd)>,
    /// Processes that were forked, and had no ledger yet when this was seen.
    expected: u32,
    /// Until when they are waited for.
    late: Option<Instant>,
    /// How many ledgers there are.
    made: usize,
    departures: Departures,
}

/// Processes that could not be followed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Unfollowed {
    /// There was no ledger for them.
    pub(crate) missed: u32,
    /// They ended on their way to one.
    pub(crate) lost: u32,
    /// They executed these programs, which did not come up with the preload heap.
    pub(crate) silent: Vec<String>,
    /// So may this many have, of which nothing could be written down.
    pub(crate) crowded: u32,
}

impl Unfollowed {
    /// Whether there are some of which nothing is known, not even a name.
    pub(crate) fn are_unnamed(&self) -> bool {
        self.missed > 0 || self.lost > 0 || self.crowded > 0
    }
}

/// A process that the child started, or one that such a process started.
#[derive(Debug)]
pub(crate) struct Descendant {
    /// What its program was called by: the name of the file that was executed.
    pub(crate) command: String,
    /// Its process.
    pub(crate) pid: u32,
    /// Its ledger.
    pub(crate) ledger: LedgerFile,
    /// What was live at its exit, once it got there; why that is not known.
    pub(crate) at_exit: Option<Result<(Vec<Live>, Reached), LedgerError>>,
    /// What the preload heap did not see there.
    pub(crate) unseen: Unseen,
    /// Readable once it ended; `None` where it is gone already, or nobody knows which process it is.
    process: Option<OwnedFd>,
}

impl Follow {
    /// Follows what the program with the ledger `first` starts.
    pub(super) fn new(first: &Arc<LedgerFile>) -> Result<Self, LedgerError> {
        let watch =
            Watch::new(first, |header| &header.news, |_| true).map_err(LedgerError::Make)?;
        let (first, spares) = (Arc::clone(first), Default::default());
        let mut new = Self {
            first,
            watch,
            spares,
            taken: Vec::new(),
            descendants: Vec::new(),
            children: Vec::new(),
            expected: 0,
            late: None,
            made: 0,
            departures: Departures::default(),
        };
        let first = Arc::clone(&new.first);
        let header = first.header();
        header.watcher.store(std::process::id(), Ordering::Relaxed);
        new.provide()?;
        Ok(new)
    }

    /// Puts a ledger wherever there is none.
    fn provide(&mut self) -> Result<(), LedgerError> {
        let header = self.first.header();
        for (place, spare) in header.spares.iter().zip(&mut self.spares) {
            if spare.is_none() && self.made < MOST {
                let ledger = self.first.another()?;
                ledger.header().stop_at_exit.store(1, Ordering::Release);
                place.store(ledger.descriptor(), Ordering::Release);
                *spare = Some(ledger);
                self.made += 1;
            }
        }
        let is_over = self.spares.iter().all(Option::is_none);
        let state = if is_over { follow::OVER } else { follow::WANTED };
        header.follow.store(state, Ordering::Release);
        Ok(())
    }

    /// It can be read when there is something to [`see`](Self::see).
    pub(super) fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let ends = self.descendants.iter().filter_map(|it| it.process.as_ref()).chain(self.left());
        std::iter::once(self.watch.as_fd()).chain(ends.map(AsFd::as_fd))
    }

    /// Whether one of them still runs, or may yet become one.
    ///
    /// # Errors
    /// Where no further ledger can be made.
    pub(super) fn is_running(&mut self) -> Result<bool, LedgerError> {
        self.see()?;
        if self.descendants.iter().any(Descendant::is_running) || !self.children.is_empty() {
            self.late = None;
            return Ok(true);
        }
        let until = *self.late.get_or_insert_with(|| Instant::now() + PATIENCE);
        Ok(self.lost() > 0 && Instant::now() < until)
    }

    /// Until when [`is_running`](Self::is_running) counts on processes that may have ended.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.late
    }

    /// Processes that are on their way to a ledger, or ended there.
    fn lost(&self) -> u32 {
        self.expected.max(u32::try_from(self.taken.len()).unwrap_or(u32::MAX))
    }

    /// Waits for the children that `process`, which is about to exit, leaves behind, too: they may be
    /// about to execute another program.
    pub(super) fn wait_for_children(&mut self, process: u32) {
        self.children.extend(family::descendants(process));
    }

    /// Looks at who came, who is at the exit, who has gone.
    ///
    /// # Errors
    /// Where no further ledger can be made.
    pub(super) fn see(&mut self) -> Result<(), LedgerError> {
        self.watch.take();
        self.departures.see(self.first.header());
        // First: whoever is expected no longer is found below.
        let expected = self.first.header().expected.load(Ordering::Acquire);
        // A count that was taken back twice is none.
        self.expected = u32::try_from(expected.cast_signed()).unwrap_or_default();
        let places = &self.first.header().spares;
        for (place, spare) in places.iter().zip(&mut self.spares) {
            self.taken.extend(spare.take_if(|_| place.load(Ordering::Acquire) == 0));
        }
        let claimed = |ledger: &mut LedgerFile| ledger.header().owner.load(Ordering::Acquire) != 0;
        let mut claimed: Vec<_> = self.taken.extract_if(.., claimed).collect();
        claimed.sort_by_key(|ledger| ledger.header().order.load(Ordering::Relaxed));
        for ledger in claimed {
            let descendant = Descendant::new(ledger);
            // A process that executes another program: the last one counts, as with the first.
            let before = self.descendants.len();
            self.descendants.retain(|it| it.at_exit.is_some() || it.pid != descendant.pid);
            self.made -= before - self.descendants.len();
            self.descendants.push(descendant);
        }
        self.provide()?;
        // Who waits for a spare looks again.
        let news = &self.first.header().news;
        let _ = rustix::thread::futex::wake(news, rustix::thread::futex::Flags::empty(), 1 << 30);
        self.descendants.iter_mut().for_each(Descendant::see);
        self.children.retain(|(_, child)| !has_ended(child));
        Ok(())
    }

    fn left(&self) -> impl Iterator<Item = &OwnedFd> {
        self.children.iter().map(|(_, process)| process)
    }

    /// Those that still run: their commands and numbers.
    pub(super) fn running(&self) -> Vec<(String, u32)> {
        let with_ledger = self.descendants.iter().filter(|it| it.is_running());
        let mut all: Vec<_> = with_ledger.map(|it| (it.command.clone(), it.pid)).collect();
        for (pid, _) in &self.children {
            if !all.iter().any(|(_, known)| known == pid) {
                let name = proc_file::text(format!("/proc/{pid}/comm")).unwrap_or_default();
                all.push((name.trim_end().replace(char::is_control, "\u{fffd}"), *pid));
            }
        }
        all
    }

    /// Sends a signal to all that still run.
    pub(super) fn signal(&self, signal: Signal) {
        let processes = self.descendants.iter().filter_map(|it| it.process.as_ref());
        for process in processes.chain(self.left()) {
            // It may have ended in the meantime.
            let _ = pidfd_send_signal(process, signal);
        }
    }

    /// All of them, and how many more there were.
    pub(super) fn finish(mut self) -> (Vec<Descendant>, Unfollowed) {
        // One that was killed on its way may have claimed and not told.
        let _ = self.see();
        let (lost, first) = (self.lost(), self.first.header());
        let missed = first.missed.load(Ordering::Relaxed);
        // Of programs beyond those that can be followed nobody knows whether they came up.
        let is_over = missed > 0;
        let (departed, more) = self.departures.finish(first);
        let crowded = first.crowded.load(Ordering::Relaxed).saturating_add(more);
        let crowded = if is_over { 0 } else { crowded };
        let mut silent = Vec::new();
        for Departed { process, command } in departed {
            match self.descendants.iter_mut().find(|it| it.pid == process) {
                // It had a ledger before it executed its last program.
                Some(descendant) if descendant.at_exit.is_none() => descendant.command = command,
                Some(_) => {}
                None if is_over => {}
                None => silent.push(command),
            }
        }
        silent.sort();
        (self.descendants, Unfollowed { missed, lost, silent, crowded })
    }
}

impl Descendant {
    fn new(ledger: LedgerFile) -> Self {
        let pid = ledger.header().owner.load(Ordering::Acquire);
        let id = Pid::from_raw(pid.cast_signed());
        let process = id.and_then(|id| pidfd_open(id, PidfdFlags::empty()).ok());
        let process = process.filter(|_| is_mapped(pid, &ledger));
        let unseen = Unseen::default();
        let named = Some(text(&ledger.header().name)).filter(|name| !name.is_empty());
        let command = named.unwrap_or_else(|| file_name(pid));
        Self { command, pid, ledger, at_exit: None, unseen, process }
    }

    fn see(&mut self) {
        let Some(process) = &self.process else { return };
        if self.ledger.header().mark.load(Ordering::Acquire) == mark::AT_EXIT {
            // Once: what it says later of its exit is no news.
            if self.at_exit.is_none() {
                let look = view::look(self.pid, &self.ledger);
                let reached = look.as_ref().ok().map(|(_, reached)| reached);
                self.unseen = unseen::of_standing(self.pid, &self.ledger, reached);
                self.at_exit = Some(look);
            }
            release(&self.ledger);
        }
        if has_ended(process) {
            self.process = None;
            // What was live is known; of many children of a large parent the tables are large.
            self.ledger.close_table();
        }
    }

    /// Whether it still ran when this was seen.
    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }
}

/// The name of the file that process `pid` executes, for one that was called by no name.
fn file_name(pid: u32) -> String {
    let path = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.map_or_else(|| "a program".into(), |name| name.replace(char::is_control, "\u{fffd}"))
}

/// Whether process `pid` has `ledger` mapped: it is the one that it says it is.
fn is_mapped(pid: u32, ledger: &LedgerFile) -> bool {
    let maps = proc_file::text(format!("/proc/{pid}/maps")).unwrap_or_default();
    let inode = ledger.inode().to_string();
    let is_it = |line: &str| line.split_ascii_whitespace().nth(4) == Some(&*inode);
    maps.lines().any(|line| line.contains("/memfd:leaksnap-ledger") && is_it(line))
}

fn has_ended(process: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(process, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&now)).is_ok_and(|count| count > 0)
}
