// The page in headless Chromium: `npm ci && npm test`, with chromium installed. What stands behind `--` of
// `npm test -- --test-name-pattern=PATTERN` runs a part.
//
// Every page is looked at in light and dark, wide and 320 pixels narrow, with everything in it open:
// nothing may be loaded, fail, or stand out to the side, and axe may find nothing. Screenshots are in
// target/page/.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";

import axe from "axe-core";
import { chromium } from "playwright-core";

import { pages, screenshots } from "./pages.js";

const LOOKS = [
  { name: "light", width: 1100, colorScheme: "light" },
  { name: "dark", width: 1100, colorScheme: "dark" },
  { name: "narrow", width: 320, colorScheme: "light" },
  { name: "narrow-dark", width: 320, colorScheme: "dark" },
];

const all = pages();
let browser;

before(async () => {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
});
after(() => browser?.close());

/// Opens the page at `path`; what it loaded and what went wrong in it is pushed to `events`.
async function open(path, { width = 1100, colorScheme = "light", ...options } = {}) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, offline: true, ...options });
  const page = await context.newPage();
  const events = [];
  const own = pathToFileURL(path).href;
  page.on("request", (request) => request.url() !== own && !request.url().startsWith("about:") && events.push(request.url()));
  page.on("console", (message) => events.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => events.push(`error: ${error.message}`));
  await page.goto(own);
  await page.waitForTimeout(100);
  return { page, events, close: () => context.close() };
}

async function openAll(page) {
  await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
}

/// What axe has against the page and its frames.
async function violations(page) {
  // Of files each is an origin of its own: axe has to be told that its frames may talk.
  const source = `${axe.source};axe.configure({ allowedOrigins: ["<unsafe_all_origins>"] })`;
  for (const frame of page.frames()) await frame.evaluate(source);
  const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ["violations"] }));
  return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => node.html).join("\n")}`);
}

for (const [name, path] of Object.entries(all)) {
  for (const { name: look, ...options } of LOOKS) {
    test(`${name}, ${look}`, async () => {
      const { page, events, close } = await open(path, options);
      await page.screenshot({ path: `${screenshots}/${name.replace(/\W/g, "_")}-${look}.png`, fullPage: true });
      await openAll(page);
      const frames = page.frames().map((frame) => frame.evaluate(() => [document.documentElement.scrollWidth, innerWidth]));
      for (const [needed, there] of await Promise.all(frames)) assert.ok(needed <= there, `${needed} of ${there}`);
      // A page of five hundred open tracebacks takes axe minutes; those that are closed are like them.
      if (name === "large") await page.reload();
      assert.deepEqual(await violations(page), []);
      assert.deepEqual(events, []);
      await close();
    });
  }
}

test("the tab key reaches everything, and what has it is seen", async () => {
  const { page, close } = await open(all.runs);
  const wanted = await page.evaluate(() => document.querySelectorAll("a, summary, iframe").length);
  const reached = new Set();
  for (let at = 0; at < wanted + 5; at++) {
    await page.keyboard.press("Tab");
    const seen = await page.evaluate(() => {
      const element = document.activeElement;
      const number = [...document.querySelectorAll("a, summary, iframe")].indexOf(element);
      const outline = element.tagName === "IFRAME" || parseFloat(getComputedStyle(element).outlineWidth) >= 2;
      return { number, outline };
    });
    if (seen.number < 0) continue;
    assert.ok(seen.outline, `number ${seen.number} has no outline`);
    reached.add(seen.number);
  }
  assert.equal(reached.size, wanted);
  const summary = page.locator("details.group:not([open]) > summary").first();
  await summary.focus();
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.parentElement.open), true);
  await close();
});

test("links lead to their runs", async () => {
  const { page, close } = await open(all.runs);
  const link = page.locator("nav a").last();
  const name = await link.textContent();
  await link.click();
  const heading = page.locator(":target");
  assert.equal(await heading.textContent(), name);
  await close();
});

test("the flame graph is moved through and zoomed by keys and by the mouse", async () => {
  const { page, events, close } = await open(all["trial new"]);
  const frame = page.frames()[1];
  const focused = () => frame.evaluate(() => document.activeElement.getAttribute("aria-label"));
  const shown = () => frame.locator("#frames > g:not(.hide)").count();
  const width = () => frame.evaluate(() => document.activeElement.querySelector("rect").getBoundingClientRect().width);
  await page.locator("iframe").first().focus();
  await page.keyboard.press("Tab");
  assert.match(await focused(), /^all \(384 bytes, 100%\)/);
  await page.keyboard.press("ArrowUp");
  assert.match(await focused(), /^forget \(384 bytes/);
  await page.keyboard.press("ArrowUp");
  assert.match(await focused(), /^forget_block \(384 bytes/);
  assert.match(await frame.locator("#details").textContent(), /forget_block/);
  await page.keyboard.press("ArrowDown");
  assert.match(await focused(), /^forget \(/);
  assert.ok((await width()) > 500);
  await page.keyboard.press("Enter");
  assert.equal(await frame.locator("#unzoom").getAttribute("class"), "");
  await page.keyboard.press("Escape");
  assert.equal(await frame.locator("#unzoom").getAttribute("class"), "hide");
  const before = await shown();
  await frame.locator("#frames > g", { hasText: "forget_block" }).first().click();
  assert.equal(await frame.locator("#unzoom").getAttribute("class"), "");
  await frame.locator("#unzoom").click();
  assert.equal(await shown(), before);
  page.once("dialog", (dialog) => dialog.accept("forget_block"));
  await frame.locator("#frames > g").first().focus();
  await page.keyboard.press("Control+f");
  assert.equal(await frame.locator("#matched").textContent(), "Matched: 100%");
  assert.deepEqual(events, []);
  await close();
});

test("accepted and found stand side by side", async () => {
  const { page, close } = await open(all["trial moved"]);
  const row = page.locator("details[open] table.beside tr.other");
  assert.match(await row.innerText(), /all_of_them_at_once.*\|\s*changed.*generate_digest/s);
  await close();
});

test("without scripts all of it but the graph is there", async () => {
  const { page, close } = await open(all["trial moved"], { javaScriptEnabled: false });
  for (const text of ["7 leaks in moved", "Accepted against found", "all_of_them_at_once"]) {
    assert.ok(await page.getByText(text).first().isVisible(), text);
  }
  await close();
});

test("what users name is text", async () => {
  const { page, close } = await open(all['trial a<b>&"c']);
  assert.equal(await page.locator("h2").textContent(), 'a<b>&"c');
  assert.equal(await page.locator("main b").count(), 0);
  await close();
});

test("not checked does not look clean", async () => {
  const { page, close } = await open(all["not-checked"]);
  const text = await page.locator("main").innerText();
  assert.match(text, /not checked: the ledger was full/);
  assert.doesNotMatch(text, /no leaks/i);
  await close();
});

test("twenty thousand tracebacks open in time", async () => {
  const start = performance.now();
  const { page, close } = await open(all.large);
  const took = performance.now() - start;
  assert.ok(took < 10_000, `${took} ms`);
  assert.match(await page.locator("main").innerText(), /more tracebacks are left out here/);
  await close();
});
