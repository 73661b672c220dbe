//! The host of a console, and what lines do with it.
//!
//! Tracing is off at first, as in VPP. A host that was lost is replaced at
//! once, with the same plugins: what the old one had traced is gone with it.
//!
//! Invariant: no block has a higher epoch than `epoch`, the current one.

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufWriter;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use super::host::{Host, trouble, unexpected};
use super::line::{Line, OWN};
use super::{Trouble, map};
use crate::check::job::Job;
use crate::check::onlooker::Onlooker;
use crate::check::{Outcome, Problem, iterations, plugin_path};
use crate::command::output::show;
use crate::protocol::{Reply, Request};
use crate::report::{Group, table, text};
use crate::scenario::{MAX_ITERATIONS, Scenario};
use crate::suppression::module::Modules;
use crate::trace::saved;

/// Rows of the table where nobody asks for all.
const ROWS: usize = 50;

/// What the session was started with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    /// Bytes of the host's heap.
    pub(super) heap: u64,
    /// How long a command may take.
    pub(super) limit: Duration,
}

/// An open plugin.
#[derive(Debug, Clone)]
struct Plugin {
    name: String,
    path: String,
    commands: Vec<String>,
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    setup: Setup,
    interrupts: Option<OwnedFd>,
    host: Host,
    plugins: Vec<Plugin>,
    /// The plugins' commands, and what `help` says of each.
    commands: Vec<(String, String)>,
    traced: bool,
    /// Tracing was on at some time, in this host.
    was_traced: bool,
    epoch: u32,
}

impl Session {
    /// A session with a host that has heard of nothing; `interrupts` can be read when a command is
    /// to be given up.
    pub(super) fn start(setup: Setup, interrupts: Option<OwnedFd>) -> Result<Self, Trouble> {
        let host = Host::start(setup, interrupts.as_ref(), false)?;
        let (plugins, commands) = (Vec::new(), Vec::new());
        let (traced, was_traced) = (false, false);
        Ok(Self { setup, interrupts, host, plugins, commands, traced, was_traced, epoch: 1 })
    }

    /// The plugins' commands, and what `help` says of each.
    pub(super) fn commands(&self) -> &[(String, String)] {
        &self.commands
    }

    /// Does what `line` says; the exit status for it.
    pub(super) fn run(&mut self, line: &Line) -> Result<u8, Trouble> {
        if self.host.driver.is_lost() {
            self.renew()?;
        }
        self.host.driver.grant();
        let done = self.obey(line);
        match done {
            Err(lost) if self.host.driver.is_lost() => {
                if self.host.driver.is_within_a_line() {
                    show("\n");
                }
                let text = match self.renew() {
                    Ok(()) => format!(
                        "{}; a new host runs, with the same plugins and nothing allocated yet",
                        lost.text
                    ),
                    Err(other) => format!("{}; and no new host: {}", lost.text, other.text),
                };
                Err(Trouble { text, ..lost })
            }
            done => done,
        }
    }

    /// Ends the host.
    pub(super) fn end(&mut self) -> Result<u8, Trouble> {
        self.host.end(self.setup.limit)
    }

    fn obey(&mut self, line: &Line) -> Result<u8, Trouble> {
        match line {
            Line::Trace(on) => self.trace(*on),
            Line::Memory { verbose } => self.show_memory(*verbose),
            Line::Map => {
                show(&map::write(self.host.driver.process().pid())?);
                Ok(0)
            }
            Line::Plugins => {
                show(&self.plugins_text());
                Ok(0)
            }
            Line::LeakCheck(command) => self.leak_check(command),
            Line::Save(file) => self.save(file),
            Line::Load(plugin) => self.load(plugin),
            Line::Help(words) => self.help(words),
            Line::Plugin(words) => self.step(words),
            Line::Quit => Ok(0),
        }
    }

    /// Starts another host in the place of the one that was lost.
    fn renew(&mut self) -> Result<(), Trouble> {
        self.host = Host::start(self.setup, self.interrupts.as_ref(), self.traced)?;
        self.epoch = 1;
        self.was_traced = self.traced;
        for plugin in std::mem::take(&mut self.plugins) {
            self.open(&plugin.name, &plugin.path)?;
        }
        Ok(())
    }

    fn step(&mut self, words: &str) -> Result<u8, Trouble> {
        let called = |(command, _): &(String, String)| {
            words
                .strip_prefix(command.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        if !self.commands.iter().any(called) {
            let text = format!("no command `{words}`; `help` lists those there are");
            return Err(Trouble::input(text));
        }
        self.host.ask(&Request::Step(words.to_owned()), &format!("`{words}`")).map(|_| 0)
    }

    fn trace(&mut self, on: bool) -> Result<u8, Trouble> {
        self.host.switch(on)?;
        self.traced = on;
        self.was_traced |= on;
        if on {
            let sizes = self.host.untraced()?;
            if !sizes.is_empty() {
                show(&format!(
                    "allocated while tracing was off, and of unknown traceback: {} live, {} bytes\n",
                    sizes.len(),
                    sizes.iter().sum::<u64>()
                ));
            }
        }
        Ok(0)
    }

    fn load(&mut self, plugin: &str) -> Result<u8, Trouble> {
        let path = plugin_path::find(plugin, Path::new("")).map_err(Trouble::input)?;
        let path = path.to_string_lossy().into_owned();
        if self.plugins.iter().any(|open| open.path == path) {
            return Err(Trouble::input(format!("plugin `{plugin}` is open already")));
        }
        self.open(plugin, &path)?;
        Ok(0)
    }

    fn open(&mut self, name: &str, path: &str) -> Result<(), Trouble> {
        self.host.ask(&Request::Open(path.to_owned()), &format!("plugin {path}"))?;
        let commands = match self.host.ask(&Request::Commands, "the list of commands")? {
            Reply::Commands(commands) => commands,
            other => return Err(unexpected(&other)),
        };
        let known = |words: &String| self.plugins.iter().any(|open| open.commands.contains(words));
        let words = commands.iter().map(|(words, _)| words.clone());
        let own = words.filter(|words| !known(words)).collect();
        self.plugins.push(Plugin { name: name.to_owned(), path: path.to_owned(), commands: own });
        self.commands = commands;
        Ok(())
    }

    fn show_memory(&mut self, verbose: bool) -> Result<u8, Trouble> {
        let memory = self.host.look(self.traced)?;
        show(&memory.0);
        let rows = if verbose { usize::MAX } else { ROWS };
        if self.was_traced {
            show(&format!("\n{}", table::write(&memory.1.rows, rows)));
        }
        self.host.complete()?;
        Ok(0)
    }

    fn plugins_text(&self) -> String {
        self.plugins.iter().fold(String::new(), |mut text, plugin| {
            let _ = writeln!(text, "{}\n  {}", plugin.name, plugin.path);
            let _ = writeln!(text, "  commands: {}", plugin.commands.join(", "));
            text
        })
    }

    fn help(&self, words: &str) -> Result<u8, Trouble> {
        let own = OWN.iter().map(|(form, help)| (*form, *help));
        let all = own.chain(self.commands.iter().map(|(words, help)| (&**words, &**help)));
        let text = all.filter(|(form, _)| form.starts_with(words)).fold(
            String::new(),
            |mut text, (form, help)| {
                let _ = writeln!(text, "{form:<32} {help}");
                text
            },
        );
        if text.is_empty() {
            let text = format!("no command starts with `{words}`; `help` lists those there are");
            return Err(Trouble::input(text));
        }
        show(&text);
        Ok(0)
    }

    fn leak_check(&mut self, command: &str) -> Result<u8, Trouble> {
        let Setup { heap, limit } = self.setup;
        let scenario = Scenario::of_command("leak-check", command, heap, limit);
        if self.epoch + scenario.warmup + scenario.repeat > MAX_ITERATIONS {
            let text = "this host has run as many iterations as its ledger tells apart; start anew";
            return Err(trouble(&Problem::NotChecked(text.into())));
        }
        self.host.switch(true)?;
        let nothing_fails =
            |groups: &[Group], _: &Modules| !groups.iter().any(|group| group.verdict.fails());
        let job = Job {
            scenario: &scenario,
            file: Path::new(""),
            name: command,
            memory: false,
            onlooker: &Onlooker::default(),
            accepts: &nothing_fails,
        };
        let (outcome, newest) = iterations::check_on(&job, &mut self.host.driver, self.epoch);
        self.epoch = newest + 1;
        self.host.driver.ledger().set_epoch(self.epoch);
        if !self.host.driver.is_lost() {
            self.host.ask(&Request::Show(true), "what is shown")?;
            self.host.switch(self.traced)?;
        }
        self.was_traced = true;
        if let Outcome { problem: Some(problem), .. } = &outcome {
            return Err(trouble(problem));
        }
        show(&text::write(&outcome.report, false));
        Ok(outcome.status())
    }

    fn save(&mut self, file: &str) -> Result<u8, Trouble> {
        self.host.complete()?;
        // What is no trace would look like one in which nothing is live.
        if !self.was_traced {
            return Err(Trouble::input(format!(
                "save memory-trace {file}: tracing is off, and nothing was traced; write \
                 `memory-trace on main-heap` first"
            )));
        }
        let memory = self.host.table()?;
        let written =
            File::create(file).and_then(|out| saved::write(&memory.rows, BufWriter::new(out)));
        written.map_err(|error| {
            Trouble::input(format!("save memory-trace {file}: {error}; save it elsewhere"))
        })?;
        Ok(0)
    }
}
