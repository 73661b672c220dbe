// The pages that are looked at: written by the real command and the real harness, of real runs.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const repository = join(dirname(fileURLToPath(import.meta.url)), "../..");
const target = process.env.CARGO_TARGET_DIR ?? join(repository, "target");

const SCENARIOS = {
  new: scenario("leaks_per_call", "forget"),
  moved: scenario("crypto_openssl_forgets_hmac_key", "test crypto"),
  grown: scenario("grows_per_call", "grow"),
  accepted: scenario("leaks_per_call", "forget"),
  'a<b>&"c': scenario("leaks_per_call", "forget"),
  wrong: "steps = 1\n",
};

const SNAPSHOTS = {
  moved: [
    "leak: 1 block, 72 bytes per iteration",
    ...[
      "keys::KeyTable::key_add",
      "incremental::Digest<alloc::vec::Vec<crypto_tests::keys::Key>>::all_of_them_at_once",
      "incremental::test_crypto_incremental",
      "test_crypto::test_crypto",
      "command::test_crypto_forgetting_hmac_key_command",
    ].map((name) => `    crypto_tests::${name}  libcrypto_openssl_forgets_hmac_key.so`),
  ],
  grown: ["growth: 0 blocks, 7 bytes per iteration", ...frames("append", "grow", "grows_per_call")],
  accepted: ["leak: 1 block, 48 bytes per iteration", ...frames("forget_block", "forget", "leaks_per_call")],
};

function scenario(plugin, step) {
  return `plugins = ["${plugin}"]\nsteps = ["${step}"]\n`;
}

function frames(inner, outer, plugin) {
  return [inner, outer].map((name) => `    ${name}  lib${plugin}.so  ${plugin}.c`);
}

function write(path, text) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/// Two of VPP's traces, the later one with `rows` more tracebacks.
function traces(folder, rows) {
  const row = (at) => ({
    count: 10,
    bytes: 16 + at,
    sample: "0x7f00",
    traceback: Array.from({ length: 12 }, (_, depth) => `function_${at % 7 ** (12 - depth)} + 0x${depth}`),
  });
  write(join(folder, "before.json"), "[]");
  write(join(folder, "after.json"), JSON.stringify(Array.from({ length: rows }, (_, at) => row(at))));
}

/// Writes all pages; by what they are called, where they are.
export function pages() {
  const build = ["build", "--quiet", "-p", "leaksnap", "-p", "harness-tests", "--bins", "--tests"];
  execFileSync("cargo", build, { cwd: repository, stdio: "inherit" });
  const folder = mkdtempSync(join(tmpdir(), "leaksnap-page-"));
  const leaks = join(folder, "tests/leaks");
  for (const [name, text] of Object.entries(SCENARIOS)) write(join(leaks, `${name}.toml`), text);
  for (const [name, lines] of Object.entries(SNAPSHOTS)) {
    const text = `---\nsource: page.test.js\n---\n${lines.join("\n")}\n`;
    write(join(leaks, `snapshots/${name}.snap`), text);
  }
  traces(folder, 20_000);
  const run = (status, program, words, variables = {}) => {
    const environment = { ...process.env, CARGO_MANIFEST_DIR: folder, INSTA_UPDATE: "no", ...variables };
    // Whole reports are on standard error: the pages are what is looked at.
    const options = { cwd: folder, env: environment, encoding: "utf8", maxBuffer: 64 << 20 };
    const ended = spawnSync(join(target, "debug", program), words, options);
    const said = `${ended.stdout}${ended.stderr}`.slice(-2000);
    if (ended.status !== status) throw new Error(`${program} ${words}: ${ended.status} ${ended.error ?? ""}\n${said}`);
  };
  run(101, "trials", [], { LEAKSNAP_HTML: "trials-pages" });
  const all = Object.keys(SCENARIOS).map((name) => join(leaks, `${name}.toml`));
  run(2, "leaksnap", ["run", "--all", "--html", "runs.html", ...all]);
  run(3, "leaksnap", ["run", "--html", "not-checked.html", join(leaks, "new.toml")], { LEAKSNAP_FRAMES: "8" });
  run(0, "leaksnap", ["exec", "--all", "--follow", "--html", "program.html", "--", "sh", "-c", "cat /dev/null; true"]);
  run(1, "leaksnap", ["diff", "--html", "large.html", "before.json", "after.json"]);
  const trials = Object.keys(SCENARIOS).map((name) => [`trial ${name}`, join(folder, `trials-pages/trials/${name}.html`)]);
  const others = ["runs", "not-checked", "program", "large"].map((name) => [name, join(folder, `${name}.html`)]);
  return Object.fromEntries([...trials, ...others]);
}

/// Where screenshots go.
export const screenshots = join(target, "page");
