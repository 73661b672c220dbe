//! What is said of memory that the preload heap does not see: an allocator of the program's own keeps a
//! check from being one, memory that may be such an allocator's is worth a note.

use super::Problem;
use crate::child::unseen::Unseen;
use crate::report::Report;

/// That neither the program nor a library of its has an allocator of its own, as far as their files tell.
pub(super) fn allocator(unseen: &Unseen) -> Result<(), Problem> {
    if let Some(symbol) = &unseen.allocator {
        return Err(Problem::NotChecked(format!(
            "the program has an allocator of its own, `{symbol}`, whose blocks the preload heap does \
             not see"
        )));
    }
    if let Some((name, symbol)) = &unseen.plugin {
        return Err(Problem::NotChecked(format!(
            "the plugin `{name}` has an allocator of its own, `{symbol}`, whose blocks the preload heap \
             does not see"
        )));
    }
    if let Some(name) = &unseen.libraries.malloc {
        return Err(Problem::NotChecked(format!(
            "the library `{name}` calls a `malloc` of its own (hidden, or bound by -Bsymbolic), whose \
             blocks the preload heap does not see"
        )));
    }
    match &unseen.libraries.operators {
        None => Ok(()),
        Some(name) => Err(Problem::NotChecked(format!(
            "`operator new` is that of another allocator, `{name}`, behind the preload heap's malloc"
        ))),
    }
}

/// Adds to `report` what it has to say of that.
pub(super) fn tell(unseen: &Unseen, report: &mut Report) {
    report.tracing.complete &= allocator(unseen).is_ok();
    report.notes.extend(note(unseen));
}

/// What a reader should know of memory that nobody looked into; none where it is known whose it is.
fn note(unseen: &Unseen) -> Option<String> {
    let is_told = unseen.bytes == 0 || allocator(unseen).is_err();
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
    use crate::child::unseen::Apart;

    #[test]
    fn what_is_known_to_be_an_allocator_is_no_note() {
        let of = |allocator: Option<&str>, bytes| {
            let allocator = allocator.map(str::to_owned);
            let unseen = Unseen { allocator, bytes, ..Unseen::default() };
            (self::allocator(&unseen).is_ok(), note(&unseen))
        };
        assert_eq!(of(None, 0), (true, None));
        assert_eq!(of(Some("mi_malloc"), 12 << 20), (false, None));
        let name = || Some("liba.so".to_owned());
        for libraries in [
            Apart { malloc: name(), ..Apart::default() },
            Apart { operators: name(), ..Apart::default() },
        ] {
            let unseen = Unseen { libraries, bytes: 12 << 20, ..Unseen::default() };
            assert!(self::allocator(&unseen).is_err() && note(&unseen).is_none());
        }
        let text = "mappings of the program's own hold 12 MiB; what an allocator of its own hands \
                    out of them is not seen";
        assert_eq!(of(None, (13 << 20) - 1), (true, Some(text.to_owned())));
    }
}
