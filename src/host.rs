//! The host: the test executable started again, which opens plugins and runs steps.
//!
//! ```text
//!   host      hears requests, answers
//!   plugins   opens shared objects             (the one file that opens plugins)
//!   commands  the commands by their words
//!   closure   a scenario's closure, iteration by iteration
//!   exception the end of a host whose command an exception leaves
//!   input     texts as a plugin may give them, for tests and fuzz targets
//!   tracing   pauses and resumes the preload heap for this thread
//! ```
//! The host's own work is paused: only what a plugin does, from its opening on, is traced.

pub(crate) mod closure;
pub(crate) mod commands;
mod exception;
#[cfg(any(test, feature = "internals"))]
pub(crate) mod input;
mod plugins;
mod tracing;

use std::cell::RefCell;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::protocol::{Channel, HOST_VARIABLE, Reply, Request};
use closure::{Body, ClosureScenario, Run};
use commands::Commands;
use exception::Exception;
use plugins::Plugins;
use tracing::Tracing;

/// Runs the host where this process was started as one; `None` where it was not. `closures` are
/// the scenarios that the executable holds.
///
/// The first thing that a harness's `main` calls.
#[must_use]
pub(crate) fn run_if_asked(closures: &[ClosureScenario]) -> Option<ExitCode> {
    std::env::var_os(HOST_VARIABLE)?;
    let find = |name: &str| closures.iter().find(|closure| closure.name() == name);
    Some(run(&mut |name| find(name).map(ClosureScenario::body)))
}

/// Whether this process is a host at work.
pub(crate) fn is_running() -> bool {
    RUNNING.load(Ordering::Relaxed)
}

static RUNNING: AtomicBool = AtomicBool::new(false);

/// The closure of a name.
pub(crate) type Find<'f, 'a> = &'f mut dyn FnMut(&str) -> Option<Body<'a>>;

/// Runs the host to its end, with the closures that `find` knows.
pub(crate) fn run(find: Find<'_, '_>) -> ExitCode {
    match serve(find) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("leaksnap: the host can't talk to its parent: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(find: Find<'_, '_>) -> std::io::Result<()> {
    let tracing = Tracing::find();
    if let Ok(tracing) = &tracing {
        tracing.pause();
    }
    RUNNING.store(true, Ordering::Relaxed);
    closure::panic::keep_places();
    // Standard input is the parent's socket: take it out of the plugins' way.
    let socket = rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 10)?;
    let nothing = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    drop(nothing);
    let channel = RefCell::new(Channel::new(UnixStream::from(socket)));
    let mut commands = Commands::default();
    let mut plugins = Plugins::default();
    loop {
        let request = channel.borrow_mut().receive()?;
        let Some(request) = request else { break };
        let reply = match (&tracing, request) {
            (_, Request::Quit) => break,
            (Err(reason), _) => Reply::NoHeap(reason.clone()),
            (Ok(tracing), Request::Allocate) => Reply::Allocated {
                address: tracing.allocate_control(),
                thread: rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned(),
            },
            (Ok(tracing), Request::AllocateInRust) => {
                Reply::AllocatedInRust(tracing.allocate_control_in_rust())
            }
            (Ok(tracing), Request::Free) => {
                tracing.free_control();
                Reply::Done
            }
            (Ok(tracing), Request::Open(path)) => {
                match plugins.open(path.as_ref(), &mut commands, tracing) {
                    Ok(()) => Reply::Done,
                    Err(error) => Reply::Refused(error.to_string()),
                }
            }
            (Ok(tracing), Request::Step(words)) => {
                let exception = Exception::told(&channel, &commands, &words, tracing);
                // Where the parent is gone nobody is told.
                let within_a_line = |within_a_line| {
                    let _ = channel.borrow_mut().send(&Reply::Printed { within_a_line });
                };
                let reply = step(&commands, &words, tracing, &within_a_line);
                exception.did_not_come();
                reply
            }
            (Ok(tracing), Request::Trace(on)) => {
                tracing.turn(on);
                Reply::Done
            }
            (Ok(tracing), Request::Statistics) => Reply::Statistics(tracing.statistics()),
            (Ok(_), Request::Show(shown)) => {
                commands.show(shown);
                Reply::Done
            }
            (Ok(_), Request::Commands) => Reply::Commands(commands.all()),
            (Ok(tracing), Request::Closure(name)) => match find(&name) {
                Some(body) => match Run::new(&mut channel.borrow_mut(), tracing).finish(body) {
                    Some(reply) => reply,
                    None => break,
                },
                None => Reply::Refused(format!("no scenario `{name}`")),
            },
            (Ok(_), Request::Iterate | Request::GoOn) => {
                Reply::Refused("no closure runs".to_owned())
            }
        };
        channel.borrow_mut().send(&reply.bounded())?;
    }
    plugins.stop();
    Ok(())
}

fn step(commands: &Commands, words: &str, tracing: &Tracing, tell: &dyn Fn(bool)) -> Reply {
    if words == "help" {
        print!("{}", commands.help());
        return Reply::Done;
    }
    match commands.run(words, tracing, tell) {
        Some(Ok(())) => Reply::Done,
        Some(Err(reason)) => Reply::Failed(reason),
        None => Reply::Refused(format!("no command `{words}`; there are: {}", commands.list())),
    }
}
