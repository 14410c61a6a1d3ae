// Drives the dashboard of a running server as a person would: signs in, sends the
// first event from the Start page, watches events arrive, opens one. Fails on any
// page error, CSP report, request to another host, or text that became markup.
import { createRequire } from "node:module";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import assert from "node:assert/strict";

const require = createRequire(new URL("../web/package.json", import.meta.url));
const { chromium } = require("playwright-core");
const { URL: base, EMAIL, PASSWORD, INGEST_KEY, ARTIFACTS = "artifacts" } = process.env;
const hostile = `<img src=x onerror="alert(1)"><script>alert(2)</script> hostile-marker`;

async function ingest(...events) {
  const res = await fetch(`${base}/v1/projects/-/events:ingest`, {
    method: "POST",
    headers: { authorization: `Bearer ${INGEST_KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ events }),
  });
  assert.equal(res.status, 200, await res.text());
}

mkdirSync(ARTIFACTS, { recursive: true });
const profile = mkdtempSync(join(tmpdir(), "synapse-chromium-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  viewport: { width: 1440, height: 900 },
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const page = context.pages()[0] ?? (await context.newPage());
page.setDefaultTimeout(30_000);
const complaints = [];
page.on("pageerror", (e) => complaints.push(`page error: ${e.message}`));
page.on("dialog", (d) => { complaints.push(`dialog: ${d.message()}`); d.dismiss(); });
page.on("console", (m) => {
  // a 401 before sign-in is how the page learns that it must ask
  if (m.type() === "error" && !/status of 401/.test(m.text())) complaints.push(`console: ${m.text()} ${m.location().url ?? ""}`);
});
page.on("request", (r) => { if (/^https?:/.test(r.url()) && !r.url().startsWith(base)) complaints.push(`request to ${r.url()}`); });
const shot = (name) => page.screenshot({ path: join(ARTIFACTS, `${name}.png`) });
const step = async (name, f) => {
  try {
    await f();
    console.log(`ok ${name}`);
  } catch (e) {
    await shot("failed").catch(() => {});
    console.error(`FAILED ${name}: ${e.message}\n${complaints.join("\n")}`);
    await context.close();
    rmSync(profile, { recursive: true, force: true });
    process.exit(1);
  }
};

await step("sign in", async () => {
  await page.goto(base + "/");
  await page.locator("input[type=password]").waitFor();
  await shot("signin");
  await page.locator("input[type=email], input[name=email]").first().fill(EMAIL);
  await page.locator("input[type=password]").fill(PASSWORD);
  await page.keyboard.press("Enter");
  await page.locator("input[type=password]").waitFor({ state: "detached" });
});
await step("the session is in HttpOnly cookies only", async () => {
  const cookies = await context.cookies(base);
  assert.ok(cookies.length > 0 && cookies.every((c) => c.httpOnly && c.sameSite === "Strict"), JSON.stringify(cookies));
  assert.equal(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage })).then((s) => /eyJ|syn_sk_/.test(s)), false);
});
await step("the Start page makes a key, sends an event and shows it arrive", async () => {
  await page.goto(base + "/#/default/start");
  await page.getByRole("button", { name: "Create key" }).click();
  await page.getByText(/curl/).first().waitFor();
  const shown = await page.evaluate(() => document.body.innerText);
  const key = shown.match(/syn_sk_[a-z0-9]{12}_[A-Za-z0-9]+/)?.[0];
  assert.ok(key, "the command holds the new key");
  const res = await fetch(`${base}/v1/projects/-/events:ingest`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ events: [{ text: "What a wonderful start-marker" }] }),
  });
  assert.equal(res.status, 200, await res.text());
  await page.getByText("start-marker").first().waitFor();
  await page.getByText(/counted/i).first().waitFor();
  await shot("start");
});
await step("pulse shows live events", async () => {
  await ingest({ text: "I am delighted, pulse-marker", source: "dash" }, { text: hostile, source: "hostile" });
  await page.goto(base + "/#/default/pulse").catch(() => {});
  await page.getByText("pulse-marker").first().waitFor();
  await page.locator("canvas").first().waitFor();
  await page.getByText("hostile-marker").first().waitFor();
});
await step("an event arrives on the open page", async () => {
  await ingest({ text: "live-marker arrives by itself", source: "dash" });
  await page.getByText("live-marker").first().waitFor();
  await shot("pulse");
});
await step("hostile text stays text", async () => {
  assert.equal(await page.locator('img[src="x"]').count(), 0);
});
await step("an event opens with its words, sentences, targets and trail", async () => {
  await ingest({ text: "The food was delicious. But the waiter was terribly rude, why-marker!", source: "review", targets: ["waiter", "garden"] });
  await page.getByText("why-marker").first().click();
  const event = page.getByRole("dialog");
  const words = event.locator("section").filter({ has: page.getByRole("heading", { name: "Words" }) });
  assert.match(await words.getByRole("listitem").filter({ hasText: "rude" }).innerText(), /−\d\.\d\d/);
  assert.match(await words.getByRole("listitem").filter({ hasText: "delicious" }).innerText(), /\+\d\.\d\d/);
  const sentences = event.locator(".sentence");
  assert.equal(await sentences.count(), 2);
  assert.match(await sentences.nth(0).innerText(), /\+0\.\d\d/);
  assert.match(await sentences.nth(1).innerText(), /−0\.\d\d/);
  const line = (name) => event.getByRole("row").filter({ has: page.getByRole("rowheader", { name }) }).innerText();
  assert.match(await line("waiter"), /−0\.\d\d[^]*rude/);
  assert.match(await line("food"), /\+0\.\d\d[^]*delicious/);
  assert.match(await line("garden"), /not in the text/);
  assert.match(await line("Stored"), /row \d+/);
  await shot("event");
});
assert.deepEqual(complaints, []);
await context.close();
rmSync(profile, { recursive: true, force: true });

