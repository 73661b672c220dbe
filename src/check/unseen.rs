//! What is said of memory that the preload heap does not see: an allocator of the program's own keeps a
//! check from being one, memory that may be such an allocator's is worth a note.

use super::Problem;
use crate::child::unseen::Unseen;
use crate::report::Report;

/// That the program has no allocator of its own, as far as its file tells.
pub(super) fn allocator(unseen: &Unseen) -> Result<(), Problem> {
    match &unseen.allocator {
        None => Ok(()),
        Some(symbol) => Err(Problem::NotChecked(format!(
            "the program has an allocator of its own, `{symbol}`, whose blocks the preload heap does \
             not see"
        ))),
    }
}

/// Adds to `report` what it has to say of that.
pub(super) fn tell(unseen: &Unseen, report: &mut Report) {
    report.tracing.complete &= unseen.allocator.is_none();
    report.notes.extend(note(unseen));
}

/// What a reader should know of memory that nobody looked into; none where it is known whose it is.
fn note(unseen: &Unseen) -> Option<String> {
    let is_told = unseen.bytes == 0 || unseen.allocator.is_some();
    let megabytes = unseen.bytes >> 20;
    (!is_told).then(|| {
        format!(
            "mappings of the program's own hold {megabytes} MiB; what an allocator of its own hands out \
             of them is not seen"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_to_be_an_allocator_is_no_note() {
        let of = |allocator: Option<&str>, bytes| {
            let unseen = Unseen { allocator: allocator.map(str::to_owned), bytes };
            (self::allocator(&unseen).is_ok(), note(&unseen))
        };
        assert_eq!(of(None, 0), (true, None));
        assert_eq!(of(Some("mi_malloc"), 12 << 20), (false, None));
        let text = "mappings of the program's own hold 12 MiB; what an allocator of its own hands \
                    out of them is not seen";
        assert_eq!(of(None, (13 << 20) - 1), (true, Some(text.to_owned())));
    }
}
