//! Reads a scenario file. Every error names the line of the key or of the list's element.

mod ignore;
mod stays;

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{
    DEFAULT_HEAP, DEFAULT_TIMEOUT, Located, MAX_ITERATIONS, Scenario, ScenarioError, Work, quantity,
};

/// The keys of a scenario, in the order of the documentation.
const KEYS: [&str; 14] = [
    "plugins",
    "steps",
    "program",
    "ready",
    "drive",
    "stop",
    "warmup",
    "repeat",
    "ignore",
    "suppressions",
    "timeout",
    "heap",
    "strict",
    "follow",
];

pub(super) const DEFAULT_WARMUP: u32 = 2;
pub(super) const DEFAULT_REPEAT: u32 = 8;

/// The scenario that `text` describes.
pub(super) fn read(path: &Path, text: &str) -> Result<Scenario, ScenarioError> {
    let file = File { path, text };
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| file.line_at(span.start));
        file.wrong(line, error.message().to_owned())
    })?;
    let mut entries = Entries { file: &file, map: BTreeMap::new() };
    let mut unknown = Vec::new();
    for (key, value) in table.get_ref() {
        let line = file.line_at(key.span().start);
        match KEYS.iter().find(|known| *known == key.get_ref()) {
            Some(known) => drop(entries.map.insert(*known, (line, value))),
            None => unknown.push((line, key.get_ref().as_ref())),
        }
    }
    match unknown.iter().min() {
        Some((line, key)) => Err(file.wrong(*line, unknown_key(key))),
        None => entries.scenario(),
    }
}

fn unknown_key(key: &str) -> String {
    let nearest = KEYS.iter().map(|known| (distance(key, known), known)).min();
    let advice = match nearest {
        Some((0..=2, known)) => format!("did you mean `{known}`?"),
        _ => format!("the keys are {}", KEYS.join(", ")),
    };
    format!("unknown key `{key}`; {advice}")
}

/// How many letters have to be added, dropped or changed between `from` and `to`.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in to.chars().enumerate() {
            let changed = diagonal + usize::from(letter != other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[row.len() - 1]
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn line_at(&self, offset: usize) -> usize {
        let before = self.text.bytes().take(offset);
        before.filter(|byte| *byte == b'\n').count() + 1
    }

    /// `problem` may quote what the file has: what would break the error's line is escaped.
    fn wrong(&self, line: usize, problem: String) -> ScenarioError {
        let escaped = |letter: char| match letter.is_control() {
            true => letter.escape_default().to_string(),
            false => letter.to_string(),
        };
        let problem = problem.chars().map(escaped).collect();
        ScenarioError::Wrong { path: self.path.to_owned(), line, problem }
    }
}

/// The file's values by key, with the keys' lines.
struct Entries<'a> {
    file: &'a File<'a>,
    map: BTreeMap<&'static str, (usize, &'a Spanned<DeValue<'a>>)>,
}

impl Entries<'_> {
    fn scenario(&self) -> Result<Scenario, ScenarioError> {
        let work = self.work()?;
        let (warmup, repeat) = self.iterations(&work)?;
        let follow = self.flag("follow")?;
        let problem = match work {
            Work::Program(_) => None,
            Work::Marked(_) | Work::Server(_) => {
                Some("is for a program whose whole run is checked; drop `drive` and `repeat`")
            }
            _ => Some("is for a `program`; steps run in one process"),
        };
        if let Some(problem) = problem.filter(|_| follow.is_some()) {
            return Err(self.wrong("follow", problem));
        }
        let follow = follow.unwrap_or(false);
        Ok(Scenario {
            path: self.file.path.to_owned(),
            work,
            warmup,
            repeat,
            ignore: self.ignore()?,
            suppressions: self.names("suppressions")?.unwrap_or_default(),
            timeout: self.quantity("timeout", quantity::duration)?.unwrap_or(DEFAULT_TIMEOUT),
            heap: self.quantity("heap", quantity::heap)?.unwrap_or(DEFAULT_HEAP),
            strict: self.flag("strict")?.unwrap_or(false),
            follow,
        })
    }

    fn work(&self) -> Result<Work, ScenarioError> {
        let plugins = self.names("plugins")?;
        let steps = self.names("steps")?;
        let program = self.command("program")?;
        let drive = self.drive(program.is_some())?;
        match (program, steps) {
            (Some(program), steps) => {
                let other = if plugins.is_some() { "plugins" } else { "steps" };
                if plugins.is_some() || steps.is_some() {
                    let problem = format!("`program` and `{other}` exclude each other; drop one");
                    return Err(self.file.wrong(program.line, problem));
                }
                if let Some(drive) = drive {
                    return Ok(Work::Server(drive.of(program)));
                }
                // Who asks for iterations of a program makes them.
                let is_marked = ["warmup", "repeat"].iter().any(|key| self.line(key).is_some());
                Ok(if is_marked { Work::Marked(program) } else { Work::Program(program) })
            }
            (None, Some(steps)) if steps.is_empty() => {
                Err(self.wrong("steps", "is empty; name at least one command"))
            }
            (None, Some(steps)) => Ok(Work::Host { plugins: plugins.unwrap_or_default(), steps }),
            (None, None) => {
                let line = self.line("plugins").unwrap_or(1);
                let problem = "nothing to run; add `steps = [\"…\"]` or `program = [\"…\"]`";
                Err(self.file.wrong(line, problem.to_owned()))
            }
        }
    }

    fn iterations(&self, work: &Work) -> Result<(u32, u32), ScenarioError> {
        let warmup = self.count("warmup")?;
        let repeat = self.count("repeat")?;
        if let Work::Program(_) = work {
            return Ok((0, 1));
        }
        let (warmup, repeat) = (warmup.unwrap_or(DEFAULT_WARMUP), repeat.unwrap_or(DEFAULT_REPEAT));
        if warmup == 0 && matches!(work, Work::Marked(_)) {
            let problem =
                "is 1 at least where the program marks its iterations: its start is in the first";
            return Err(self.wrong("warmup", problem));
        }
        if repeat == 0 {
            return Err(self.wrong("repeat", "has to be at least 1"));
        }
        if warmup.saturating_add(repeat) > MAX_ITERATIONS {
            // The larger of the two is at fault, and is given: the defaults are small.
            let key = if repeat > warmup { "repeat" } else { "warmup" };
            let problem = format!("is too large; warmup + repeat is at most {MAX_ITERATIONS}");
            return Err(self.wrong(key, &problem));
        }
        Ok((warmup, repeat))
    }

    /// A list of strings that starts with a program.
    fn command(&self, key: &str) -> Result<Option<Located<Vec<String>>>, ScenarioError> {
        let Some(words) = self.words(key)? else { return Ok(None) };
        let line = self.line(key).unwrap_or(1);
        match words.first() {
            None => Err(self.wrong(key, "is empty; name the program and its arguments")),
            Some(first) if first.value.trim().is_empty() => {
                Err(self.file.wrong(first.line, format!("`{key}` starts with an empty name")))
            }
            Some(_) => {
                let value = words.into_iter().map(|word| word.value).collect();
                Ok(Some(Located { value, line }))
            }
        }
    }

    /// A list of strings that are one line each and not empty.
    fn names(&self, key: &str) -> Result<Option<Vec<Located<String>>>, ScenarioError> {
        let Some(words) = self.words(key)? else { return Ok(None) };
        for word in &words {
            if let Some(problem) = no_name(&word.value) {
                return Err(self.file.wrong(word.line, format!("`{key}` {problem}")));
            }
        }
        Ok(Some(words))
    }

    /// A list of strings.
    fn words(&self, key: &str) -> Result<Option<Vec<Located<String>>>, ScenarioError> {
        let Some((_, value)) = self.map.get(key) else { return Ok(None) };
        let list = value.get_ref().as_array();
        let list = list.ok_or_else(|| self.wrong_type(key, "a list of strings"))?;
        let words = list.iter().map(|element| {
            let line = self.file.line_at(element.span().start);
            let wrong = |problem: String| self.file.wrong(line, format!("`{key}` {problem}"));
            let word = element.get_ref().as_str().ok_or_else(|| {
                wrong(format!("is a list of strings, and this is {}", kind(element.get_ref())))
            })?;
            if word.contains('\0') {
                return Err(wrong("has an element with a NUL".to_owned()));
            }
            Ok(Located { value: word.to_owned(), line })
        });
        words.collect::<Result<_, _>>().map(Some)
    }

    fn string(&self, key: &str) -> Result<Option<&str>, ScenarioError> {
        let Some((_, value)) = self.map.get(key) else { return Ok(None) };
        value.get_ref().as_str().map(Some).ok_or_else(|| self.wrong_type(key, "a string"))
    }

    fn quantity<T>(
        &self,
        key: &str,
        read: fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ScenarioError> {
        let Some(text) = self.string(key)? else { return Ok(None) };
        read(text).map(Some).map_err(|problem| self.wrong(key, &problem))
    }

    fn count(&self, key: &str) -> Result<Option<u32>, ScenarioError> {
        let Some((_, value)) = self.map.get(key) else { return Ok(None) };
        let number = value.get_ref().as_integer();
        let number = number.ok_or_else(|| self.wrong_type(key, "a whole number"))?;
        match u32::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Ok(Some(number)),
            Err(_) => {
                Err(self.wrong(key, &format!("is {number}; it is from 0 to {MAX_ITERATIONS}")))
            }
        }
    }

    fn flag(&self, key: &str) -> Result<Option<bool>, ScenarioError> {
        let Some((_, value)) = self.map.get(key) else { return Ok(None) };
        value.get_ref().as_bool().map(Some).ok_or_else(|| self.wrong_type(key, "true or false"))
    }

    fn line(&self, key: &str) -> Option<usize> {
        self.map.get(key).map(|(line, _)| *line)
    }

    fn wrong(&self, key: &str, problem: &str) -> ScenarioError {
        self.file.wrong(self.line(key).unwrap_or(1), format!("`{key}` {problem}"))
    }

    fn wrong_type(&self, key: &str, expected: &str) -> ScenarioError {
        let found = self.map.get(key).map_or("nothing", |(_, value)| kind(value.get_ref()));
        self.wrong(key, &format!("has to be {expected}, not {found}"))
    }
}

/// Why `text` can't be a name.
fn no_name(text: &str) -> Option<&'static str> {
    if text.trim().is_empty() {
        Some("has an empty element")
    } else if text.contains(['\n', '\r']) {
        Some("has an element of more than one line")
    } else {
        None
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests;
