//! The kinds of runs: native, ours, and the peers; what each makes of a program's command line.

use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;

use crate::measure::{Order, Reading, measured};
use crate::program::{Place, Program, Unready, found};

/// The command that this package builds.
const LEAKSNAP: &str = env!("CARGO_BIN_EXE_leaksnap");

/// Where systems have the library of gperftools.
const LIBRARIES: [&str; 5] =
    ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib64", "/usr/local/lib"];

/// How a program is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// On glibc's heap.
    Native,
    /// On the preload heap, which traces nothing.
    Untraced,
    /// By `leaksnap exec`.
    Traced,
    /// Recording only: the report is made later, by another command.
    Heaptrack,
    /// Its memcheck.
    Valgrind,
    /// For programs that are compiled here.
    LeakSanitizer,
    /// Its heap checker.
    Gperftools,
}

/// The peers, and the packages of Debian that have them.
const PEERS: [(Kind, &str); 4] = [
    (Kind::Heaptrack, "heaptrack"),
    (Kind::Valgrind, "valgrind"),
    (Kind::LeakSanitizer, "gcc"),
    (Kind::Gperftools, "libgoogle-perftools4"),
];

/// The peers that are asked for.
#[derive(Debug, Clone)]
pub(crate) struct Peers(Vec<Kind>);

/// A peer that is not on this machine.
#[derive(Debug, Serialize)]
pub(crate) struct Missing {
    pub(crate) peer: &'static str,
    pub(crate) package: &'static str,
}

impl FromStr for Peers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = PEERS.iter().map(|(kind, _)| *kind);
        match text {
            "all" => return Ok(Self(all.collect())),
            "none" => return Ok(Self(Vec::new())),
            _ => {}
        }
        let known = |name| {
            let kind = all.clone().find(|kind| kind.name() == name);
            kind.ok_or_else(|| format!("there is no peer {name}"))
        };
        text.split(',').map(known).collect::<Result<_, _>>().map(Self)
    }
}

impl Peers {
    /// Our kinds and the peers that are here, native first; and those that are not here.
    pub(crate) fn kinds(&self, place: &Place) -> (Vec<Kind>, Vec<Missing>) {
        let mut kinds = vec![Kind::Native, Kind::Untraced, Kind::Traced];
        let mut missing = Vec::new();
        for (kind, package) in PEERS.into_iter().filter(|(kind, _)| self.0.contains(kind)) {
            if kind.is_here(place) {
                kinds.push(kind);
            } else {
                missing.push(Missing { peer: kind.name(), package });
            }
        }
        (kinds, missing)
    }
}

impl Kind {
    /// In the table, the JSON and the options.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Untraced => "untraced",
            Self::Traced => "traced",
            Self::Heaptrack => "heaptrack",
            Self::Valgrind => "valgrind",
            Self::LeakSanitizer => "lsan",
            Self::Gperftools => "gperftools",
        }
    }

    /// Whether it is too slow to be run again and again. Such a one is a single process, which can
    /// be cut short.
    pub(crate) fn runs_once(self) -> bool {
        matches!(self, Self::Valgrind | Self::Gperftools)
    }

    fn is_here(self, place: &Place) -> bool {
        match self {
            Self::Native | Self::Untraced | Self::Traced => true,
            Self::Heaptrack | Self::Valgrind => found(self.name()).is_some(),
            Self::LeakSanitizer => place.sanitizes(),
            Self::Gperftools => heap_checker().is_some(),
        }
    }

    /// The command that runs `program` so; nothing where that is not possible.
    pub(crate) fn order(self, program: &Program, place: &Place, limit: u64) -> Option<Order> {
        let file = place.file(self.name());
        let words = match self {
            Self::Native | Self::Gperftools => program.words.clone(),
            Self::Untraced | Self::Traced => {
                program.under(&[LEAKSNAP, "exec", "--output", &file, "--"])
            }
            Self::Heaptrack => program.under(&["heaptrack", "--raw", "-o", &file]),
            Self::Valgrind => program.under(&["valgrind", "--leak-check=full"]),
            Self::LeakSanitizer => program.sanitized.clone()?,
        };
        let mut variables = program.variables.clone();
        match self {
            Self::Untraced => variables.push(("LEAKSNAP_TRACE".to_owned(), "0".to_owned())),
            Self::Gperftools => {
                let library = heap_checker()?.display().to_string();
                variables.push(("LD_PRELOAD".to_owned(), library));
                variables.push(("HEAPCHECK".to_owned(), "normal".to_owned()));
            }
            _ => {}
        }
        let limit = self.runs_once().then_some(limit);
        Some(Order { words, variables, messages: place.file("messages").into(), limit })
    }

    /// The exit codes of a run that did what it is for. Programs that are not ours may leak.
    fn codes(self) -> &'static [i32] {
        match self {
            // It says "not checked".
            Self::Untraced => &[3],
            Self::Traced | Self::Gperftools => &[0, 1],
            Self::Native | Self::Heaptrack | Self::Valgrind | Self::LeakSanitizer => &[0],
        }
    }

    /// Runs `order`, which this kind made.
    ///
    /// # Errors
    /// Where it did not end as this kind ends: what it took is no figure then.
    pub(crate) fn measure(self, order: &Order) -> Result<Reading, Unready> {
        let reading = measured(order).map_err(Unready::Failed)?;
        if reading.cut || reading.code.is_some_and(|code| self.codes().contains(&code)) {
            return Ok(reading);
        }
        let end = match reading.code {
            Some(code) => format!("exit code {code}"),
            None => "a signal".to_owned(),
        };
        let messages = fs::read(&order.messages).unwrap_or_default();
        let messages = String::from_utf8_lossy(&messages);
        let mut last: Vec<_> = messages.lines().rev().take(10).collect();
        last.reverse();
        let (name, words, last) = (self.name(), order.words.join(" "), last.join("\n"));
        Err(Unready::Failed(format!("{name} ended with {end}: {words}\n{last}")))
    }
}

/// The library of gperftools, where it has the heap checker: later versions don't.
fn heap_checker() -> Option<PathBuf> {
    let names = ["libtcmalloc.so", "libtcmalloc.so.4"];
    let paths =
        LIBRARIES.iter().flat_map(|folder| names.map(|name| PathBuf::from(folder).join(name)));
    let variable = b"HEAPCHECK";
    let has_it = |bytes: Vec<u8>| bytes.windows(variable.len()).any(|part| part == variable);
    paths.into_iter().find(|path| fs::read(path).is_ok_and(has_it))
}
