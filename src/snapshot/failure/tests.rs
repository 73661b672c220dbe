//! The whole text of failures.

use super::*;
use crate::report::{Exit, Frame, History, Rises, Ties, Tracing};
use crate::snapshot::{compare, found};

/// A leak of 8 iterations: blocks and bytes in all, and the functions.
fn leak(blocks: u32, bytes: u32, functions: &[&str]) -> Group {
    let frame = |function: &&str| Frame {
        function: Some((*function).into()),
        module: Some("libcrypto.so.3".into()),
        offset: 21,
        file: Some("/build/crypto/mem.c".into()),
        line: Some(7),
        inlined: false,
        build_id: None,
    };
    Group {
        verdict: Verdict::Leak,
        reachability: Reachability::Lost,
        blocks: blocks.into(),
        bytes: bytes.into(),
        blocks_per_iteration: f64::from(blocks) / 8.0,
        bytes_per_iteration: f64::from(bytes) / 8.0,
        rises: Rises::default(),
        ties: Ties::default(),
        frames: functions.iter().map(frame).collect(),
    }
}

fn zalloc() -> Group {
    leak(8, 768, &["CRYPTO_zalloc", "HMAC_CTX_new"])
}

fn grow() -> Group {
    Group {
        verdict: Verdict::Growth,
        reachability: Reachability::Reachable,
        blocks_per_iteration: 0.0,
        bytes_per_iteration: 192.0 / 7.0,
        ..leak(0, 192, &["grow"])
    }
}

fn report(groups: &[Group]) -> Report {
    Report {
        scenario: Some("crypto_selftest".to_owned()),
        program: Vec::new(),
        exit: Exit::default(),
        tracing: Tracing::default(),
        iterations: 8,
        groups: groups.to_vec(),
        notes: Vec::new(),
        history: History::default(),
        descendants: None,
    }
}

fn failure(accepted: &[Group], groups: &[Group]) -> String {
    let accepted = found(accepted);
    let difference = compare(&accepted, &found(groups));
    failure_text("crypto_selftest", "accepted", &report(groups), &difference, REVIEW)
}

#[test]
fn what_is_lost_comes_before_what_it_leads_to() {
    let names: Vec<String> = (0..12).map(|index| format!("a{index:02}")).collect();
    let indirect = names
        .iter()
        .map(|name| Group { reachability: Reachability::Indirect, ..leak(8, 80, &[name, "make"]) });
    let groups: Vec<Group> = [zalloc()].into_iter().chain(indirect).collect();
    let text = failure(&[], &groups);
    let headings = |text: &str| text.lines().filter(|line| line.starts_with("new")).count();
    assert_eq!(headings(&text), 1 + MOST_INDIRECT + 1, "{text}");
    let first = text.find("new leak, lost: 8 blocks, 768 bytes").expect("it is listed");
    let then = text.find("new leak, indirect: 8 blocks, 80 bytes").expect("it is listed");
    assert!(first < then, "{text}");
    let rest = "    a07  libcrypto.so.3  /build/crypto/mem.c:7
    make  libcrypto.so.3  /build/crypto/mem.c:7

new: 4 more tracebacks of indirect blocks, 4 blocks, 40 bytes per iteration; `leaksnap run` lists them
";
    assert!(text.contains(rest), "{text}");
    // Where nothing else is new, nothing tells of them.
    assert_eq!(headings(&failure(&[zalloc()], &groups)), 12);
}

#[test]
fn a_first_failure_lists_what_is_new() {
    let text = "\
1 traceback in crypto_selftest is not accepted (1 new)

new leak, lost: 8 blocks, 768 bytes (1 block, 96 bytes per iteration)
    CRYPTO_zalloc  libcrypto.so.3  /build/crypto/mem.c:7
    HMAC_CTX_new  libcrypto.so.3  /build/crypto/mem.c:7

nothing was accepted before

leak: blocks of each of the 8 measured iterations are still live
lost: no pointer leads to the blocks any longer

to accept what was found: `cargo insta review`, or `cargo insta accept`
";
    assert_eq!(failure(&[], &[zalloc()]), text);
}

#[test]
fn a_failure_shows_every_difference() {
    let accepted = [
        leak(8, 384, &["CRYPTO_zalloc", "HMAC_CTX_new"]),
        leak(16, 160, &["less"]),
        leak(8, 64, &["gone"]),
    ];
    let less = leak(8, 80, &["less"]);
    let text = "\
2 tracebacks in crypto_selftest are not accepted (1 new, 1 grown, 1 shrunk, 1 vanished)

new growth, reachable: 0 blocks, 192 bytes (0 blocks, 27.43 bytes per iteration)
    grow  libcrypto.so.3  /build/crypto/mem.c:7

grown leak, lost: 8 blocks, 768 bytes (1 block, 96 bytes per iteration)
    CRYPTO_zalloc  libcrypto.so.3  /build/crypto/mem.c:7
    HMAC_CTX_new  libcrypto.so.3  /build/crypto/mem.c:7
accepted leak: 1 block, 48 bytes per iteration

shrunk leak: 1 block, 10 bytes per iteration
    less  libcrypto.so.3  mem.c
accepted leak: 2 blocks, 20 bytes per iteration

vanished leak: 1 block, 8 bytes per iteration
    gone  libcrypto.so.3  mem.c

--- accepted
+++ found
@@ -1,9 +1,9 @@
-leak: 1 block, 48 bytes per iteration
+leak: 1 block, 96 bytes per iteration
     CRYPTO_zalloc  libcrypto.so.3  mem.c
     HMAC_CTX_new  libcrypto.so.3  mem.c
 
-leak: 1 block, 8 bytes per iteration
-    gone  libcrypto.so.3  mem.c
+growth: 0 blocks, 27.43 bytes per iteration
+    grow  libcrypto.so.3  mem.c
 
-leak: 2 blocks, 20 bytes per iteration
+leak: 1 block, 10 bytes per iteration
     less  libcrypto.so.3  mem.c

leak: blocks of each of the 8 measured iterations are still live
growth: what is live goes on rising
lost: no pointer leads to the blocks any longer
reachable: a pointer still leads to the blocks: something keeps them

to accept what was found: `cargo insta review`, or `cargo insta accept`
";
    assert_eq!(failure(&accepted, &[zalloc(), grow(), less]), text);
}

#[test]
fn a_snapshot_that_holds_too_much_is_out_of_date() {
    let text = "\
the accepted snapshot of crypto_selftest is out of date (1 vanished)

vanished growth: 0 blocks, 27.43 bytes per iteration
    grow  libcrypto.so.3  mem.c

--- accepted
+++ found
@@ -1,6 +1,3 @@
 leak: 1 block, 96 bytes per iteration
     CRYPTO_zalloc  libcrypto.so.3  mem.c
     HMAC_CTX_new  libcrypto.so.3  mem.c
-
-growth: 0 blocks, 27.43 bytes per iteration
-    grow  libcrypto.so.3  mem.c

to accept what was found: `cargo insta review`, or `cargo insta accept`
";
    assert_eq!(failure(&[zalloc(), grow()], &[zalloc()]), text);
}

#[test]
fn what_moved_stands_side_by_side() {
    let accepted = leak(8, 768, &["CRYPTO_zalloc", "HMAC_CTX_new", "digest", "run"]);
    let moved = leak(8, 768, &["CRYPTO_zalloc", "HMAC_CTX_new", "sign", "run"]);
    let text = "\
1 traceback in crypto_selftest moved

moved leak, lost: 8 blocks, 768 bytes (1 block, 96 bytes per iteration)
    accepted                                 found
    CRYPTO_zalloc  libcrypto.so.3  mem.c     CRYPTO_zalloc  libcrypto.so.3  mem.c
    HMAC_CTX_new  libcrypto.so.3  mem.c      HMAC_CTX_new  libcrypto.so.3  mem.c
    digest  libcrypto.so.3  mem.c         |  sign  libcrypto.so.3  mem.c
    run  libcrypto.so.3  mem.c               run  libcrypto.so.3  mem.c

--- accepted
+++ found
@@ -1,5 +1,5 @@
 leak: 1 block, 96 bytes per iteration
     CRYPTO_zalloc  libcrypto.so.3  mem.c
     HMAC_CTX_new  libcrypto.so.3  mem.c
-    digest  libcrypto.so.3  mem.c
+    sign  libcrypto.so.3  mem.c
     run  libcrypto.so.3  mem.c

leak: blocks of each of the 8 measured iterations are still live
lost: no pointer leads to the blocks any longer

to accept what was found: `cargo insta review`, or `cargo insta accept`
";
    assert_eq!(failure(&[accepted], &[moved]), text);
}

#[test]
fn what_moved_can_have_grown_or_shrunk() {
    let accepted = || leak(8, 384, &["CRYPTO_zalloc", "digest", "run"]);
    let found = |bytes| leak(8, bytes, &["CRYPTO_zalloc", "sign", "run"]);
    let text = failure(&[accepted()], &[found(768)]);
    let parts = [
        "1 traceback in crypto_selftest moved\n\nmoved and grown leak, lost: 8 blocks, 768 bytes",
        "\n    run  libcrypto.so.3  mem.c               run  libcrypto.so.3  mem.c\n\
         accepted leak: 1 block, 48 bytes per iteration\n",
    ];
    for part in parts {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    let text = failure(&[accepted()], &[found(192)]);
    assert!(text.contains("\n\nmoved and shrunk leak, lost: 8 blocks, 192 bytes"), "{text}");
}

#[test]
fn headlines_count() {
    let headline = |accepted: &[Group], groups: &[Group]| {
        failure(accepted, groups).lines().next().map(str::to_owned).unwrap_or_default()
    };
    let moves = |name: &str| {
        let of = |helper: &str| leak(8, 8, &["CRYPTO_zalloc", helper, name, "run"]);
        (of("old"), of("new"))
    };
    let ((first, first_moved), (second, second_moved)) = (moves("first"), moves("second"));
    assert_eq!(
        headline(&[first.clone(), second.clone()], &[first_moved.clone(), second_moved]),
        "2 tracebacks in crypto_selftest moved"
    );
    assert_eq!(
        headline(&[first.clone(), grow()], std::slice::from_ref(&first_moved)),
        "1 traceback in crypto_selftest moved (1 moved, 1 vanished)"
    );
    assert_eq!(
        headline(&[first], &[first_moved, zalloc()]),
        "2 tracebacks in crypto_selftest are not accepted (1 new, 1 moved)"
    );
}

#[test]
fn blocks_of_one_traceback_can_be_lost_in_part_and_indirect_in_part() {
    let indirect = Group { reachability: Reachability::Indirect, ..leak(8, 8, &["CRYPTO_zalloc"]) };
    let lost = leak(8, 16, &["CRYPTO_zalloc"]);
    let text = failure(&[], &[lost, indirect]);
    for part in [
        "is not accepted (1 new)",
        "\nnew leak, lost: 8 blocks, 16 bytes",
        "\nnew leak, indirect: 8 blocks, 8 bytes",
        "\nindirect: only lost blocks have a pointer to the blocks\n",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}
