import type {
  CreatedKey, Emotion, EventPage, Evidence, Hop, IngestAnswer, Label, Point, Polarity, Project, ScoredText, Sentence, Sentiment,
  Series, SessionInfo, Span, SynapseEvent, TailMessage, TargetSentiment, TimeSeries, Trail, User, Violation,
} from './types.ts';
import { plainName } from '../lib/json.ts';

// protojson leaves fields out at their zero value and writes 64-bit integers as
// strings: nothing here trusts that a field is there or of its type.

type Json = Record<string, unknown>;

export function object(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function number(value: unknown): number {
  const n = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof n === 'number' && Number.isFinite(n) ? n : 0;
}

function time(value: unknown): number {
  return typeof value === 'string' ? Date.parse(value) : NaN;
}

function label(value: unknown): Label {
  return value === 'NEGATIVE' || value === 'NEUTRAL' || value === 'POSITIVE' ? value : '';
}

function polarity(value: unknown): Polarity {
  const s = object(value);
  const p = object(s.probabilities);
  return {
    label: label(s.label),
    score: number(s.score),
    probabilities: { negative: number(p.negative), neutral: number(p.neutral), positive: number(p.positive) },
  };
}

function sentiment(value: unknown): Sentiment {
  const s = object(value);
  const stars = list(s.stars).map(number);
  return {
    ...polarity(value),
    confidence: number(s.confidence),
    modelVersion: text(s.modelVersion),
    mixed: s.mixed === true,
    stars: stars.length === 5 && stars.some((share) => share > 0) ? stars : [],
  };
}

function span(value: unknown): Span {
  const s = object(value);
  return { startUtf16: number(s.startUtf16), endUtf16: number(s.endUtf16) };
}

function emotions(value: unknown): Emotion[] {
  return Object.entries(object(value))
    .map(([name, probability]) => ({ name, probability: number(probability) }))
    .sort((a, b) => b.probability - a.probability);
}

function target(value: unknown): TargetSentiment {
  const t = object(value);
  return {
    ...polarity(value),
    ...span(value),
    target: text(t.target),
    mentioned: t.mentioned === true,
    found: t.found === true,
    opinions: list(t.opinions).map(span),
  };
}

export function readEvent(value: unknown): SynapseEvent {
  const e = object(value);
  return {
    id: text(e.id) || text(e.name).split('/').pop() || '',
    name: text(e.name),
    text: text(e.text),
    source: text(e.source),
    userId: text(e.userId),
    occurredAt: time(e.occurredAt),
    acceptedAt: time(e.acceptedAt),
    attributes: Object.entries(object(e.attributes)).map<[string, string]>(([k, v]) => [k, text(v)]).sort(byKey),
    targets: list(e.targets).map(text),
    targetSentiments: list(e.targetSentiments).map(target),
    sentiment: sentiment(e.sentiment),
    emotions: emotions(e.emotions),
    language: text(e.language),
    languageSupported: e.languageSupported === true,
    traceId: text(e.traceId),
    raw: value,
  };
}

function byKey(a: [string, string], b: [string, string]): number {
  return a[0] < b[0] ? -1 : 1;
}

export function readPage(value: unknown): EventPage {
  const p = object(value);
  return { events: list(p.events).map(readEvent), nextPageToken: text(p.nextPageToken) };
}

export function readScored(value: unknown): ScoredText {
  const s = object(value);
  return {
    sentiment: sentiment(s.sentiment),
    language: text(s.language),
    languageSupported: s.languageSupported === true,
    evidence: list(s.evidence).map<Evidence>((item) => ({ ...span(item), weight: number(object(item).weight) })),
    bias: number(s.bias),
    emotions: emotions(s.emotions),
    sentences: list(s.sentences).map<Sentence>((item) => ({ ...span(item), ...polarity(item) })),
    targets: list(s.targets).map(target),
  };
}

export function readTrail(value: unknown): Trail {
  const t = object(value);
  const hops = list(t.hops).map<Hop>((item) => {
    const h = object(item);
    const elapsed = text(h.elapsed);
    return {
      stage: text(h.stage),
      time: time(h.time),
      elapsed: /^-?\d+(\.\d+)?s$/.test(elapsed) ? Number(elapsed.slice(0, -1)) : NaN,
      detail: text(h.detail),
    };
  });
  return { hops, modelVersion: text(t.modelVersion), traceId: text(t.traceId) };
}

function point(value: unknown): Point {
  const p = object(value);
  return {
    startTime: time(p.startTime),
    count: number(p.count),
    mean: number(p.mean),
    net: number(p.net),
    negative: number(p.negative),
    neutral: number(p.neutral),
    positive: number(p.positive),
  };
}

export function readTimeSeries(value: unknown): TimeSeries {
  const t = object(value);
  return {
    points: list(t.points).map(point),
    series: list(t.series).map<Series>((item) => {
      const s = object(item);
      const group = Object.fromEntries(Object.entries(object(s.group)).map(([k, v]) => [k, text(v)]));
      return { group, points: list(s.points).map(point) };
    }),
    completeTo: time(t.completeTo),
  };
}

export function readUser(value: unknown): User {
  const u = object(value);
  return { name: text(u.name), email: text(u.email) };
}

export function readSession(value: unknown): SessionInfo {
  const s = object(value);
  return {
    user: readUser(s.user),
    projects: list(s.projects).map(readProject).filter((p) => p.id !== ''),
    expireTime: time(s.expireTime),
  };
}

function readProject(value: unknown): Project {
  const p = object(value);
  const id = text(p.projectId) || text(p.name).replace(/^projects\//, '');
  return { id, displayName: plainName(text(p.displayName)) || id, scopes: list(p.scopes).map(text) };
}

export function readCreatedKey(value: unknown): CreatedKey {
  const k = object(value);
  const key = object(k.apiKey);
  return { name: text(key.name), prefix: text(key.prefix), secret: text(k.secret) };
}

export function readViolations(value: unknown): Violation[] {
  return list(value).map((item) => {
    const v = object(item);
    return { field: text(v.field), rule: text(v.rule), remedy: text(v.remedy) };
  });
}

export function readIngest(value: unknown): IngestAnswer {
  const a = object(value);
  return {
    accepted: number(a.accepted),
    duplicate: number(a.duplicate),
    rejected: number(a.rejected),
    results: list(a.results).map((item) => {
      const r = object(item);
      return { id: text(r.id), status: text(r.status), reason: text(r.reason), violations: readViolations(r.violations) };
    }),
    traceId: text(a.traceId),
  };
}

/**
 * Reads a message of the tail by the type of its server-sent event; null for one
 * that this page does not know. The message is the data itself, or stands in it
 * under its own name, as in a TailEventsResponse.
 */
export function readTail(type: string, value: unknown): TailMessage | null {
  const outer = object(value);
  const data = type in outer ? outer[type] : value;
  const m = object(data);
  switch (type) {
    case 'event':
      return { kind: 'event', event: readEvent(data) };
    case 'gap':
      return { kind: 'gap', withheld: number(m.withheld), reason: text(m.reason) };
    case 'resync':
      return { kind: 'resync', reason: text(m.reason) };
    case 'end':
      return { kind: 'end', reason: text(m.reason) };
    case 'error':
      return { kind: 'error', problem: data };
    case 'heartbeat':
      return { kind: 'heartbeat' };
    default:
      return null;
  }
}
