//! Each number of `show memory` against another source: the book that a plugin keeps of its own
//! blocks, and the kernel's `smaps`.

use std::fs;

use harness_tests::console::Console;

use super::place;

/// What a shown number may be off by: half of its last digit, and what the host itself needs.
const ROUNDING: f64 = 0.03;

const MIB: f64 = (1 << 20) as f64;

/// The numbers of `show memory`.
#[derive(Debug, Clone, PartialEq)]
struct Shown {
    base: u64,
    size: String,
    /// page-size, total, mapped, not-mapped, unknown.
    pages: Vec<u64>,
    /// Pages by node, and their bytes as they are shown.
    nodes: Vec<(u64, f64)>,
    /// total, used, free, trimmable, in MiB.
    bytes: Vec<f64>,
    free_chunks: u64,
    /// The high-water mark and its bound, in MiB.
    most: (f64, f64),
    /// Bytes and count of the rows with the book's blocks.
    rows: (u64, u64),
    traced: u64,
}

/// `4.00G`, `39.26M` and so on in MiB.
fn mebibytes(text: &str) -> f64 {
    let (digits, factor) = match text.trim_end_matches(" bytes").to_uppercase() {
        text if text.ends_with('G') => (text, 1024.0),
        text if text.ends_with('M') => (text, 1.0),
        text if text.ends_with('K') => (text, 1.0 / 1024.0),
        text => (text, 1.0 / MIB),
    };
    let digits: f64 = digits.trim_end_matches(['G', 'M', 'K']).parse().expect("a number");
    digits * factor
}

fn number(text: &str) -> u64 {
    text.trim().trim_end_matches('K').parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

/// What `text`, a part of a line, has behind each of `names`, up to the next comma.
fn fields<'a>(text: &'a str, names: &[&str]) -> Vec<&'a str> {
    let behind = |name: &&str| {
        let part = text.split(", ").find_map(|part| part.trim().strip_prefix(*name));
        part.unwrap_or_else(|| panic!("no {name} in {text}")).trim()
    };
    names.iter().map(behind).collect()
}

fn show(console: &mut Console) -> Shown {
    let text = console.ask("show memory main-heap verbose");
    let line = |start: &str| {
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix(start));
        line.unwrap_or_else(|| panic!("no line with {start} in {text}"))
    };
    let heap = fields(&text.lines().nth(1).expect("two lines")[2..], &["base 0x", "size "]);
    let pages = fields(
        line("page stats: "),
        &["page-size ", "total ", "mapped ", "not-mapped ", "unknown "],
    );
    let nodes = text.lines().filter_map(|line| line.trim_start().strip_prefix("numa "));
    let nodes = nodes.map(|line| {
        let (_, rest) = line.split_once(": ").expect("a node");
        let (pages, bytes) = rest.split_once(" pages, ").expect("pages");
        (number(pages), mebibytes(bytes))
    });
    let bytes = format!("total: {}", line("total: "));
    let bytes = fields(&bytes, &["total: ", "used: ", "free: ", "trimmable: "]);
    let most = line("max traced ");
    let (most, within) = most.split_once(", give or take ").unwrap_or((most, "0"));
    let rows = text.lines().filter(|line| line.contains(" make_block + 0x"));
    let rows = rows.map(|line| {
        let mut numbers = line.split_whitespace().map(number);
        (numbers.next().expect("bytes"), numbers.next().expect("a count"))
    });
    Shown {
        base: u64::from_str_radix(heap[0], 16).expect("an address"),
        size: heap[1].to_owned(),
        pages: pages.into_iter().map(number).collect(),
        nodes: nodes.collect(),
        bytes: bytes.into_iter().map(mebibytes).collect(),
        free_chunks: number(line("free chunks ")),
        most: (mebibytes(most), mebibytes(within)),
        rows: rows.fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1)),
        traced: number(
            text.lines().last().and_then(|line| line.split(' ').next()).expect("a line"),
        ),
    }
}

/// Size and resident bytes of the mapping of `pid` at `base`, as `smaps` has them.
fn smaps(pid: u32, base: u64) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps")).expect("its maps");
    let at = text.find(&format!("{base:x}-")).expect("the heap is a mapping by itself");
    let field = |name: &str| {
        let line = text[at..].lines().find_map(|line| line.strip_prefix(name));
        number(line.expect("a field").trim().trim_end_matches(" kB")) << 10
    };
    (field("Size:"), field("Rss:"))
}

/// The numbers in a line of the book.
fn book(text: &str, start: &str) -> Vec<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(start));
    let line = line.unwrap_or_else(|| panic!("no {start} in {text}"));
    let numbers = line.split(|letter: char| !letter.is_ascii_digit());
    numbers.filter(|digits| !digits.is_empty()).map(number).collect()
}

#[track_caller]
fn about(shown: f64, expected: f64, within: f64) {
    assert!((shown - expected).abs() <= within, "{shown} is shown, it is {expected} ± {within}");
}

#[track_caller]
fn check(threads: u32) {
    let place = place(&["keeps_books"]);
    let mut console = Console::start(&mut place.command([
        "console",
        "--heap",
        "1g",
        "--plugin",
        "./keeps_books.so",
    ]));
    let _ = console.ask("memory-trace on main-heap");
    let before = show(&mut console);
    assert_eq!((before.rows, before.traced), ((0, 0), 0));

    let text = console.ask(&format!("book {threads}"));
    let (most, left) = (book(&text, "at most: ")[0], book(&text, "left: "));
    let after = show(&mut console);
    let (size, resident) = smaps(console.host(), after.base);

    // The region and its pages: the kernel's own numbers.
    assert_eq!((after.size.as_str(), size), ("1g", 1 << 30));
    let [page_size, total, mapped, not_mapped, unknown] = after.pages[..] else { panic!() };
    assert_eq!((page_size, total, unknown), (4, (1 << 30) / 4096, 0));
    assert_eq!((mapped, not_mapped), (resident / 4096, total - resident / 4096));
    if !after.nodes.is_empty() {
        assert_eq!(after.nodes.iter().map(|(pages, _)| pages).sum::<u64>(), mapped);
        about(after.nodes.iter().map(|(_, bytes)| bytes).sum(), resident as f64 / MIB, ROUNDING);
    }
    assert!(resident >= most, "all was written to");

    // What is live: the book.
    assert_eq!((after.rows, after.traced), ((left[1], left[0]), left[0]));
    let (count, bytes) = (left[0] as f64, left[1] as f64 / MIB);
    let [whole, used, free, trimmable] = after.bytes[..] else { panic!() };
    about(whole, 1024.0, 0.0);
    about(used - before.bytes[1], bytes, ROUNDING);
    about(used + free, whole, ROUNDING);
    let chunks = (after.free_chunks - before.free_chunks) as f64;
    about(chunks, count, count / 50.0);

    // The most at a time: the book, and nothing of the host's own.
    let (shown, within) = after.most;
    assert_eq!(before.most, (0.0, 0.0), "nothing was traced");
    about(within, f64::from(threads + 1) * 64.0 / 1024.0, 0.0);
    about(shown, most as f64 / MIB, ROUNDING + within);

    // What mimalloc can give back: what is not in pages, and a page has blocks of one size.
    let taken = before.bytes[3] - trimmable;
    let at_most = most as f64 / MIB;
    assert!((at_most..at_most * 1.25).contains(&taken), "{taken} of {at_most} MiB");

    let text = console.ask("half book");
    let half = book(&text, "left: ");
    let halved = show(&mut console);
    assert_eq!((halved.rows, halved.traced), ((half[1], half[0]), half[0]));
    about(halved.bytes[1] - before.bytes[1], half[1] as f64 / MIB, ROUNDING);
    let more = (halved.free_chunks - after.free_chunks) as f64;
    about(more, (left[0] - half[0]) as f64, count / 50.0);
    assert_eq!(halved.most, after.most, "a high-water mark stays");

    let _ = console.ask("clear book");
    let cleared = show(&mut console);
    assert_eq!((cleared.rows, cleared.traced), ((0, 0), 0));
    about(cleared.bytes[1], before.bytes[1], ROUNDING);
    about(cleared.bytes[3], before.bytes[3], at_most / 50.0);
    assert_eq!(cleared.most, after.most);
    assert_eq!(console.end(), (Some(0), String::new()));
}

#[test]
fn the_numbers_of_one_thread_s_book() {
    check(1);
}

#[test]
fn the_numbers_of_two_threads_book() {
    check(2);
}

#[test]
fn the_numbers_of_eight_threads_book() {
    check(8);
}

#[test]
fn what_is_mapped_is_what_the_kernel_says() {
    let place = place(&[]);
    let mut console = Console::start(&mut place.command(["console"]));
    let shown = console.ask("show memory map");
    let maps = fs::read_to_string(format!("/proc/{}/maps", console.host())).expect("its maps");
    let lines: Vec<_> = shown.lines().skip(1).collect();
    assert_eq!(lines.len(), maps.lines().count(), "{shown}\n{maps}");
    for (line, map) in lines.iter().zip(maps.lines()) {
        let columns: Vec<_> = line.split_whitespace().collect();
        let range = map.split(' ').next().and_then(|range| range.split_once('-'));
        let address = |text| u64::from_str_radix(text, 16).expect("an address");
        let (start, end) = range.map(|(start, end)| (address(start), address(end))).expect("two");
        assert_eq!(address(&columns[0][2..]), start, "{line}\n{map}");
        let pages: Vec<u64> = columns[3..6].iter().map(|column| number(column)).collect();
        assert_eq!((pages[0], pages[1] + pages[2]), ((end - start) / 4096, pages[0]), "{line}");
        let name = map.split_whitespace().nth(5).unwrap_or_default();
        assert!(line.contains(name), "{line}\n{map}");
    }
    assert!(shown.contains("[stack]") && shown.contains("libc.so.6"), "{shown}");
    assert_eq!(console.end(), (Some(0), String::new()));
}
