//! One source, several compilers: which snapshots are the same to the byte, which pass though they
//! are not, and which don't.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use harness_tests::Workplace;
use harness_tests::cargo::repository;
use harness_tests::program::found;
use harness_tests::trials::{Trials, body, read};

const NAME: &str = "forgets";

/// The compiler's kind and its flags.
type Build = (&'static str, &'static [&'static str]);

const BUILDS: [Build; 6] = [
    ("gcc", &["-O0"]),
    ("gcc", &["-O0", "-g"]),
    ("gcc", &["-O2"]),
    ("gcc", &["-O2", "-g"]),
    ("clang", &["-O2"]),
    ("clang", &["-O2", "-g"]),
];

/// A source in one language, built in every way.
struct Source {
    _folder: tempfile::TempDir,
    /// The plugin and what is found in it, in the order of [`BUILDS`].
    built: Vec<(PathBuf, String)>,
}

fn c() -> &'static Source {
    static SOURCE: OnceLock<Source> = OnceLock::new();
    SOURCE.get_or_init(|| Source::build("c", ["gcc", "clang"]))
}

fn cpp() -> &'static Source {
    static SOURCE: OnceLock<Source> = OnceLock::new();
    SOURCE.get_or_init(|| Source::build("cpp", ["g++", "clang++"]))
}

impl Source {
    fn build(extension: &str, [gcc, clang]: [&str; 2]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let built = BUILDS.iter().enumerate().map(|(number, (kind, flags))| {
            let compiler = if *kind == "gcc" { gcc } else { clang };
            // The file's name is in the snapshot.
            let plugin = folder.path().join(number.to_string()).join("forgets_deep.so");
            std::fs::create_dir(plugin.parent().expect("it has a folder")).expect("a folder");
            compile(&source(extension), compiler, flags, &plugin);
            let body = found_in(&plugin);
            (plugin, body)
        });
        let built = built.collect();
        Self { _folder: folder, built }
    }

    fn of(&self, build: &str) -> &(PathBuf, String) {
        let at = BUILDS.iter().position(|it| name(it) == build);
        &self.built[at.unwrap_or_else(|| panic!("there is no build {build}"))]
    }

    fn body(&self, build: &str) -> &str {
        &self.of(build).1
    }

    /// What the snapshot of each build says of each build: `.` passes, `m` moved and nothing else,
    /// `n` not accepted. A row for each accepted one, in the order of [`BUILDS`].
    fn verdicts(&self) -> Vec<String> {
        let verdict = |accepted: &str, plugin: &Path| {
            let trials = trials(plugin);
            let text = trials.accept(NAME, accepted);
            let run = trials.run(&[], &[("CI", "1")]);
            assert_eq!(read(&trials.accepted(NAME)), text);
            let said = |line: &&str| line.contains("in forgets");
            match run.text.lines().find(said) {
                None => {
                    let _ = run.ends_with(0).is_silent_about("note: ");
                    '.'
                }
                Some(line) if line.ends_with("in forgets moved") => {
                    let _ = run.ends_with(101).says(&["\nmoved leak, "]);
                    'm'
                }
                Some(line) => {
                    assert!(line.contains("not accepted"), "{line}");
                    let _ = run.ends_with(101);
                    'n'
                }
            }
        };
        let row = |(_, accepted): &(PathBuf, String)| {
            self.built.iter().map(|(plugin, _)| verdict(accepted, plugin)).collect()
        };
        self.built.iter().map(row).collect()
    }

    /// The groups that are found in a build, without the lines of `left_out` functions.
    fn groups(&self, build: &str, left_out: &[&str]) -> BTreeSet<String> {
        let is_left_out = |line: &str| left_out.iter().any(|function| line.contains(function));
        let group = |text: &str| {
            text.lines()
                .filter(|line| !is_left_out(line))
                .map(|line| line.to_owned() + "\n")
                .collect()
        };
        self.body(build).split("\n\n").map(group).collect()
    }
}

fn source(extension: &str) -> PathBuf {
    let folder = repository().join("fixtures/plugins_by_compiler");
    folder.join("forgets_deep").with_extension(extension)
}

fn compile(source: &Path, compiler: &str, flags: &[&str], plugin: &Path) {
    let output = Command::new(found(compiler, "build-essential clang"))
        .args(flags)
        .args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(repository().join("include"))
        .arg("-o")
        .args([plugin, source])
        .output()
        .expect("the compiler runs");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "compile {}:\n{messages}", source.display());
}

fn name((compiler, flags): &Build) -> String {
    format!("{compiler} {}", flags.join(" "))
}

fn trials(plugin: &Path) -> Trials {
    let text = format!("plugins = [{plugin:?}]\nsteps = [\"open\"]\nwarmup = 1\nrepeat = 3\n");
    Trials::new(env!("CARGO_BIN_EXE_trials")).scenario(NAME, &text)
}

/// The body of the snapshot that `plugin` has.
fn found_in(plugin: &Path) -> String {
    let trials = trials(plugin);
    let _ = trials.run(&[], &[("INSTA_UPDATE", "new")]).ends_with(101);
    body(&read(&trials.pending(NAME))).to_owned()
}

/// A body without the files that debug information names.
fn without_files(body: &str) -> String {
    let line = |line: &str| match line.rsplit_once("  ") {
        Some((front, file))
            if file.contains(".c") || file.contains(".h") || file.contains(".tcc") =>
        {
            format!("{front}\n")
        }
        _ => format!("{line}\n"),
    };
    body.lines().map(line).collect()
}

#[test]
fn in_c_the_same_functions_are_the_same_bytes() {
    let expected = "\
leak: 1 block, 5 bytes per iteration
    copy_of  forgets_deep.so  forgets_deep.c
    session_new  forgets_deep.so  forgets_deep.c
    add  forgets_deep.so  forgets_deep.c
    session_open  forgets_deep.so  forgets_deep.c
    open_session  forgets_deep.so  forgets_deep.c

leak: 1 block, 16 bytes per iteration
    session_new  forgets_deep.so  forgets_deep.c
    add  forgets_deep.so  forgets_deep.c
    session_open  forgets_deep.so  forgets_deep.c
    open_session  forgets_deep.so  forgets_deep.c
";
    assert_eq!(c().body("gcc -O2 -g"), expected);
    assert_eq!(c().body("clang -O2 -g"), expected);
    // Optimized, `zeroed` ends in a jump: no frame of it is left.
    let optimized = c().groups("gcc -O2 -g", &[]);
    assert_eq!(c().groups("gcc -O0 -g", &["zeroed"]), optimized);
    assert_ne!(c().groups("gcc -O0 -g", &[]), optimized);
    assert_eq!(without_files(c().body("gcc -O0 -g")), c().body("gcc -O0"));
    // Without debug information nobody knows what was inlined: both blocks are one traceback's.
    // gcc leaves alone what another module can replace; clang does not.
    let merged = "\
leak: 2 blocks, 21 bytes per iteration
    session_new  forgets_deep.so
    session_open  forgets_deep.so
    open_session  forgets_deep.so
";
    assert_eq!(c().body("gcc -O2"), merged);
    assert_eq!(c().body("clang -O2"), merged.replace("    session_new  forgets_deep.so\n", ""));
}

#[test]
fn in_cpp_the_same_functions_are_the_same_bytes() {
    assert_eq!(without_files(cpp().body("gcc -O0 -g")), cpp().body("gcc -O0"));
    // gcc jumps from this operator to the template, clang calls it.
    let operator = ["sessions::Table::operator+="];
    // gcc knows the bare name of a local function that it inlined.
    let optimized = cpp().groups("gcc -O2 -g", &[]).into_iter();
    let whole =
        |group: String| group.replace("    make_peer ", "    (anonymous namespace)::make_peer() ");
    let optimized: BTreeSet<_> = optimized.map(whole).collect();
    assert_eq!(cpp().groups("clang -O2 -g", &operator), optimized);
    assert_eq!(optimized.len(), 6, "{optimized:#?}");
    assert_eq!(cpp().groups("clang -O2", &operator), cpp().groups("gcc -O2", &[]));
    // Both jump from the other one; and what libstdc++ has for a string is called by one build and
    // inlined by the next.
    let all = [
        "sessions::Table::operator+=",
        "    sessions::Table::add(char const*, std::vector<int, std::allocator<int> > const&)  ",
        ">::assign(",
    ];
    assert_eq!(cpp().groups("gcc -O0 -g", &all), cpp().groups("clang -O2 -g", &all));
    for part in [
        "(anonymous namespace)::Opener::operator()(char const*) const  forgets_deep.so",
        "::{unnamed}::operator()(char const*) const  forgets_deep.so",
        "int sessions::open_with<(anonymous namespace)::Opener>((anonymous namespace)::Opener, ",
        "open_sessions(void*, leaksnap_call const*)  forgets_deep.so",
    ] {
        for (_, body) in cpp().built.iter().filter(|(_, body)| body.contains(".cpp")) {
            assert!(body.contains(part), "{part} is not in\n{body}");
        }
    }
}

#[test]
fn what_has_no_name_has_no_place_either() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = read(&source("cpp").with_file_name("unnamed.cpp"));
    let group = |lines: &[&str]| {
        let lines = lines.iter().map(|line| format!("    {line}  forgets.so  unnamed.cpp\n"));
        format!("leak: 1 block, BYTES bytes per iteration\n{}", lines.collect::<String>())
    };
    let opened = "open_sessions(void*, leaksnap_call const*)";
    let expected = [
        group(&["forget<(lambda)>", "operator()", "each<(lambda)>", opened]),
        group(&["forget<(unnamed enum)>", opened]),
        group(&["forget<(unnamed struct)>", opened]),
    ];
    let expected = expected.join("\n").replacen("BYTES", "21", 1).replace("BYTES", "24");
    for (place, above) in [("a", ""), ("copy (1) of:2:3, me@home [x]", "\n\n")] {
        let place = folder.path().join(place);
        std::fs::create_dir(&place).expect("a folder");
        let (source, plugin) = (place.join("unnamed.cpp"), place.join("forgets.so"));
        std::fs::write(&source, format!("{above}{text}")).expect("a source");
        for flags in [["-O1", "-g1"], ["-O1", "-gline-tables-only"]] {
            compile(&source, "clang++", &flags, &plugin);
            assert_eq!(found_in(&plugin), expected, "{flags:?} in {}", place.display());
        }
    }
}

/// What is listed in CONTRIBUTING.md under "One source, several compilers".
#[test]
fn where_frames_are_known_the_verdicts_are_those_of_another_build() {
    // gcc -O0, gcc -O0 -g, gcc -O2, gcc -O2 -g, clang -O2, clang -O2 -g
    let in_c = ["..n.n.", "..n.n.", "nn.n.n", "..n.n.", "nn.n.n", "..n.n."];
    assert_eq!(c().verdicts(), in_c);
    let in_cpp = ["..nmnm", "..nmnm", "nn.n.n", "mmn.n.", "nn.n.n", "mmn.n."];
    assert_eq!(cpp().verdicts(), in_cpp);
}

#[test]
fn a_helper_with_another_name_has_moved() {
    let (plugin, body) = c().of("gcc -O2 -g");
    let (first, second) = body.split_once("\n\n").expect("two groups");
    let accepted = format!("{}\n\n{second}", first.replace("session_new", "session_make"));
    let trials = trials(plugin);
    let text = trials.accept(NAME, &accepted);
    let _ = trials.run(&[], &[]).ends_with(101).says(&[
        "1 traceback in forgets moved\n\nmoved leak, indirect: 3 blocks, 15 bytes (1 block, 5 bytes",
        "
    accepted                                          found
    copy_of  forgets_deep.so  forgets_deep.c          copy_of  forgets_deep.so  forgets_deep.c
    session_make  forgets_deep.so  forgets_deep.c  |  session_new  forgets_deep.so  forgets_deep.c
",
        "\n-    session_make  forgets_deep.so  forgets_deep.c\n+    session_new  forgets_deep.so",
    ]);
    assert_eq!(read(&trials.accepted(NAME)), text);
    assert_eq!(harness_tests::trials::body(&read(&trials.pending(NAME))), body);
    let _ = trials.run(&[], &[("INSTA_FORCE_PASS", "1")]).ends_with(0);
}

#[test]
fn what_is_proposed_keeps_the_accepted_words() {
    // One of two tracebacks has grown; the other one's frames are those of another build.
    let accepted = c().body("gcc -O0 -g").replace("1 block, 5 bytes", "1 block, 4 bytes");
    let trials = trials(&c().of("gcc -O2 -g").0);
    let _ = trials.accept(NAME, &accepted);
    let _ = trials.run(&[], &[]).ends_with(101).says(&["(1 grown)", "-leak: 1 block, 4 bytes"]);
    let pending = read(&trials.pending(NAME));
    assert_eq!(harness_tests::trials::body(&pending), c().body("gcc -O0 -g"));
}

#[test]
fn a_stripped_module_shows_the_build_id_that_its_symbols_are_found_by() {
    let build =
        ("gcc", &["-O0", "-s", "-Wl,--build-id=0x0123456789abcdef0123456789abcdef01234567"][..]);
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    let plugin = work.path("forgets_deep.so");
    compile(&source("c"), "gcc", build.1, &plugin);
    work.write("it.toml", "plugins = [\"./forgets_deep.so\"]\nsteps = [\"open\"]\n");
    let text = work.run(["run", "it.toml"]).stderr;
    let line = text.lines().find(|line| line.contains("forgets_deep.so+0x"));
    let line = line.unwrap_or_else(|| panic!("no frame without a name in\n{text}"));
    assert!(line.ends_with("  build-id 0123456789abcdef0123456789abcdef01234567"), "{line}");
    let body = found_in(&plugin);
    assert!(body.contains("forgets_deep.so+0x"), "{body}");
    assert!(!body.contains("build-id"), "{body}");
}
