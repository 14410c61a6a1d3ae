import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Opens a page that writes down everything that must not happen. */
export async function openPage(context, url) {
  const page = await context.newPage();
  const faults = [];
  const status = [];
  page.on('console', (message) => {
    if (message.type() !== 'error') return;
    const refused = /status of (\d+)/.exec(message.text());
    if (refused) status.push(Number(refused[1]));
    else faults.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => faults.push(`exception: ${error.message}`));
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(url)) faults.push(`request to another origin: ${request.url()}`);
  });
  await page.addInitScript(() => {
    window.violations = [];
    window.shift = 0;
    document.addEventListener('securitypolicyviolation', (e) => window.violations.push(`${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
    }).observe({ type: 'layout-shift', buffered: true });
  });
  return { page, faults, status };
}

/** What is wrong with the page as it stands. */
export async function inspect({ page, faults, status }, { expectStatus = [] } = {}) {
  const found = [...faults];
  faults.length = 0;
  for (const code of status.splice(0)) if (!expectStatus.includes(code)) found.push(`console: status ${code}`);
  const facts = await page.evaluate(() => ({
    pwned: window.pwned,
    violations: window.violations.splice(0),
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    title: document.title,
    inline: document.querySelectorAll('#app script, #app iframe, #app img').length,
  }));
  if (facts.pwned !== undefined) found.push(`hostile text ran: ${facts.pwned}`);
  if (facts.inline > 0) found.push('hostile text made an element');
  for (const violation of facts.violations) found.push(`CSP: ${violation}`);
  if (facts.wide > 0) found.push(`the page is ${facts.wide} px wider than the window`);
  if (!facts.title.includes('Synapse')) found.push(`title is "${facts.title}"`);
  await page.evaluate(axe);
  const results = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  for (const violation of results.violations) {
    const where = violation.nodes.slice(0, 3).map((n) => `${n.target.join(' ')} [${(n.any[0] ?? n.all[0] ?? n.none[0])?.message ?? ''}]`);
    found.push(`axe ${violation.id}: ${violation.nodes.length} × ${where.join(' | ')}`);
  }
  return found;
}
