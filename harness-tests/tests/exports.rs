//! Folded stacks, profiles and pages, as people ask for them: of programs, scenarios, saved traces and
//! trials. What the forms hold in detail is tested beside them, a page in a browser in `page/`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use harness_tests::cargo::repository;
use harness_tests::command::{Exec, leaksnap};
use harness_tests::program::Program;
use harness_tests::trials::{Trials, read};
use harness_tests::{Ended, Workplace};

/// A folder for the command, with plugins and a scenario for each.
fn place(plugins: &[(&str, &str)]) -> Workplace {
    let place = Workplace::new(leaksnap().to_str().expect("a plain path"));
    for (plugin, step) in plugins {
        place.add_plugin(plugin);
        let text = format!("plugins = [\"./{plugin}.so\"]\nsteps = [\"{step}\"]\n");
        place.write(&format!("{plugin}.toml"), &text);
    }
    place
}

const LEAKING: (&str, &str) = ("leaks_per_call", "forget");

#[track_caller]
fn run(place: &Workplace, arguments: &[&str], status: i32) -> Ended {
    let ended = place.run([&["run"], arguments].concat());
    assert_eq!(ended.status, Some(status), "{}{}", ended.stdout, ended.stderr);
    ended
}

#[test]
fn stacks_of_several_scenarios_are_in_one_file_and_the_same_each_time() {
    let place = place(&[LEAKING, ("frees_all", "say hello"), ("grows_per_call", "grow")]);
    let files = ["leaks_per_call.toml", "frees_all.toml", "grows_per_call.toml"];
    let ask = ["--folded", "a.folded", "--pprof", "a.pb.gz"];
    let again = ["--folded", "b.folded", "--pprof", "b.pb.gz"];
    let text = run(&place, &[&ask[..], &files].concat(), 1).stderr;
    assert!(text.contains("1 leak in leaks_per_call: "), "the report is as ever: {text}");
    let _ = run(&place, &[&again[..], &files].concat(), 1);
    let folded = read(&place.path("a.folded"));
    assert_eq!(folded, "leaks_per_call;forget;forget_block 384\ngrows_per_call;grow;append 112\n");
    assert_eq!(read(&place.path("b.folded")), folded);
    let profile = |name| fs::read(place.path(name)).expect("a profile");
    assert_eq!(profile("a.pb.gz"), profile("b.pb.gz"));
    assert!(profile("a.pb.gz").starts_with(&[0x1f, 0x8b]), "it is compressed by gzip");
}

#[test]
fn a_page_has_the_source_the_history_and_the_snapshot_beside_the_scenario() {
    let place = place(&[LEAKING]);
    let accept = |amount| {
        let text = format!(
            "---\nsource: x.rs\n---\nleak: {amount} per iteration\n    forget_block  leaks_per_call.so  leaks_per_call.c\n    forget  leaks_per_call.so  leaks_per_call.c\n"
        );
        place.write("snapshots/leaks_per_call.snap", &text);
    };
    let page = |status| {
        let _ = run(&place, &["--html", "a.html", "leaks_per_call.toml"], status);
        read(&place.path("a.html"))
    };
    let text = page(1);
    assert!(text.contains("1 leak in leaks_per_call: 1 block, 48 bytes per iteration"), "{text}");
    assert!(text.contains("Warm-up: 1 to 2. Window: 3 to 10."), "{text}");
    let source = read(&repository().join("fixtures/plugins_c/leaks_per_call.c"));
    let line = source.lines().find(|line| line.contains("malloc(")).expect("it allocates").trim();
    let line =
        line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    assert!(text.contains(&format!("{line}</mark>")), "{line} in {text}");
    assert!(!text.contains("Accepted against found"), "there is no snapshot");
    accept("1 block, 48 bytes");
    assert!(page(1).contains("All of it was accepted in <code>"));
    accept("1 block, 40 bytes");
    let text = page(1);
    assert!(
        text.contains("<span class=\"badge quiet\">grown</span> leak: 1 block, 48 bytes"),
        "{text}"
    );
    assert!(text.contains("leak: 1 block, 40 bytes per iteration"), "{text}");
    place.write("snapshots/leaks_per_call.snap", "damaged");
    let ended = run(&place, &["--html", "a.html", "leaks_per_call.toml"], 2);
    assert!(ended.stderr.contains("leaks_per_call.snap:1: "), "{}", ended.stderr);
    assert!(!read(&place.path("a.html")).contains("o leaks"));
}

#[test]
fn a_scenario_that_could_not_be_run_is_on_the_page() {
    let place = place(&[("frees_all", "say hello")]);
    place.write("wrong.toml", "steps = 1\n");
    let files = ["frees_all.toml", "wrong.toml", "missing.toml"];
    let _ = run(&place, &[&["--html", "a.html"][..], &files].concat(), 2);
    let text = read(&place.path("a.html"));
    assert!(text.contains("<h1>Memory leaks of 3 runs</h1>"), "{text}");
    assert_eq!(text.matches("class=\"state failed\"").count(), 2, "{text}");
    assert!(text.contains("wrong.toml:1: ") && text.contains("no leaks in frees_all"), "{text}");
}

#[test]
fn files_are_opened_before_anything_runs() {
    let place = place(&[("frees_all", "say hello")]);
    for (option, path) in [("--html", "no/a"), ("--folded", "no/a"), ("--pprof", ".")] {
        let ended = run(&place, &["--show-output", option, path, "frees_all.toml"], 2);
        assert_eq!(ended.stdout, "", "nothing was run");
        assert!(ended.stderr.starts_with(&format!("leaksnap: {path}: ")), "{}", ended.stderr);
    }
    let ended = run(&place, &["--html", "a", "--pprof", "a", "frees_all.toml"], 2);
    assert_eq!(ended.stderr, "leaksnap: a: two reports would go there\n");
    let ended = run(&place, &["--html", "a", "--output", "a", "frees_all.toml"], 2);
    assert_eq!(ended.stderr, "leaksnap: a: two reports would go there\n");
}

#[test]
fn a_program_has_them_too() {
    let place = place(&[]);
    let path = |name: &str| place.path(name).to_str().expect("a plain path").to_owned();
    let (folded, page) = (path("a.folded"), path("a.html"));
    let program = Program::compile("loses_a_block.c");
    let exec = Exec::of(program.with([])).option(&["--folded", &folded, "--html", &page]);
    assert_eq!(exec.text().code, Some(1));
    let stacks = read(&place.path("a.folded"));
    assert!(stacks.contains(";main"), "{stacks}");
    assert!(read(&place.path("a.html")).contains("There is nothing to draw"), "it ran once");
    let exec = Exec::of(program.with([])).option(&["--html", &page, "--suppressions", "no.txt"]);
    assert_eq!(exec.text().code, Some(2));
    let text = read(&place.path("a.html"));
    assert!(text.contains("class=\"state failed\"") && text.contains("no.txt"), "{text}");
    let unchecked = Program::compile_with("loses_a_block.c", &["-static"]);
    let exec = Exec::of(unchecked.with([])).option(&["--folded", &folded, "--html", &page]);
    assert_eq!(exec.text().code, Some(3));
    assert_eq!(read(&place.path("a.folded")), "", "the stacks of before are gone");
    let text = read(&place.path("a.html"));
    assert!(text.contains("not checked: ") && !text.contains("o leaks"), "{text}");
}

#[test]
fn saved_traces_have_them_too() {
    let place = place(&[]);
    let trace = |count| {
        format!(
            "[{{\"count\": {count}, \"bytes\": {}, \"sample\": \"0x7f00\", \"traceback\": \
             [\"f + 0x12\", \"main + 0x4\"]}}]",
            count * 8
        )
    };
    place.write("before.json", &trace(1));
    place.write("after.json", &trace(11));
    let ask = ["diff", "--folded", "a.folded", "--html", "a.html", "--iterations", "10"];
    let ended = place.run([&ask[..], &["before.json", "after.json"]].concat());
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    assert_eq!(
        read(&place.path("a.folded")),
        "after.json since before.json;main + 0x4;f + 0x12 80\n"
    );
    let text = read(&place.path("a.html"));
    assert!(text.contains("1 leak in after.json since before.json"), "{text}");
    place.write("after.json", "{}");
    let ended = place.run([&ask[..], &["before.json", "after.json"]].concat());
    assert_eq!(ended.status, Some(2), "{}", ended.stderr);
    assert!(read(&place.path("a.html")).contains("class=\"state failed\""));
}

fn trials(step: &str) -> Trials {
    let text = format!("plugins = [\"leaks_per_call\"]\nsteps = [\"{step}\"]\n");
    Trials::new(env!("CARGO_BIN_EXE_trials")).scenario("sub/forgets", &text)
}

const PAGES: (&str, &str) = ("LEAKSNAP_HTML", "target/pages");

#[test]
fn a_trial_that_fails_or_finds_something_leaves_a_page() {
    let trials = trials("forget");
    let page = trials.folder().join("target/pages/trials/sub/forgets.html");
    let _ = trials.run(&[], &[]).ends_with(101);
    assert!(!trials.folder().join("target").exists(), "nothing is written without the variable");
    let place = page.display().to_string();
    let _ = trials.run(&[], &[PAGES]).ends_with(101).says(&[&format!("\npage: {place}\n")]);
    let text = read(&page);
    assert!(text.contains("1 leak in sub/forgets"), "{text}");
    let mode = |path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let beside = page.with_file_name("beside");
    fs::write(&beside, "").expect("a file");
    assert_eq!(mode(&page), mode(&beside), "whoever may read other files may read it");
    assert!(text.contains("Nothing was accepted before: there is no <code>"), "{text}");
    // Accepted: it passes, and has a page.
    let _ = trials.run(&[], &[PAGES, ("INSTA_UPDATE", "always")]);
    let _ = trials.run(&[], &[PAGES]).ends_with(0);
    assert!(read(&page).contains("class=\"state accepted\""));
    // Damaged.
    trials.accept("sub/forgets", "leak: many\n");
    let _ = trials.run(&[], &[PAGES]).ends_with(101);
    assert!(read(&page).contains("class=\"state failed\""));
    fs::remove_file(trials.accepted("sub/forgets")).expect("it was there");
    // Clean: a page that says something else would be wrong.
    let trials = trials.scenario("sub/forgets", "plugins = [\"frees_all\"]\nsteps = [\"churn\"]\n");
    let _ = trials.run(&["--list"], &[PAGES]).ends_with(0);
    assert!(page.exists(), "listing runs nothing");
    let _ = trials.run(&[], &[PAGES]).ends_with(0);
    assert!(!page.exists(), "nothing was found");
}

#[test]
fn pages_that_can_not_be_written_are_an_error() {
    let trials = trials("forget");
    fs::write(trials.folder().join("target"), "a file").expect("written");
    let _ = trials.run(&[], &[PAGES]).ends_with(2).says(&["target/pages/trials: "]);
}
