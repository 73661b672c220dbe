//! Git on a repository of its own making: the same output, command by command, the same objects.
//!
//! Git starts itself for much of this. Without `--follow` those processes are on the heap and
//! untraced, with it each of them is traced, too.

use crate::twins::Twins;

/// Authors and times are fixed, so that the names of commits are; no configuration but this one.
const VARIABLES: [(&str, &str); 14] = [
    ("GIT_AUTHOR_NAME", "An Author"),
    ("GIT_AUTHOR_EMAIL", "author@example.org"),
    ("GIT_AUTHOR_DATE", "1700000000 +0000"),
    ("GIT_COMMITTER_NAME", "A Committer"),
    ("GIT_COMMITTER_EMAIL", "committer@example.org"),
    ("GIT_COMMITTER_DATE", "1700000000 +0000"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_EDITOR", "true"),
    ("GIT_PAGER", "cat"),
    // One thread packs: which deltas several find depends on who is first.
    ("GIT_CONFIG_COUNT", "1"),
    ("GIT_CONFIG_KEY_0", "pack.threads"),
    ("GIT_CONFIG_VALUE_0", "1"),
    ("LC_ALL", "C"),
];

/// A history for `git fast-import`: `commits` on `main`, each of which changes one of 20 files.
fn history(commits: usize) -> String {
    let mut text = String::new();
    for number in 0..commits {
        let lines = (0..40 + number % 30).map(|line| match line {
            line if line == number % 40 => format!("line {line}, of commit {number}\n"),
            line => format!("line {line} of {}, {}\n", number % 20, line * 7919 % 101),
        });
        let (content, message) = (lines.collect::<String>(), format!("change {number}\n"));
        let time = 1_600_000_000 + number * 60;
        text += &format!(
            "commit refs/heads/main\n\
             author An Author <author@example.org> {time} +0000\n\
             committer A Committer <committer@example.org> {time} +0000\n\
             data {}\n{message}M 100644 inline folder{}/file{}\ndata {}\n{content}\n",
            message.len(),
            number % 3,
            number % 20,
            content.len(),
        );
    }
    text + "done\n"
}

/// Runs git in both folders; gives standard output.
#[track_caller]
fn git(twins: &Twins, line: &str, code: i32) -> String {
    let words: Vec<_> = std::iter::once("git").chain(line.split(' ')).collect();
    twins.same(&words, code)
}

/// From an empty folder to bundles and clones. `commits` are made one by one with `git commit`,
/// behind `imported` others.
fn a_repository(twins: &Twins, imported: usize, commits: usize) {
    let git = |line: &str| git(twins, line, 0);
    git("init --quiet --initial-branch=main .");
    git("config core.abbrev 12");
    let words = ["git", "fast-import", "--quiet", "--done"];
    twins.run(&words, history(imported).as_bytes()).expect_same(&words, 0);
    git("reset --hard --quiet main");
    for number in 0..commits {
        twins.write("story", &format!("line {number}\n").repeat(number + 1));
        git("add story");
        git(&format!("commit --message=story-{number}"));
    }
    git("tag -a -m first v1");

    git("switch -c side HEAD~1");
    twins.write("folder0/file0", "the side's\n");
    twins.write("story", "another story\n");
    git("commit --all --message=side");
    twins.write("more", &"more\n".repeat(1000));
    git("add more");
    git("commit --message=more");
    git("branch rebased");
    git("switch main");
    let told = self::git(twins, "merge side", 1);
    assert!(told.contains("CONFLICT (content): Merge conflict in story"), "{told}");
    let told = git("diff");
    assert!(told.contains("++<<<<<<< HEAD"), "{told}");
    twins.write("story", "both stories\n");
    git("add story");
    git("commit --message=merged");
    assert!(git("log --graph --oneline -5").contains("|\\"));

    git("switch rebased");
    let told = self::git(twins, "rebase v1", 1);
    assert!(told.contains("CONFLICT"), "{told}");
    twins.write("story", "a rebased story\n");
    git("add story");
    git("rebase --continue");
    let told = self::git(twins, "cherry-pick main~2", 1);
    assert!(told.contains("CONFLICT"), "{told}");
    git("cherry-pick --abort");
    git("switch main");
    git(&format!("revert --no-edit HEAD~{}", commits + 1));
    twins.write("story", "stashed\n");
    git("stash push --message=later");
    git("stash list");
}

/// What is asked of the repository in the end.
fn is_the_same_history(twins: &Twins, imported: usize) {
    let git = |line: &str| git(twins, line, 0);
    let all = git("log --patch --stat --find-copies-harder --format=fuller --all");
    assert!(all.contains("    change 7\n") && all.len() > imported * 800, "{}", all.len());
    git("blame --line-porcelain folder0/file0");
    git("blame -C -C -M story");
    git("log --follow --oneline -- folder1/file1");
    git("grep -n -e 77 --and -e of HEAD~3");
    git("diff --word-diff --histogram HEAD~30 HEAD");
    git("format-patch --stdout HEAD~10..HEAD~5");
    git("shortlog --summary --email main");
    git("rev-list --objects --all");
    git("archive --format=tar v1");
    git("gc --quiet --aggressive --prune=now");
    git("fsck --full --strict --no-progress");
    git("count-objects -v");
    git("bundle create --quiet all.bundle --all");
    twins.same_file("all.bundle");
    git("bundle verify --quiet all.bundle");
    git("clone --quiet --no-local . cloned");
    git("clone --quiet --bare all.bundle bare.git");
    let refs = git("show-ref");
    assert!(refs.contains("refs/heads/rebased") && refs.contains("refs/tags/v1"), "{refs}");
    let objects = git("cat-file --batch-check --batch-all-objects");
    assert!(objects.lines().count() > imported * 3, "{}", objects.lines().count());
    let again = git("-C bare.git cat-file --batch-check --batch-all-objects");
    assert!(again.lines().count() > imported * 3 && objects.contains(&again), "{again}");
    git("-C cloned fsck --full --strict --no-progress");
}

#[test]
fn a_repository_of_its_own_making() {
    let twins = Twins::new(&VARIABLES);
    a_repository(&twins, 300, 4);
    is_the_same_history(&twins, 300);
}

#[test]
fn what_git_starts_is_traced_too() {
    let twins = Twins::new(&VARIABLES).option("--follow");
    a_repository(&twins, 60, 2);
    is_the_same_history(&twins, 60);
    let both = twins.run(&["git", "clone", "--quiet", "--no-local", ".", "followed"], b"");
    let packs = both.started.iter().any(|name| name == "git");
    assert!(packs && both.started.len() >= 3, "what serves, packs and unpacks: {both:?}");
}
