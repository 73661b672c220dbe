//! What commands print, by the host or with C's own stream: in the order of the commands, each at the
//! start of a line, whatever becomes of the host.

use super::{place, replay};

const PROMPT: &str = "leaksnap# ";

#[test]
fn what_c_s_stream_keeps_back_comes_with_its_command() {
    let place = place(&["prints_by_stdio", "crashes_in_step"]);
    let plugins = ["--plugin", "./prints_by_stdio.so", "--plugin", "./crashes_in_step.so"];
    let input = "put one\nhelp quit\nput both\nleak-check { put it }\ncrash\nput last\n";
    let run = replay(&place, &plugins, input);
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    // The host drops what is printed by the call alone.
    let (help, checked) = (format!("{:<32} end the session\n", "quit"), "it\n".repeat(10));
    let expected = format!(
        "{PROMPT}put one\none\n{PROMPT}help quit\n{help}{PROMPT}put both\none\ntwo\nthree\n\
         {PROMPT}leak-check {{ put it }}\n{checked}no leaks in put it\n\
         {PROMPT}crash\nabout to crash\n{PROMPT}put last\nlast\n"
    );
    assert_eq!(run.text(), expected);
}

#[test]
fn a_host_that_is_lost_within_a_line_leaves_none_open() {
    let place = place(&["ends_within_a_line"]);
    let arguments = ["--timeout", "2s", "--plugin", "./ends_within_a_line.so"];
    let half = "first\nhalf a line\n";
    for how in ["crashing", "aborting", "leaving", "hanging", "whole"] {
        let input = format!("half {how}\nleak-check {{ half {how} }}\nhalf\n");
        let run = replay(&place, &arguments, &input);
        assert_eq!(run.code, Some(4), "{how}: {}", run.stderr);
        let expected = format!(
            "{PROMPT}half {how}\n{half}{PROMPT}leak-check {{ half {how} }}\n{half}{PROMPT}half\n{half}"
        );
        assert_eq!(run.text(), expected, "{how}");
    }
}

#[test]
fn that_a_command_forked_is_said() {
    let place = place(&["forks_in_step", "frees_all"]);
    let plugins = ["--plugin", "./forks_in_step.so", "--plugin", "./frees_all.so"];
    let note = "what the processes allocated that it forked was not checked";
    for command in ["fork", "fork unwaited"] {
        let input = format!("leak-check {{ {command} }}\nleak-check {{ churn }}\n");
        let run = replay(&place, &plugins, &input);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{command}: {}", run.text());
        assert_eq!(run.text().matches(note).count(), 1, "{command}: {}", run.text());
    }
    place.write("it.toml", "plugins = [\"forks_in_step.so\"]\nsteps = [\"fork\"]\n");
    let ended = place.run(["run", "it.toml"]);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains(note), "{}", ended.stderr);
}
