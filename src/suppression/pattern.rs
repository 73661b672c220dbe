//! Two ways of matching names: LeakSanitizer's templates and valgrind's wildcards.
//!
//! A template is matched as LLVM's `TemplateMatch` does (`sanitizer_common.cpp`), its odd corners
//! included: a file hides here what it hides there.

use crate::symbols::respelled;

/// A pattern for names: as it was written, and as today's rules spell the same names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spellings(Vec<String>);

impl Spellings {
    pub(super) fn of(pattern: &str) -> Self {
        let mut spellings = vec![pattern.to_owned(), respelled(pattern)];
        spellings.dedup();
        Self(spellings)
    }

    /// Whether one of them `matches`.
    pub(super) fn any(&self, matches: impl Fn(&str) -> bool) -> bool {
        self.0.iter().any(|pattern| matches(pattern))
    }
}

/// Whether LeakSanitizer's `template` matches `text`: anywhere in it; `*` is any run of letters,
/// `^` in front the text's start, `$` its end. Nothing matches an empty text.
pub(super) fn template_matches(template: &str, mut text: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    let mut rest = template;
    let mut anchored = false;
    if let Some(behind) = rest.strip_prefix('^') {
        (rest, anchored) = (behind, true);
    }
    let mut after_star = false;
    while let Some(first) = rest.chars().next() {
        if first == '*' {
            rest = &rest[1..];
            (anchored, after_star) = (false, true);
            continue;
        }
        if first == '$' {
            return text.is_empty() || after_star;
        }
        let end = rest.find(['*', '$']).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        // The first place where the part stands is the only one that LLVM tries.
        let Some(at) = text.find(part) else { return false };
        if anchored && at != 0 {
            return false;
        }
        (text, rest) = (&text[at + part.len()..], behind);
        (anchored, after_star) = (false, false);
    }
    true
}

/// Whether `pattern` has a wildcard of valgrind's.
pub(super) fn has_wildcard(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

/// Whether valgrind's `pattern` matches the whole of `text`: `*` is any run of letters, `?` one.
pub(super) fn wildcards_match(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut next) = (0, 0);
    // The last star, and the letter that its run ends before.
    let mut star: Option<(usize, usize)> = None;
    while next < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, next));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == text[next] => {
                at += 1;
                next += 1;
            }
            _ => {
                let Some((place, end)) = star else { return false };
                star = Some((place, end + 1));
                (at, next) = (place + 1, end + 1);
            }
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cases of LLVM's own test, `TEST(Suppressions, Match)`, and what its code says.
    #[test]
    fn templates_match_as_llvm_s_do() {
        let cases = [
            ("foobar", "foobar", true),
            ("foobar", "prefix_foobar_postfix", true),
            ("*foobar*", "foobar", true),
            ("*foobar*", "prefix_foobar_postfix", true),
            ("foo*bar", "foo_middle_bar", true),
            ("foo*bar", "foobar", true),
            ("foo*bar*baz", "foo_middle_bar_another_baz", true),
            ("foo*bar*baz", "foo_middle_barbaz", true),
            ("^foobar", "foobar", true),
            ("^foobar", "foobar_postfix", true),
            ("^*foobar", "foobar", true),
            ("^*foobar", "prefix_foobar", true),
            ("foobar$", "foobar", true),
            ("foobar$", "prefix_foobar", true),
            ("*foobar*$", "foobar", true),
            ("*foobar*$", "foobar_postfix", true),
            ("^foobar$", "foobar", true),
            ("foo", "baz", false),
            ("foobarbaz", "foobar", false),
            ("foobarbaz", "barbaz", false),
            ("foo*bar", "foobaz", false),
            ("foo*bar", "foo_baz", false),
            ("^foobar", "prefix_foobar", false),
            ("foobar$", "foobar_postfix", false),
            ("^foobar$", "prefix_foobar", false),
            ("^foobar$", "foobar_postfix", false),
            ("foo^bar", "foobar", false),
            // What its code says beside: nothing matches nothing, and the first place counts.
            ("*", "", false),
            ("", "a", true),
            ("*", "a", true),
            ("^", "a", true),
            ("$", "a", false),
            ("*$", "a", true),
            ("foo$", "foofoo", false),
            ("foo*foo$", "foofoo", true),
            ("foo^bar", "foo^bar", true),
            ("foo$bar", "foo", true),
            ("foo*b", "foo", false),
            ("a?c", "abc", false),
            ("é*é", "éé", true),
        ];
        for (template, text, expected) in cases {
            assert_eq!(template_matches(template, text), expected, "{template} on {text}");
        }
    }

    #[test]
    fn wildcards_match_the_whole_name() {
        let cases = [
            ("malloc", "malloc", true),
            ("malloc", "mallocs", false),
            ("*alloc", "CRYPTO_zalloc", true),
            ("*alloc", "CRYPTO_zalloc_", false),
            ("m?lloc", "malloc", true),
            ("m?lloc", "mlloc", false),
            ("*", "", true),
            ("?", "", false),
            ("", "", true),
            ("", "a", false),
            ("a*b*c", "a_b_b_c", true),
            ("a*b*c", "a_c_b", false),
            ("*ab", "aab", true),
            ("**", "a", true),
            ("_Z?*", "_Zn", true),
            ("*é?", "xéa", true),
            ("^a$", "a", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(wildcards_match(pattern, text), expected, "{pattern} on {text}");
        }
        assert!(has_wildcard("a*") && has_wildcard("?") && !has_wildcard("^a$"));
    }
}
