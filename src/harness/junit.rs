//! The trials as a JUnit document, in the form that libtest writes: one suite, a case for each
//! trial, a failure with its text.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::account::{End, Told};

/// The document of `entries`.
pub(super) fn document(entries: &[Told]) -> String {
    let count = |is: fn(&End) -> bool| entries.iter().filter(|entry| is(&entry.end)).count();
    let failures = count(|end| matches!(end, End::Failed(_)));
    let skipped = count(|end| matches!(end, End::Skipped(_)));
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    let _ = writeln!(
        text,
        "<testsuite name=\"leaks\" package=\"leaks\" id=\"0\" tests=\"{}\" failures=\"{failures}\" \
         errors=\"0\" skipped=\"{skipped}\">",
        entries.len()
    );
    for Told { name, took, end, leaks, .. } in entries {
        let (name, took) = (escaped(name), took.as_secs_f64());
        let _ = write!(text, "<testcase classname=\"leaks\" name=\"{name}\" time=\"{took:.3}\"");
        let _ = match end {
            End::Passed => writeln!(text, "/>"),
            End::Failed(why) => {
                let (first, all) = (why.lines().next().unwrap_or_default(), escaped(why));
                let first = escaped(first);
                let kind = if *leaks { "leak" } else { "failure" };
                writeln!(
                    text,
                    ">\n<failure type=\"{kind}\" message=\"{first}\">{all}</failure>\n</testcase>"
                )
            }
            End::Skipped(why) => {
                writeln!(text, ">\n<skipped message=\"{}\"/>\n</testcase>", escaped(why))
            }
        };
    }
    text + "</testsuite>\n</testsuites>\n"
}

/// `text` as XML 1.0 has it, in which most control characters can't be written at all.
fn escaped(text: &str) -> Cow<'_, str> {
    let plain = |letter: char| {
        !matches!(letter, '&' | '<' | '>' | '"' | '\u{fffe}' | '\u{ffff}')
            && (letter >= ' ' || letter == '\n' || letter == '\t')
    };
    if text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => written += "&amp;",
            '<' => written += "&lt;",
            '>' => written += "&gt;",
            '"' => written += "&quot;",
            letter if plain(letter) => written.push(letter),
            _ => written.push(char::REPLACEMENT_CHARACTER),
        }
    }
    Cow::Owned(written)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_end_has_its_element() {
        let entry = |name: &str, end| Told {
            leaks: name.contains("leaky"),
            name: name.to_owned(),
            took: Duration::from_millis(1204),
            end,
            output: String::new(),
            notes: Vec::new(),
        };
        let entries = [
            entry("clean", End::Passed),
            entry("sub/<leaky>", End::Failed("1 \"traceback\" & more\n\u{1b}[0m".into())),
            entry("typo", End::Failed("unknown key".into())),
            entry("late", End::Skipped("another failed".into())),
        ];
        let expected = "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites>
<testsuite name=\"leaks\" package=\"leaks\" id=\"0\" tests=\"4\" failures=\"2\" errors=\"0\" skipped=\"1\">
<testcase classname=\"leaks\" name=\"clean\" time=\"1.204\"/>
<testcase classname=\"leaks\" name=\"sub/&lt;leaky&gt;\" time=\"1.204\">
<failure type=\"leak\" message=\"1 &quot;traceback&quot; &amp; more\">1 &quot;traceback&quot; &amp; more
\u{fffd}[0m</failure>
</testcase>
<testcase classname=\"leaks\" name=\"typo\" time=\"1.204\">
<failure type=\"failure\" message=\"unknown key\">unknown key</failure>
</testcase>
<testcase classname=\"leaks\" name=\"late\" time=\"1.204\">
<skipped message=\"another failed\"/>
</testcase>
</testsuite>
</testsuites>
";
        assert_eq!(document(&entries), expected);
    }
}
