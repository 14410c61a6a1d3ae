// A stand-in for the gateway: serves the built dashboard with the real headers
// and answers the API from data.mjs. Each project is a situation.
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { explain, history, makeEvent, nextText, timeSeries, trail } from './data.mjs';

export const CSP = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
const DIST = new URL('../../../services/gateway/assets/dist/', import.meta.url).pathname;
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.txt': 'text/plain; charset=utf-8' };
const PROJECTS = [
  ['default', 'Acme support'], ['empty', 'Empty project'], ['one', 'One event'], ['million', 'Ten million a day'],
  ['hostile', '<b>Hostile</b> \u202Etexts'], ['broken', 'Broken server'], ['viewer', 'Only viewer'],
];
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

export function startMock({ port = 0, tailMs = 1500, csp = CSP } = {}) {
  const state = { sessions: new Map(), refresh: new Map(), keys: new Set(), events: new Map(), tails: new Set(), sent: 0, reports: [], expiredOnce: false };
  const server = createServer((request, response) => {
    handle(state, request, response, csp).catch((error) => {
      if (error.problem) problem(response, ...error.problem);
      else problem(response, 500, 'INTERNAL', String(error.stack));
    });
  });
  const timer = tailMs && setInterval(() => {
    for (const project of ['default', 'hostile', 'million']) {
      const burst = project === 'million' ? 40 : 1;
      for (let i = 0; i < burst; i++) {
        const [text, source, language] = nextText(state.sent);
        add(state, project, makeEvent(project, `live-${++state.sent}`, text, source, language, Date.now()));
      }
      if (project === 'million') tell(state, project, 'gap', { withheld: 312, reason: 'the reader was too slow' });
    }
  }, tailMs);
  return new Promise((resolve) => {
    server.listen(port, '127.0.0.1', () => resolve({
      url: `http://127.0.0.1:${server.address().port}`,
      state,
      /** Forgets all access cookies, as their end does. */
      expire: () => state.sessions.clear(),
      emit: (project, id, text) => add(state, project, makeEvent(project, id, text, 'test', 'en', Date.now())),
      gap: (project, withheld) => tell(state, project, 'gap', { withheld, reason: 'the reader was too slow' }),
      dropTails: () => state.tails.forEach((tail) => tail.response.destroy()),
      stop: () => {
        clearInterval(timer);
        server.closeAllConnections();
        return new Promise((done) => server.close(done));
      },
    }));
  });
}

function eventsOf(state, project) {
  const sizes = { default: 260, hostile: 40, million: 400, one: 1, viewer: 0 };
  if (!state.events.has(project)) state.events.set(project, history(project, Date.now(), sizes[project] ?? 0));
  return state.events.get(project);
}

function add(state, project, event) {
  const events = eventsOf(state, project);
  events.unshift(event);
  if (events.length > 2000) events.length = 2000;
  tell(state, project, 'event', event);
}

function tell(state, project, type, message) {
  const cursor = `c${Date.now()}-${++state.sent}`;
  for (const tail of state.tails) {
    if (tail.project !== project) continue;
    tail.response.write(`id: ${cursor}\nevent: ${type}\ndata: ${JSON.stringify(message)}\n\n`);
  }
}

function problem(response, status, reason, detail, more = {}) {
  send(response, status, {
    type: `https://synapse.example/problems/${reason.toLowerCase()}`, title: more.title ?? 'Request refused', status, detail, reason, code: 'UNKNOWN',
    retryable: status === 429 || status >= 500, traceId: TRACE, ...more,
  }, 'application/problem+json', status === 429 ? { 'Retry-After': '2' } : {});
}

function send(response, status, body, type = 'application/json', headers = {}) {
  if (response.headersSent) return;
  response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store', ...headers });
  response.end(body === undefined ? '' : JSON.stringify(body));
}

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return parts.length ? JSON.parse(Buffer.concat(parts).toString('utf8')) : {};
}

function cookies(request) {
  return Object.fromEntries((request.headers.cookie ?? '').split('; ').filter(Boolean).map((pair) => pair.split('=')));
}

function openSession(state, response, status) {
  const access = randomBytes(12).toString('hex');
  const refresh = randomBytes(12).toString('hex');
  state.sessions.set(access, 'admin@localhost');
  state.refresh.set(refresh, true);
  send(response, status, { user: { name: 'users/u1', email: 'admin@localhost' }, expireTime: new Date(Date.now() + 600_000).toISOString() }, 'application/json', {
    'Set-Cookie': [`synapse_access=${access}; HttpOnly; SameSite=Strict; Path=/`, `synapse_refresh=${refresh}; HttpOnly; SameSite=Strict; Path=/v1/sessions:refresh`],
  });
}

async function handle(state, request, response, csp) {
  const url = new URL(request.url, 'http://mock');
  response.setHeader('Content-Security-Policy', `${csp}; report-uri /csp-report`);
  response.setHeader('X-Content-Type-Options', 'nosniff');
  if (url.pathname === '/csp-report') {
    state.reports.push(await body(request));
    return send(response, 204);
  }
  if (!url.pathname.startsWith('/v1/')) return file(url.pathname, response);
  if (request.headers['x-synapse-csrf'] !== '1' && !request.headers.authorization) {
    return problem(response, 403, 'CROSS_ORIGIN', 'the call has no X-Synapse-Csrf header');
  }
  return api(state, request, response, url);
}

async function file(path, response) {
  const name = path === '/' ? 'index.html' : normalize(path).replace(/^(\.\.[/\\])+/, '');
  try {
    const content = await readFile(join(DIST, name));
    response.writeHead(200, { 'Content-Type': TYPES[extname(name)] ?? 'application/octet-stream', 'Cache-Control': name.includes('assets/') ? 'public, max-age=31536000, immutable' : 'no-cache' });
    response.end(content);
  } catch {
    response.writeHead(404).end('not found');
  }
}

async function api(state, request, response, url) {
  const route = `${request.method} ${url.pathname}`;
  if (route === 'POST /v1/sessions') {
    const { email, password } = await body(request);
    if (email === 'locked@localhost') return problem(response, 429, 'SIGN_IN_THROTTLED', 'too many failed sign-ins for this account', { remedy: 'wait 30 seconds and try again' });
    if (password !== 'secret') return problem(response, 401, 'CREDENTIAL_UNKNOWN', 'e-mail or password is wrong', { title: 'Not signed in', remedy: 'check both; credentials.json in the data folder has the first ones' });
    return openSession(state, response, 200);
  }
  if (route === 'POST /v1/sessions:refresh') {
    if (!state.refresh.delete(cookies(request).synapse_refresh)) return problem(response, 401, 'CREDENTIAL_EXPIRED', 'the session has ended', { remedy: 'sign in again' });
    return openSession(state, response, 200);
  }
  const key = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
  if (key ? !state.keys.has(key) : !state.sessions.has(cookies(request).synapse_access)) {
    return problem(response, 401, 'CREDENTIAL_MISSING', 'the call carries no credential that holds', { remedy: 'sign in' });
  }
  if (route === 'DELETE /v1/sessions/current') {
    state.sessions.delete(cookies(request).synapse_access);
    return send(response, 200, {});
  }
  if (route === 'GET /v1/sessions/current') {
    return send(response, 200, {
      user: { name: 'users/u1', email: 'admin@localhost' }, expireTime: new Date(Date.now() + 600_000).toISOString(),
      projects: PROJECTS.map(([projectId, displayName]) => ({ name: `projects/${projectId}`, projectId, displayName, scopes: projectId === 'viewer' ? ['READ', 'SCORE'] : ['INGEST', 'READ', 'SCORE', 'MANAGE'] })),
    });
  }
  if (route === 'POST /v1/texts:score') {
    const { text, targets } = await body(request);
    return send(response, 200, explain(text, /[\u0400-\u04ff]/.test(text) ? 'ru' : 'en', targets));
  }
  const match = /^\/v1\/projects\/([^/]+)\/(.+)$/.exec(url.pathname);
  if (!match) return problem(response, 404, 'NOT_FOUND', 'no such route');
  return project(state, request, response, url, match[1], match[2]);
}

async function project(state, request, response, url, id, rest) {
  if (!PROJECTS.some(([known]) => known === id)) return problem(response, 403, 'PERMISSION_DENIED', 'the credential may not do this here, or the project does not exist', { remedy: 'use a credential of that project' });
  if (id === 'broken') return problem(response, 503, 'UNAVAILABLE', 'the query service does not answer', { title: 'Unavailable', remedy: 'try again; synapse doctor names the broken part' });
  if (rest === 'apiKeys' && request.method === 'POST') {
    const { displayName } = await body(request);
    const secret = `syn_sk_${randomBytes(6).toString('hex')}_${randomBytes(20).toString('base64url').replace(/[-_]/g, 'x')}9fQ2aB`;
    state.keys.add(secret);
    return send(response, 200, { apiKey: { name: `projects/${id}/apiKeys/abc`, displayName, scopes: ['INGEST'], prefix: secret.slice(0, 12) }, secret });
  }
  if (rest === 'events:ingest' && request.method === 'POST') {
    const { events } = await body(request);
    const results = events.map((event, index) => {
      if (!event.text) return { index, status: 'REJECTED', reason: 'INVALID_FIELD', violations: [{ field: 'text', rule: 'must have at least 1 byte', remedy: 'send a text' }] };
      const eventId = event.id ?? randomBytes(8).toString('hex');
      setTimeout(() => add(state, id, makeEvent(id, eventId, event.text, event.source ?? '', 'en', Date.now())), 60);
      return { index, id: eventId, status: 'ACCEPTED' };
    });
    const rejected = results.filter((r) => r.status === 'REJECTED').length;
    return send(response, 200, { ...(results.length - rejected ? { accepted: results.length - rejected } : {}), ...(rejected ? { rejected } : {}), results, traceId: TRACE });
  }
  if (rest === 'events:tail') return tail(state, request, response, id);
  if (rest === 'timeSeries:query') {
    const filter = url.searchParams.get('filter') ?? '';
    if (/text|score|user_id/.test(filter)) return problem(response, 400, 'INVALID_FILTER', 'column 1: the series can not be filtered by that field', { remedy: 'use source, label, language or model_version' });
    return send(response, 200, timeSeries(id, url.searchParams, Date.now()));
  }
  if (rest === 'events') return list(state, response, url, id);
  const one = /^events\/([^/:]+)(\/trail|:explain)?$/.exec(rest);
  const event = one && eventsOf(state, id).find((e) => e.id === one[1]);
  if (!event) return problem(response, 404, 'NOT_FOUND', 'no such event in this project', { title: 'Not found' });
  if (one[2] === ':explain') return send(response, 200, { name: event.name, ...explain(event.text, event.language, event.targets) });
  return send(response, 200, one[2] ? trail(id, event.id, event) : event);
}

function list(state, response, url, id) {
  const filter = url.searchParams.get('filter') ?? '';
  if (filter.includes('nonsense')) return problem(response, 400, 'INVALID_FILTER', 'column 1: unknown field "nonsense"', { title: 'Invalid filter', remedy: 'use one of id, text, source, user_id, language, label, score' });
  const wanted = eventsOf(state, id).filter((e) =>
    (!/label = "(\w+)"/.test(filter) || filter.includes(`"${e.sentiment.label}"`)) &&
    (!/source = "([^"]*)"/.test(filter) || /source = "([^"]*)"/.exec(filter)[1] === e.source));
  const size = Number(url.searchParams.get('pageSize')) || 50;
  const from = Number(url.searchParams.get('pageToken')) || 0;
  send(response, 200, { ...(wanted.length ? { events: wanted.slice(from, from + size) } : {}), ...(from + size < wanted.length ? { nextPageToken: String(from + size) } : {}) });
}

function tail(state, request, response, project) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  response.write('retry: 2000\n\n');
  const entry = { project, response, lastEventId: request.headers['last-event-id'] ?? '' };
  state.tails.add(entry);
  state.lastEventId = entry.lastEventId;
  const beat = setInterval(() => response.write(`: alive\nid: c${Date.now()}-beat\n\n`), 15_000);
  request.on('close', () => {
    clearInterval(beat);
    state.tails.delete(entry);
  });
}
