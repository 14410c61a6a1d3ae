import { describe, expect, it } from 'vitest';
import { asProblem, Problem, readProblem } from '../../src/api/problem.ts';
import { readEvent, readPage, readScored, readSession, readTail, readTimeSeries, readTrail } from '../../src/api/read.ts';

const NOTHING = [undefined, null, 0, '', 'x', [], {}, [null], { events: null, sentiment: 5, points: 'x', hops: {}, projects: [null, 3] }];

describe('answers', () => {
  it.each(NOTHING.map((value) => [JSON.stringify(value), value]))('of the shape %s do no harm', (_name, value) => {
    expect(readEvent(value).text).toBe('');
    expect(readPage(value).events.every((e) => e.sentiment.score === 0)).toBe(true);
    expect(readScored(value)).toMatchObject({ evidence: [], emotions: [], sentences: [], targets: [] });
    expect(readEvent(value)).toMatchObject({ emotions: [], targetSentiments: [], sentiment: { stars: [], mixed: false } });
    expect(readTrail(value).hops).toEqual([]);
    expect(readTimeSeries(value).points).toEqual([]);
    expect(readSession(value).projects).toEqual([]);
    expect(readProblem(value).detail).not.toBe('');
  });
  it('may leave out zero values and write integers as strings', () => {
    const series = readTimeSeries({ points: [{ startTime: '2026-11-24T12:00:00Z', count: '12', positive: 12 }], completeTo: '2026-11-24T12:04:31.5Z' });
    expect(series.points[0]).toMatchObject({ startTime: Date.UTC(2026, 10, 24, 12), count: 12, negative: 0, net: 0 });
    expect(series.completeTo).toBe(Date.UTC(2026, 10, 24, 12, 4, 31, 500));
  });
  it('keep events whole', () => {
    const event = readEvent({ name: 'projects/p/events/e1', text: 'x', attributes: { b: '2', a: '1' }, languageSupported: true, sentiment: { label: 'MIXED', score: 0.5 } });
    expect(event).toMatchObject({ id: 'e1', attributes: [['a', '1'], ['b', '2']], languageSupported: true, sentiment: { label: '', score: 0.5 } });
  });
  it('tell of an event what was stored with it', () => {
    const event = readEvent({
      sentiment: { label: 'NEGATIVE', stars: [0.21, 0.24, 0.31, 0.16, 0.08], mixed: true },
      emotions: { disappointment: 0.55, admiration: 0.72 },
      targets: ['battery', 'price'],
      targetSentiments: [{ target: 'battery', label: 'POSITIVE', score: 0.9, mentioned: true, startUtf16: 4, endUtf16: 11 }, { target: 'price' }],
    });
    expect(event.sentiment).toMatchObject({ mixed: true, stars: [0.21, 0.24, 0.31, 0.16, 0.08] });
    expect(event.emotions.map((e) => e.name)).toEqual(['admiration', 'disappointment']);
    expect(event.targets).toEqual(['battery', 'price']);
    expect(event.targetSentiments).toMatchObject([
      { target: 'battery', label: 'POSITIVE', mentioned: true, found: false, startUtf16: 4, endUtf16: 11, opinions: [] },
      { target: 'price', label: '', mentioned: false, startUtf16: 0, endUtf16: 0 },
    ]);
  });
  it.each([[[]], [[1, 2]], [[0, 0, 0, 0, 0]], ['x'], [undefined]])('with stars %j have none', (stars) => {
    expect(readEvent({ sentiment: { stars } }).sentiment.stars).toEqual([]);
  });
  it('explain with sentences and targets', () => {
    const scored = readScored({
      sentences: [{ endUtf16: 49, label: 'NEGATIVE', score: -0.04, probabilities: { negative: 0.4 } }, null],
      targets: [{ target: 'camera', found: true, mentioned: true, opinions: [{ startUtf16: 43, endUtf16: 48 }, 7] }],
    });
    expect(scored.sentences[0]).toMatchObject({ startUtf16: 0, endUtf16: 49, label: 'NEGATIVE', score: -0.04 });
    expect(scored.sentences[1]).toMatchObject({ startUtf16: 0, endUtf16: 0, label: '' });
    expect(scored.targets[0]).toMatchObject({ found: true, opinions: [{ startUtf16: 43, endUtf16: 48 }, { startUtf16: 0, endUtf16: 0 }] });
  });
  it('escape names that turn the line', () => {
    expect(readSession({ projects: [{ projectId: 'p', displayName: 'a\u202eb' }] }).projects[0]?.displayName).toBe('a\\u202eb');
  });
});

describe('tail messages', () => {
  it.each([
    ['the data itself', { withheld: 3, reason: 'slow' }],
    ['under its name', { cursor: 'c', gap: { withheld: 3, reason: 'slow' } }],
  ])('are %s', (_name, value) => expect(readTail('gap', value)).toEqual({ kind: 'gap', withheld: 3, reason: 'slow' }));
  it('are events', () => {
    expect(readTail('event', { id: 'e1', text: 'x' })).toMatchObject({ kind: 'event', event: { id: 'e1' } });
    expect(readTail('event', { cursor: 'c', event: { id: 'e2' } })).toMatchObject({ kind: 'event', event: { id: 'e2' } });
  });
  it('of a newer server are passed over', () => expect(readTail('weather', {})).toBeNull());
});

describe('problems', () => {
  it('carry what the server says', () => {
    const p = readProblem({ title: 'T', detail: 'D', reason: 'R', remedy: 'do', retryable: false, traceId: 't', violations: [{ field: 'f', rule: 'r' }] }, 503, 900);
    expect(p).toMatchObject({ status: 503, title: 'T', detail: 'D', reason: 'R', remedy: 'do', retryable: false, traceId: 't', retryAfter: 60 });
    expect(p.violations).toEqual([{ field: 'f', rule: 'r', remedy: '' }]);
  });
  it('are made of what fetch throws', () => {
    expect(asProblem(new TypeError('Failed to fetch'))).toMatchObject({ reason: 'NETWORK', retryable: true });
    expect(asProblem(new DOMException('', 'TimeoutError'))).toMatchObject({ reason: 'TIMEOUT', retryable: true });
    expect(asProblem(new DOMException('', 'AbortError'))).toBeNull();
    const own = new Problem({ detail: 'x' });
    expect(asProblem(own)).toBe(own);
  });
});
