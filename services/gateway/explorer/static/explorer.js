// The API explorer: it lists the operations of /openapi.json, takes values for
// their parameters and sends them. It talks to this server only, and writes
// what it gets as text.

const el = (name, attrs = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attrs)) {
    if (value === undefined || value === false) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.filter((c) => c !== undefined && c !== null));
  return node;
};

// path lets a long address break before its slashes and colons only.
const path = (text) => el('span', { class: 'path' }, ...text.split(/(?=[/:])/).flatMap((part) => [el('wbr'), part]));

const main = document.getElementById('main');
const list = document.getElementById('list');
const filter = document.getElementById('filter');
const key = document.getElementById('key');
document.getElementById('credential').addEventListener('submit', (e) => e.preventDefault());

let operations = [];
let doc = {};
let running = null;

const resolve = (schema, depth = 0) => {
  if (schema && schema.$ref && depth < 8) {
    return resolve(doc.components.schemas[schema.$ref.split('/').pop()], depth + 1);
  }
  return schema || {};
};

// sample writes an example of a schema, two levels deep.
const sample = (schema, depth = 0) => {
  const s = resolve(schema);
  if (s.example !== undefined) return s.example;
  if (s.const !== undefined) return s.const;
  if (s.enum) return s.enum[s.enum.length > 1 ? 1 : 0];
  const type = Array.isArray(s.type) ? s.type[0] : s.type;
  if (type === 'array') return depth < 3 ? [sample(s.items, depth + 1)] : [];
  if (type === 'object') {
    const out = {};
    if (depth < 3) for (const [name, p] of Object.entries(s.properties || {})) out[name] = sample(p, depth + 1);
    return out;
  }
  if (type === 'boolean') return false;
  if (type === 'integer' || type === 'number') return 0;
  if (s.format === 'date-time') return new Date().toISOString();
  return '';
};

const show = (op) => {
  if (running) running.abort();
  document.title = `${op.method} ${op.path} – Synapse API`;
  for (const a of list.querySelectorAll('a')) {
    if (a.hash === `#${op.id}`) a.setAttribute('aria-current', 'page');
    else a.removeAttribute('aria-current');
  }
  const fields = [];
  const form = el('form', { autocomplete: 'off' });
  for (const p of op.spec.parameters || []) {
    const id = `p-${p.in}-${p.name}`;
    const input = el('input', { id, type: 'text', spellcheck: 'false', required: p.required, value: p.example ?? '' });
    if (p.description) input.setAttribute('aria-describedby', `${id}-hint`);
    fields.push({ p, input });
    form.append(el('div', { class: 'field' },
      el('label', { for: id }, p.name, p.required ? ' (required)' : ` (${p.in})`),
      input,
      p.description ? el('div', { class: 'hint', id: `${id}-hint` }, p.description) : undefined));
  }
  const plain = (k) => (k === 'application/json' ? 0 : 1);
  const kinds = Object.entries(op.spec.requestBody?.content || {}).sort(([a], [b]) => plain(a) - plain(b));
  let kind, body;
  if (kinds.length) {
    kind = el('select', { id: 'kind' }, ...kinds.map(([k]) => el('option', { value: k }, k)));
    body = el('textarea', { id: 'body', spellcheck: 'false' });
    const fill = () => {
      const c = kinds.find(([k]) => k === kind.value)[1];
      const v = c.example ?? sample(c.schema);
      body.value = typeof v === 'string' ? v : JSON.stringify(v, null, 2);
    };
    kind.addEventListener('change', fill);
    fill();
    form.append(el('h3', {}, el('label', { for: 'body' }, 'Body')),
      el('div', { class: 'row' }, el('label', { for: 'kind' }, 'Content type'), kind), body);
  }
  const out = el('div', { 'aria-live': 'polite' });
  const send = el('button', { class: 'primary', type: 'submit' }, 'Send');
  const stop = el('button', { type: 'button', disabled: true, onclick: () => running && running.abort() }, 'Stop');
  form.append(el('div', { class: 'row' }, send, stop));
  form.addEventListener('submit', async (e) => {
    e.preventDefault();
    send.disabled = true;
    stop.disabled = false;
    try {
      await request(op, fields, kind, body, out);
    } finally {
      send.disabled = false;
      stop.disabled = true;
    }
  });
  main.replaceChildren(
    el('h2', {}, el('span', { class: 'method' }, op.method), path(op.path)),
    el('p', { class: 'text' }, op.spec.summary || ''),
    el('p', { class: 'text muted' }, `Access: ${op.spec['x-synapse-access'] || 'any credential'}.`),
    op.spec.description ? el('pre', {}, op.spec.description) : undefined,
    form, out);
};

const request = async (op, fields, kind, body, out) => {
  let target = op.path;
  const query = new URLSearchParams();
  const headers = { 'X-Synapse-Csrf': '1' };
  for (const { p, input } of fields) {
    if (p.in === 'path') target = target.replace(`{${p.name}}`, encodeURIComponent(input.value));
    else if (input.value === '') continue;
    else if (p.in === 'header') headers[p.name] = input.value;
    else for (const v of p.schema?.type === 'array' ? input.value.split(',') : [input.value]) query.append(p.name, v.trim());
  }
  if (key.value.trim()) headers.Authorization = `Bearer ${key.value.trim()}`;
  if (body && body.value) headers['Content-Type'] = kind.value;
  const url = target + (query.size ? `?${query}` : '');
  const data = body && body.value ? body.value : undefined;
  const quote = (s) => `'${s.replaceAll("'", "'\\''")}'`;
  const curl = ['curl', '-sS', op.method === 'GET' ? '' : `-X ${op.method}`,
    headers.Authorization ? '-H "Authorization: Bearer $KEY"' : '',
    headers['Content-Type'] ? `-H ${quote(`Content-Type: ${headers['Content-Type']}`)}` : '',
    data ? `--data-binary ${quote(data)}` : '', quote(location.origin + url)].filter(Boolean).join(' ');
  const status = el('p', {}, 'Waiting for the answer…');
  const text = el('pre', { tabindex: '0', 'aria-label': 'Answer' });
  out.replaceChildren(el('h3', {}, 'Request'), el('pre', {}, curl), el('h3', {}, 'Answer'), status, text);
  running = new AbortController();
  const start = performance.now();
  try {
    const res = await fetch(url, { method: op.method, headers, body: data, signal: running.signal, redirect: 'error' });
    const took = Math.round(performance.now() - start);
    status.textContent = `${res.status} ${res.statusText} in ${took} ms · trace ${res.headers.get('x-trace-id') || 'none'}`;
    status.className = res.ok ? '' : 'error';
    const reader = res.body.getReader();
    const decoder = new TextDecoder();
    let all = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      all += decoder.decode(value, { stream: true });
      if (all.length > 1_000_000) all = `…${all.slice(-900_000)}`;
      text.textContent = all;
    }
    if (/json/.test(res.headers.get('content-type') || '')) {
      try { text.textContent = JSON.stringify(JSON.parse(all), null, 2); } catch { /* shown as it came */ }
    }
  } catch (err) {
    status.textContent = err.name === 'AbortError' ? 'Stopped.' : `The request failed: ${err.message}. Is the server running?`;
    status.className = err.name === 'AbortError' ? '' : 'error';
  }
};

const draw = () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const tags = new Map();
  for (const op of operations) {
    const hay = `${op.method} ${op.path} ${op.id} ${op.spec.summary}`.toLowerCase();
    if (!words.every((w) => hay.includes(w))) continue;
    const tag = op.spec.tags?.[0] || 'Other';
    if (!tags.has(tag)) tags.set(tag, []);
    tags.get(tag).push(op);
  }
  list.replaceChildren(...[...tags].flatMap(([tag, ops]) => [
    el('h2', {}, tag.replace(/Service$/, '')),
    el('ul', {}, ...ops.map((op) => el('li', {},
      el('a', { href: `#${op.id}`, title: op.spec.summary }, el('span', { class: 'method' }, op.method), path(op.path.replace(/^\/v1/, '')))))),
  ]));
  if (!tags.size) list.append(el('p', { class: 'muted' }, 'No operation matches.'));
  open(false);
};

const open = (focus) => {
  const op = operations.find((o) => o.id === decodeURIComponent(location.hash.slice(1)));
  if (!op) return;
  if (focus || !main.querySelector('form')) show(op);
  if (focus) main.focus();
};

try {
  const res = await fetch('/openapi.json');
  if (!res.ok) throw new Error(`status ${res.status}`);
  doc = await res.json();
  operations = Object.entries(doc.paths).flatMap(([path, item]) => Object.entries(item).map(([method, spec]) => (
    { path, method: method.toUpperCase(), spec, id: spec.operationId })));
  // The way of an event: in, out, and what stands around it.
  const order = ['IngestService', 'QueryService', 'ScoringService', 'AuthService', 'Gateway'];
  const rank = (op) => (order.indexOf(op.spec.tags?.[0]) + order.length + 1) % (order.length + 1);
  operations.sort((a, b) => rank(a) - rank(b) || a.path.localeCompare(b.path) || a.method.localeCompare(b.method));
  document.getElementById('status').textContent = `${operations.length} operations. Choose one from the list.`;
  filter.addEventListener('input', draw);
  addEventListener('hashchange', () => open(true));
  draw();
} catch (err) {
  document.getElementById('status').textContent = `The list of operations could not be loaded: ${err.message}. Reload the page; if it lasts, see /readyz.`;
}
