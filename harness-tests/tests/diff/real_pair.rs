//! The real pair: ten tracebacks have ten objects more, one for each `test crypto` that ran between
//! the two. What else grew is of the command line's own sessions.

use harness_tests::trials::read;
use serde_json::{Value, json};

use super::{diff, numbers, place, report};

/// What leaks in the real pair, sorted: bytes of ten objects, and the frame that names it.
const TRUTH: [(u64, &str); 10] = [
    (400, "CRYPTO_zalloc HMAC_CTX_new+0x17"),
    (720, "CRYPTO_zalloc 0x7f6bb9e29ad5"),
    (720, "CRYPTO_zalloc 0x7f6bb9e29aed"),
    (720, "CRYPTO_zalloc 0x7f6bb9e29b05"),
    (1040, "0x7f6bb9f08623 EVP_MD_CTX_copy_ex+0xea"),
    (1040, "CRYPTO_zalloc 0x7f6bb9df7acd HMAC_Init_ex+0x15f"),
    (1040, "CRYPTO_zalloc 0x7f6bb9df7acd HMAC_Init_ex+0x278"),
    (1040, "vnet_crypoto_key_alloc"),
    (1200, "_vec_realloc_internal test_crypto_command_fn+0x25a4"),
    (23008, "_vec_realloc_internal test_crypto_command_fn+0x1dd1"),
];

/// Function and offset of each frame; an address where there is no function.
fn frames(group: &Value) -> String {
    let frame = |frame: &Value| {
        let offset = frame["offset"].as_u64().unwrap_or_default();
        match frame["function"].as_str() {
            Some(name) => format!("{name}+{offset:#x}"),
            None => format!("{offset:#x}"),
        }
    };
    let frames = group["frames"].as_array().map(Vec::as_slice).unwrap_or_default();
    frames.iter().map(frame).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_real_pair_has_ten_tracebacks_with_an_object_each_run_and_nothing_else() {
    let place = place();
    let (status, report) =
        report(&place, &["warm.json", "warm-plus-10.json", "--iterations", "10"]);
    assert_eq!(status, Some(1));
    let summary = json!({ "leaked_blocks": 100, "leaked_bytes": 30928, "groups": 10 });
    assert_eq!(report["summary"], summary);
    assert_eq!(report["iterations"], 10);
    let groups = report["groups"].as_array().expect("a list");
    assert_eq!(groups.len(), TRUTH.len(), "{report}");
    for (bytes, frame) in TRUTH {
        let words: Vec<&str> = frame.split(' ').collect();
        let found = groups.iter().filter(|group| {
            let frames = frames(group);
            words.iter().all(|word| frames.contains(word)) && group["bytes"] == bytes
        });
        let found: Vec<_> = found.collect();
        assert_eq!(found.len(), 1, "{frame} in {report}");
        assert_eq!(found[0]["verdict"], "leak");
        assert_eq!(found[0]["reachability"], "unknown");
        let bytes = f64::from(u32::try_from(bytes).expect("a small number"));
        assert_eq!(numbers(found[0]), [10.0, bytes, 1.0, bytes / 10.0], "{frame}");
    }
}

#[test]
fn all_shows_what_grew_out_of_step_and_fails_no_more() {
    let place = place();
    let arguments = ["warm.json", "warm-plus-10.json", "--iterations", "10", "--all"];
    let (status, report) = report(&place, &arguments);
    assert_eq!((status, &report["summary"]["groups"]), (Some(1), &json!(10)));
    let groups = report["groups"].as_array().expect("a list");
    let rest: Vec<_> =
        groups[10..].iter().map(|group| (&group["verdict"], numbers(group))).collect();
    let once = json!("one-time");
    let expected = [[1.0, 472.0], [1.0, 296.0], [4.0, 96.0], [1.0, 40.0], [0.0, 16.0]];
    let expected: Vec<_> = expected.iter().map(|it| (&once, [it[0], it[1], 0.0, 0.0])).collect();
    assert_eq!(rest, expected);
}

#[test]
fn the_report_says_what_was_compared_and_that_nothing_was_run() {
    let place = place();
    let (_, report) = report(&place, &["warm.json", "warm-plus-10.json", "--iterations", "10"]);
    assert_eq!((&report["format"], &report["version"]), (&json!("leaksnap-report"), &json!(1)));
    assert_eq!(report["scenario"], Value::Null);
    assert_eq!(report["program"], json!(["warm.json", "warm-plus-10.json"]));
    assert_eq!(report["exit"], json!({ "code": null, "signal": null }));
    let tracing = json!({
        "active": true, "allocations": 0, "frees": 0, "peak_bytes": 0, "complete": true,
    });
    assert_eq!(report["tracing"], tracing);
    let address = json!({
        "function": null, "module": null, "offset": 0x7f6b_db27_7338_u64, "file": null,
        "line": null, "inlined": false,
    });
    assert_eq!(report["groups"][0]["frames"][7], address);
    let (_, named) = super::report(&place, &["warm.json", "warm.json", "--snapshot", "crypto"]);
    assert_eq!(named["scenario"], "crypto");
}

#[test]
fn the_text_has_offsets_and_addresses_as_the_file_has_them() {
    let place = place();
    let ended = diff(&place, &["warm.json", "warm-plus-10.json", "--iterations", "10"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(1), ""));
    let headline = "10 leaks in warm-plus-10.json since warm.json: 10 blocks, 3092.8 bytes per \
                    iteration\n\n";
    let group = "
leak: 10 blocks, 1040 bytes (1 block, 104 bytes per iteration)
    CRYPTO_zalloc + 0x9
    0x7f6bb9df7acd
    HMAC_Init_ex + 0x15f
    0x7f6bb83f50f6
    vnet_crypto_key_add + 0x358
    test_crypto_command_fn + 0x7cb
    vlib_cli_dispatch_sub_commands + 0xc37
    vlib_cli_dispatch_sub_commands + 0x8f5
    vlib_cli_input + 0x7d
    unix_cli_process + 0x141e
    vlib_process_bootstrap + 0x17
    0x7f6bdb277338
";
    let note = "
note: 5 more grew, but not by as many objects in each of 10 iterations; `--all` shows them
";
    assert!(ended.stderr.starts_with(headline), "{}", ended.stderr);
    assert!(ended.stderr.contains(group), "{}", ended.stderr);
    assert!(ended.stderr.ends_with(note), "{}", ended.stderr);
}

#[test]
fn without_iterations_all_that_grew_counts() {
    let place = place();
    let (status, report) = report(&place, &["warm.json", "warm-plus-10.json"]);
    assert_eq!((status, &report["iterations"]), (Some(1), &json!(1)));
    let groups = report["groups"].as_array().expect("a list");
    let count = |verdict| groups.iter().filter(|group| group["verdict"] == verdict).count();
    assert_eq!((groups.len(), count("leak"), count("growth")), (15, 14, 1));
    let growth = groups.iter().find(|group| group["verdict"] == "growth").expect("counted");
    assert_eq!(numbers(growth), [0.0, 16.0, 0.0, 16.0]);
    let text = diff(&place, &["warm.json", "warm-plus-10.json"]).stderr;
    let headline = "14 leaks and 1 growth in warm-plus-10.json since warm.json: 107 blocks, 31848 \
                    bytes\n";
    assert!(text.starts_with(headline), "{text}");
    assert!(text.contains("\nnote: without `--iterations N` all that grew counts"), "{text}");
}

#[test]
fn nothing_leaks_backwards_or_from_a_trace_to_itself() {
    let place = place();
    for (before, after) in [("warm-plus-10.json", "warm.json"), ("warm.json", "warm.json")] {
        let ended = diff(&place, &[before, after, "--iterations", "10"]);
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(0), ""), "{}", ended.stderr);
        let headline = format!("no leaks in {after} since {before}\n");
        assert!(ended.stderr.starts_with(&headline), "{}", ended.stderr);
    }
    let same = diff(&place, &["warm.json", "warm.json"]);
    assert_eq!(
        (same.status, same.stderr.as_str()),
        (Some(0), "no leaks in warm.json since warm.json\n")
    );
}

#[test]
fn samples_and_the_order_of_elements_do_not_count() {
    let place = place();
    let text = read(&place.path("warm.json"));
    let mut elements: Vec<Value> = serde_json::from_str(&text).expect("an array");
    elements.reverse();
    for (number, element) in elements.iter_mut().enumerate() {
        element["sample"] = format!("{number:#x}").into();
    }
    place.write("other.json", &Value::from(elements).to_string());
    let ended = diff(&place, &["warm.json", "other.json"]);
    assert_eq!(
        (ended.status, ended.stderr.as_str()),
        (Some(0), "no leaks in other.json since warm.json\n")
    );
}
