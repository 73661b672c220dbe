//! `fun:` lines: function names as valgrind has them against names as tracebacks have them.
//!
//! valgrind compares symbols as they are in the object, mangled, and for inlined functions what
//! the debug information calls them, which is the name without its path. Tracebacks have the
//! demangled name; where the debug information has no mangled one (static functions of C++), the
//! name without path and parameters.

use std::borrow::Cow;

use super::super::pattern::{Spellings, has_wildcard, wildcards_match};
use crate::report::Frame;
use crate::symbols::function_name;

/// What valgrind calls a function that it doesn't know.
const UNKNOWN: &str = "???";

/// The pattern of a `fun:` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Function {
    /// With wildcards.
    Pattern(Spellings),
    /// One name, cleaned as those of tracebacks are.
    Name { name: String, was_mangled: bool },
}

impl Function {
    /// What `text`, which stands behind `fun:`, means.
    pub(super) fn read(text: &str) -> Self {
        if has_wildcard(text) {
            return Self::Pattern(Spellings::of(text));
        }
        // So valgrind calls whatever called `main`.
        let text = if text == "(below main)" { "__libc_start_main" } else { text };
        let name = function_name(text);
        let was_mangled = is_mangled(text) && name != text;
        Self::Name { name, was_mangled }
    }

    pub(super) fn matches(&self, frame: &Frame) -> bool {
        let Some(function) = frame.function.as_deref() else {
            return matches!(self, Self::Pattern(it) if it.any(|pattern| wildcards_match(pattern, UNKNOWN)));
        };
        match self {
            Self::Pattern(spellings) => spellings.any(|pattern| {
                // `grow<char const*>` of an inlined function has a pointer, no wildcard.
                let of_template = pattern.split_once('<').map(|(name, _)| name);
                (frame.inlined && of_template == Some(short(function)))
                    || names(frame, function).any(|name| wildcards_match(pattern, &name))
            }),
            Self::Name { name, was_mangled } => {
                let own = short(function);
                let as_short = frame.inlined || (*was_mangled && own == function);
                (as_short && short(name) == own)
                    || names(frame, function).any(|of_frame| of_frame == *name)
                    || (is_libc(frame) && libc_name(function) == libc_name(name))
            }
        }
    }
}

/// Whether `text` has the form of a mangled name of C++ or Rust.
pub(super) fn is_mangled(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next() == Some('_')
        && matches!(letters.next(), Some('Z' | 'R'))
        && letters.next().is_some_and(|letter| letter.is_ascii_uppercase())
}

/// What the function of `frame` can be called.
fn names<'a>(frame: &Frame, function: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    let inlined = frame.inlined.then(|| Cow::from(short(function)));
    let public = is_libc(frame).then(|| Cow::from(libc_name(function)));
    std::iter::once(Cow::from(function)).chain(inlined).chain(public)
}

fn is_libc(frame: &Frame) -> bool {
    frame.module.as_deref().is_some_and(|module| module.starts_with("libc.so"))
}

/// libc's symbols have aliases (`strdup`, `__strdup`, `__GI___strdup`), and who takes which one is
/// up to the debug files that are installed.
fn libc_name(name: &str) -> &str {
    name.strip_prefix("__GI_").unwrap_or(name).trim_start_matches('_')
}

/// `ns::Type<T>::call<U>(int)` and `void ns::call(int)` without all but `call`.
fn short(name: &str) -> &str {
    let (mut start, mut end, mut depth) = (0, None, 0_usize);
    let mut letters = name.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '<' | '(' | '[' => {
                if depth == 0 && end.is_none() {
                    end = Some(at);
                }
                depth += 1;
                // Nothing behind the parameters is a part of the name.
                if letter == '(' && depth == 1 && at > start {
                    break;
                }
            }
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            ':' if depth == 0 && letters.next_if(|(_, next)| *next == ':').is_some() => {
                (start, end) = (at + 2, None);
            }
            ' ' if depth == 0 => (start, end) = (at + 1, None),
            _ => {}
        }
    }
    match name.get(start..end.unwrap_or(name.len())) {
        Some(short) if !short.is_empty() => short,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: Option<&str>, module: &str, inlined: bool) -> Frame {
        let (function, module) = (function.map(Into::into), Some(module.into()));
        Frame { function, module, inlined, ..Frame::default() }
    }

    #[test]
    fn names_are_compared_demangled() {
        let cases = [
            ("forget", "forget", true),
            ("forget", "forget_all", false),
            ("_ZN3foo3barEv", "foo::bar()", true),
            ("_ZN3foo3barEv", "foo::bar(int)", false),
            ("_ZN6parser5parse17h0123456789abcdefE", "parser::parse", true),
            ("_ZN6parser5parse17hfedcba9876543210E", "parser::parse", true),
            // A static function of C++ has no mangled name in the debug information.
            ("_ZL12forget_pairsv", "forget_pairs", true),
            ("_ZL12forget_pairsv", "other::forget_pairs()", false),
            ("forget.part.0", "forget", true),
            ("malloc@@GLIBC_2.2.5", "malloc", true),
            ("foo::bar()", "foo::bar()", true),
            ("foo::*", "foo::bar()", true),
            ("*bar*", "foo::bar()", true),
            ("bar*", "foo::bar()", false),
            ("alloc::str::<impl str>::rep*", "<str>::repeat", true),
            ("bar", "foo::bar()", false),
        ];
        for (pattern, function, expected) in cases {
            let found = Function::read(pattern).matches(&frame(Some(function), "a.so", false));
            assert_eq!(found, expected, "{pattern} on {function}");
        }
    }

    #[test]
    fn an_inlined_function_has_its_short_name() {
        let construct = "void std::basic_string<char>::_M_construct<char const*>(char const*)";
        let cases = [
            ("_M_construct<char const*>", construct, true),
            ("_M_construct*", construct, true),
            ("_M_create", construct, false),
            ("basic_string<>", "std::basic_string<char>::basic_string<X>(X const&)", true),
            ("alloc_impl", "alloc::alloc::Global::alloc_impl", true),
        ];
        for (pattern, function, expected) in cases {
            let matches =
                |inlined| Function::read(pattern).matches(&frame(Some(function), "a.so", inlined));
            assert_eq!(matches(true), expected, "{pattern} on {function}");
            assert!(!matches(false), "{pattern} on {function}, which is not inlined");
        }
    }

    #[test]
    fn libc_s_names_have_aliases() {
        let matches = |pattern: &str, function: &str, module: &str| {
            Function::read(pattern).matches(&frame(Some(function), module, false))
        };
        for function in ["strdup", "__strdup", "__GI___strdup"] {
            for pattern in ["strdup", "__strdup", "str*"] {
                assert!(matches(pattern, function, "libc.so.6"), "{pattern} on {function}");
            }
        }
        assert!(!matches("strdup", "__strdup", "a.so"));
        assert!(!matches("strdup", "strndup", "libc.so.6"));
    }

    #[test]
    fn what_has_no_name_is_called_so() {
        let unknown = frame(None, "a.so", false);
        for (pattern, expected) in [("*", true), ("???", true), ("f*", false), ("f", false)] {
            assert_eq!(Function::read(pattern).matches(&unknown), expected, "{pattern}");
        }
    }

    #[test]
    fn short_names() {
        let cases = [
            ("f", "f"),
            ("f(int)", "f"),
            ("a::b<c::d>::e<f>(g::h)", "e"),
            ("void a::b(int) const", "b"),
            ("<a::b as c::d>::e", "e"),
            ("alloc::vec::Vec<T>::with_capacity_in", "with_capacity_in"),
            ("(anonymous namespace)::f(int)", "f"),
            ("a::b::{{closure}}", "{{closure}}"),
            ("_M_construct<char const*>", "_M_construct"),
            ("", ""),
        ];
        for (name, expected) in cases {
            assert_eq!(short(name), expected, "of {name}");
        }
    }
}
