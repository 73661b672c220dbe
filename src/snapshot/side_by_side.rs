//! Two tracebacks in two columns, as `diff -y` writes them:
//!
//! ```text
//! accepted                     found
//! CRYPTO_zalloc  libcr.so      CRYPTO_zalloc  libcr.so
//! parse  app                |  read_header  app           another frame in its place
//!                           >  read  app                  a frame that is new
//! open  app                 <                             a frame that is gone
//! ```
//!
//! Invariant: no line is wider than [`WIDTH`], unless lines that differ would look the same for
//! it: then the frames stand one below the other, whole, with the marks in front.

use super::alignment::{Row, rows};

/// The most columns of a line.
const WIDTH: usize = 120;

/// What stands between the columns, with the mark in its middle: wider than what stands between a
/// function and its module.
const GAP: usize = 5;

/// The heads of the columns.
const HEADS: [&str; 2] = ["accepted", "found"];

/// The frames of `accepted` and `found`, behind `indent`.
pub(super) fn side_by_side(accepted: &[String], found: &[String], indent: &str) -> String {
    let rows = rows(accepted, found);
    let longest = |head: &str, lines: &[String]| {
        lines.iter().map(|line| width(line)).chain([width(head)]).max().unwrap_or_default()
    };
    // Even, so that two columns that are full cut alike.
    let room = (WIDTH - GAP - indent.len()) / 2 * 2;
    let [left, right] = [longest(HEADS[0], accepted), longest(HEADS[1], found)];
    // A short column leaves its room to the long one.
    let left = left.min((room / 2).max(room.saturating_sub(right)));
    let right = right.min(room - left);
    let looks_same = rows.iter().any(|row| match row {
        Row::Other(old, new) => cut(old, left) == cut(new, right),
        _ => false,
    });
    if looks_same {
        return one_below_the_other(&rows, indent);
    }
    let mut text = line(indent, HEADS[0], left, ' ', HEADS[1]);
    for row in rows {
        let (old, mark, new) = match row {
            Row::Same(old, new) => (old, ' ', new),
            Row::Other(old, new) => (old, '|', new),
            Row::Accepted(old) => (old, '<', ""),
            Row::Found(new) => ("", '>', new),
        };
        text += &line(indent, &cut(old, left), left, mark, &cut(new, right));
    }
    text
}

fn line(indent: &str, old: &str, left: usize, mark: char, new: &str) -> String {
    format!("{indent}{old:left$}  {mark}  {new}").trim_end().to_owned() + "\n"
}

fn one_below_the_other(rows: &[Row<'_>], indent: &str) -> String {
    let marked = |mark: char, line: &str| format!("{indent}{mark} {line}\n");
    let row = |row: &Row<'_>| match row {
        Row::Same(_, new) => marked(' ', new),
        Row::Other(old, new) => marked('<', old) + &marked('>', new),
        Row::Accepted(old) => marked('<', old),
        Row::Found(new) => marked('>', new),
    };
    format!("{indent}< {}, > {}\n", HEADS[0], HEADS[1]) + &rows.iter().map(row).collect::<String>()
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// `text` in at most `most` columns, without its middle: a name starts with what it is part of and
/// ends with its module and file.
fn cut(text: &str, most: usize) -> String {
    let length = width(text);
    if length <= most {
        return text.to_owned();
    }
    let tail = most / 2;
    let head = most.saturating_sub(tail + 1);
    let chars = || text.chars();
    chars().take(head).chain(['…']).chain(chars().skip(length - tail)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(list: &[&str]) -> Vec<String> {
        list.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn columns_are_aligned_and_marked() {
        let accepted = lines(&["zalloc  a.so", "parse  app", "open  app", "main  app"]);
        let found = lines(&["zalloc  a.so  mem.c", "read  app", "main  app", "start  app"]);
        let text = "\
..accepted         found
..zalloc  a.so     zalloc  a.so  mem.c
..parse  app    |  read  app
..open  app     <
..main  app        main  app
..              >  start  app
";
        assert_eq!(side_by_side(&accepted, &found, ".."), text);
    }

    #[test]
    fn long_names_lose_their_middle() {
        let long =
            |name: &str| format!("{}::{name}::{}  libcrypto.so", "a".repeat(60), "b".repeat(60));
        let accepted = lines(&["main  app", &long("old")]);
        let found = lines(&[&format!("m::{}", long("new")), "main  app"]);
        let text = side_by_side(&accepted, &found, "    ");
        let expected = format!(
            "    accepted{0}found\n{1}>  m::{2}…{3}  libcrypto.so\n    main  app{4}main  app\n    {5}…{3}  libcrypto.so  <\n",
            " ".repeat(52),
            " ".repeat(61),
            "a".repeat(24),
            "b".repeat(13),
            " ".repeat(51),
            "a".repeat(27),
        );
        assert_eq!(text, expected);
        assert!(text.lines().all(|line| width(line) <= WIDTH), "{text}");
        // A short column leaves its room to the long one.
        let text = side_by_side(&lines(&["f  a", "g  a"]), &lines(&["f  a", &"x".repeat(100)]), "");
        assert_eq!(text.lines().nth(2), Some(&*format!("g  a      |  {}", "x".repeat(100))));
    }

    #[test]
    fn what_would_look_the_same_is_not_cut() {
        let long = |name: &str| format!("{}::{name}::{}", "a".repeat(60), "b".repeat(60));
        let (old, new) = (long("old"), long("new"));
        let accepted = lines(&["f  a", &old, "main  a", "exit  a"]);
        let found = lines(&["f  a  f.c", &new, "start  a", "main  a"]);
        let text = format!(
            "- < accepted, > found\n-   f  a  f.c\n- < {old}\n- > {new}\n- > start  a\n-   main  a\n- < exit  a\n"
        );
        assert_eq!(side_by_side(&accepted, &found, "- "), text);
    }
}
