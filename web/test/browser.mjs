// Opens every screen in both themes at three widths, checks it and takes a
// picture; then walks through what a person does. `npm run build` comes first.
//   node test/browser.mjs [part of a scene's name]
import { mkdirSync, rmSync } from 'node:fs';
import { launch } from './browser/chromium.mjs';
import { FLOWS } from './browser/flows.mjs';
import { inspect, openPage } from './browser/page.mjs';
import { SIGNED_IN, SIGNED_OUT } from './browser/scenes.mjs';
import { CSP, startMock } from './mock/server.mjs';

const only = process.argv[2] ?? '';
const artifacts = new URL('./artifacts/', import.meta.url).pathname;
const THEMES = ['light', 'dark'];
const SIZES = [[360, 740], [768, 1024], [1440, 900]];
/** The public "good" line is 0.1. */
const MOST_SHIFT = 0.05;

if (!only) rmSync(artifacts, { recursive: true, force: true });
mkdirSync(artifacts, { recursive: true });

const browser = await launch();
let passed = 0;
const failed = [];

function report(name, problems) {
  if (problems.length === 0) passed++;
  else failed.push(...problems.map((problem) => `${name}: ${problem}`));
}

async function scene(context, mock, entry, view) {
  const name = `${entry.name}-${view}`;
  const open = context.kept && entry.keep ? context.kept : await openPage(context, mock.url);
  const { page } = open;
  try {
    if (!entry.keep || !context.kept) {
      await context.kept?.page.close();
      await page.goto(`${mock.url}/${entry.hash}`);
    }
    context.kept = open;
    await entry.ready(page);
    await page.waitForTimeout(250);
    const problems = await inspect(open, entry);
    if (entry.shift) {
      const shift = await page.evaluate(() => window.shift);
      if (shift > MOST_SHIFT) problems.push(`layout shift ${shift.toFixed(3)}`);
    }
    report(name, problems);
  } catch (error) {
    report(name, [error.message.split('\n').slice(0, 4).join(' ')]);
  }
  const { width } = page.viewportSize();
  const whole = entry.hash.includes('event=') ? {} : { fullPage: true, clip: { x: 0, y: 0, width, height: 1600 } };
  await page.screenshot({ path: `${artifacts}${name}.png`, ...whole });
}

const wanted = (entry, theme, width) =>
  entry.name.includes(only) && (!entry.below || width < entry.below) && (!entry.once || (theme === 'light' && width === 768));
for (const theme of THEMES) {
  for (const [width, height] of SIZES) {
    const mock = await startMock();
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: 'reduce', locale: 'en-GB', timezoneId: 'Europe/Berlin' });
    const view = `${theme}-${width}`;
    for (const entry of SIGNED_OUT.filter((e) => wanted(e, theme, width))) await scene(context, mock, entry, view);
    await context.request.post(`${mock.url}/v1/sessions`, { data: { email: 'admin@localhost', password: 'secret' }, headers: { 'X-Synapse-Csrf': '1' } });
    for (const entry of SIGNED_IN.filter((e) => wanted(e, theme, width))) {
      if (entry.fresh) mock.state.events.clear();
      await scene(context, mock, entry, view);
    }
    await context.close();
    await mock.stop();
    report(`reports ${view}`, mock.state.reports.map((r) => `CSP report ${JSON.stringify(r)}`));
    console.log(`${view}: ${passed} passed, ${failed.length} problems so far`);
  }
}

for (const [name, flow] of Object.entries(FLOWS).filter(([name]) => name.includes(only))) {
  // The page also runs where scripts may make markup only by a named policy.
  const mock = await startMock({ tailMs: 0, csp: `${CSP}; require-trusted-types-for 'script'; trusted-types svelte-trusted-html` });
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-GB', timezoneId: 'Europe/Berlin', permissions: ['clipboard-read', 'clipboard-write'] });
  try {
    const open = await openPage(context, mock.url);
    await flow({ ...open, context, mock });
    const violations = await open.page.evaluate(() => window.violations);
    report(`flow ${name}`, [...open.faults, ...violations, ...mock.state.reports.map((r) => JSON.stringify(r))]);
  } catch (error) {
    report(`flow ${name}`, [error.message.split('\n').slice(0, 6).join(' ')]);
  }
  await context.close();
  await mock.stop();
}

await browser.close();
for (const line of failed) console.log(`  ${line}`);
console.log(`${passed} passed, ${failed.length} failed`);
process.exit(failed.length === 0 && passed > 0 ? 0 : 1);
