//! What `show memory map` lays out as VPP does: what is mapped in the host, and what of it is in memory.

use std::fmt::Write as _;

use super::Trouble;
use super::host::trouble;
use crate::check::Problem;
use crate::child::pages;
use crate::report::heap::{amount, whole};

/// The mappings of the process `pid`, a line each.
pub(super) fn write(pid: u32) -> Result<String, Trouble> {
    let mappings = pages::mappings(pid).map_err(|error| {
        trouble(&Problem::NotChecked(format!("read the host's mappings: {error}")))
    })?;
    let mut text = "StartAddr          Size PageSz    Pages   Mapped   NotMap Name\n".to_owned();
    for mapping in mappings {
        let page = mapping.page_size.max(1);
        let size = mapping.end.saturating_sub(mapping.start);
        let (pages, mapped) = (size / page, mapping.resident / page);
        // Writing to a String can't fail.
        let _ = writeln!(
            text,
            "{:#014x} {:>8} {:>6} {pages:>8} {mapped:>8} {:>8} {}",
            mapping.start,
            amount(size),
            whole(page),
            pages.saturating_sub(mapped),
            mapping.name
        );
    }
    Ok(text)
}
