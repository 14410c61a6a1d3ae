import type { Point, Series } from '../api/types.ts';
import type { Window } from './range.ts';

/** Counts of a stretch of time. */
export interface Totals {
  count: number;
  negative: number;
  neutral: number;
  positive: number;
}

/** A time series with a place for every bucket, empty ones too. */
export interface Grid {
  window: Window;
  /** Start of each bucket in Unix milliseconds. */
  starts: number[];
  buckets: Totals[];
  /** The first bucket that may still grow; starts.length if none. */
  firstIncomplete: number;
}

export function totalsOf(points: readonly Totals[]): Totals {
  const sum: Totals = { count: 0, negative: 0, neutral: 0, positive: 0 };
  for (const p of points) {
    sum.count += p.count;
    sum.negative += p.negative;
    sum.neutral += p.neutral;
    sum.positive += p.positive;
  }
  return sum;
}

/** Share of positive minus share of negative; null without events. */
export function netOf(t: Totals): number | null {
  return t.count > 0 ? (t.positive - t.negative) / t.count : null;
}

/**
 * Lays points out on the buckets of a window. A bucket is incomplete while it
 * ends after completeTo, because events that were accepted may not be in it.
 */
export function gridOf(points: readonly Point[], window: Window, completeTo: number): Grid {
  const n = Math.max(0, Math.round((window.end - window.start) / window.step));
  const starts = Array.from({ length: n }, (_, i) => window.start + i * window.step);
  const buckets = starts.map<Totals>(() => ({ count: 0, negative: 0, neutral: 0, positive: 0 }));
  for (const p of points) {
    const bucket = buckets[Math.floor((p.startTime - window.start) / window.step)];
    if (!bucket) continue;
    bucket.count += p.count;
    bucket.negative += p.negative;
    bucket.neutral += p.neutral;
    bucket.positive += p.positive;
  }
  const first = Number.isFinite(completeTo) ? starts.findIndex((start) => start + window.step > completeTo) : -1;
  return { window, starts, buckets, firstIncomplete: first < 0 ? n : first };
}

export interface Comparison {
  now: Totals;
  before: Totals;
}

/**
 * The complete buckets of a window against the same part of the window before,
 * so that the bucket that still grows does not look like a drop.
 */
export function compare(now: Grid, before: Grid): Comparison {
  return {
    now: totalsOf(now.buckets.slice(0, now.firstIncomplete)),
    before: totalsOf(before.buckets.slice(0, now.firstIncomplete)),
  };
}

/** Splits values into what is final and what may still change; both hold the last final one so that the lines meet. */
export function splitIncomplete(values: readonly (number | null)[], firstIncomplete: number): [(number | null)[], (number | null)[]] {
  const solid = values.map((v, i) => (i < firstIncomplete ? v : null));
  const dashed = values.map((v, i) => (i >= firstIncomplete - 1 ? v : null));
  if (values.slice(firstIncomplete).every((v) => v === null)) dashed.fill(null);
  return [solid, dashed];
}

export interface GroupGrid {
  /** Value of the dimension; empty when events have none. */
  value: string;
  /** All groups past the first ones, added up. */
  other: boolean;
  grid: Grid;
  totals: Totals;
}

/** The largest groups and the rest as "other": everything less the groups shown. */
export function topGroups(all: Grid, series: readonly Series[], dimension: string, limit: number, completeTo: number): GroupGrid[] {
  const groups = series.map((s) => {
    const grid = gridOf(s.points, all.window, completeTo);
    return { value: s.group[dimension] ?? '', other: false, grid, totals: totalsOf(grid.buckets) };
  });
  groups.sort((a, b) => b.totals.count - a.totals.count || (a.value < b.value ? -1 : 1));
  const shown = groups.slice(0, limit);
  const rest: Grid = {
    ...all,
    buckets: all.buckets.map((b, i) => subtract(b, totalsOf(shown.map((g) => g.grid.buckets[i]!)))),
  };
  const totals = totalsOf(rest.buckets);
  if (totals.count > 0) shown.push({ value: '', other: true, grid: rest, totals });
  return shown;
}

// The answers of one request are of one moment, so this does not go below 0;
// if it does, showing nothing is better than showing a negative count.
function subtract(a: Totals, b: Totals): Totals {
  return {
    count: Math.max(0, a.count - b.count),
    negative: Math.max(0, a.negative - b.negative),
    neutral: Math.max(0, a.neutral - b.neutral),
    positive: Math.max(0, a.positive - b.positive),
  };
}

export interface Extremes {
  lowest: { at: number; net: number };
  highest: { at: number; net: number };
}

/** The lowest and highest net sentiment among complete buckets that hold enough events to mean something. */
export function extremes(grid: Grid): Extremes | null {
  const most = Math.max(0, ...grid.buckets.map((b) => b.count));
  let found: Extremes | null = null;
  for (let i = 0; i < grid.firstIncomplete; i++) {
    const bucket = grid.buckets[i]!;
    const net = netOf(bucket);
    if (net === null || bucket.count < most * 0.05) continue;
    const here = { at: grid.starts[i]!, net };
    found ??= { lowest: here, highest: here };
    if (net < found.lowest.net) found.lowest = here;
    if (net > found.highest.net) found.highest = here;
  }
  return found;
}

/** Steps outwards to round borders of 0.1, at least 0.2 apart. */
export function zoomedRange(values: readonly (number | null)[]): [number, number] {
  const known = values.filter((v): v is number => v !== null);
  if (known.length === 0) return [-1, 1];
  let low = Math.floor(Math.min(...known) * 10 - 1e-9) / 10;
  let high = Math.ceil(Math.max(...known) * 10 + 1e-9) / 10;
  if (high - low < 0.2) {
    low -= 0.1;
    high += 0.1;
  }
  return [Math.max(-1, round1(low)), Math.min(1, round1(high))];
}

function round1(value: number): number {
  return Math.round(value * 10) / 10;
}
