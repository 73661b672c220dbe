//! Bodies, what reads back, what counts as a difference, and the whole text of failures.

use super::*;
use crate::report::{Frame, Reachability, Ties};

fn group(verdict: Verdict, blocks: f64, bytes: f64, functions: &[&str]) -> Group {
    let frame = |function: &&str| Frame {
        function: Some((*function).into()),
        module: Some("libcrypto.so.3".into()),
        offset: 21,
        file: Some("/build/crypto/mem.c".into()),
        line: Some(7),
        inlined: false,
    };
    Group {
        verdict,
        reachability: Reachability::Lost,
        blocks: 8,
        bytes: 768,
        blocks_per_iteration: blocks,
        bytes_per_iteration: bytes,
        frames: functions.iter().map(frame).collect(),
        ties: Ties::default(),
    }
}

fn zalloc() -> Group {
    group(Verdict::Leak, 1.0, 96.0, &["CRYPTO_zalloc", "HMAC_CTX_new"])
}

fn grow() -> Group {
    group(Verdict::Growth, 0.0, 192.0 / 7.0, &["grow"])
}

const BODY: &str = "\
leak: 1 block, 96 bytes per iteration
    CRYPTO_zalloc  libcrypto.so.3  mem.c
    HMAC_CTX_new  libcrypto.so.3  mem.c

growth: 0 blocks, 27.43 bytes per iteration
    grow  libcrypto.so.3  mem.c
";

#[test]
fn a_body_has_what_fails_in_a_stable_order() {
    let once = group(Verdict::OneTime, 0.0, 0.0, &["cache"]);
    let replaced = group(Verdict::Replaced, 0.0, 0.0, &["anew"]);
    assert_eq!(body(&[zalloc(), grow()]), BODY);
    assert_eq!(body(&[once.clone(), grow(), replaced, zalloc()]), BODY);
    assert_eq!(body(&[once]), "");
}

#[test]
fn a_body_reads_back() {
    let found = found(&[grow(), zalloc()]);
    assert_eq!(parse(BODY), Ok(found.clone()));
    assert_eq!(parse(&format!("\n{}", BODY.trim_end())), Ok(found.clone()));
    assert_eq!(parse(&BODY.replace('\n', "\r\n")), Ok(found));
    assert_eq!(parse(""), Ok(vec![]));
}

#[test]
fn what_is_no_body_names_its_line() {
    let frame = "    grow  a.so\n";
    let leak = "leak: 1 block, 96 bytes per iteration\n";
    let cases = [
        (frame.to_owned(), "line 1 of the snapshot's body is a frame of no group"),
        (format!("{leak}{frame}\n{frame}"), "line 4 of the snapshot's body is a frame of no group"),
        (
            format!("{leak}\n{leak}{frame}"),
            "line 1 of the snapshot's body starts a group without frames",
        ),
        (
            format!("{leak}{frame}\n{leak}{frame}"),
            "line 4 of the snapshot's body starts a traceback that appears before",
        ),
        ("\nhello\n".to_owned(), "line 2 of the snapshot's body is no group's heading"),
        (leak.replace("leak", "one-time"), "line 1 of the snapshot's body is no group's heading"),
        (leak.replace("96", "many"), "line 1 of the snapshot's body is no group's heading"),
        (leak.replace(" per iteration", ""), "line 1 of the snapshot's body is no group's heading"),
    ];
    for (text, expected) in cases {
        let error = parse(&text).map_err(|error| error.to_string());
        assert_eq!(error, Err(format!("{expected}; restore it, or accept a new one")), "{text}");
    }
}

#[test]
fn the_same_is_no_difference() {
    let accepted = parse(BODY).expect("it reads back");
    let found = found(&[zalloc(), group(Verdict::Growth, 1e-9, 27.428_571, &["grow"])]);
    let difference = compare(&accepted, &found);
    assert_eq!(difference, Difference { same: found, ..Difference::default() });
    assert!(!difference.fails());
    assert!(!difference.is_outdated());
}

#[test]
fn more_of_anything_has_grown() {
    let of = |verdict, blocks, bytes| found(&[group(verdict, blocks, bytes, &["f"])]).remove(0);
    let accepted = of(Verdict::Growth, 1.0, 96.0);
    let grown = [
        of(Verdict::Growth, 1.01, 96.0),
        of(Verdict::Growth, 1.0, 96.5),
        of(Verdict::Growth, 0.5, 97.0),
        of(Verdict::Growth, 2.0, 16.0),
        of(Verdict::Leak, 1.0, 96.0),
        of(Verdict::Leak, 0.5, 48.0),
    ];
    for found in grown {
        let change = Change { accepted: accepted.clone(), found: found.clone() };
        let difference = compare(std::slice::from_ref(&accepted), &[found]);
        assert!(difference.fails());
        assert_eq!(difference, Difference { grown: vec![change], ..Difference::default() });
    }
}

#[test]
fn less_has_shrunk_and_passes() {
    let of = |verdict, blocks, bytes| found(&[group(verdict, blocks, bytes, &["f"])]).remove(0);
    let accepted = of(Verdict::Leak, 1.0, 96.0);
    for found in [of(Verdict::Leak, 1.0, 95.0), of(Verdict::Growth, 1.0, 96.0)] {
        let change = Change { accepted: accepted.clone(), found: found.clone() };
        let difference = compare(std::slice::from_ref(&accepted), &[found]);
        assert!(!difference.fails());
        assert!(difference.is_outdated());
        assert_eq!(difference, Difference { shrunk: vec![change], ..Difference::default() });
    }
}

#[test]
fn what_is_gone_has_vanished() {
    let accepted = parse(BODY).expect("it reads back");
    let difference = compare(&accepted, &found(&[zalloc()]));
    assert_eq!(difference.vanished, found(&[grow()]));
    assert_eq!(difference.same, found(&[zalloc()]));
    assert!(!difference.fails());
    assert!(difference.is_outdated());
}

fn failure(accepted: &[Group], groups: &[Group]) -> String {
    let (accepted, found) = (found(accepted), found(groups));
    failure_text("crypto_selftest", &accepted, &found, &compare(&accepted, &found))
}

#[test]
fn a_first_failure_lists_what_is_new() {
    let text = "\
1 traceback in crypto_selftest is not accepted (1 new)

new leak: 1 block, 96 bytes per iteration
    CRYPTO_zalloc  libcrypto.so.3  mem.c
    HMAC_CTX_new  libcrypto.so.3  mem.c

nothing was accepted before

to accept what was found: `cargo insta review`, or `cargo insta accept`
";
    assert_eq!(failure(&[], &[zalloc()]), text);
}

#[test]
fn a_failure_shows_every_difference() {
    let accepted = [
        group(Verdict::Leak, 1.0, 48.0, &["CRYPTO_zalloc", "HMAC_CTX_new"]),
        group(Verdict::Leak, 2.0, 20.0, &["less"]),
        group(Verdict::Leak, 1.0, 8.0, &["gone"]),
    ];
    let less = group(Verdict::Leak, 1.0, 10.0, &["less"]);
    let text = "\
2 tracebacks in crypto_selftest are not accepted (1 new, 1 grown, 1 shrunk, 1 vanished)

new growth: 0 blocks, 27.43 bytes per iteration
    grow  libcrypto.so.3  mem.c

grown leak: 1 block, 96 bytes per iteration
    CRYPTO_zalloc  libcrypto.so.3  mem.c
    HMAC_CTX_new  libcrypto.so.3  mem.c
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
