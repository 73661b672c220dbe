//! Amounts of memory in words, `1 block, 96 bytes`: the only file that writes or reads them.
//!
//! A [`Rate`] is a count of hundredths, so that what was written is exactly what is read back and
//! compared, whatever the floating-point sum behind it was.

use std::fmt;

use super::Group;

/// A number per iteration, of at most two decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Rate {
    hundredths: u64,
}

impl Rate {
    /// `value`, rounded; 0 for what is no number of blocks.
    pub(crate) fn of(value: f64) -> Self {
        let digits = format!("{value:.2}").replace('.', "");
        Self { hundredths: digits.parse().unwrap_or_default() }
    }

    /// Reads what [`Display`](fmt::Display) writes.
    fn read(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let short = part.len() <= 2 && digits(part) && digits(whole);
        let hundredths = short.then(|| format!("{whole}{part:0<2}").parse().ok())??;
        Some(Self { hundredths }).filter(|rate| rate.to_string() == text)
    }
}

impl serde::Serialize for Rate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.hundredths % 100 {
            0 => serializer.serialize_u64(self.hundredths / 100),
            // What it writes is the shortest decimal that reads back the same.
            _ => serializer.serialize_f64(self.to_string().parse().unwrap_or_default()),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.hundredths / 100, self.hundredths % 100);
        match (part / 10, part % 10) {
            (0, 0) => write!(f, "{whole}"),
            (tenths, 0) => write!(f, "{whole}.{tenths}"),
            _ => write!(f, "{whole}.{part:02}"),
        }
    }
}

/// Blocks and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Amount {
    /// Blocks.
    pub(crate) blocks: Rate,
    /// Their requested bytes.
    pub(crate) bytes: Rate,
}

impl Amount {
    /// What an iteration adds to `group`.
    pub(crate) fn per_iteration(group: &Group) -> Self {
        Self::of(group.blocks_per_iteration, group.bytes_per_iteration)
    }

    /// What of `group` is live.
    pub(crate) fn live(group: &Group) -> Self {
        Self::whole(group.blocks, group.bytes)
    }

    /// `blocks` of together `bytes`.
    pub(crate) fn whole(blocks: u64, bytes: u64) -> Self {
        let whole = |count: u64| Rate { hundredths: count.saturating_mul(100) };
        Self { blocks: whole(blocks), bytes: whole(bytes) }
    }

    /// The sum of what iterations add to `groups`.
    pub(crate) fn sum_per_iteration<'a>(groups: impl Iterator<Item = &'a Group>) -> Self {
        let (blocks, bytes) = groups.fold((0.0, 0.0), |(blocks, bytes), group| {
            (blocks + group.blocks_per_iteration, bytes + group.bytes_per_iteration)
        });
        Self::of(blocks, bytes)
    }

    /// Whether it is as many blocks, and bytes that differ by no more than usable sizes do from run
    /// to run: a heap leaves what is too small for a block with the one in front of it, and a
    /// vector takes what it was given.
    pub(crate) fn is_about(self, other: Self) -> bool {
        const REMAINDER: u64 = 32;
        const PART: u64 = 8;
        let (one, more) = (self.bytes.hundredths, other.bytes.hundredths);
        let allowed = self.blocks.hundredths.saturating_mul(REMAINDER).max(one.min(more) / PART);
        self.blocks == other.blocks && one.abs_diff(more) <= allowed
    }

    fn of(blocks: f64, bytes: f64) -> Self {
        Self { blocks: Rate::of(blocks), bytes: Rate::of(bytes) }
    }

    /// Reads what [`Display`](fmt::Display) writes.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let number = |part: &str| Rate::read(part.split_once(' ')?.0);
        let (blocks, bytes) = text.split_once(", ")?;
        let amount = Self { blocks: number(blocks)?, bytes: number(bytes)? };
        (amount.to_string() == text).then_some(amount)
    }
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        let add = |rate: &mut Rate, more: Rate| {
            rate.hundredths = rate.hundredths.saturating_add(more.hundredths);
        };
        add(&mut self.blocks, other.blocks);
        add(&mut self.bytes, other.bytes);
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |rate: Rate| if rate.hundredths == 100 { "" } else { "s" };
        let Self { blocks, bytes } = *self;
        write!(f, "{blocks} block{}, {bytes} byte{}", plural(blocks), plural(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_at_most_two_decimals() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (0.125 * 8.0, "1"),
            (0.5, "0.5"),
            (192.0 / 7.0, "27.43"),
            (1.0 / 3.0, "0.33"),
            (0.999, "1"),
            (0.004, "0"),
            (0.05, "0.05"),
            (1e6, "1000000"),
            (-1.0, "0"),
            (f64::NAN, "0"),
        ];
        for (value, expected) in cases {
            assert_eq!(Rate::of(value).to_string(), expected, "of {value}");
            assert_eq!(Rate::read(expected), Some(Rate::of(value)), "of {value}");
        }
    }

    #[test]
    fn noise_of_sums_is_no_difference() {
        assert_eq!(Rate::of(0.1 + 0.2), Rate::of(0.3));
    }

    #[test]
    fn amounts_have_plurals_and_read_back() {
        let cases = [
            (1.0, 96.0, "1 block, 96 bytes"),
            (2.0, 1.0, "2 blocks, 1 byte"),
            (0.0, 27.43, "0 blocks, 27.43 bytes"),
            (0.5, 0.0, "0.5 blocks, 0 bytes"),
        ];
        for (blocks, bytes, expected) in cases {
            let amount = Amount::of(blocks, bytes);
            assert_eq!(amount.to_string(), expected);
            assert_eq!(Amount::read(expected), Some(amount));
        }
    }

    #[test]
    fn usable_sizes_are_about_the_same() {
        let one = |bytes| Amount::of(1.0, bytes);
        for (accepted, found) in [(2349.34, 2300.8), (24.0, 56.0), (800.0, 900.0), (7.0, 7.0)] {
            assert!(one(accepted).is_about(one(found)), "{accepted} and {found}");
            assert!(one(found).is_about(one(accepted)), "{found} and {accepted}");
        }
        for (accepted, found) in [(24.0, 56.01), (800.0, 900.01), (104.0, 208.0)] {
            assert!(!one(accepted).is_about(one(found)), "{accepted} and {found}");
            assert!(!one(found).is_about(one(accepted)), "{found} and {accepted}");
        }
        assert!(!Amount::of(2.0, 24.0).is_about(one(24.0)), "a block more is one more");
        assert!(Amount::of(2.0, 48.0).is_about(Amount::of(2.0, 112.0)), "each has a remainder");
    }

    #[test]
    fn nothing_else_is_an_amount() {
        for text in [
            "",
            "1 block",
            "1 blocks, 1 bytes",
            "1 block, 96 bytes ",
            "01 block, 96 bytes",
            "1.0 block, 96 bytes",
            "1.125 blocks, 96 bytes",
            "-1 blocks, 96 bytes",
            "+1 block, 96 bytes",
            ". blocks, 96 bytes",
        ] {
            assert_eq!(Amount::read(text), None, "of {text:?}");
        }
    }
}
