//! Bare names: gcc's debug information calls what it inlined `make` and `open_with<Job>` where the
//! function is local, and `(anonymous namespace)::Job::make(int) const` is its name elsewhere.

/// Whether one of two different names is the other one's bare one.
pub(super) fn is_bare_of_other(name: &str, other: &str) -> bool {
    let is_bare = |bare: &str, whole: &str| {
        // What has a scope or says what it takes is no bare name.
        let parts = Parts::of(whole);
        Parts::of(bare).is_bare() && !parts.is_bare() && parts.name == Parts::of(bare).name
    };
    is_bare(name, other) || is_bare(other, name)
}

/// The bare name, without template arguments: names that are the same have the same.
pub(super) fn base(name: &str) -> &str {
    Parts::of(name).name
}

/// What a name is made of.
#[derive(Debug, PartialEq, Eq)]
struct Parts<'a> {
    has_scope: bool,
    /// Without scope, template arguments, and what it takes and returns.
    name: &'a str,
    has_signature: bool,
}

impl<'a> Parts<'a> {
    fn of(function: &'a str) -> Self {
        const OPERATOR: &str = "operator";
        let outside = outside_brackets(function);
        // The last parentheses hold what it takes, but for the empty ones of `operator()`.
        let signature = outside.iter().rev().copied().find(|at| function[*at..].starts_with('('));
        let signature = signature.filter(|at| *at > 0 && !function[..*at].ends_with(OPERATOR));
        let front = &function[..signature.unwrap_or(function.len())];
        let ends = |what: &str| {
            let mut found = outside.iter().rev().copied().filter(|at| *at < front.len());
            found.find(|at| front[*at..].starts_with(what)).map(|at| at + what.len())
        };
        let scope = ends("::");
        let start = match front.rfind(OPERATOR).filter(|at| *at >= scope.unwrap_or_default()) {
            Some(at) => at,
            // A template has what it returns in front.
            None => scope.into_iter().chain(ends(" ")).max().unwrap_or_default(),
        };
        let name = &front[start..];
        let arguments = name.find('<').filter(|_| !name.starts_with(OPERATOR));
        Self {
            has_scope: scope.is_some(),
            name: &name[..arguments.unwrap_or(name.len())],
            has_signature: signature.is_some(),
        }
    }

    fn is_bare(&self) -> bool {
        !self.has_scope && !self.has_signature
    }
}

/// Where the characters stand that no bracket encloses; opening ones count as outside.
fn outside_brackets(text: &str) -> Vec<usize> {
    let mut depth = 0_usize;
    let mut outside = Vec::new();
    for (at, letter) in text.char_indices() {
        if matches!(letter, ')' | '>' | '}') {
            depth = depth.saturating_sub(1);
            continue;
        }
        if depth == 0 {
            outside.push(at);
        }
        if matches!(letter, '(' | '<' | '{') {
            depth += 1;
        }
    }
    outside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_the_last_part_of_a_whole_one() {
        for (bare, whole) in [
            ("step", "step(int)"),
            ("make", "(anonymous namespace)::T::make(int) const"),
            ("helper", "(anonymous namespace)::helper(std::vector<int, std::allocator<int> >&)"),
            ("operator()", "(anonymous namespace)::Opener::operator()(char const*) const"),
            ("operator()", "f(int)::{unnamed}::operator()(int) const"),
            ("operator+=", "(anonymous namespace)::T::operator+=(char const*)"),
            ("operator bool", "(anonymous namespace)::T::operator bool() const"),
            (
                "open_with<(anonymous namespace)::Opener>",
                "int sessions::open_with<(anonymous namespace)::Opener>((anonymous namespace)::Opener)",
            ),
            (
                "__invoke<main()::<lambda()> >",
                "void std::__invoke<main::{unnamed}>(main::{unnamed}&&)",
            ),
            ("f<int>", "void f<int>(int)"),
            ("~T", "(anonymous namespace)::T::~T()"),
        ] {
            assert!(is_bare_of_other(bare, whole), "{bare} of {whole}");
            assert!(is_bare_of_other(whole, bare), "{bare} of {whole}");
        }
    }

    #[test]
    fn other_names_are_not() {
        for (name, other) in [
            ("step", "steps(int)"),
            ("step", "two_step(int)"),
            ("make", "make::T(int)"),
            ("step", "step"),
            ("step", "copy"),
            ("a::step", "b::a::step(int)"),
            ("step(int)", "a::step(int)"),
            ("operator()", "T::operator+(int)"),
            ("namespace", "(anonymous namespace)::f()"),
            ("int", "int f<int>(int)"),
            ("", "f(int)"),
            ("parse", "parser::{{closure}}"),
        ] {
            assert!(!is_bare_of_other(name, other), "{name} and {other}");
            assert!(!is_bare_of_other(other, name), "{name} and {other}");
        }
    }
}
