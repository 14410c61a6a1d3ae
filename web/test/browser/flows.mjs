// What a person does, step by step.
import assert from 'node:assert/strict';

async function signIn(page, mock, hash = '#/') {
  await page.goto(`${mock.url}/${hash}`);
  await page.getByLabel('E-mail').fill('admin@localhost');
  await page.getByLabel('Password', { exact: true }).fill('secret');
  await page.keyboard.press('Enter');
  await page.locator('main#main').waitFor();
}

const pulse = (page) => page.locator('.frame canvas').first().waitFor();
const hash = (page) => page.evaluate(() => location.hash);

export const FLOWS = {
  async 'sign in keeps the address, sign out ends the session'({ page, mock }) {
    await signIn(page, mock, '#/default/pulse?range=7d&group=source');
    await pulse(page);
    assert.equal(await hash(page), '#/default/pulse?range=7d&group=source');
    assert.equal(await page.title(), 'Pulse · Acme support · Synapse');
    assert.equal(await page.evaluate(() => document.cookie), '', 'cookies are out of reach of scripts');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
    assert.equal(mock.state.sessions.size, 0);
  },

  async 'an ended access cookie is refreshed without a word'({ page, mock }) {
    await signIn(page, mock, '#/default/pulse');
    await pulse(page);
    mock.expire();
    await page.getByRole('radio', { name: 'last 7 days' }).check();
    await page.getByText('over the last 7 days').first().waitFor();
    assert.equal(mock.state.sessions.size, 1);
    mock.expire();
    mock.state.refresh.clear();
    await page.getByTitle('last hour').click();
    await page.getByText('Your session has ended').waitFor();
  },

  async 'start: key, curl, event arrives with words and trail'({ page, mock, context }) {
    await signIn(page, mock, '#/empty');
    await page.getByText('Waiting for your first event').waitFor();
    assert.equal(await hash(page), '#/empty/start');
    await page.getByRole('button', { name: 'Create key' }).click();
    await page.getByRole('button', { name: 'Copy', exact: true }).click();
    const command = await page.evaluate(() => navigator.clipboard.readText());
    const key = /syn_sk_\w+/.exec(command)[0];
    assert.ok(command.includes(`${mock.url}/v1/projects/empty/events:ingest`), command);
    const answer = await context.request.post(`${mock.url}/v1/projects/empty/events:ingest`, {
      headers: { Authorization: `Bearer ${key}` }, data: { events: [{ text: 'This is great, but the export fails', source: 'curl' }] },
    });
    assert.equal(answer.status(), 200);
    await page.getByText('In all').waitFor();
    await page.locator('.evidence.for', { hasText: 'great' }).waitFor();
    await page.locator('.evidence.against', { hasText: 'fails' }).waitFor();
    await page.getByRole('button', { name: 'Send a test event' }).click();
    await page.getByText('Earlier arrivals').waitFor();
    await page.getByLabel('Text to send').fill(`it's "$HOME" \`x\``);
    assert.ok((await page.locator('[role=tabpanel] pre').innerText()).includes(`it'\\''s \\"$HOME\\" \`x\``));
    await page.getByRole('link', { name: 'Open Pulse' }).click();
    await page.getByText('Newest events').waitFor();
    await page.goBack();
    await page.getByText(/syn_sk_/).first().waitFor();
  },

  async 'an event shows its words, targets and emotions in the text'({ page, mock }) {
    await signIn(page, mock, '#/default/pulse');
    mock.emit('default', 'why-1', '🎉 The camera is superb. But the battery drains twice as fast, useless!');
    await page.getByText('The camera is superb. But').click();
    const event = page.locator('dialog');
    await event.getByText('Before any word').waitFor();
    const lit = async () => [await event.locator('mark.thing').allInnerTexts(), await event.locator('mark.opinion').allInnerTexts()].map((texts) => texts.join('|'));
    assert.equal(await event.locator('.sentence').count(), 2, 'each sentence has its score');
    assert.match(await event.locator('.sentence').last().innerText(), /Negative\s*−0\.\d\d/);
    assert.deepEqual(await lit(), ['', '']);
    const battery = event.getByRole('button', { name: 'battery' });
    await battery.focus();
    assert.deepEqual(await lit(), ['battery', 'But|drains|twice|fast|useless']);
    await event.getByRole('button', { name: /superb/ }).focus();
    assert.deepEqual(await lit(), ['superb', '']);
    await battery.focus();
    await page.keyboard.press('Enter');
    assert.equal(await battery.getAttribute('aria-pressed'), 'true');
    await event.getByText('Facts').click();
    assert.equal((await lit())[0], 'battery', 'what was chosen stays');
    await battery.click();
    assert.deepEqual(await lit(), ['', '']);
    await event.getByText('not in the text').waitFor();
    await event.getByText('Mixed').waitFor();
    await event.getByText('All 28').click();
    await event.getByText('nervousness').waitFor();
    await event.getByText('of 5 expected').waitFor();
    const copied = await event.locator('.foreign').first().evaluate((box) => {
      getSelection().selectAllChildren(box);
      return String(getSelection());
    });
    assert.equal(copied, '🎉 The camera is superb. But the battery drains twice as fast, useless!', 'the scores are not of the text');
  },

  async 'a text is tried and stored nowhere'({ page, mock }) {
    await signIn(page, mock, '#/empty/start');
    await page.getByLabel('Text to score').fill('The camera is superb.');
    await page.getByLabel('Targets').fill('camera, price');
    await page.keyboard.press('Enter');
    await page.getByText('Before any word').waitFor();
    await page.getByRole('button', { name: 'camera' }).waitFor();
    await page.getByText('not in the text').waitFor();
    await page.getByLabel('Text to score').fill('Это ужасно');
    await page.keyboard.press('Control+Enter');
    await page.getByText('treat the score as a guess').waitFor();
    assert.equal(mock.state.events.get('empty')?.length ?? 0, 0);
  },

  async 'keys: places, rows, event, escape, filter, range, table'({ page, mock }) {
    await signIn(page, mock, '#/default/start');
    await page.getByText('Send it').waitFor();
    await page.locator('h1').click();
    await page.keyboard.press('g');
    await page.keyboard.press('p');
    await pulse(page);
    await page.locator('a[data-row]').first().waitFor();
    for (const key of ['j', 'j', 'j', 'k']) await page.keyboard.press(key);
    const second = await page.locator('a[data-row]').nth(1).getAttribute('href');
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('href')), second);
    await page.keyboard.press('Enter');
    await page.locator('dialog').getByText('In all').waitFor();
    assert.equal(await hash(page), second);
    await page.keyboard.press('j');
    await page.waitForFunction((old) => location.hash !== old, second);
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('href')), second, 'the focus goes back to the row');
    await page.keyboard.press('/');
    await page.keyboard.type('label = "NEGATIVE"');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => location.hash.includes('filter='));
    await page.keyboard.press('Escape');
    await page.keyboard.press('v');
    await page.getByRole('region', { name: 'Chart as a table' }).locator('table').waitFor();
    await page.keyboard.press('v');
    await page.keyboard.press('t');
    await page.keyboard.press('ArrowRight');
    await page.waitForFunction(() => location.hash.includes('range=7d'));
    await page.keyboard.press('?');
    await page.getByLabel('Single-key commands').uncheck();
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
    await page.keyboard.press('v');
    await page.waitForTimeout(100);
    assert.ok(!(await hash(page)).includes('table'), 'single keys are off');
    await page.keyboard.press('Control+k');
    await page.keyboard.type('theme dark');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  },

  async 'back and forward walk through the views'({ page, mock }) {
    await signIn(page, mock, '#/default/pulse');
    await pulse(page);
    await page.getByRole('radio', { name: 'last 30 days' }).check();
    await page.getByLabel('Group by').selectOption('language');
    await page.getByRole('button', { name: 'en', exact: true }).click();
    await page.waitForFunction(() => location.hash.includes('filter='));
    await page.goBack();
    await page.goBack();
    assert.equal(await hash(page), '#/default/pulse?range=30d');
    assert.equal(await page.getByLabel('Group by').inputValue(), '');
    await page.goForward();
    assert.equal(await page.getByLabel('Group by').inputValue(), 'language');
  },

  async 'live tail: arrives, pauses, survives a cut with its cursor'({ page, mock, faults }) {
    await signIn(page, mock, '#/default/pulse');
    await page.getByText('Live', { exact: true }).waitFor();
    const send = (id) => mock.emit('default', id, `live text ${id}`);
    send('first-1');
    await page.getByText('live text first-1').waitFor();
    await page.getByRole('button', { name: 'Pause' }).click();
    send('second-1');
    await page.getByText('Show 1 new event').click();
    await page.getByText('live text second-1').waitFor();
    // A row that somebody points at stays where it is.
    await page.locator('a[data-row]').first().hover();
    send('held-1');
    await page.getByText('Show 1 new event').waitFor();
    assert.equal(await page.getByText('live text held-1').count(), 0);
    await page.locator('h1').hover();
    await page.getByText('live text held-1').waitFor();
    mock.gap('default', 312);
    await page.getByText('312 events left out here').waitFor();
    mock.dropTails();
    await page.getByText('Reconnecting').waitFor();
    await page.getByText('Live', { exact: true }).waitFor();
    assert.match(mock.state.lastEventId, /^c\d+/, 'it goes on after the last event');
    send('third-1');
    await page.getByText('live text third-1').waitFor();
    // The browser writes the cut down.
    faults.splice(0, faults.length, ...faults.filter((fault) => !fault.includes('ERR_INCOMPLETE_CHUNKED_ENCODING')));
  },

  async 'the theme is there before the first paint'({ page, mock, context }) {
    await signIn(page, mock, '#/default/start');
    await page.getByLabel('Theme').selectOption('dark');
    const second = await context.newPage();
    await second.route('**/assets/index-*.js', (route) => route.abort());
    await second.goto(mock.url);
    assert.equal(await second.evaluate(() => document.documentElement.dataset.theme), 'dark');
    assert.equal(await second.evaluate(() => getComputedStyle(document.body).backgroundColor), 'rgb(11, 18, 32)');
  },

  async 'the skip link goes to the content'({ page, mock }) {
    await signIn(page, mock, '#/default/start');
    await page.reload();
    await page.getByText('Send it').waitFor();
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to content');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
    assert.ok((await hash(page)).startsWith('#/default/start'));
  },
};
