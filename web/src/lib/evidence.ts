import type { Evidence } from '../api/types.ts';

/** A piece of a text with the logit weight that it carries. */
export interface Segment {
  text: string;
  /** Above 0 towards positive, below towards negative; 0 is plain text. */
  weight: number;
  /** Thickness of the underline, 0 (none) to 4. */
  level: 0 | 1 | 2 | 3 | 4;
}

/** A span of the text as a line of the list of words. */
export interface Word {
  text: string;
  weight: number;
}

/** Below this share of the strongest weight a span is not underlined. */
const FAINT = 0.04;

/**
 * Cuts a text at the borders of its evidence. Where spans overlap, each gives a
 * piece its weight in proportion to the piece's length, so that the weights of
 * all pieces still sum to those of all spans.
 */
export function segments(text: string, evidence: readonly Evidence[]): Segment[] {
  const spans = evidence.filter((e) => inside(text, e) && e.weight !== 0);
  if (spans.length === 0) return text ? [{ text, weight: 0, level: 0 }] : [];
  const cuts = [...new Set([0, text.length, ...spans.flatMap((s) => [s.startUtf16, s.endUtf16])])].sort((a, b) => a - b);
  const weights = new Array<number>(cuts.length - 1).fill(0);
  const place = new Map(cuts.map((at, index) => [at, index]));
  for (const span of spans) {
    const from = place.get(span.startUtf16)!;
    const to = place.get(span.endUtf16)!;
    const length = span.endUtf16 - span.startUtf16;
    for (let i = from; i < to; i++) weights[i]! += (span.weight * (cuts[i + 1]! - cuts[i]!)) / length;
  }
  const strongest = Math.max(...spans.map((s) => Math.abs(s.weight)));
  return weights.map((weight, i) => ({ text: text.slice(cuts[i], cuts[i + 1]), weight, level: level(weight, strongest) }));
}

function level(weight: number, strongest: number): Segment['level'] {
  const share = Math.abs(weight) / strongest;
  if (!(share >= FAINT)) return 0;
  if (share < 0.25) return 1;
  if (share < 0.5) return 2;
  return share < 0.75 ? 3 : 4;
}

function inside(text: string, e: Evidence): boolean {
  return Number.isInteger(e.startUtf16) && e.startUtf16 >= 0 && e.endUtf16 > e.startUtf16 && e.endUtf16 <= text.length;
}

/** The words with the greatest weights, equal words added up, strongest first. */
export function topWords(text: string, evidence: readonly Evidence[], limit: number): Word[] {
  const sums = new Map<string, Word>();
  for (const e of evidence) {
    if (!inside(text, e)) continue;
    const word = text.slice(e.startUtf16, e.endUtf16);
    const key = word.toLowerCase();
    const known = sums.get(key);
    if (known) known.weight += e.weight;
    else sums.set(key, { text: word, weight: e.weight });
  }
  return [...sums.values()]
    .filter((w) => Math.abs(w.weight) >= 0.005 && w.text.trim() !== '')
    .sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight))
    .slice(0, limit);
}
