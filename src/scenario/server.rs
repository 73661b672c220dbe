//! A program that stays up, as a scenario describes it: when it is ready, how it is stopped.
//!
//! An error is the fragment that follows the key's name.

use std::net::SocketAddr;
use std::path::PathBuf;

use nix::sys::signal::Signal;

use super::Located;

/// What stands for a free TCP port of this machine, the same one wherever it stands.
pub(crate) const PORT: &str = "{port}";

/// What stands for a folder of the run's own.
pub(crate) const TEMP: &str = "{temp}";

/// A program that stays up and is driven from outside; a drive is an iteration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// The program and its arguments.
    pub(crate) program: Located<Vec<String>>,
    /// When it is ready: one that [`Ready::read`] can read once the places have values.
    pub(crate) ready: Located<String>,
    /// The command that is run once per iteration, and its arguments.
    pub(crate) drive: Located<Vec<String>>,
    /// How it is stopped.
    pub(crate) stop: Located<Stop>,
}

/// When a program is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ready {
    /// It has written this, within one line, to its standard output or error.
    Line(String),
    /// There is such a file.
    File(PathBuf),
    /// The address accepts connections.
    Tcp(SocketAddr),
    /// The Unix socket does.
    Unix(PathBuf),
}

/// How a program is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// By a signal.
    Signal(Signal),
    /// By a command and its arguments.
    Command(Vec<String>),
}

impl Ready {
    /// Reads `text`: a line's part, or `file:`, `tcp:` or `unix:` and a place.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let place = |rest: &str| match rest {
            "" => Err(format!("is \"{text}\"; a path has to follow")),
            _ => Ok(PathBuf::from(rest)),
        };
        if text.trim().is_empty() {
            Err("is empty; write a part of the line that the program prints once it is ready"
                .into())
        } else if text.contains(['\n', '\r', '\0']) {
            Err("has more than one line".into())
        } else if let Some(rest) = text.strip_prefix("file:") {
            place(rest).map(Self::File)
        } else if let Some(rest) = text.strip_prefix("unix:") {
            place(rest).map(Self::Unix)
        } else if let Some(rest) = text.strip_prefix("tcp:") {
            let numeric = match rest.strip_prefix("localhost:") {
                Some(port) => format!("127.0.0.1:{port}"),
                None => rest.to_owned(),
            };
            let address = numeric.parse().ok().filter(|address: &SocketAddr| address.port() != 0);
            address.map(Self::Tcp).ok_or_else(|| {
                format!(
                    "is \"{text}\"; write an address and a port, such as \"tcp:127.0.0.1:{PORT}\""
                )
            })
        } else {
            Ok(Self::Line(text.to_owned()))
        }
    }
}

impl Stop {
    /// Reads a signal's name, with or without `SIG`.
    pub(crate) fn signal(text: &str) -> Result<Self, String> {
        let name = if text.starts_with("SIG") { text.to_owned() } else { format!("SIG{text}") };
        name.parse().map(Self::Signal).map_err(|_| {
            format!("is \"{text}\"; write a signal, such as \"SIGTERM\", or a command as a list")
        })
    }
}

/// The values of the places in a scenario's words.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// For [`PORT`].
    pub(crate) port: u16,
    /// For [`TEMP`].
    pub(crate) temp: String,
}

impl Places {
    /// `text` with values for its places.
    pub(crate) fn fill(&self, text: &str) -> String {
        text.replace(PORT, &self.port.to_string()).replace(TEMP, &self.temp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_ready_in_four_ways() {
        assert_eq!(Ready::read("ready: 1"), Ok(Ready::Line("ready: 1".into())));
        assert_eq!(Ready::read("file:/run/x.pid"), Ok(Ready::File("/run/x.pid".into())));
        assert_eq!(Ready::read("unix:x.sock"), Ok(Ready::Unix("x.sock".into())));
        let address = |text: &str| Ready::Tcp(text.parse().expect("an address"));
        assert_eq!(Ready::read("tcp:127.0.0.1:80"), Ok(address("127.0.0.1:80")));
        assert_eq!(Ready::read("tcp:localhost:80"), Ok(address("127.0.0.1:80")));
        assert_eq!(Ready::read("tcp:[::1]:80"), Ok(address("[::1]:80")));
    }

    #[test]
    fn what_no_program_can_be() {
        for text in ["tcp:", "tcp:80", "tcp:example.org:80", "tcp:127.0.0.1:99999", "tcp:1.1.1.1:0"]
        {
            let error = Ready::read(text).expect_err("there is no such address");
            let advice = "write an address and a port, such as \"tcp:127.0.0.1:{port}\"";
            assert_eq!(error, format!("is \"{text}\"; {advice}"));
        }
        assert_eq!(Ready::read("unix:"), Err("is \"unix:\"; a path has to follow".into()));
        assert_eq!(Ready::read("file:"), Err("is \"file:\"; a path has to follow".into()));
        assert!(Ready::read(" ").is_err() && Ready::read("a\nb").is_err());
    }

    #[test]
    fn signals_by_their_names() {
        for (text, signal) in [("SIGTERM", Signal::SIGTERM), ("INT", Signal::SIGINT)] {
            assert_eq!(Stop::signal(text), Ok(Stop::Signal(signal)));
        }
        for text in ["", "9", "SIGNAL", "term"] {
            let advice = "write a signal, such as \"SIGTERM\", or a command as a list";
            assert_eq!(Stop::signal(text), Err(format!("is \"{text}\"; {advice}")));
        }
    }

    #[test]
    fn places_have_one_value_wherever_they_stand() {
        let places = Places { port: 4711, temp: "/tmp/x".into() };
        assert_eq!(
            places.fill("[{port}:{port}] {temp}/s {} {Port}"),
            "[4711:4711] /tmp/x/s {} {Port}"
        );
    }
}
