// What the mock server knows: texts, a small scorer, and series that are a
// function of time, so that every answer agrees with every other.

const TEXTS = [
  ['The new search is fast and I love it. Finding an old ticket takes two seconds now.', 'app-store', 'en'],
  ['App crashes every time I open the camera. Lost my draft twice today, very annoying.', 'app-store', 'en'],
  ['Delivery came on Tuesday as announced.', 'survey', 'en'],
  ['Support answered within minutes, polite and helpful. Great service!', 'ticket', 'en'],
  ['I was charged twice and nobody replies. This is a terrible experience.', 'ticket', 'en'],
  ['How do I change the billing address?', 'chat', 'en'],
  ['Die neue Version ist wirklich gut, endlich ein dunkles Design.', 'play-store', 'de'],
  ['The camera is superb, but the battery drains twice as fast since the update. 🎉 Support was kind: thank you!', 'app-store', 'en'],
  ['El pedido llegó roto y la devolución es un desastre.', 'survey', 'es'],
  ['ok', 'chat', 'en'],
  ['The export still fails for files over 2 GB, but the rest of the update is excellent.', 'forum', 'en'],
  ['Not bad at all. I expected worse after the reviews.', 'play-store', 'en'],
  ['Très déçu par la qualité, je ne recommande pas.', 'survey', 'fr'],
  ['Best release so far 🎉🎉 thank you team', 'tweet', 'en'],
  ['Meh. It works, I guess.', 'tweet', 'en'],
  ['The battery drains twice as fast since the update, useless.', 'app-store', 'en'],
];

export const HOSTILE = [
  ['<img src=x onerror="window.pwned=1"><script>window.pwned=2</script> terrible', '"><svg/onload=window.pwned=3>', 'en'],
  ['\u202Egnp.exe evil \u202Dtext that turns the line around\u2066 and never closes it', 'a\u202Eb', 'en'],
  [`Z${'\u0335\u0336\u0337\u0338\u0321\u0322\u0327\u0328\u0310\u0311\u0312\u0313\u0314'.repeat(12)}algo love`, 'forum', 'en'],
  ['A'.repeat(3000), 'long', 'und'],
  [`${'I love this and hate that. '.repeat(400)}`, 'wall-of-text', 'en'],
  ['هذا المنتج رائع جدا وأنا سعيد love به', 'عربي', 'ar'],
  ['👩‍👩‍👧‍👦 great 𝕌𝕟𝕚𝕔𝕠𝕕𝕖 𝒕𝒆𝒓𝒓𝒊𝒃𝒍𝒆 \u0000'.replace('\u0000', '\u0001'), 'emoji', 'en'],
  ['line one\nline two\nline three\nline four love\nline five\nline six', 'lines', 'en'],
  ['{{7*7}} ${window.pwned=4} {@html "<b>x</b>"} javascript:window.pwned=5', 'template', 'en'],
  ['\u200b\u200b\u200b', 'nothing-to-see', 'und'],
];

const WORDS = {
  superb: 2.2, kind: 1.3, love: 2.1, great: 1.8, excellent: 1.9, fast: 0.9, helpful: 1.2, polite: 0.7, gut: 1.4, best: 1.7, thank: 0.9, '🎉': 0.8, endlich: 0.4,
  terrible: -2.3, crashes: -1.7, annoying: -1.5, useless: -1.9, fails: -1.4, lost: -0.9, roto: -1.6, desastre: -2, déçu: -1.7, hate: -2,
  worse: -0.8, drains: -0.9, nobody: -0.7, twice: -0.3, bad: -1.2, not: 0.9, but: 0.1, evil: -1.1, رائع: 2,
};

const SUPPORTED = new Set(['en', 'de', 'es', 'fr', 'ar']);
const round = (x, n = 4) => Math.round(x * 10 ** n) / 10 ** n;

const EMOTIONS = [
  'admiration', 'amusement', 'anger', 'annoyance', 'approval', 'caring', 'confusion', 'curiosity', 'desire', 'disappointment', 'disapproval',
  'disgust', 'embarrassment', 'excitement', 'fear', 'gratitude', 'grief', 'joy', 'love', 'nervousness', 'optimism', 'pride', 'realization',
  'relief', 'remorse', 'sadness', 'surprise', 'neutral',
];
const FEELINGS = {
  love: 'love', great: 'admiration', excellent: 'admiration', superb: 'admiration', kind: 'gratitude', thank: 'gratitude', '🎉': 'joy',
  terrible: 'anger', annoying: 'annoyance', drains: 'annoyance', déçu: 'disappointment', desastre: 'disappointment', lost: 'sadness', hate: 'anger',
};
const THINGS = /\b(?:battery|camera|search|app|export|update|support|delivery|service|versión|qualité)\b/giu;

const spanOf = (text, start, end) => ({
  startByte: Buffer.byteLength(text.slice(0, start)), endByte: Buffer.byteLength(text.slice(0, end)), startUtf16: start, endUtf16: end,
});

/** The words of a text that count, with what they add to the logit. */
function weigh(text) {
  const found = [];
  for (const match of text.matchAll(/[\p{L}\p{M}]+|🎉/gu)) {
    const weight = WORDS[match[0].toLowerCase()];
    if (weight !== undefined) found.push({ ...spanOf(text, match.index, match.index + match[0].length), weight });
    if (found.length >= 2000) break;
  }
  return found;
}

function polarity(evidence) {
  const logit = evidence.reduce((sum, e) => sum + e.weight, 0);
  const neutralWeight = 1.6 / (1 + Math.abs(logit));
  const p = 1 / (1 + Math.exp(-logit));
  const neutral = round(neutralWeight / (1 + neutralWeight));
  const positive = round((1 - neutral) * p);
  const negative = round(1 - neutral - positive);
  const label = neutral >= positive && neutral >= negative ? 'NEUTRAL' : positive > negative ? 'POSITIVE' : 'NEGATIVE';
  return { label, score: round(positive - negative), probabilities: { negative, neutral, positive } };
}

/** Scores a text by its words, with everything that the API tells of a text. */
export function explain(text, language = 'en', given = []) {
  const evidence = weigh(text);
  const whole = polarity(evidence);
  const { negative, neutral, positive } = whole.probabilities;
  const curve = [1, 2, 3, 4, 5].map((n) => Math.exp(-((n - 3 - 2 * whole.score) ** 2) / 1.5));
  const sum = curve.reduce((a, b) => a + b, 0);
  const mixed = evidence.some((e) => e.weight > 1) && evidence.some((e) => e.weight <= -0.9);
  const within = (from, to) => evidence.filter((e) => e.startUtf16 >= from && e.endUtf16 <= to);
  const sentences = [...text.matchAll(/\S[^.!?\n]*(?:[.!?]+|(?=\n)|$)/gu)].map((m) => ({
    ...spanOf(text, m.index, m.index + m[0].length), ...polarity(within(m.index, m.index + m[0].length)),
  }));
  const target = (name, start, found) => {
    if (start < 0) return { target: name, ...whole, mentioned: false, opinions: [] };
    const span = spanOf(text, start, start + name.length);
    const sentence = sentences.find((s) => s.endUtf16 > start) ?? { startUtf16: 0, endUtf16: text.length };
    const comma = text.slice(sentence.startUtf16, sentence.endUtf16).search(/, but/) + sentence.startUtf16;
    const [from, to] = comma < sentence.startUtf16 ? [sentence.startUtf16, sentence.endUtf16] : start < comma ? [sentence.startUtf16, comma] : [comma, sentence.endUtf16];
    const said = within(from, to);
    return { target: name, ...polarity(said), mentioned: true, ...span, found, opinions: said.map(({ weight: _, ...e }) => e) };
  };
  const lower = text.toLowerCase();
  const named = given.map((name) => target(name, lower.indexOf(name.toLowerCase()), false));
  const others = [...text.matchAll(THINGS)].filter((m) => !named.some((t) => t.mentioned && t.startUtf16 === m.index)).slice(0, 16);
  const words = new Set(evidence.map((e) => FEELINGS[text.slice(e.startUtf16, e.endUtf16).toLowerCase()]));
  const emotions = Object.fromEntries(EMOTIONS.map((name, i) => [name, words.has(name) ? round(0.93 - i * 0.013) : round(0.2 / (2 + ((i * 7) % 11)))]));
  if (whole.label === 'NEUTRAL') emotions.neutral = 0.81;
  return {
    sentiment: {
      ...whole, confidence: Math.max(negative, neutral, positive), modelVersion: 'synapse-2',
      stars: curve.map((x) => round(x / sum)), mixed,
    },
    language, languageSupported: SUPPORTED.has(language), evidence, bias: 0.04, emotions, sentences,
    targets: [...named, ...others.map((m) => target(m[0], m.index, true))],
  };
}

/** An event in the shape of the API, with fields left out at their zero value as protojson does. */
export function makeEvent(project, id, text, source, language, at) {
  const targets = /battery/.test(text) ? ['battery', 'price'] : [];
  const { sentiment, languageSupported, emotions, targets: scored } = explain(text, language, targets);
  const event = { name: `projects/${project}/events/${id}`, id, text, source, occurredAt: iso(at), acceptedAt: iso(at + 3), sentiment, language };
  if (languageSupported) event.languageSupported = true;
  const present = Object.entries(emotions).filter(([, p]) => p >= 0.5);
  if (present.length) event.emotions = Object.fromEntries(present);
  if (targets.length) Object.assign(event, { targets, targetSentiments: scored.slice(0, targets.length).map((t) => ({ ...t, opinions: [] })) });
  if (id.length % 3 !== 0) event.userId = `user-${id.length * 7}`;
  if (id.charCodeAt(id.length - 1) % 2) event.attributes = { plan: 'team', version: '4.12.0', device: 'phone' };
  event.traceId = `${Buffer.from(id).toString('hex')}${'0af7651916cd43dd8448eb211c80319c'}`.slice(-32);
  return event;
}

/** The event as a release wrote it that knew a score only. */
function older({ emotions: _emotions, targetSentiments: _targets, ...event }) {
  const { stars: _stars, mixed: _mixed, ...sentiment } = event.sentiment;
  return { ...event, sentiment: { ...sentiment, modelVersion: 'synapse-wide-0' } };
}

const iso = (ms) => new Date(ms).toISOString();

/** The newest events of a project, newest first. */
export function history(project, now, size) {
  const texts = project === 'hostile' ? [...HOSTILE, ...TEXTS] : TEXTS;
  return Array.from({ length: size }, (_, i) => {
    const [text, source, language] = texts[i % texts.length];
    const at = now - 2000 - i * i * 900 - i * 7000;
    const event = makeEvent(project, `ev-${String(size - i).padStart(6, '0')}`, text, source, language, at);
    if (project === 'one') return older(event);
    if (project === 'hostile' && i < HOSTILE.length) event.attributes = { '<b>key</b>': '"><script>window.pwned=6</script>', '\u202Ertl': 'x'.repeat(900) };
    return event;
  });
}

export function nextText(n) {
  return TEXTS[(n * 7) % TEXTS.length];
}

const SHARES = {
  source: { 'app-store': 0.3, ticket: 0.22, survey: 0.16, 'play-store': 0.12, tweet: 0.09, chat: 0.05, forum: 0.03, '': 0.02, email: 0.01 },
  language: { en: 0.62, de: 0.14, es: 0.11, fr: 0.08, und: 0.05 },
  model_version: { 'synapse-2': 1 },
};
const MOOD = { 'app-store': -0.12, ticket: -0.3, survey: 0.2, 'play-store': 0.1, tweet: 0.25, en: 0.02, de: 0.15, es: -0.2, fr: -0.1 };

// A number in [0, 1) that depends on its inputs alone.
function noise(a, b) {
  const x = Math.sin(a * 12.9898 + b * 78.233) * 43758.5453;
  return x - Math.floor(x);
}

/** Events per minute of a project in a bucket. */
function rate(project, start) {
  const perMinute = { default: 9, hostile: 4, million: 9000, one: 0, empty: 0 }[project] ?? 0;
  const hour = (start / 3_600_000) % 24;
  const night = 0.35 + 0.65 * Math.max(0, Math.sin(((hour - 5) / 24) * 2 * Math.PI));
  return perMinute * night;
}

function bucket(project, dimension, value, share, start, end, step) {
  const seed = Math.floor(start / step);
  const salt = [...value].reduce((sum, c) => sum + c.charCodeAt(0), 1);
  const fill = Math.min(1, (end - start) / step);
  const total = Math.round(rate(project, start) * (step / 60_000) * share * fill * (0.8 + 0.4 * noise(seed, salt)));
  if (total === 0) return null;
  const wave = 0.22 * Math.sin(start / 7_700_000) + 0.1 * (noise(seed, salt + 9) - 0.5);
  const dip = noise(Math.floor(start / 39_600_000), 3) > 0.8 ? -0.3 : 0;
  const net = Math.max(-0.9, Math.min(0.9, 0.14 + wave + dip + (MOOD[value] ?? 0)));
  const neutral = Math.round(total * 0.28);
  const positive = Math.round(((total - neutral) * (1 + net / 0.72)) / 2);
  const clamped = Math.max(0, Math.min(total - neutral, positive));
  return point(start, total - neutral - clamped, neutral, clamped);
}

function point(start, negative, neutral, positive) {
  const count = negative + neutral + positive;
  const net = round((positive - negative) / count);
  const p = { startTime: iso(start), count, mean: round(net * 0.8), net };
  if (negative) p.negative = negative;
  if (neutral) p.neutral = neutral;
  if (positive) p.positive = positive;
  return p;
}

/** The answer to timeSeries:query. */
export function timeSeries(project, query, now) {
  const step = Number((query.get('step') ?? '60s').slice(0, -1)) * 1000;
  const start = Date.parse(query.get('startTime'));
  const end = Date.parse(query.get('endTime'));
  const groupBy = query.getAll('groupBy');
  const filter = query.get('filter') ?? '';
  const completeTo = now - 1500;
  const dimension = groupBy[0] ?? 'source';
  const only = /source = "([^"]*)"/.exec(filter)?.[1];
  let shares = Object.entries(SHARES[dimension] ?? SHARES.source);
  if (only !== undefined) shares = dimension === 'source' ? shares.filter(([v]) => v === only) : shares.map(([v, s]) => [v, s * (SHARES.source[only] ?? 0)]);
  const groups = shares.map(([value, share]) => {
    const points = [];
    for (let at = start; at < end && at < now; at += step) {
      const p = bucket(project, dimension, value, share, at, Math.min(now, at + step), step);
      if (p) points.push(p);
    }
    return { group: { [dimension]: project === 'hostile' && value === 'ticket' ? '"><img src=x onerror=window.pwned=7>\u202E' : value }, points };
  });
  if (project === 'one') {
    const at = Math.floor((now - 65_000) / step) * step;
    groups[0].points = at >= start && at < end ? [point(at, 0, 0, 1)] : [];
  }
  const label = /label = "(\w+)"/.exec(filter)?.[1];
  for (const g of groups) if (label) g.points = g.points.map((p) => onlyLabel(p, label.toLowerCase())).filter(Boolean);
  const sums = new Map();
  for (const g of groups) {
    for (const p of g.points) {
      const s = sums.get(p.startTime) ?? [0, 0, 0];
      sums.set(p.startTime, [s[0] + (p.negative ?? 0), s[1] + (p.neutral ?? 0), s[2] + (p.positive ?? 0)]);
    }
  }
  const points = [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([at, s]) => point(Date.parse(at), ...s));
  return {
    points, ...(groupBy.length ? { series: groups.filter((g) => g.points.length) } : {}),
    completeTo: iso(completeTo), startTime: iso(start), endTime: iso(end), step: `${step / 1000}s`,
  };
}

function onlyLabel(p, label) {
  const n = p[label] ?? 0;
  if (!n) return null;
  return point(Date.parse(p.startTime), label === 'negative' ? n : 0, label === 'neutral' ? n : 0, label === 'positive' ? n : 0);
}

export function trail(project, id, event) {
  const accepted = Date.parse(event.acceptedAt);
  const hop = (stage, ms, seconds, detail) => ({ stage, time: iso(accepted + ms), ...(seconds ? { elapsed: seconds } : {}), detail });
  return {
    name: `projects/${project}/events/${id}/trail`,
    hops: [
      hop('ACCEPTED', 0, '', 'POST events:ingest, 1 event'),
      hop('QUEUED', 2, '0.001834s', 'EVENTS 48211'),
      hop('SCORED', 6, '0.004120s', 'synapse-2, 38 µs'),
      hop('STORED', 17, '0.010911s', 'SCORED 48190'),
      hop('COUNTED', 17, '0.000214s', `bucket ${event.occurredAt.slice(0, 16)}`),
    ],
    modelVersion: 'synapse-2', traceId: event.traceId,
  };
}
