//! Durations and sizes as a scenario writes them: a whole number and a unit, `"60s"`, `"512m"`.
//!
//! An error is the fragment that follows the key's name.

use std::time::Duration;

/// The smallest heap: below it mimalloc's own bookkeeping takes a visible share.
const MIN_HEAP: u64 = 32 << 20;

/// The largest heap.
const MAX_HEAP: u64 = 64 << 30;

/// Reads `500ms`, `60s` or `2m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("is \"{text}\"; write a number and ms, s or m, such as \"60s\"");
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return Err(wrong()),
    };
    match number.checked_mul(factor).ok_or_else(wrong)? {
        0 => Err(format!("is \"{text}\"; it has to be longer than nothing")),
        milliseconds => Ok(Duration::from_millis(milliseconds)),
    }
}

/// Reads a heap's bytes from `65536k`, `512m` or `4g`; the units are powers of 1024.
pub(crate) fn heap(text: &str) -> Result<u64, String> {
    let wrong = || format!("is \"{text}\"; write a number and k, m or g, such as \"512m\"");
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let factor = match unit {
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return Err(wrong()),
    };
    // A number that wraps is certainly too large.
    match number.saturating_mul(factor) {
        bytes @ MIN_HEAP..=MAX_HEAP => Ok(bytes),
        _ => Err(format!("is \"{text}\"; it has to be from 32m to 64g")),
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("0s"), Err("is \"0s\"; it has to be longer than nothing".to_owned()));
    }

    #[test]
    fn what_is_no_duration() {
        for text in ["", "60", "s", "1.5s", "-1s", "60 s", "60S", "2h", "99999999999999999m"] {
            assert_eq!(
                duration(text),
                Err(format!("is \"{text}\"; write a number and ms, s or m, such as \"60s\""))
            );
        }
    }

    #[test]
    fn heaps() {
        assert_eq!(heap("32m"), Ok(32 << 20));
        assert_eq!(heap("65536k"), Ok(64 << 20));
        assert_eq!(heap("64g"), Ok(64 << 30));
        for text in ["64k", "31m", "65g", "0g", "18446744073709551615g"] {
            let error = format!("is \"{text}\"; it has to be from 32m to 64g");
            assert_eq!(heap(text), Err(error));
        }
    }

    #[test]
    fn what_is_no_heap() {
        for text in ["", "512", "m", "512M", "512mb", "-1g", "0.5g", "18446744073709551616g"] {
            let error = format!("is \"{text}\"; write a number and k, m or g, such as \"512m\"");
            assert_eq!(heap(text), Err(error));
        }
    }
}
