//! What a line of the console says. Its own commands come first; what is none of them is one of a
//! plugin's, which the host knows.

/// The console's own commands: what is typed, and what `help` says of it.
pub(super) const OWN: [(&str, &str); 12] = [
    ("memory-trace on main-heap", "trace allocations from now on"),
    ("memory-trace off main-heap", "trace none from now on; what was traced stays known"),
    ("show memory main-heap", "the heap, and the 50 largest tracebacks with live allocations"),
    ("show memory main-heap verbose", "the same with all tracebacks"),
    ("show memory map", "what is mapped in the host, and what of it is in memory"),
    ("show plugins", "the open plugins and their commands"),
    ("leak-check { COMMAND }", "run COMMAND 10 times and more, and say what leaks"),
    ("save memory-trace FILE", "write the live allocations for `leaksnap diff`"),
    ("load plugin NAME|PATH", "open a plugin"),
    ("help [COMMAND]", "the commands, or those that start so"),
    ("quit", "end the session"),
    ("exit", "the same"),
];

/// The most bytes of a line: it goes to the host as one message.
const MOST: usize = 64 << 10;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Tracing is on, or off, from now on.
    Trace(bool),
    /// Show the heap; every traceback, or the largest.
    Memory { verbose: bool },
    /// Show what is mapped.
    Map,
    /// Show the plugins.
    Plugins,
    /// Say what the command leaks.
    LeakCheck(String),
    /// Write the live allocations to the file.
    Save(String),
    /// Open the plugin.
    Load(String),
    /// Show the commands, or those that start so.
    Help(String),
    /// End the session.
    Quit,
    /// A plugin's command.
    Plugin(String),
}

/// What `text` says; `None` where it says nothing.
///
/// # Errors
/// With what is wrong, and what to write instead.
pub(super) fn read(text: &str) -> Result<Option<Line>, String> {
    if text.len() > MOST {
        return Err(format!("the line has {} bytes; the most is {MOST}", text.len()));
    }
    let text = text.trim();
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let line = match words.as_slice() {
        [] => return Ok(None),
        [comment, ..] if comment.starts_with('#') => return Ok(None),
        ["memory-trace", "on"] | ["memory-trace", "on", "main-heap"] => Line::Trace(true),
        ["memory-trace", "off"] | ["memory-trace", "off", "main-heap"] => Line::Trace(false),
        ["memory-trace", ..] => return Err(usage(text, "memory-trace on|off [main-heap]")),
        ["show", "memory", "map"] => Line::Map,
        ["show", "memory", rest @ ..] => match rest.strip_prefix(&["main-heap"]).unwrap_or(rest) {
            [] => Line::Memory { verbose: false },
            ["verbose"] => Line::Memory { verbose: true },
            _ => return Err(usage(text, "show memory [main-heap] [verbose]` or `show memory map")),
        },
        ["show", "plugins"] => Line::Plugins,
        ["leak-check", ..] => Line::LeakCheck(braced(text)?),
        ["save", "memory-trace", ..] => Line::Save(file(text, behind(text, 2))?),
        ["load", "plugin"] => return Err(usage(text, "load plugin NAME|PATH")),
        ["load", "plugin", ..] => Line::Load(behind(text, 2).to_owned()),
        ["help", ..] => Line::Help(words[1..].join(" ")),
        ["quit" | "exit" | "q"] => Line::Quit,
        _ => Line::Plugin(words.join(" ")),
    };
    Ok(Some(line))
}

fn usage(text: &str, form: &str) -> String {
    format!("`{text}`: write `{form}`")
}

/// What stands behind the first `words` of `text`.
fn behind(text: &str, words: usize) -> &str {
    (0..words)
        .fold(text, |text, _| {
            let text = text.trim_start();
            text.find(|letter: char| letter.is_ascii_whitespace()).map_or("", |end| &text[end..])
        })
        .trim()
}

/// The file that `name` is: one word, or what stands in quotes.
fn file(text: &str, name: &str) -> Result<String, String> {
    let quoted = |quote: char| name.strip_prefix(quote)?.strip_suffix(quote);
    let inner = quoted('"').or_else(|| quoted('\''));
    match inner.unwrap_or(name) {
        "" => Err(usage(text, "save memory-trace FILE")),
        _ if inner.is_none() && name.contains(|letter: char| letter.is_ascii_whitespace()) => {
            let what = "FILE is one name; one with spaces stands in quotes";
            Err(format!("`{text}`: {what}; write `save memory-trace \"{name}\"`"))
        }
        file => Ok(file.to_owned()),
    }
}

/// The command in the braces of a `leak-check`.
fn braced(text: &str) -> Result<String, String> {
    let wrong = |what: &str| Err(format!("`{text}`: {what}; write `leak-check {{ COMMAND }}`"));
    let rest = text.strip_prefix("leak-check").unwrap_or(text).trim();
    let (opened, closed) = (rest.matches('{').count(), rest.matches('}').count());
    match rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        _ if opened > closed => wrong("a brace is not closed"),
        _ if opened < closed => wrong("a brace is not opened"),
        Some(command) if command.trim().is_empty() => wrong("there is no command"),
        Some(command) if command.contains(['{', '}']) => wrong("it has braces inside"),
        Some(command) => Ok(command.split_ascii_whitespace().collect::<Vec<_>>().join(" ")),
        None => wrong("the command is not in braces"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::commands::CONSOLE_S;

    #[test]
    fn vpp_s_words_are_understood() {
        let cases = [
            ("memory-trace on main-heap", Line::Trace(true)),
            (" memory-trace  off ", Line::Trace(false)),
            ("show memory", Line::Memory { verbose: false }),
            ("show memory verbose", Line::Memory { verbose: true }),
            ("show memory main-heap verbose", Line::Memory { verbose: true }),
            ("show memory map", Line::Map),
            ("leak-check { test  crypto }", Line::LeakCheck("test crypto".into())),
            ("leak-check {test crypto}", Line::LeakCheck("test crypto".into())),
            ("save memory-trace a.json", Line::Save("a.json".into())),
            ("save  memory-trace \"a  b.json\"", Line::Save("a  b.json".into())),
            ("save memory-trace 'it'", Line::Save("it".into())),
            ("load plugin ./x.so", Line::Load("./x.so".into())),
            ("show plugins", Line::Plugins),
            ("help", Line::Help(String::new())),
            ("help show memory", Line::Help("show memory".into())),
            ("quit", Line::Quit),
            ("test crypto  aes-128-gcm", Line::Plugin("test crypto aes-128-gcm".into())),
            ("show keys", Line::Plugin("show keys".into())),
        ];
        for (text, line) in cases {
            assert_eq!(read(text), Ok(Some(line)), "{text}");
        }
        for text in ["", "   ", "# a comment"] {
            assert_eq!(read(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_write() {
        let cases = [
            ("leak-check { a", "a brace is not closed"),
            ("leak-check a }", "a brace is not opened"),
            ("leak-check a", "the command is not in braces"),
            ("leak-check", "the command is not in braces"),
            ("leak-check { }", "there is no command"),
            ("leak-check { a { b } }", "it has braces inside"),
            ("leak-check { a } b", "the command is not in braces"),
            ("memory-trace", "write `memory-trace on|off [main-heap]`"),
            ("memory-trace on api-segment", "write `memory-trace on|off [main-heap]`"),
            ("show memory all", "write `show memory [main-heap] [verbose]` or `show memory map`"),
            ("save memory-trace", "write `save memory-trace FILE`"),
            ("save memory-trace \"\"", "write `save memory-trace FILE`"),
            ("save memory-trace ''", "write `save memory-trace FILE`"),
            ("save memory-trace a b", "FILE is one name; one with spaces stands in quotes"),
            ("load plugin ", "write `load plugin NAME|PATH`"),
        ];
        for (text, what) in cases {
            let error = read(text).expect_err(text);
            assert!(error.starts_with(&format!("`{}`: {what}", text.trim())), "{error}");
            assert!(!error.contains('\n') && error.contains("write `"), "{error}");
        }
    }

    #[test]
    fn every_command_of_help_is_understood() {
        for (form, _) in OWN {
            let text = form.replace("{ COMMAND }", "{ a }").replace(" [COMMAND]", " a");
            let line = read(&text).expect("it is right").expect("it says something");
            assert!(!matches!(line, Line::Plugin(_)), "{form}");
        }
    }

    #[test]
    fn no_plugin_has_a_command_that_is_read_as_another() {
        let is_refused = |line: &str| CONSOLE_S.iter().any(|own| line.starts_with(own));
        for (form, _) in OWN {
            assert!(is_refused(form), "{form}");
        }
        assert!(is_refused("q"));
    }

    #[test]
    fn a_line_has_a_bound() {
        let long = |bytes: usize| read(&format!("a {}", "b".repeat(bytes - 2)));
        assert!(long(MOST).is_ok());
        assert_eq!(long(MOST + 1), Err("the line has 65537 bytes; the most is 65536".to_owned()));
    }
}
