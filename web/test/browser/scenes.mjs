// Every screen in each of its states: what to open and what to do there. One
// that is much like another is opened `once`, not in every theme and width.
const chart = async (page) => page.locator('.frame canvas').first().waitFor();
const text = (page, words) => page.getByText(words).first().waitFor();

export const SIGNED_OUT = [
  { name: 'signin', hash: '#/', expectStatus: [401], ready: (page) => page.getByRole('button', { name: 'Sign in' }).waitFor() },
  {
    name: 'signin-error', hash: '#/', expectStatus: [401],
    ready: async (page) => {
      await page.getByLabel('E-mail').fill('admin@localhost');
      await page.getByLabel('Password', { exact: true }).fill('wrong');
      await page.getByRole('button', { name: 'Sign in' }).click();
      await text(page, 'e-mail or password is wrong');
    },
  },
];

export const SIGNED_IN = [
  { name: 'start', hash: '#/empty', ready: (page) => text(page, 'Waiting for your first event') },
  {
    name: 'start-key', hash: '#/empty/start',
    ready: async (page) => {
      await page.getByRole('button', { name: 'Create key' }).click();
      await text(page, /syn_sk_/);
    },
  },
  {
    name: 'start-arrived', hash: '#/empty/start', keep: true,
    ready: async (page) => {
      await page.getByRole('button', { name: 'Send a test event' }).click();
      await text(page, 'In all');
      await text(page, 'Before any word');
    },
  },
  {
    name: 'start-try', hash: '#/empty/start', fresh: true,
    ready: async (page) => {
      await page.getByRole('button', { name: 'Score', exact: true }).click();
      await text(page, 'Before any word');
      await page.getByRole('button', { name: 'battery' }).scrollIntoViewIfNeeded();
    },
  },
  { name: 'start-grpcurl', once: true, hash: '#/empty/start', keep: true, ready: (page) => page.getByRole('tab', { name: 'grpcurl' }).click() },
  { name: 'start-viewer', hash: '#/viewer/start', ready: (page) => text(page, 'Your role in this project') },
  { name: 'pulse', hash: '#/default', ready: chart, shift: true },
  {
    name: 'pulse-hover', hash: '#/default/pulse',
    ready: async (page) => {
      await chart(page);
      await page.locator('.frame').focus();
      for (let i = 0; i < 12; i++) await page.keyboard.press('ArrowLeft');
      await text(page, 'Events');
    },
  },
  { name: 'pulse-zoom', once: true, hash: '#/default/pulse?range=7d&zoom=1', ready: chart },
  { name: 'pulse-table', hash: '#/default/pulse?table=1', ready: (page) => page.getByRole('region', { name: 'Chart as a table' }).waitFor() },
  { name: 'pulse-source', hash: '#/default/pulse?range=7d&group=source', ready: chart },
  { name: 'pulse-source-table', hash: '#/default/pulse?group=source&table=1', ready: (page) => page.getByRole('region', { name: 'Chart as a table' }).waitFor() },
  { name: 'pulse-label', hash: '#/default/pulse?range=90d&group=label', ready: chart },
  { name: 'pulse-language', hash: '#/default/pulse?range=1h&group=language&zoom=1', ready: chart },
  { name: 'pulse-filtered', once: true, hash: `#/default/pulse?filter=${encodeURIComponent('label = "NEGATIVE"')}`, ready: chart },
  { name: 'pulse-empty', hash: '#/empty/pulse', fresh: true, ready: (page) => text(page, 'No events in this project yet') },
  { name: 'pulse-filter-empty', hash: `#/default/pulse?filter=${encodeURIComponent('source = "nowhere"')}`, ready: (page) => text(page, 'Without it there are') },
  { name: 'pulse-filter-invalid', hash: '#/default/pulse?filter=nonsense+%3D+1+AND+text%3A1', expectStatus: [400], ready: (page) => text(page, 'The filter was not understood') },
  { name: 'pulse-filter-list-only', once: true, hash: '#/default/pulse?filter=score+%3C+0', expectStatus: [400], ready: (page) => text(page, 'The chart shows all events') },
  { name: 'pulse-one', hash: '#/one/pulse?range=1h', ready: chart },
  { name: 'pulse-million', hash: '#/million/pulse?group=source', ready: async (page) => { await chart(page); await text(page, 'left out here'); } },
  { name: 'pulse-hostile', hash: '#/hostile/pulse?group=source', ready: chart },
  { name: 'pulse-broken', hash: '#/broken/pulse', expectStatus: [503], ready: (page) => text(page, 'the query service does not answer') },
  { name: 'project-unknown', hash: '#/not-mine/pulse', ready: (page) => text(page, 'You can not open this project') },
  { name: 'event', hash: '#/default/pulse?event=ev-000259', ready: (page) => text(page, 'Before any word') },
  {
    name: 'event-target', hash: '#/default/pulse?event=ev-000253',
    ready: async (page) => {
      await text(page, 'Before any word');
      await page.getByRole('button', { name: 'battery' }).click();
      await page.locator('mark.thing').waitFor();
      await page.getByText('All 28').click();
    },
  },
  { name: 'event-old', once: true, hash: '#/one/pulse?event=ev-000001', ready: (page) => text(page, 'Explained by') },
  { name: 'event-language', once: true, hash: '#/hostile/pulse?event=ev-000037', ready: (page) => text(page, 'Before any word') },
  {
    name: 'event-raw', hash: '#/hostile/pulse?event=ev-000039',
    ready: async (page) => {
      await text(page, 'In all');
      await page.getByText('Show raw JSON').click();
      await page.locator('dialog pre').scrollIntoViewIfNeeded();
    },
  },
  ...[40, 39, 38, 36, 35, 34, 33, 31].map((n) => ({
    name: `event-hostile-${n}`, once: n !== 38 && n !== 40, hash: `#/hostile/pulse?event=ev-0000${n}`, ready: (page) => text(page, 'In all'),
  })),
  { name: 'event-unknown', hash: '#/default/pulse?event=nope', expectStatus: [404], ready: (page) => text(page, 'This event is not here') },
  { name: 'help', hash: '#/default/pulse', ready: async (page) => { await chart(page); await page.keyboard.press('?'); await text(page, 'Single-key commands'); } },
  { name: 'palette', hash: '#/default/pulse', ready: async (page) => { await chart(page); await page.keyboard.press('Control+k'); await page.getByRole('combobox', { name: 'Type a command' }).fill('show'); } },
  {
    name: 'more', hash: '#/default/pulse', below: 1024,
    ready: async (page) => {
      await chart(page);
      await page.locator('nav button:visible', { hasText: 'More' }).click();
      await page.locator('dialog').getByText('Sign out').waitFor();
    },
  },
];
