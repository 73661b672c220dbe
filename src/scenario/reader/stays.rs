//! The keys of a program that stays up: `ready`, `drive`, `stop`.

use nix::sys::signal::Signal;
use toml::de::DeValue;

use super::{Entries, Located, ScenarioError};
use crate::scenario::server::{PORT, Places, Ready, Server, Stop};

/// What those keys say.
#[derive(Debug)]
pub(super) struct Driven {
    ready: Located<String>,
    drive: Located<Vec<String>>,
    stop: Located<Stop>,
}

impl Driven {
    /// The same with the program that it is about.
    pub(super) fn of(self, program: Located<Vec<String>>) -> Server {
        let Self { ready, drive, stop } = self;
        Server { program, ready, drive, stop }
    }
}

impl Entries<'_> {
    /// What is said of a program that stays up; `None` where nothing is.
    pub(super) fn drive(&self, has_program: bool) -> Result<Option<Driven>, ScenarioError> {
        let ready = self.ready()?;
        let drive = self.command("drive")?;
        let stop = self.stop()?;
        if !has_program {
            let first = ["ready", "drive", "stop"].iter().find(|key| self.line(key).is_some());
            let problem = "is for a `program` that stays up; add `program = [\"…\"]`";
            return first.map_or(Ok(None), |key| Err(self.wrong(key, problem)));
        }
        match (ready, drive) {
            (Some(ready), Some(drive)) => {
                let line = self.line("program").unwrap_or(1);
                let stop = stop.unwrap_or(Located { value: Stop::Signal(Signal::SIGTERM), line });
                Ok(Some(Driven { ready, drive, stop }))
            }
            (None, Some(_)) => Err(self.wrong(
                "drive",
                &format!(
                    "needs `ready`: a part of the line that the program prints, \"file:PATH\", \
                     \"tcp:127.0.0.1:{PORT}\" or \"unix:PATH\""
                ),
            )),
            (Some(_), None) => {
                Err(self.wrong("ready", "needs `drive`: the command that is an iteration"))
            }
            (None, None) if stop.is_some() => {
                Err(self.wrong("stop", "is for a program that stays up; add `ready` and `drive`"))
            }
            (None, None) => Ok(None),
        }
    }

    fn ready(&self) -> Result<Option<Located<String>>, ScenarioError> {
        let Some(text) = self.string("ready")? else { return Ok(None) };
        // Any port, any path: what counts is the form.
        let places = Places { port: 1, temp: "/".into() };
        Ready::read(&places.fill(text)).map_err(|_| ()).or_else(|()| {
            // Said of the text as it stands there.
            Ready::read(text).map_err(|problem| self.wrong("ready", &problem))
        })?;
        let line = self.line("ready").unwrap_or(1);
        Ok(Some(Located { value: text.to_owned(), line }))
    }

    fn stop(&self) -> Result<Option<Located<Stop>>, ScenarioError> {
        let Some((line, value)) = self.map.get("stop") else { return Ok(None) };
        let value = match value.get_ref() {
            DeValue::String(text) => {
                Stop::signal(text).map_err(|problem| self.wrong("stop", &problem))?
            }
            DeValue::Array(_) => match self.command("stop")? {
                Some(words) => Stop::Command(words.value),
                None => return Ok(None),
            },
            _ => return Err(self.wrong_type("stop", "a signal's name or a list of strings")),
        };
        Ok(Some(Located { value, line: *line }))
    }
}
