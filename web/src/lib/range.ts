// The time ranges of the picker. All steps divide a day, so that buckets of two
// windows of the same length line up.

export interface Range {
  id: RangeId;
  /** Length in seconds. */
  seconds: number;
  /** Length of a bucket in seconds. */
  step: number;
}

export const RANGES = [
  { id: '1h', seconds: 3600, step: 60 },
  { id: '6h', seconds: 6 * 3600, step: 300 },
  { id: '24h', seconds: 24 * 3600, step: 900 },
  { id: '7d', seconds: 7 * 86400, step: 7200 },
  { id: '30d', seconds: 30 * 86400, step: 21600 },
  { id: '90d', seconds: 90 * 86400, step: 86400 },
] as const;

export type RangeId = (typeof RANGES)[number]['id'];
export const DEFAULT_RANGE: RangeId = '24h';

export function isRangeId(text: string): text is RangeId {
  return RANGES.some((range) => range.id === text);
}

export function rangeOf(id: RangeId): Range {
  return RANGES.find((range) => range.id === id) ?? RANGES[2];
}

export interface Window {
  /** Start and end in Unix milliseconds, on bucket borders; end is exclusive. */
  start: number;
  end: number;
  /** Length of a bucket in milliseconds. */
  step: number;
}

/** The window that ends with the bucket of now. */
export function windowAt(range: Range, now: number): Window {
  const step = range.step * 1000;
  const end = (Math.floor(now / step) + 1) * step;
  return { start: end - range.seconds * 1000, end, step };
}

/** The window of the same length just before. */
export function windowBefore(window: Window): Window {
  const length = window.end - window.start;
  return { start: window.start - length, end: window.start, step: window.step };
}

/** How often a chart over this range is asked for again, in milliseconds. */
export function refreshInterval(range: Range): number {
  if (range.seconds <= 6 * 3600) return 5_000;
  if (range.seconds <= 24 * 3600) return 10_000;
  return 60_000;
}
