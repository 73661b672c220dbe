//! Blocks against tracebacks.

use super::*;

/// Frames from `function@module`.
fn frames(list: &[&str]) -> Vec<Frame> {
    let frame = |text: &&str| {
        let (function, module) = text.split_once('@').unwrap_or((text, "a.so"));
        Frame {
            function: Some(function).filter(|name| !name.is_empty()).map(Into::into),
            module: Some(module).filter(|name| !name.is_empty()).map(Into::into),
            offset: 1,
            file: Some(format!("/src/{function}.c").into()),
            line: Some(12),
            inlined: false,
            build_id: None,
        }
    };
    list.iter().map(frame).collect()
}

#[track_caller]
fn check(lines: &[&str], list: &[&str], expected: bool) {
    let mut read: Vec<Line> = Vec::new();
    for text in lines {
        let line = Line::read(text, &read);
        read.push(line.expect("the line is right"));
    }
    let stack = Stack::new(&read);
    let modules = Modules::new(["/opt/lib/b.so.1".into()]);
    assert_eq!(stack.matches(&frames(list), &modules), expected, "{lines:?} on {list:?}");
}

#[test]
fn lines_are_frames_from_the_innermost_on() {
    let list = ["zalloc", "new", "main"];
    check(&["fun:malloc", "fun:zalloc"], &list, true);
    check(&["fun:malloc", "fun:zalloc", "fun:new", "fun:main"], &list, true);
    check(&["fun:malloc", "fun:new"], &list, false);
    check(&["fun:malloc", "fun:zalloc", "fun:main"], &list, false);
    check(&["fun:malloc", "fun:zalloc", "fun:new", "fun:main", "fun:more"], &list, false);
    check(&["fun:malloc", "fun:z*", "fun:n?w"], &list, true);
    check(&["fun:malloc", "fun:z", "fun:new"], &list, false);
}

#[test]
fn three_dots_are_any_number_of_frames() {
    let list = ["zalloc", "new", "new", "init", "main"];
    check(&["fun:malloc", "...", "fun:zalloc"], &list, true);
    check(&["fun:malloc", "...", "fun:init"], &list, true);
    check(&["...", "fun:init"], &list, true);
    check(&["fun:malloc", "...", "fun:new", "fun:init"], &list, true);
    check(&["fun:malloc", "...", "fun:new", "...", "fun:main"], &list, true);
    check(&["fun:malloc", "fun:zalloc", "...", "fun:zalloc"], &list, false);
    check(&["fun:malloc", "...", "fun:main", "..."], &list, true);
    check(&["fun:malloc", "...", "...", "fun:main"], &list, true);
    check(&["fun:malloc", "...", "fun:init", "fun:new"], &list, false);
}

#[test]
fn the_first_line_may_be_the_entry_point() {
    for entry in [
        "fun:malloc",
        "fun:calloc",
        "fun:*alloc",
        "fun:_Znwm",
        "fun:_Zn*",
        "fun:operator new*",
        "fun:*",
        "obj:*/vgpreload_memcheck*",
    ] {
        check(&[entry, "fun:zalloc"], &["zalloc", "main"], true);
        check(&[entry, "fun:main"], &["zalloc", "main"], false);
        check(&[entry], &["zalloc", "main"], true);
    }
    // It calls another one, or a language's allocator calls it.
    check(&["fun:memalign", "fun:posix_memalign", "fun:new"], &["new"], true);
    let rust = ["fun:malloc", "fun:_ZN5alloc5alloc5alloc17h0123456789abcdefE", "fun:new"];
    check(&rust, &["new"], true);
    // `...` in front of it may stand for no frame, or for it and more.
    check(&["...", "fun:malloc", "fun:zalloc"], &["zalloc", "main"], true);
    check(&["...", "fun:malloc", "...", "fun:main"], &["zalloc", "main"], true);
    check(&["...", "...", "fun:_Zn*", "fun:main"], &["main"], true);
    check(&["...", "fun:malloc", "fun:main"], &["zalloc", "main"], false);
    check(&["...", "fun:*alloc", "fun:main"], &["zalloc", "main"], true);
    check(&["...", "fun:*alloc", "fun:main"], &["new", "main"], false);
    // Without one the first line is the traceback's innermost frame.
    check(&["fun:zalloc", "fun:main"], &["zalloc", "main"], true);
    check(&["fun:main"], &["zalloc", "main"], false);
    // Behind the first one a wildcard is a frame.
    check(&["fun:malloc", "fun:*alloc", "fun:main"], &["zalloc", "main"], true);
    check(&["fun:malloc", "fun:*alloc", "fun:main"], &["main"], false);
}

#[test]
fn what_tracebacks_leave_out_at_their_end_may_stand_in_the_block() {
    let thread = ["fun:malloc", "fun:lose", "fun:start_thread", "fun:clone"];
    check(&thread, &["lose"], true);
    check(&thread, &["lose", "main"], false);
    check(&["fun:malloc", "...", "fun:lose", "fun:start_thread"], &["zalloc", "lose"], true);
    check(&["fun:malloc", "fun:main", "fun:(below main)"], &["main"], true);
    check(&["fun:malloc", "fun:lose", "obj:/usr/lib/libc.so.6", "fun:clone"], &["lose"], true);
    let rust = ["fun:malloc", "fun:lose", "fun:_ZN3std2rt10lang_start17h0123456789abcdefE"];
    check(&[rust[0], rust[1], rust[2], "fun:main"], &["lose"], true);
    check(&["fun:malloc", "fun:lose", "fun:main"], &["lose"], false);
    // Nobody knows that what `...` passed over ended in a thread.
    check(&["fun:malloc", "...", "fun:start_thread"], &["lose"], false);
    check(&["fun:malloc", "fun:start_thread"], &["lose"], false);
}

#[test]
fn objects_have_names_and_paths() {
    let list = ["@b.so.1", "@", "main@a"];
    check(&["fun:malloc", "obj:/opt/lib/b.so.1"], &list, true);
    check(&["fun:malloc", "obj:*/b.so*"], &list, true);
    check(&["fun:malloc", "obj:b.so.?"], &list, true);
    check(&["fun:malloc", "obj:/usr/lib/b.so.1"], &list, false);
    check(&["fun:malloc", "obj:b.so"], &list, false);
    check(&["fun:malloc", "obj:*", "obj:*", "fun:main"], &list, true);
    check(&["fun:malloc", "fun:*", "fun:*", "obj:a"], &list, true);
    check(&["fun:malloc", "fun:b*"], &list, false);
}

#[test]
fn files_have_lines() {
    let list = ["new", "main"];
    for (source, expected) in [
        ("src:new.c", true),
        ("src:/src/new.c", true),
        ("src:*/new.c:12", true),
        ("src:new.c:12", true),
        ("src:new.c:13", false),
        ("src:new", false),
        ("src:main.c", false),
    ] {
        check(&["fun:malloc", source], &list, expected);
    }
}
