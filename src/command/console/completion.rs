//! What the editor offers for a line that is being written: the next word of every command, and
//! the names of plugins.

use rustyline::Helper;
use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;

use super::line::OWN;
use crate::check::plugin_path;

/// The commands that there are now.
#[derive(Debug, Default)]
pub(super) struct Completion {
    /// The plugins' commands.
    commands: Vec<String>,
}

impl Completion {
    /// The plugins' commands are `commands` from now on.
    pub(super) fn offer(&mut self, commands: &[(String, String)]) {
        self.commands = commands.iter().map(|(words, _)| words.clone()).collect();
    }

    /// Every command that could be written, one after the other.
    fn phrases(&self, plugins: impl FnOnce() -> Vec<String>, line: &str) -> Vec<String> {
        let own = OWN.iter().map(|(form, _)| {
            // What stands for something else is not typed.
            let is_typed = |word: &&str| !word.contains(|letter: char| letter.is_ascii_uppercase());
            form.split(' ').take_while(is_typed).collect::<Vec<_>>().join(" ")
        });
        let mut phrases: Vec<String> = own.chain(self.commands.iter().cloned()).collect();
        let checked = self.commands.iter().map(|command| format!("leak-check {{ {command} }}"));
        phrases.extend(checked);
        if line.trim_start().starts_with("load plugin ") {
            phrases.extend(plugins().into_iter().map(|name| format!("load plugin {name}")));
        }
        if let Some(rest) = line.trim_start().strip_prefix("help ") {
            let helped: Vec<_> =
                phrases.iter().filter(|phrase| phrase.starts_with(rest)).cloned().collect();
            phrases.extend(helped.into_iter().map(|phrase| format!("help {phrase}")));
        }
        phrases
    }

    /// Where the word that is written in `line` starts, and what it could be.
    fn words(&self, line: &str, plugins: impl FnOnce() -> Vec<String>) -> (usize, Vec<String>) {
        let start = line.rfind(' ').map_or(0, |space| space + 1);
        let mut found: Vec<String> = self
            .phrases(plugins, line)
            .iter()
            .filter_map(|phrase| phrase.strip_prefix(line.trim_start()).map(|_| phrase))
            .filter_map(|phrase| {
                let rest = &phrase[start - (line.len() - line.trim_start().len())..];
                rest.split(' ').next().map(str::to_owned)
            })
            .collect();
        found.sort_unstable();
        found.dedup();
        (start, found)
    }
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let (start, mut words) = self.words(&line[..pos], plugin_path::names);
        if let [word] = words.as_mut_slice() {
            word.push(' ');
        }
        Ok((start, words))
    }
}

impl Hinter for Completion {
    type Hint = String;
}
impl Highlighter for Completion {}
impl Validator for Completion {}
impl Helper for Completion {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_word_is_offered() {
        let mut completion = Completion::default();
        let pair = |words: &str| (words.to_owned(), String::new());
        completion.offer(&["test crypto", "test wycheproof", "show keys"].map(pair));
        let cases: [(&str, usize, &[&str]); 12] = [
            ("mem", 0, &["memory-trace"]),
            ("memory-trace ", 13, &["off", "on"]),
            ("show ", 5, &["keys", "memory", "plugins"]),
            ("show m", 5, &["memory"]),
            ("show memory main-heap ", 22, &["verbose"]),
            ("  show m", 7, &["memory"]),
            ("test ", 5, &["crypto", "wycheproof"]),
            ("leak-check { test c", 18, &["crypto"]),
            ("load plugin ", 12, &["one", "other"]),
            ("load plugin ot", 12, &["other"]),
            ("help sho", 5, &["show"]),
            ("nothing", 0, &[]),
        ];
        for (line, start, words) in cases {
            let plugins = || vec!["one".to_owned(), "other".to_owned()];
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(completion.words(line, plugins), (start, words), "{line:?}");
        }
    }
}
