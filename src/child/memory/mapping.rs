//! The lines of `/proc/PID/maps` (proc_pid_maps(5)).

/// A part of a child's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Where in its file it starts.
    pub(super) offset: u64,
    /// It may hold pointers: it is writable, or a program's own that it has made read-only since,
    /// and neither a device nor a ledger.
    pub(super) is_root: bool,
    /// The process made it for itself: private, writable, of no file.
    pub(super) is_own: bool,
    /// Its file, or the kernel's word for it; empty where nobody has named it.
    pub(super) name: String,
}

impl Mapping {
    /// Reads a line.
    pub(super) fn read(line: &str) -> Option<Self> {
        let mut rest = line;
        let mut field = || {
            let (field, behind) = rest.split_once(' ').unwrap_or((rest, ""));
            rest = behind.trim_start();
            field
        };
        let (start, end) = field().split_once('-')?;
        let (permissions, offset) = (field(), field());
        let (_device, _inode) = (field(), field());
        let name = rest;
        // Anonymous memory that is shared has the name of a file that was never there.
        let is_device = name.starts_with("/dev/")
            && !name.starts_with("/dev/shm/")
            && name.trim_end_matches(" (deleted)") != "/dev/zero";
        let is_ledger = name.starts_with("/memfd:leaksnap-ledger");
        let is_sealed =
            permissions.starts_with("r-") && (name.is_empty() || name.starts_with("[anon"));
        let is_data = permissions.starts_with("rw") || is_sealed;
        let is_anonymous = name.is_empty() || name.starts_with("[anon") || name == "[heap]";
        let is_private = permissions.starts_with("rw") && permissions.ends_with('p');
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some(Self {
            start: number(start)?,
            end: number(end)?,
            offset: number(offset)?,
            is_root: is_data && !is_device && !is_ledger,
            is_own: is_anonymous && is_private,
            name: name.to_owned(),
        })
    }

    /// What of it is neither in `[heap.0, heap.1)` nor in what is `apart`.
    pub(super) fn without(&self, heap: (u64, u64), apart: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let mut parts = vec![(self.start, self.end)];
        for cut in std::iter::once(&heap).chain(apart).filter(|cut| cut.0 < cut.1) {
            let left = |(start, end): (u64, u64)| {
                let (below, above) = ((start, end.min(cut.0)), (start.max(cut.1), end));
                [below, above].into_iter().filter(|(start, end)| start < end)
            };
            parts = parts.into_iter().flat_map(left).collect();
        }
        parts
    }

    /// Whether `address` is in it.
    pub(super) fn has(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps_are_chosen_by_what_they_may_hold() {
        let read = |line: &str| {
            let mapping = Mapping::read(line).expect("it is a line");
            (mapping.start, mapping.end, mapping.offset, mapping.is_root, mapping.name)
        };
        let anonymous = "7f00-8000 rw-p 00000000 00:00 0 ";
        assert_eq!(read(anonymous), (0x7f00, 0x8000, 0, true, String::new()));
        let code = "7f00-8000 r-xp 00001000 08:01 12      /lib/a b.so (deleted)";
        let name = "/lib/a b.so (deleted)".to_owned();
        assert_eq!(read(code), (0x7f00, 0x8000, 0x1000, false, name));
        for name in ["/dev/dri/card0", "/memfd:leaksnap-ledger (deleted)"] {
            let line = format!("7f00-8000 rw-s 00000000 00:06 9     {name}");
            assert!(!read(&line).3, "{name}");
        }
        assert!(read("7f00-8000 r--p 00000000 00:00 0 ").3, "it was made read-only");
        for name in ["/dev/zero", "/dev/zero (deleted)", "/dev/shm/pool (deleted)"] {
            assert!(read(&format!("7f00-8000 rw-s 00000000 00:01 9     {name}")).3, "{name}");
        }
        for line in ["r-xp 00000000 00:00 0   [vdso]", "---p 00000000 00:00 0 "] {
            assert!(!read(&format!("7f00-8000 {line}")).3, "{line}");
        }
        assert_eq!(Mapping::read(""), None);
    }

    fn mapping(start: u64, end: u64) -> Mapping {
        Mapping { start, end, offset: 0, is_root: true, is_own: true, name: String::new() }
    }

    #[test]
    fn the_heap_is_cut_out_of_what_the_kernel_merged_with_it() {
        let parts = |start, end| mapping(start, end).without((100, 200), &[]);
        assert_eq!(parts(0, 50), [(0, 50)]);
        assert_eq!(parts(50, 250), [(50, 100), (200, 250)]);
        assert_eq!(parts(100, 200), []);
        assert_eq!(parts(120, 300), [(200, 300)]);
    }

    #[test]
    fn what_the_preload_heap_has_for_itself_is_cut_out_too() {
        let apart = [(0, 0), (250, 260), (10, 20), (400, 500)];
        let parts = mapping(0, 300).without((100, 200), &apart);
        assert_eq!(parts, [(0, 10), (20, 100), (200, 250), (260, 300)]);
    }
}
