//! Function names as people know them: demangled, without what compilers and linkers append, and
//! the same whichever compiler made them.
//!
//! [`RULES`] is ordered and append-only, for the reason that the rules of `traceback` are. Each
//! has a file of cases of its own in `cases/`.
//!
//! Only names with a mangling's prefix are demangled: to the Itanium ABI `f` is a `float`, to C it
//! is a function. A name that would be empty stays as it was.

mod rust_path;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use cpp_demangle::{DemangleOptions, Symbol};

use self::rust_path::{with_plain_impls, with_plain_lists};

/// One step from a symbol to a name.
struct Rule {
    name: &'static str,
    /// The name in the rule's words.
    apply: fn(&str) -> Cow<'_, str>,
}

const RULES: [Rule; 11] = [
    Rule { name: "version", apply: without_version },
    Rule { name: "demangled", apply: demangled },
    Rule { name: "crate-hashes", apply: without_crate_hashes },
    Rule { name: "clone-suffixes", apply: without_suffixes },
    Rule { name: "legacy-hash", apply: without_hash },
    Rule { name: "unnamed-types", apply: with_unnamed_types },
    Rule { name: "closures", apply: with_plain_closures },
    Rule { name: "initializers", apply: with_plain_initializer },
    Rule { name: "unnamed-places", apply: without_places },
    Rule { name: "rust-lists", apply: |name| with_plain_lists(name).into() },
    Rule { name: "rust-impls", apply: |name| with_plain_impls(name).into() },
];

/// What compilers append when they split, copy or rename a function; a number may follow.
const SUFFIXES: [&str; 10] = [
    "part",
    "cold",
    "isra",
    "constprop",
    "lto_priv",
    "llvm",
    // gcc's second name of a function that others could replace; clang's of a static one that has
    // to be unique, of a copy for one argument, and of a function behind a table of checked calls.
    "localalias",
    "__uniq",
    "specialized",
    "cfi",
];

/// The name that people know the symbol by.
pub(crate) fn clean(symbol: &str) -> String {
    RULES.iter().fold(symbol.to_owned(), |name, rule| {
        let cleaned = (rule.apply)(&name);
        debug_assert!(!cleaned.is_empty() || name.is_empty(), "rule {} of {name}", rule.name);
        cleaned.into_owned()
    })
}

/// The first rule that patterns are put through: those who wrote one saw names by the rules before.
const FIRST_OF_PATTERNS: usize = 8;

/// What a pattern for parts of names is by the rules that are newer than it may be.
pub(crate) fn respelled(pattern: &str) -> String {
    let rules = RULES[FIRST_OF_PATTERNS..].iter();
    rules.fold(pattern.to_owned(), |text, rule| (rule.apply)(&text).into_owned())
}

/// Names by symbol: some functions are inlined into every other one.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<String, Arc<str>>);

impl Names {
    /// The [clean] name of `symbol`.
    pub(super) fn of(&mut self, symbol: &str) -> Arc<str> {
        if let Some(name) = self.0.get(symbol) {
            return Arc::clone(name);
        }
        let name: Arc<str> = clean(symbol).into();
        self.0.insert(symbol.to_owned(), Arc::clone(&name));
        name
    }
}

/// Whether the symbol says more than its bare name: its scope, and what it takes.
pub(super) fn is_mangled(symbol: &str) -> bool {
    ["_Z", "__Z", "_R"].iter().any(|prefix| symbol.starts_with(prefix))
}

fn demangled(name: &str) -> Cow<'_, str> {
    if !is_mangled(name) {
        return name.into();
    }
    let rust = rustc_demangle::try_demangle(name).ok().map(|rust| format!("{rust:#}"));
    let cpp = || Symbol::new(name).ok()?.demangle().ok();
    let found = rust.or_else(|| without_dependent_signature(name)).or_else(cpp);
    // A path of no parts is a name of nothing.
    found.filter(|found| !found.is_empty()).map_or(name.into(), Into::into)
}

/// The name alone of a function that takes or returns what depends on a trait of its template's
/// arguments (`enable_if`): gcc and clang have two manglings for that, and `cpp_demangle` knows one.
fn without_dependent_signature(name: &str) -> Option<String> {
    // `I X … sr`: a template's argument that is an expression with a scope.
    let is_dependent = |at: &usize| name.get(*at..*at + 6).is_some_and(|part| part.contains("sr"));
    let expression = name.match_indices("IX").map(|(at, _)| at).find(is_dependent)?;
    let options = DemangleOptions::new().no_params().no_return_type();
    // The name ends with its template's arguments, before what it takes and returns.
    let mut fronts = name[..expression].rmatch_indices('E').map(|(at, _)| &name[..=at]);
    let demangled = |front| Symbol::new(front).ok()?.demangle_with_options(&options).ok();
    fronts.find_map(demangled)
}

/// Drops `@VERSION` and `@@VERSION`. A name from debug information has no version, but clang's can
/// have a file's path in it.
fn without_version(name: &str) -> Cow<'_, str> {
    match name.split_once('@') {
        Some((front, _)) if !front.is_empty() && !front.contains(' ') => front.into(),
        _ => name.into(),
    }
}

/// Drops every `.part.0` at the end, and every ` [clone .part.0]` as C++ demanglers write it.
fn without_suffixes(name: &str) -> Cow<'_, str> {
    let mut name = name;
    while let Some(shorter) = without_suffix(name) {
        name = shorter;
    }
    name.into()
}

fn without_suffix(name: &str) -> Option<&str> {
    if let Some((front, clone)) = name.strip_suffix(']').and_then(|n| n.rsplit_once(" [clone .")) {
        return (!front.is_empty() && !clone.contains(']')).then_some(front);
    }
    let without_number = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let front = without_number.strip_suffix('.').unwrap_or(name);
    let (front, word) = front.rsplit_once('.')?;
    (SUFFIXES.contains(&word) && !front.is_empty()).then_some(front)
}

/// Drops the legacy mangling's `::h0123456789abcdef`.
fn without_hash(name: &str) -> Cow<'_, str> {
    match name.rsplit_once("::h") {
        Some((front, hash)) if hash.len() == 16 && is_hex(hash) && !front.is_empty() => front,
        _ => name,
    }
    .into()
}

/// Drops the `[0123456789abcdef]` that v0 names carry after a crate.
fn without_crate_hashes(name: &str) -> Cow<'_, str> {
    let mut kept = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((front, inside)) = rest.split_once('[') {
        kept.push_str(front);
        let after_name = kept.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        rest = match inside.split_once(']') {
            Some((hash, behind)) if after_name && is_crate_hash(hash) => behind,
            _ => {
                kept.push('[');
                inside
            }
        };
    }
    (kept + rest).into()
}

/// A crate's hash is 64 bits wide and printed without leading zeros.
fn is_crate_hash(text: &str) -> bool {
    (10..=16).contains(&text.len()) && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Writes gcc's `{lambda(int)#1}` and `{unnamed type#1}` and clang's `$_0` as `{unnamed}`. gcc counts
/// the lambdas of a function that take the same, clang all types without a name in a file, and both
/// count anew when one is added: the enclosing function and what `operator()` takes stay.
fn with_unnamed_types(name: &str) -> Cow<'_, str> {
    const STARTS: [&str; 3] = ["{lambda(", "{unnamed type#", "$_"];
    let mut kept = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = STARTS.iter().filter_map(|start| rest.find(start)).min() {
        let (front, found) = rest.split_at(at);
        kept.push_str(front);
        let end = match found.strip_prefix("$_") {
            Some(behind) => {
                let after = behind.trim_start_matches(is_digit);
                // `$` may be a letter of a name.
                let whole = kept.is_empty() || !kept.ends_with(is_word);
                (whole && after.len() < behind.len()).then_some(found.len() - after.len())
            }
            None => closing_brace(found),
        };
        let end = end.unwrap_or_default();
        kept.push_str(if end == 0 { &found[..1] } else { "{unnamed}" });
        rest = &found[end.max(1)..];
    }
    (kept + rest).into()
}

/// Where what the brace at the start of `text` opens ends: lambdas stand in what lambdas take.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 1 => return Some(at + 1),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Writes the v0 mangling's `{closure#0}` as the legacy one's `{{closure}}`: the number moves with
/// every closure that is added before it.
fn with_plain_closures(name: &str) -> Cow<'_, str> {
    const NUMBERED: &str = "{closure#";
    let mut kept = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((front, behind)) = rest.split_once(NUMBERED) {
        let after = behind.trim_start_matches(is_digit);
        kept.push_str(front);
        rest = match after.strip_prefix('}').filter(|_| after.len() < behind.len()) {
            Some(after) => {
                kept.push_str("{{closure}}");
                after
            }
            None => {
                kept.push_str(NUMBERED);
                behind
            }
        };
    }
    (kept + rest).into()
}

/// Drops what compilers name the function after that initializes a file's variables: gcc the file's
/// first function, clang the file.
fn with_plain_initializer(name: &str) -> Cow<'_, str> {
    const STARTS: [&str; 2] = ["_GLOBAL__sub_I", "_GLOBAL__sub_D"];
    let start = STARTS
        .into_iter()
        .find(|start| name.strip_prefix(start).is_some_and(|behind| behind.starts_with('_')));
    start.unwrap_or(name).into()
}

/// Drops where clang's debug information says that what has no name stands: `(lambda at FILE:7:9)`.
fn without_places(name: &str) -> Cow<'_, str> {
    const AT: &str = " at ";
    const KINDS: [&str; 11] = [
        "(lambda",
        "(unnamed",
        "(unnamed class",
        "(unnamed struct",
        "(unnamed union",
        "(unnamed enum",
        // clang 12 and before.
        "(anonymous",
        "(anonymous class",
        "(anonymous struct",
        "(anonymous union",
        "(anonymous enum",
    ];
    let mut kept = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((front, behind)) = rest.split_once(AT) {
        kept.push_str(front);
        let is_unnamed = KINDS.iter().any(|kind| front.ends_with(kind));
        rest = match place_end(behind).filter(|_| is_unnamed) {
            Some(end) => &behind[end..],
            None => {
                kept.push_str(AT);
                behind
            }
        };
    }
    (kept + rest).into()
}

/// Where the parenthesis stands that closes the `FILE:LINE:COLUMN` at the start of `text`. A path can
/// have all of that in it, but goes on behind as no type does.
fn place_end(text: &str) -> Option<usize> {
    let mut ends = text.match_indices(')').map(|(at, _)| at);
    ends.find(|end| {
        let front = text[..*end].rsplit_once(':').filter(|(_, column)| is_number(column));
        let line = front.and_then(|(front, _)| front.rsplit_once(':'));
        let goes_on =
            text[end + 1..].starts_with(|letter| is_word(letter) || "/.-".contains(letter));
        line.is_some_and(|(_, line)| is_number(line)) && !goes_on
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_digit)
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn is_digit(letter: char) -> bool {
    letter.is_ascii_digit()
}

#[cfg(test)]
mod tests;
