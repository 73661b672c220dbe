//! A case for each rule, and what a line of a traceback says.

use super::*;

/// Frames from `function@module`; a module alone is written `@module+offset`.
fn frames(list: &[&str]) -> Vec<Frame> {
    let frame = |text: &&str| {
        let (function, module) = text.split_once('@').unwrap_or((text, ""));
        let offset = module.rsplit_once('+').and_then(|(_, digits)| digits.parse().ok());
        let module =
            if offset.is_some() { module.rsplit_once('+').unwrap_or_default().0 } else { module };
        Frame {
            function: Some(function).filter(|name| !name.is_empty()).map(Into::into),
            module: Some(module).filter(|name| !name.is_empty()).map(Into::into),
            offset: offset.unwrap_or(7),
            file: None,
            line: None,
            inlined: false,
        }
    };
    list.iter().map(frame).collect()
}

fn normalize_by(rules: &[Rule], frames: &[Frame], host: Option<&str>) -> Vec<Frame> {
    let kept = kept_by(rules, &frames.iter().collect::<Vec<_>>(), host);
    frames[kept].to_vec()
}

fn normalize(frames: Vec<Frame>, host: Option<&str>) -> Vec<Frame> {
    normalize_by(&RULES, &frames, host)
}

/// Applies the rule of this name alone.
fn apply(name: &str, list: &[&str], host: Option<&str>) -> Vec<String> {
    let rule = RULES.iter().position(|rule| rule.name == name).expect("the rule is there");
    key(&normalize_by(&RULES[rule..=rule], &frames(list), host))
}

#[test]
fn the_preload_heap_is_plumbing_and_wrappers_are_not() {
    let list = ["malloc@leaksnap-0123.so", "CRYPTO_malloc@libcrypto.so.3", "CRYPTO_zalloc"];
    assert_eq!(
        apply("allocation-plumbing", &list, None),
        ["CRYPTO_malloc  libcrypto.so.3", "CRYPTO_zalloc"]
    );
    let list = ["realloc@.leaksnap-0123.so", "@leaksnap-0123.so+9", "grow@a.so"];
    assert_eq!(apply("allocation-plumbing", &list, None), ["grow  a.so"]);
    let list = ["app::grow@leaksnap-0123", "run@a.so"];
    assert_eq!(
        apply("allocation-plumbing", &list, None),
        ["app::grow  leaksnap-0123", "run  a.so"],
        "an executable"
    );
    let list = ["malloc@other.so", "grow@a.so"];
    assert_eq!(apply("allocation-plumbing", &list, None), ["malloc  other.so", "grow  a.so"]);
}

#[test]
fn rust_allocates_through_shims() {
    let list = [
        "malloc@leaksnap-0123.so",
        "std::sys::alloc::unix::<impl core::alloc::global::GlobalAlloc for System>::alloc",
        "<std::alloc::System as core::alloc::global::GlobalAlloc>::alloc",
        "__rdl_alloc",
        "__rustc::__rdl_alloc_zeroed",
        "__rustc::__rust_alloc",
        "__rust_alloc_zeroed",
        "__rust_realloc",
        "alloc::alloc::Global::alloc_impl",
        "<alloc::alloc::Global>::alloc_impl_runtime",
        "<alloc::alloc::Global as core::alloc::Allocator>::allocate",
        "alloc::raw_vec::RawVecInner<A>::try_allocate_in",
        "<alloc::raw_vec::RawVec<T>>::grow_one",
        "alloc::vec::Vec<T>::with_capacity_in",
        "alloc::alloc::of_the_program",
    ];
    assert_eq!(
        apply("allocation-plumbing", &list, None),
        ["alloc::vec::Vec<T>::with_capacity_in", "alloc::alloc::of_the_program"]
    );
}

#[test]
fn cpp_allocates_through_operators() {
    let list = [
        "operator new(unsigned long)@libstdc++.so.6",
        "operator new[](unsigned long, std::nothrow_t const&)@libstdc++.so.6",
        "Cache::operator new(unsigned long)@a.so",
    ];
    let kept = ["Cache::operator new(unsigned long)  a.so"];
    assert_eq!(apply("allocation-plumbing", &list, None), kept);
}

#[test]
fn the_host_ends_a_traceback() {
    let list = ["grow@a.so", "run@a.so", "step@leaks-1f", "qsort@libc.so.6", "main@leaks-1f"];
    assert_eq!(apply("host", &list, Some("leaks-1f")), ["grow  a.so", "run  a.so"]);
    assert_eq!(apply("host", &list, None).len(), 5, "a program is nobody's host");
    let list = ["grow@a.so", "leaksnap::plugin::call_handler@a.so", "step@leaks-1f"];
    assert_eq!(apply("host", &list, None), ["grow  a.so"]);
    let list = ["grow", "<leaksnap::Run as X>::f", "leaksnapper::f"];
    assert_eq!(apply("host", &list, None), ["grow"]);
}

#[test]
fn generated_code_is_not_the_host() {
    assert_eq!(apply("host", &["grow", "@"], None), ["grow", "<generated code>"]);
}

#[test]
fn start_up_code_is_dropped_at_the_outer_end_alone() {
    let list = [
        "clone@a.so",
        "main@a",
        "__libc_start_call_main@libc.so.6",
        "__libc_start_main@libc.so.6",
        "_start@a",
    ];
    assert_eq!(apply("start-up", &list, None), ["clone  a.so", "main  a"]);
    let list = ["work@a", "start_thread@libc.so.6", "clone3@libc.so.6"];
    assert_eq!(apply("start-up", &list, None), ["work  a"]);
    let list = ["work@a", "@libc.so.6+559", "@libc.so.6+99"];
    assert_eq!(apply("start-up", &list, None), ["work  a"]);
    let list = ["work@a", "@b.so+559", "@"];
    assert_eq!(apply("start-up", &list, None), ["work  a", "b.so+0x22f", "<generated code>"]);
}

#[test]
fn only_the_main_around_rust_s_main_is_dropped() {
    let list = ["app::main", "std::rt::lang_start", "main"];
    assert_eq!(apply("rust-main", &list, None), ["app::main", "std::rt::lang_start"]);
    assert_eq!(apply("rust-main", &["work", "main"], None), ["work", "main"]);
}

#[test]
fn the_rust_runtime_is_dropped_at_the_outer_end_alone() {
    let list = [
        "std::thread::current",
        "app::work",
        "core::ops::function::FnOnce::call_once",
        "std::sys::backtrace::__rust_begin_short_backtrace",
        "std::thread::lifecycle::spawn_unchecked::{{closure}}::{{closure}}",
        "<core::panic::unwind_safe::AssertUnwindSafe<F> as FnOnce<()>>::call_once",
        "core::panic::unwind_safe::f",
        "std::panicking::catch_unwind::do_call",
        "__rust_try",
        "std::panic::catch_unwind",
        "<alloc::boxed::Box<F,A> as core::ops::function::FnOnce<Args>>::call_once",
        "<std::sys::thread::unix::Thread>::new::thread_start",
        "std::rt::lang_start_internal",
    ];
    assert_eq!(apply("rust-runtime", &list, None), ["std::thread::current", "app::work"]);
}

#[test]
fn the_innermost_frame_survives_every_rule() {
    let all = |list: &[&str], host| key(&normalize(frames(list), host));
    let heap_alone = ["malloc@leaksnap-0123.so", "step@leaks-1f"];
    assert_eq!(all(&heap_alone, Some("leaks-1f")), ["malloc  leaksnap-0123.so"]);
    assert_eq!(all(&["step@leaks-1f", "main@leaks-1f"], Some("leaks-1f")), ["step  leaks-1f"]);
    assert_eq!(all(&["std::rt::init", "main", "_start"], None), ["std::rt::init"]);
    assert_eq!(all(&[], None), [""; 0]);
}

#[test]
fn the_rules_work_one_after_the_other() {
    let list = [
        "malloc@leaksnap-0123.so",
        "__rust_alloc@a",
        "alloc::raw_vec::finish_grow@a",
        "app::parse@a",
        "app::main@a",
        "core::ops::function::FnOnce::call_once@a",
        "std::rt::lang_start@a",
        "main@a",
        "__libc_start_main@libc.so.6",
        "_start@a",
    ];
    assert_eq!(key(&normalize(frames(&list), None)), ["app::parse  a", "app::main  a"]);
}

#[test]
fn lines_say_what_is_known_and_nothing_that_moves() {
    let mut frame = frames(&["grow@liba.so"]).remove(0);
    frame.file = Some("/home/me/src/deep/grow.c".into());
    frame.line = Some(12);
    assert_eq!(line(&frame), "grow  liba.so  grow.c");
    frame.module = None;
    assert_eq!(line(&frame), "grow  grow.c");
    frame.file = None;
    assert_eq!(line(&frame), "grow");
    frame.function = None;
    assert_eq!(line(&frame), "<generated code>");
    frame.module = Some("liba.so".into());
    frame.offset = 0x1f3;
    assert_eq!(line(&frame), "liba.so+0x1f3");
}

#[test]
fn offsets_separate_only_frames_without_a_symbol() {
    assert_eq!(key(&frames(&["f@a.so+1"])), key(&frames(&["f@a.so+2"])));
    assert_ne!(key(&frames(&["@a.so+1"])), key(&frames(&["@a.so+2"])));
}

#[test]
fn the_hash_of_a_test_executable_is_not_part_of_its_name() {
    let list = ["parse@leaks-1c16eafa0684381e", "@leaks-1c16eafa0684381e+16", "f@a-b.so"];
    assert_eq!(key(&frames(&list)), ["parse  leaks", "leaks+0x10", "f  a-b.so"]);
}

#[test]
fn a_stripped_program_ends_where_libc_called_it() {
    let list = [
        "@tar+64",
        "@tar+32",
        "__libc_start_call_main@libc.so.6",
        "__libc_start_main_impl@libc.so.6",
        "@tar+16",
    ];
    assert_eq!(apply("libc-start", &list, None), ["tar+0x40", "tar+0x20"]);
    assert_eq!(apply("libc-start", &["a@a", "b@a"], None), ["a  a", "b  a"]);
}
