//! Rust's paths in one spelling. std comes compiled with v0 names, a crate's own code can have legacy
//! ones, and which of both a function of std has depends on what the optimizer made of it:
//!
//! ```text
//!   v0                         legacy
//!   <a::T>::f                  a::T::f   b::<impl a::T>::f    a::T::f
//!   <str>::f                   b::<impl str>::f               <str>::f
//!   <a::T as Trait>::f         b::<impl Trait for a::T>::f    <a::T as Trait>::f
//!   <[A] as Trait<B, C>>::f    <[A] as Trait<B,C>>::f         <[A] as Trait<B,C>>::f
//! ```
//!
//! Where an `impl` stands says nothing, and v0 demanglers leave it out: a type has one function of a
//! name, whatever the module.

/// A longer name stays as it is: what is in brackets is read again for each of them.
const LONGEST: usize = 1 << 16;

/// A bracket that is open.
#[derive(Debug)]
struct Open {
    bracket: char,
    /// Where it stands, and where the path starts that it is a part of.
    at: usize,
    path: usize,
}

/// Writes what is in an `impl` block by the block's type, and by its trait where it is of one.
pub(super) fn with_plain_impls(name: &str) -> String {
    if name.len() > LONGEST {
        return name.to_owned();
    }
    let mut kept = String::with_capacity(name.len());
    let mut open: Vec<Open> = Vec::new();
    let mut path = 0;
    let mut before = None;
    for (at, letter) in name.char_indices() {
        if is_opening(letter) {
            open.push(Open { bracket: letter, at: kept.len(), path });
            kept.push(letter);
            path = kept.len();
        } else if let Some(opened) = closed(&mut open, before, letter) {
            let goes_on = opened.bracket == '<' && name[at + 1..].starts_with("::");
            match instead(&kept[opened.path..], opened.at - opened.path).filter(|_| goes_on) {
                Some(text) => kept.replace_range(opened.path.., &text),
                None => kept.push(letter),
            }
            path = opened.path;
        } else {
            kept.push(letter);
            if !is_of_path(letter) {
                path = kept.len();
            }
        }
        before = Some(letter);
    }
    kept
}

/// What is written instead of `path`, a path whose bracket at `bracket` is about to be closed.
fn instead(path: &str, bracket: usize) -> Option<String> {
    let (front, inside) = (&path[..bracket], &path[bracket + 1..]);
    match inside.strip_prefix("impl ") {
        // A pattern can begin with it.
        Some(block) if front.is_empty() || front.ends_with("::") => Some(of_block(block)),
        _ => front.is_empty().then(|| of_type(inside)),
    }
}

/// `Trait for a::T` as `<a::T as Trait>`.
fn of_block(block: &str) -> String {
    const FOR: &str = " for ";
    match outside(block).find(|(at, _)| block[*at..].starts_with(FOR)) {
        Some((at, _)) => format!("<{} as {}>", &block[at + FOR.len()..], &block[..at]),
        None => of_type(block),
    }
}

/// What stands in front of a type's own functions: a path as it is, another type in brackets.
fn of_type(text: &str) -> String {
    let has_scope = outside(text).any(|(at, _)| text[at..].starts_with("::"));
    let is_path =
        outside(text).all(|(_, letter)| is_of_path(letter) || matches!(letter, '<' | '{'));
    if has_scope && is_path { text.to_owned() } else { format!("<{text}>") }
}

/// Writes the lists and sums of v0 names as the legacy ones have them, without spaces.
pub(super) fn with_plain_lists(name: &str) -> String {
    if is_rust(name) { name.replace(", ", ",").replace(" + ", "+") } else { name.to_owned() }
}

/// Whether `name` has a form that only v0 names have: `<T>::f`, or `f::<T>`, which gcc has for what
/// has no name alone. A v0 name with neither has no lists.
fn is_rust(name: &str) -> bool {
    let is_type = |at: usize| {
        let inside = &name[at..];
        !["lambda", "unnamed", "anonymous"].iter().any(|word| inside.starts_with(word))
    };
    let of_type = name.starts_with('<') && name.contains(">::") && is_type(1);
    of_type || name.match_indices("::<").any(|(at, mark)| is_type(at + mark.len()))
}

/// The letters of `text` that no bracket encloses, with those that open one.
fn outside(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut open = Vec::new();
    let mut before = None;
    text.char_indices().filter(move |(at, letter)| {
        let is_outside = open.is_empty();
        let opens = is_opening(*letter);
        if opens {
            open.push(Open { bracket: *letter, at: *at, path: 0 });
        }
        let closes = !opens && closed(&mut open, before, *letter).is_some();
        before = Some(*letter);
        is_outside && !closes
    })
}

/// The bracket that `letter` closes, which is no longer open then. Behind `before` it may be the
/// end of an arrow (`.>` in legacy names); what C++ calls operators leaves brackets open.
fn closed(open: &mut Vec<Open>, before: Option<char>, letter: char) -> Option<Open> {
    let bracket = match letter {
        '>' if !matches!(before, Some('-' | '.')) => '<',
        ')' => '(',
        ']' => '[',
        '}' => '{',
        _ => return None,
    };
    if letter == '>' && open.last()?.bracket != bracket {
        return None;
    }
    let at = open.iter().rposition(|open| open.bracket == bracket)?;
    open.drain(at..).next()
}

fn is_opening(letter: char) -> bool {
    matches!(letter, '<' | '(' | '[' | '{')
}

fn is_of_path(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | ':' | '$' | '.' | '#')
}
