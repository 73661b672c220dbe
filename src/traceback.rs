//! Tracebacks: from the frames of a backtrace to what people read and what groups.
//!
//! [`RULES`] is ordered and append-only: snapshots that are accepted were made by the rules of
//! their day, and a new rule at the end changes the fewest of them. Each has a file of cases of
//! its own in `cases/`.
//!
//! ```text
//!   innermost   malloc            allocation plumbing        dropped
//!               CRYPTO_zalloc     what the program did       kept
//!               test_crypto
//!               leaksnap::…       the host                   cut, with all below
//!   outermost   _start            start-up, runtime          dropped
//! ```
//!
//! Invariant: a traceback has at least one frame; when a rule would leave none, the innermost
//! frame of the backtrace stays.

pub(crate) mod recursion;

use std::ops::Range;

use crate::report::Frame;

/// One step of the normalization.
struct Rule {
    name: &'static str,
    /// How many frames are left out at the inner and the outer end.
    excess: fn(&[&Frame], host: Option<&str>) -> (usize, usize),
}

const RULES: [Rule; 9] = [
    Rule { name: "allocation-plumbing", excess: allocation_plumbing },
    Rule { name: "host", excess: host_frames },
    Rule { name: "start-up", excess: start_up },
    Rule { name: "rust-main", excess: rust_main },
    Rule { name: "rust-runtime", excess: rust_runtime },
    Rule { name: "libc-start", excess: libc_start },
    Rule { name: "cpp-allocators", excess: cpp_allocators },
    Rule { name: "cpp-threads", excess: cpp_threads },
    Rule { name: "loader", excess: loader },
];

/// Which of `frames`, innermost first, are the traceback. `host` is the base name of the executable
/// whose frames end it, where one ran the steps.
pub(crate) fn kept(frames: &[&Frame], host: Option<&str>) -> Range<usize> {
    kept_by(&RULES, frames, host)
}

fn kept_by(rules: &[Rule], frames: &[&Frame], host: Option<&str>) -> Range<usize> {
    let mut kept = 0..frames.len();
    for rule in rules {
        let (inner, outer) = (rule.excess)(&frames[kept.clone()], host);
        debug_assert!(inner + outer <= kept.len(), "rule {} drops too much", rule.name);
        if inner + outer >= kept.len() {
            return 0..frames.len().min(1);
        }
        kept = kept.start + inner..kept.end - outer;
    }
    kept
}

/// A frame of which nothing is known.
pub(crate) const GENERATED: &str = "<generated code>";

/// What two tracebacks of one group have in common: offsets count only where no symbol is known.
pub(crate) fn key(frames: &[Frame]) -> Vec<String> {
    frames.iter().map(line).collect()
}

/// One frame as snapshots write it: `function  module  file`, without what is unknown.
pub(crate) fn line(frame: &Frame) -> String {
    match (&frame.function, &frame.module) {
        (Some(function), module) => {
            let file = frame.file.as_deref().map(base_name);
            let module = module.as_deref().map(without_cargo_hash);
            let rest = [module, file].into_iter().flatten();
            rest.fold(function.to_string(), |line, part| line + "  " + part)
        }
        (None, Some(module)) => format!("{}+{:#x}", without_cargo_hash(module), frame.offset),
        (None, None) => GENERATED.to_owned(),
    }
}

/// Cargo puts a hash behind a test executable's name, another one in every profile.
pub(crate) fn without_cargo_hash(module: &str) -> &str {
    const DIGITS: usize = 16;
    match module.rsplit_once('-') {
        Some((name, hash))
            if hash.len() == DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            name
        }
        _ => module,
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn inner(frames: &[&Frame], drops: impl Fn(&Frame) -> bool) -> (usize, usize) {
    (frames.iter().take_while(|frame| drops(frame)).count(), 0)
}

fn outer(frames: &[&Frame], drops: impl Fn(&Frame) -> bool) -> (usize, usize) {
    (0, frames.iter().rev().take_while(|frame| drops(frame)).count())
}

fn starts_with_one_of(frame: &Frame, prefixes: &[&str]) -> bool {
    let function = frame.function.as_deref().unwrap_or_default();
    prefixes.iter().any(|prefix| function.starts_with(prefix))
}

/// The preload heap, Rust's allocator shims, C++'s operators: how memory was asked for, not why.
fn allocation_plumbing(frames: &[&Frame], _: Option<&str>) -> (usize, usize) {
    const FUNCTIONS: [&str; 19] = [
        "__rust_alloc",
        "__rust_realloc",
        "__rustc::__rust_alloc",
        "__rustc::__rust_realloc",
        "__rdl_alloc",
        "__rdl_realloc",
        "__rustc::__rdl_alloc",
        "__rustc::__rdl_realloc",
        "alloc::alloc::",
        "<alloc::alloc::Global",
        "alloc::boxed::",
        "<alloc::boxed::",
        "alloc::raw_vec::",
        "<alloc::raw_vec::",
        "<std::alloc::System",
        "std::alloc::System::",
        "std::sys::alloc::",
        // Also the aligned and the nothrow ones.
        "operator new(",
        "operator new[](",
    ];
    inner(frames, |frame| {
        let module = frame.module.as_deref().unwrap_or_default();
        // An executable can be called leaksnap- as well: cargo names this crate's own tests so.
        let heap = module.ends_with(".so")
            && (module.starts_with("leaksnap-") || module.starts_with(".leaksnap"));
        heap || starts_with_one_of(frame, &FUNCTIONS)
    })
}

/// The host, and everything that called it.
fn host_frames(frames: &[&Frame], host: Option<&str>) -> (usize, usize) {
    let first = frames.iter().position(|frame| {
        (host.is_some() && frame.module.as_deref() == host)
            || starts_with_one_of(frame, &["leaksnap::", "<leaksnap::"])
    });
    (0, first.map_or(0, |first| frames.len() - first))
}

/// How libc starts programs and threads.
fn start_up(frames: &[&Frame], _: Option<&str>) -> (usize, usize) {
    const FUNCTIONS: [&str; 10] = [
        "__libc_start_main",
        "__libc_start_main_impl",
        "__libc_start_call_main",
        "_start",
        "start_thread",
        "clone3",
        "__clone3",
        "__GI___clone3",
        "clone",
        "__clone",
    ];
    outer(frames, |frame| match (frame.function.as_deref(), frame.module.as_deref()) {
        (Some(function), _) => FUNCTIONS.contains(&function),
        // libc's start_thread is local: without libc's debug symbols it has no name.
        (None, Some(module)) => module == "libc.so.6",
        (None, None) => false,
    })
}

/// The C `main` that rustc writes around Rust's.
fn rust_main(frames: &[&Frame], _: Option<&str>) -> (usize, usize) {
    match frames {
        [.., caller, main]
            if main.function.as_deref() == Some("main")
                && starts_with_one_of(caller, &["std::rt::"]) =>
        {
            (0, 1)
        }
        _ => (0, 0),
    }
}

/// How Rust calls `main`, threads and closures.
fn rust_runtime(frames: &[&Frame], _: Option<&str>) -> (usize, usize) {
    const FUNCTIONS: [&str; 11] = [
        "std::panicking::",
        "std::panic::",
        "__rust_try",
        "core::ops::function::",
        "std::rt::",
        "std::thread::",
        "<std::thread::",
        "std::sys::",
        "<std::sys::",
        "core::panic::unwind_safe",
        "<core::panic::unwind_safe",
    ];
    outer(frames, |frame| {
        let function = frame.function.as_deref().unwrap_or_default();
        starts_with_one_of(frame, &FUNCTIONS) || function.contains(" as core::ops::function::Fn")
    })
}

/// What libc's start function called `main` from: in a stripped program its caller, `_start`, has
/// no name that the start-up rule could know.
fn libc_start(frames: &[&Frame], _: Option<&str>) -> (usize, usize) {
    const FUNCTIONS: [&str; 3] =
        ["__libc_start_call_main", "__libc_start_main", "__libc_start_main_impl"];
    let start = frames.iter().position(|frame| {
        frame.function.as_deref().is_some_and(|function| FUNCTIONS.contains(&function))
    });
    (0, start.map_or(0, |start| frames.len() - start))
}

/// The allocators of C++'s standard libraries, inlined by one compiler and called by the next.
fn cpp_allocators(frames: &[&Frame], _: Option<&str>) -> (usize, usize) {
    const FUNCTIONS: [&str; 8] = [
        "std::__new_allocator<",
        "std::allocator<",
        "std::allocator_traits<",
        // libstdc++ 11 and before.
        "__gnu_cxx::new_allocator<",
        // libc++.
        "std::__1::allocator<",
        "std::__1::allocator_traits<",
        "std::__1::__libcpp_allocate",
        "void* std::__1::__libcpp_operator_new<",
    ];
    const VECTOR: [&str; 2] = ["std::_Vector_base<", ">::_M_allocate("];
    inner(frames, |frame| {
        let function = frame.function.as_deref().unwrap_or_default();
        starts_with_one_of(frame, &FUNCTIONS)
            || (function.starts_with(VECTOR[0]) && function.contains(VECTOR[1]))
    })
}

/// How C++'s standard libraries start a thread.
fn cpp_threads(frames: &[&Frame], _: Option<&str>) -> (usize, usize) {
    const CALLS: [&str; 6] = [
        "std::thread::_",
        "std::__invoke<",
        "std::__invoke_impl<",
        "std::__1::__invoke<",
        "std::__1::__thread_execute<",
        "std::__1::__thread_proxy<",
    ];
    const FILES: [&str; 2] = ["/bits/invoke.h", "/bits/std_thread.h"];
    let calls = |frame: &Frame| {
        let function = frame.function.as_deref().unwrap_or_default();
        let file = frame.file.as_deref().unwrap_or_default();
        // Templates have what they return in front.
        let called =
            |call: &&str| function.starts_with(*call) || function.contains(&format!(" {call}"));
        CALLS.iter().any(called) || FILES.iter().any(|end| file.ends_with(end))
    };
    let Some((last, _)) = frames.split_last() else { return (0, 0) };
    let first = last.function.as_deref();
    let libstdcpp = last.module.as_deref() == Some("libstdc++.so.6")
        && first.is_none_or(|name| name == "execute_native_thread_routine");
    let libcpp = first.is_some_and(|name| name.starts_with("void* std::__1::__thread_proxy<"));
    match (libstdcpp, libcpp) {
        (true, _) => (0, 1 + outer(&frames[..frames.len() - 1], calls).1),
        (false, true) => outer(frames, calls),
        (false, false) => (0, 0),
    }
}

/// How the loader, and libc for the program's own file, call constructors.
fn loader(frames: &[&Frame], _: Option<&str>) -> (usize, usize) {
    outer(frames, |frame| match (frame.module.as_deref(), frame.function.as_deref()) {
        (Some("libc.so.6"), function) => function.is_none_or(|name| name == "call_init"),
        (Some(module), _) => module.starts_with("ld-linux-"),
        (None, _) => false,
    })
}

#[cfg(test)]
mod tests;
