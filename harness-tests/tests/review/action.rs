//! `action.yml`: its steps are run as the runner runs them, on a git repository.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use harness_tests::cargo;
use harness_tests::outcome::Outcome;
use saphyr::{LoadableYamlNode, Yaml};

use crate::repository::{CLEAN, NAME, Repository, commands, leaky};

/// The variables by which a job can have all checkouts share a folder of Cargo's.
const TARGET_VARIABLES: [&str; 3] =
    ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_BUILD_DIR"];

/// A job that uses the action.
struct Job<'a> {
    repository: &'a Repository,
    inputs: BTreeMap<&'a str, String>,
    /// What the job sets for all of its steps.
    variables: BTreeMap<&'a str, PathBuf>,
    /// The runner's files: `RUNNER_TEMP`, what steps leave for later ones.
    files: tempfile::TempDir,
}

impl<'a> Job<'a> {
    fn new(repository: &'a Repository, inputs: &[(&'a str, &str)]) -> Self {
        // A worktree has what git has: the program is compiled there.
        let program = format!("tests/leaks/{NAME}");
        let command = format!(
            "cc -O1 -g -fno-builtin -o {program} src/session.c && \
             CARGO_MANIFEST_DIR=$PWD INSTA_WORKSPACE_ROOT=$PWD {}",
            env!("CARGO_BIN_EXE_trials")
        );
        let given = inputs.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let inputs = [("command", command)].into_iter().chain(given).collect();
        let files = tempfile::tempdir().expect("a folder");
        Self { repository, inputs, variables: BTreeMap::new(), files }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Runs the steps up to one that fails; how the last one ended, and what all of them said.
    fn run(&self) -> Outcome {
        let text = fs::read_to_string(cargo::repository().join("action.yml")).expect("it is there");
        let documents = Yaml::load_from_str(&text).expect("YAML");
        let action = &documents[0];
        let value = |name: &str| match self.inputs.get(name) {
            Some(value) => value.clone(),
            None => string(&action["inputs"][name]["default"]),
        };
        let mut text = String::new();
        let steps = action["runs"]["steps"].as_sequence().expect("there are steps");
        let mut last = None;
        for step in steps.iter().filter(|step| step.as_mapping_get("run").is_some()) {
            let condition = step.as_mapping_get("if").and_then(Yaml::as_str);
            assert!([None, Some("inputs.base != ''")].contains(&condition), "{condition:?}");
            if condition.is_some() && value("base").is_empty() {
                continue;
            }
            let outcome = self.step(step, &value);
            text += &outcome.text;
            let failed = outcome.code != Some(0);
            last = Some(outcome);
            if failed {
                break;
            }
        }
        Outcome { text, ..last.expect("one was run") }
    }

    fn step(&self, step: &Yaml<'_>, value: &dyn Fn(&str) -> String) -> Outcome {
        assert_eq!(step["shell"].as_str(), Some("bash"));
        let mut bash = Command::new("bash");
        // As the runner's documentation has it.
        bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", &string(&step["run"])]);
        let folder = self.repository.trials.folder();
        bash.current_dir(folder).env_remove("CARGO_MANIFEST_DIR");
        let kept = fs::read_to_string(self.file("env")).unwrap_or_default();
        bash.envs(kept.lines().filter_map(|line| line.split_once('=')));
        bash.env("GITHUB_ACTIONS", "true").env("GITHUB_WORKSPACE", folder).env("CI", "true");
        TARGET_VARIABLES.iter().for_each(|variable| {
            bash.env_remove(variable);
        });
        bash.env("RUNNER_TEMP", self.files.path()).envs(&self.variables);
        for (variable, name) in
            [("GITHUB_ENV", "env"), ("GITHUB_OUTPUT", "output"), ("GITHUB_STEP_SUMMARY", "summary")]
        {
            bash.env(variable, self.file(name));
        }
        for (name, expression) in
            step.as_mapping_get("env").and_then(Yaml::as_mapping).into_iter().flatten()
        {
            let expression = string(expression);
            let input =
                expression.strip_prefix("${{ inputs.").and_then(|it| it.strip_suffix(" }}"));
            bash.env(string(name), value(input.expect("an input")));
        }
        Outcome::of(&mut bash)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }
}

fn string(yaml: &Yaml<'_>) -> String {
    yaml.as_str().unwrap_or_else(|| panic!("{yaml:?} is no string")).to_owned()
}

#[test]
fn the_action_fails_with_the_pending_snapshot_and_passes_once_it_is_accepted() {
    let repository = Repository::new();
    let clean = Job::new(&repository, &[]);
    let green = clean.run().ends_with(0);
    assert_eq!((commands(&green), clean.read("output")), (vec![], "pending=0\n".to_owned()));

    repository.program(&leaky());
    let leaking = Job::new(&repository, &[]);
    let red = leaking.run().ends_with(101);
    assert!(commands(&red)[0].starts_with("::error file=src/session.c,line=7,"), "{}", red.text);
    assert_eq!(leaking.read("output"), "pending=1\n");
    let summary = leaking.read("summary");
    assert!(summary.contains("### ❌ leaksnap: sessions\n"), "{summary}");
    assert!(
        summary.contains(
            "\n1 pending snapshot is in this run's artifact. To accept it, unpack it and run\n"
        ),
        "{summary}"
    );
    assert!(!repository.trials.pending(NAME).exists(), "it is in the artifact's folder");

    // The artifact, unpacked by who reviews it.
    let folder = repository.trials.folder();
    let mut accept = cargo::insta(folder, &cargo::target());
    accept.arg("accept").env("INSTA_PENDING_DIR", leaking.file("leaksnap-pending"));
    let _ = Outcome::of(&mut accept).ends_with(0);
    assert!(repository.trials.accepted(NAME).exists());
    let _ = Job::new(&repository, &[]).run().ends_with(0);

    repository.program(CLEAN);
    let _ = Job::new(&repository, &[]).run().ends_with(0);
    let _ = Job::new(&repository, &[("strict", "true")]).run().ends_with(101);
}

#[test]
fn the_action_s_base_is_what_a_change_is_compared_with() {
    let repository = Repository::new();
    repository.program(&leaky());
    repository.commit("A leak that nobody has accepted");
    let inputs = [("base", "HEAD")];
    let job = Job::new(&repository, &inputs);
    let green = job.run().ends_with(0);
    assert!(green.text.contains("on the base, too"), "{}", green.text);
    assert_eq!(commands(&green), [""; 0]);
    repository.git(&["worktree", "prune"]);
    drop(job);
    repository.git(&["worktree", "prune"]);

    let more =
        leaky().replace("int main(void)\n{\n", "int main(void)\n{\n    newest = malloc(7);\n");
    repository.program(&more);
    let red = Job::new(&repository, &inputs).run().ends_with(101);
    assert!(commands(&red)[0].starts_with("::error file=src/session.c,line=12,"), "{}", red.text);
}

#[test]
fn the_action_s_base_is_not_built_where_the_change_is() {
    let repository = Repository::new();
    let manifest = "[package]\nname = \"package\"\nedition = \"2024\"\n\n[workspace]\n";
    let test = |is_right: bool| format!("#[test]\nfn works() {{\n    assert!({is_right});\n}}\n");
    fs::write(repository.path("Cargo.toml"), manifest).expect("written");
    fs::write(repository.path("tests/works.rs"), test(true)).expect("written");
    repository.commit("a test that passes");
    fs::write(repository.path("tests/works.rs"), test(false)).expect("written");
    let command = "cargo test --offline --test works";
    let inputs = [("base", "HEAD"), ("command", command)];
    for shared in TARGET_VARIABLES {
        let mut job = Job::new(&repository, &inputs);
        // Cargo compares times: to it the base's executable is newer than the change.
        job.variables.insert(shared, job.file("shared"));
        let red = job.run().ends_with(101);
        assert!(red.text.contains("test works ... FAILED"), "{shared}: {}", red.text);
        drop(job);
        repository.git(&["worktree", "prune"]);
    }
}
