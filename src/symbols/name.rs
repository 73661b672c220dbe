//! Function names as people know them: demangled, without what compilers and linkers append.
//!
//! Only names with a mangling's prefix are demangled: to the Itanium ABI `f` is a `float`, to C it
//! is a function. The rules behind that only cut; a name that would be empty stays as it was.

use std::borrow::Cow;

/// What compilers append when they split or copy a function; a number may follow.
const SUFFIXES: [&str; 6] = ["part", "cold", "isra", "constprop", "lto_priv", "llvm"];

/// `name` demangled, without its symbol version, clone suffixes and Rust's hashes.
pub(crate) fn clean(name: &str) -> String {
    let name = demangled(without_version(name));
    let mut name = without_crate_hashes(&name);
    while let Some(shorter) = without_suffix(&name).or_else(|| without_hash(&name)) {
        name = shorter.to_owned();
    }
    name
}

fn demangled(name: &str) -> Cow<'_, str> {
    if !["_Z", "__Z", "_R"].iter().any(|prefix| name.starts_with(prefix)) {
        return name.into();
    }
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return format!("{rust:#}").into();
    }
    let cpp = cpp_demangle::Symbol::new(name).ok().and_then(|symbol| symbol.demangle().ok());
    cpp.map_or(name.into(), Into::into)
}

/// Drops `@VERSION` and `@@VERSION`.
fn without_version(name: &str) -> &str {
    match name.split_once('@') {
        Some((front, _)) if !front.is_empty() => front,
        _ => name,
    }
}

/// Drops one `.part.0`, or ` [clone .part.0]` as C++ demanglers write it.
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
fn without_hash(name: &str) -> Option<&str> {
    let (front, hash) = name.rsplit_once("::h")?;
    (hash.len() == 16 && is_hex(hash) && !front.is_empty()).then_some(front)
}

/// Drops the `[0123456789abcdef]` that v0 names carry after a crate.
fn without_crate_hashes(name: &str) -> String {
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
    kept + rest
}

/// A crate's hash is 64 bits wide and printed without leading zeros.
fn is_crate_hash(text: &str) -> bool {
    (10..=16).contains(&text.len()) && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_a_case() {
        let cases = [
            ("malloc", "malloc"),
            // C's: no mangling, though the Itanium ABI has types of these names.
            ("f", "f"),
            ("pp", "pp"),
            ("St", "St"),
            ("_ZN3foo3barEv", "foo::bar()"),
            ("_Z4growi.cold", "grow(int)"),
            ("_ZN6parser5parse17h0123456789abcdefE", "parser::parse"),
            ("_RNvCs1234_6parser5parse", "parser::parse"),
            ("_Znot_a_name", "_Znot_a_name"),
            ("malloc@@GLIBC_2.2.5", "malloc"),
            ("EVP_DigestInit_ex@OPENSSL_3.0.0", "EVP_DigestInit_ex"),
            ("@", "@"),
            ("grow.part.0", "grow"),
            ("grow.cold", "grow"),
            ("grow.cold.12", "grow"),
            ("grow.isra.0.constprop.1.cold", "grow"),
            ("grow.lto_priv.0", "grow"),
            ("grow.llvm.1234567890", "grow"),
            ("grow.0", "grow.0"),
            ("grow.parts.0", "grow.parts.0"),
            (".cold", ".cold"),
            ("v3.14", "v3.14"),
            ("a::b(int) [clone .part.0]", "a::b(int)"),
            ("a::b(int) [clone .isra.0] [clone .cold]", "a::b(int)"),
            ("parser::parse::h0123456789abcdef", "parser::parse"),
            ("parser::parse::h0123456789abcdef.llvm.7", "parser::parse"),
            ("parser::h0123456789abcdeg", "parser::h0123456789abcdeg"),
            ("parser::parse::hash", "parser::parse::hash"),
            ("core[846817f741e54dfd]::fmt::write", "core::fmt::write"),
            (
                "<alloc[846817f741e54dfd]::vec::Vec<core[a46817f741e54df]::X> as T>::f",
                "<alloc::vec::Vec<core::X> as T>::f",
            ),
            ("<[u8; 4] as T>::f", "<[u8; 4] as T>::f"),
            ("f::<[abcdef0123]>", "f::<[abcdef0123]>"),
            ("a[", "a["),
            ("operator new[](unsigned long)", "operator new[](unsigned long)"),
        ];
        for (name, expected) in cases {
            assert_eq!(clean(name), expected, "of {name}");
        }
    }
}
