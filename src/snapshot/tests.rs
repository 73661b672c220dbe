//! Bodies, and what reads back.

use super::*;
use crate::report::{Frame, Reachability, Rises, Ties};

fn group(verdict: Verdict, blocks: f64, bytes: f64, functions: &[&str]) -> Group {
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
        verdict,
        reachability: Reachability::Lost,
        blocks: 8,
        bytes: 768,
        blocks_per_iteration: blocks,
        bytes_per_iteration: bytes,
        rises: Rises::default(),
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
    let body = |groups: &[Group]| write(&found(groups));
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
