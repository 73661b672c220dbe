//! Progress on a terminal: a line for each scenario that takes longer than a second, with how far
//! it is and what is live, gone when it ends.
//!
//! ```text
//! test short ... ok
//! long: iteration 3 of 8, 120 blocks, 45056 bytes live, 4s
//! ```
//! The lines stand below whatever is written to the same terminal: standard output goes through a
//! pipe and is written between two drawings, a line at a time. Nothing is shown, and nothing stands
//! between, where standard error is no terminal, in CI, or where what is written has no lines.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, PipeReader, Write, pipe, stderr, stdout};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::flags::{Flags, Format};
use crate::check::onlooker::Onlooker;

/// How long a scenario runs without a word.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a line is drawn.
const PERIOD: Duration = Duration::from_millis(200);

/// What draws.
#[derive(Debug)]
pub(super) struct Progress {
    shared: Arc<Shared>,
    drawing: Option<JoinHandle<()>>,
    detour: Option<Detour>,
}

#[derive(Debug, Default)]
struct Shared {
    lines: MultiProgress,
    running: Mutex<Running>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Running {
    checks: BTreeMap<String, Watched>,
    is_over: bool,
}

#[derive(Debug)]
struct Watched {
    since: Instant,
    onlooker: Arc<Onlooker>,
    line: Option<ProgressBar>,
}

/// A scenario that runs; when this is dropped its line is gone.
#[derive(Debug)]
pub(super) struct Watch {
    shared: Arc<Shared>,
    name: String,
}

impl Progress {
    /// Progress on this process's terminal, if there is one and `flags` leave it room.
    pub(super) fn open(flags: &Flags) -> Option<Self> {
        let is_ci = std::env::var("CI").is_ok_and(|is| !["", "0", "false"].contains(&is.as_str()));
        let has_lines = flags.format() == Format::Pretty && !flags.is_uncaptured() && !flags.list;
        if is_ci || !has_lines || !stderr().is_terminal() {
            return None;
        }
        let shared = Arc::new(Shared::default());
        // A terminal that can't move its cursor.
        if shared.lines.is_hidden() {
            return None;
        }
        // Without it the lines would be written through.
        let through = |shared| Detour::open(shared).ok().map(Some);
        let detour = if stdout().is_terminal() { through(&shared)? } else { None };
        let drawing = Some(std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.draw()
        }));
        Some(Self { shared, drawing, detour })
    }

    /// Shows from now on how far the scenario `name` is, as `onlooker` sees it.
    pub(super) fn watch(&self, name: &str, onlooker: &Arc<Onlooker>) -> Watch {
        let watched = Watched { since: Instant::now(), onlooker: Arc::clone(onlooker), line: None };
        self.shared.running().checks.insert(name.to_owned(), watched);
        Watch { shared: Arc::clone(&self.shared), name: name.to_owned() }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.shared.running().is_over = true;
        self.shared.changed.notify_all();
        self.drawing.take().map(JoinHandle::join);
        self.detour.take();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let watched = self.shared.running().checks.remove(&self.name);
        if let Some(line) = watched.and_then(|watched| watched.line) {
            line.finish_and_clear();
            self.shared.lines.remove(&line);
        }
    }
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self) {
        let mut running = self.running();
        while !running.is_over {
            for (name, watched) in &mut running.checks {
                let took = watched.since.elapsed();
                if took < PATIENCE {
                    continue;
                }
                let text = format!("{name}: {}, {}s", watched.onlooker.said(), took.as_secs());
                watched.line.get_or_insert_with(|| self.lines.add(line())).set_message(text);
            }
            let waited = self.changed.wait_timeout(running, PERIOD);
            (running, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A line that is cut where the terminal ends.
fn line() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_msg}");
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

/// Standard output on its way to the terminal.
#[derive(Debug)]
struct Detour {
    terminal: OwnedFd,
    writing: Option<JoinHandle<()>>,
}

impl Detour {
    fn open(shared: &Arc<Shared>) -> io::Result<Self> {
        let terminal = stdout().as_fd().try_clone_to_owned()?;
        let out = File::from(terminal.try_clone()?);
        let (from, to) = pipe()?;
        rustix::stdio::dup2_stdout(&to)?;
        let shared = Arc::clone(shared);
        let writing = Some(std::thread::spawn(move || pass_on(from, out, &shared.lines)));
        Ok(Self { terminal, writing })
    }
}

impl Drop for Detour {
    fn drop(&mut self) {
        // What can't be written now could not be written before.
        let _ = stdout().flush();
        if rustix::stdio::dup2_stdout(&self.terminal).is_ok() {
            // The pipe's other end is closed: it comes to its end.
            self.writing.take().map(JoinHandle::join);
        }
    }
}

fn pass_on(from: PipeReader, mut out: File, lines: &MultiProgress) {
    let (mut from, mut line) = (BufReader::new(from), Vec::new());
    while let Ok(1..) = from.read_until(b'\n', &mut line) {
        // Who reads the terminal may have gone; who writes is not to wait.
        let _ = lines.suspend(|| out.write_all(&line));
        line.clear();
    }
}
