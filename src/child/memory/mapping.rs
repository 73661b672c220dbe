//! The lines of `/proc/PID/maps` (proc_pid_maps(5)).

/// Views of files up to this many bytes are searched whole, as far as what they show may have been
/// written through another view: what was never touched through this one is not in its page table.
const WHOLE: u64 = 1 << 20;

/// What of a part of a child's addresses may hold pointers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Searched {
    /// Nothing: a device, a ledger, or nobody can have written there.
    Nothing,
    /// The pages of a file that the process has copied to write to them, and may have made read-only
    /// since. The others are as the file is, the code of all libraries among them.
    Copied,
    /// The pages that it has touched.
    Touched,
    /// All.
    Whole,
}

/// A part of a child's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::child) struct Mapping {
    pub(in crate::child) start: u64,
    pub(in crate::child) end: u64,
    /// Where in its file it starts.
    pub(in crate::child) offset: u64,
    /// What of it may hold pointers.
    pub(super) searched: Searched,
    /// It may be executed.
    pub(super) is_code: bool,
    /// The process made it for itself: private, writable, of no file.
    pub(super) is_own: bool,
    /// Its file, or the kernel's word for it; empty where nobody has named it.
    pub(in crate::child) name: String,
}

impl Mapping {
    /// Reads a line.
    pub(in crate::child) fn read(line: &str) -> Option<Self> {
        // One space between two fields, and more only before the name.
        let mut fields = line.splitn(6, ' ');
        let mut field = || fields.next().unwrap_or_default();
        let (start, end) = field().split_once('-')?;
        let (permissions, offset) = (field(), field());
        let (_device, _inode) = (field(), field());
        let name = field().trim_start();
        let is_anonymous = name.is_empty() || name.starts_with("[anon") || name == "[heap]";
        let is_private = permissions.starts_with("rw") && permissions.ends_with('p');
        let number = |text| u64::from_str_radix(text, 16).ok();
        let (start, end) = (number(start)?, number(end)?);
        Some(Self {
            start,
            end,
            offset: number(offset)?,
            searched: searched(permissions, name, end.saturating_sub(start)),
            is_code: permissions.contains('x'),
            is_own: is_anonymous && is_private,
            name: name.to_owned(),
        })
    }

    /// What of it is neither in `[heap.0, heap.1)` nor in what is `apart`.
    pub(super) fn without(&self, heap: (u64, u64), apart: &[(u64, u64)]) -> Vec<(u64, u64)> {
        without((self.start, self.end), std::iter::once(&heap).chain(apart))
    }

    /// Whether `address` is in it.
    pub(in crate::child) fn has(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }
}

/// What of `range` is in none of `cuts`.
pub(super) fn without<'a>(
    range: (u64, u64),
    cuts: impl Iterator<Item = &'a (u64, u64)>,
) -> Vec<(u64, u64)> {
    let mut parts = vec![range];
    for cut in cuts.filter(|cut| cut.0 < cut.1) {
        let left = |(start, end): (u64, u64)| {
            let (below, above) = ((start, end.min(cut.0)), (start.max(cut.1), end));
            [below, above].into_iter().filter(|(start, end)| start < end)
        };
        parts = parts.into_iter().flat_map(left).collect();
    }
    parts
}

/// What is searched of `len` bytes that the kernel calls `name`.
fn searched(permissions: &str, name: &str, len: u64) -> Searched {
    if is_device(name) || name.starts_with("/memfd:leaksnap-ledger") {
        return Searched::Nothing;
    }
    let is_writable = permissions.starts_with("rw");
    let is_readable = permissions.starts_with('r');
    if !name.starts_with('/') {
        let is_sealed =
            permissions.starts_with("r-") && (name.is_empty() || name.starts_with("[anon"));
        return if is_writable || is_sealed { Searched::Touched } else { Searched::Nothing };
    }
    if permissions.ends_with('s') || is_readable && is_in_memory(name, permissions) {
        return match is_readable {
            true if len <= WHOLE => Searched::Whole,
            true => Searched::Touched,
            false => Searched::Nothing,
        };
    }
    if is_writable { Searched::Touched } else { Searched::Copied }
}

/// Whether reading there may do something. Anonymous memory that is shared has the name of a file that
/// was never there.
fn is_device(name: &str) -> bool {
    let is_memory =
        name.starts_with("/dev/shm/") || name.trim_end_matches(" (deleted)") == "/dev/zero";
    ["/dev/", "/sys/", "/proc/"].iter().any(|folder| name.starts_with(folder)) && !is_memory
}

/// Whether a file is one that programs make for themselves, and no code.
fn is_in_memory(name: &str, permissions: &str) -> bool {
    let is_made = name.starts_with("/memfd:")
        || name.starts_with("/dev/shm/")
        || name.ends_with(" (deleted)");
    is_made && !permissions.contains('x')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps_are_chosen_by_what_they_may_hold() {
        let read = |line: &str| Mapping::read(line).expect("it is a line");
        let anonymous = read("7f00-8000 rw-p 00000000 00:00 0 ");
        let expected = Mapping {
            start: 0x7f00,
            end: 0x8000,
            offset: 0,
            searched: Searched::Touched,
            is_code: false,
            is_own: true,
            name: String::new(),
        };
        assert_eq!(anonymous, expected);
        let code = read("7f00-8000 r-xp 00001000 08:01 12      /lib/a b.so (deleted)");
        let name = "/lib/a b.so (deleted)".to_owned();
        let expected = Mapping {
            offset: 0x1000,
            searched: Searched::Copied,
            is_code: true,
            is_own: false,
            name,
            ..expected
        };
        assert_eq!(code, expected);
        assert_eq!(Mapping::read(""), None);
    }

    #[test]
    fn what_is_searched_is_what_the_process_may_have_written() {
        let cases = [
            ("rw-s", "/dev/dri/card0", Searched::Nothing),
            ("r--s", "/sys/devices/pci0000:00/resource0", Searched::Nothing),
            ("rw-s", "/memfd:leaksnap-ledger (deleted)", Searched::Nothing),
            ("r-xp", "[vdso]", Searched::Nothing),
            ("---p", "", Searched::Nothing),
            ("r--s", "anon_inode:[perf_event]", Searched::Nothing),
            ("r--p", "", Searched::Touched),
            ("rw-p", "[stack]", Searched::Touched),
            ("rw-p", "/lib/a.so", Searched::Touched),
            ("r--p", "/lib/a.so", Searched::Copied),
            ("---p", "/lib/a.so", Searched::Copied),
            ("r--s", "/usr/share/a", Searched::Whole),
            ("-w-s", "/usr/share/a", Searched::Nothing),
            ("rw-s", "/dev/zero", Searched::Whole),
            ("rw-s", "/dev/zero (deleted)", Searched::Whole),
            ("rw-s", "/dev/shm/pool (deleted)", Searched::Whole),
            ("r--p", "/memfd:pool (deleted)", Searched::Whole),
        ];
        for (permissions, name, expected) in cases {
            assert_eq!(searched(permissions, name, WHOLE), expected, "{permissions} {name}");
        }
        // What is large is not read for what nobody may have touched.
        assert_eq!(searched("r--s", "/usr/share/a", WHOLE + 1), Searched::Touched);
    }

    fn mapping(start: u64, end: u64) -> Mapping {
        let (searched, name) = (Searched::Touched, String::new());
        Mapping { start, end, offset: 0, searched, is_code: false, is_own: true, name }
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
