import { describe, expect, it } from 'vitest';
import type { Point } from '../../src/api/types.ts';
import { RANGES, windowAt, windowBefore, type Window } from '../../src/lib/range.ts';
import { compare, extremes, gridOf, netOf, splitIncomplete, topGroups, totalsOf, zoomedRange } from '../../src/lib/series.ts';
import { chartSummary } from '../../src/lib/summary.ts';
import { niceTop } from '../../src/screens/pulse/nicetop.ts';

const MIN = 60_000;
const window: Window = { start: 0, end: 5 * MIN, step: MIN };
const point = (minute: number, negative: number, neutral: number, positive: number): Point => ({
  startTime: minute * MIN, count: negative + neutral + positive, mean: 0, net: 0, negative, neutral, positive,
});

describe('windows', () => {
  it.each(RANGES)('$id is whole buckets that end after now, and lines up with the one before', (range) => {
    const now = Date.UTC(2026, 10, 24, 12, 4, 31);
    const w = windowAt(range, now);
    const before = windowBefore(w);
    expect(w.end).toBeGreaterThan(now);
    expect(w.end - now).toBeLessThanOrEqual(w.step);
    expect(w.start % w.step).toBe(0);
    expect(w.end - w.start).toBe(range.seconds * 1000);
    expect(before.end).toBe(w.start);
    expect((w.end - w.start) / w.step).toBeLessThanOrEqual(120);
    expect(86_400 % range.step).toBe(0);
  });
});

describe('grid', () => {
  const grid = gridOf([point(0, 1, 1, 2), point(3, 3, 0, 0), point(9, 5, 5, 5)], window, 4 * MIN + 10);
  it('gives empty buckets their place and leaves out points outside', () => {
    expect(grid.buckets.map((b) => b.count)).toEqual([4, 0, 0, 3, 0]);
    expect(grid.buckets.map(netOf)).toEqual([0.25, null, null, -1, null]);
  });
  it('knows the first bucket that may grow', () => {
    expect(grid.firstIncomplete).toBe(4);
    expect(gridOf([], window, 5 * MIN).firstIncomplete).toBe(5);
    expect(gridOf([], window, 2 * MIN).firstIncomplete).toBe(2);
    expect(gridOf([], window, NaN).firstIncomplete).toBe(5);
  });
  it('compares only what is complete with the same part before', () => {
    const before = gridOf([point(-5, 0, 0, 1), point(-1, 0, 0, 9)], windowBefore(window), Infinity);
    const both = compare(gridOf([point(0, 1, 0, 0), point(4, 9, 0, 0)], window, 4 * MIN), before);
    expect(both.now.count).toBe(1);
    expect(both.before.count).toBe(1);
  });
  it('finds the lowest and highest bucket that is not a handful of events', () => {
    const found = extremes(gridOf([point(0, 10, 0, 90), point(1, 90, 0, 10), point(2, 1, 0, 0), point(3, 50, 0, 50)], window, 5 * MIN));
    expect(found).toEqual({ lowest: { at: MIN, net: -0.8 }, highest: { at: 0, net: 0.8 } });
    expect(extremes(gridOf([], window, 5 * MIN))).toBeNull();
  });
});

describe('incomplete values', () => {
  it('share the last final point', () => {
    expect(splitIncomplete([1, 2, 3, 4], 3)).toEqual([[1, 2, 3, null], [null, null, 3, 4]]);
    expect(splitIncomplete([1, 2], 0)).toEqual([[null, null], [1, 2]]);
    expect(splitIncomplete([1, 2, null], 2)).toEqual([[1, 2, null], [null, null, null]]);
    expect(splitIncomplete([1, 2], 2)).toEqual([[1, 2], [null, null]]);
  });
});

describe('groups', () => {
  const series = [['a', 5], ['b', 9], ['', 1], ['d', 2]].map(([value, n]) => ({
    group: { source: String(value) }, points: [point(0, 0, 0, Number(n))],
  }));
  const all = gridOf([point(0, 0, 0, 17)], window, 5 * MIN);
  it('keeps the largest and adds the rest up as other', () => {
    const groups = topGroups(all, series, 'source', 2, 5 * MIN);
    expect(groups.map((g) => [g.value, g.other, g.totals.count])).toEqual([['b', false, 9], ['a', false, 5], ['', true, 3]]);
    expect(totalsOf(groups.map((g) => g.totals))).toEqual(totalsOf(all.buckets));
  });
  it('has no other when all are shown', () => expect(topGroups(all, series, 'source', 6, 5 * MIN)).toHaveLength(4));
});

describe('axes', () => {
  it.each([[1, 1], [2, 2], [3, 4], [5, 6], [7, 8], [9, 10], [11, 20], [87, 100], [143, 200], [1_600_000, 2_000_000]])(
    'a top for %d is %d', (value, top) => expect(niceTop(value)).toBe(top));
  it('zooms to tenths that hold all values', () => {
    expect(zoomedRange([0.12, null, 0.48])).toEqual([0.1, 0.5]);
    expect(zoomedRange([0.3])).toEqual([0.2, 0.4]);
    expect(zoomedRange([-0.99, 1])).toEqual([-1, 1]);
    expect(zoomedRange([null])).toEqual([-1, 1]);
  });
});

describe('summary', () => {
  it('says what the chart shows in a sentence', () => {
    const grid = gridOf([point(0, 10, 0, 90), point(1, 90, 0, 10)], window, 5 * MIN);
    const before = gridOf([point(-5, 50, 0, 50)], windowBefore(window), Infinity);
    const text = chartSummary('1h', grid, before, []);
    expect(text).toMatch(/^Net sentiment over the last hour was ±0.00 over 200 events, as in the hour before; lowest −0.80 \(.*\), highest \+0.80 \(.*\)\.$/);
  });
  it('keeps a name that turns the line apart from the sentence', () => {
    const grid = gridOf([point(0, 0, 0, 2)], window, 5 * MIN);
    const groups = [{ value: 'a\u202eb\u2069', other: false, grid, totals: totalsOf(grid.buckets) }];
    expect(chartSummary('1h', grid, null, groups)).toContain('By group: \u2068a\\u202eb\\u2069\u2069 +1.00.');
  });
  it('says when there is nothing', () => expect(chartSummary('7d', gridOf([], window, NaN), null, [])).toBe('No events in the last 7 days.'));
});
