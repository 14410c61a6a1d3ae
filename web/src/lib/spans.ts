import type { Evidence, Span } from '../api/types.ts';

/** A part of a text that is shown in one way. */
export interface Piece {
  text: string;
  /** UTF-16 offset of its first code unit. */
  start: number;
  /** Logit weight that it carries: above 0 towards positive, below towards negative. */
  weight: number;
  /** Thickness of the underline, 0 (none) to 4. */
  level: 0 | 1 | 2 | 3 | 4;
  /** Index of the sentence that ends with this piece; -1 if none does. */
  ends: number;
}

/** What the text is cut by; spans that do not lie in it are left out. */
export interface Marks {
  evidence?: readonly Evidence[];
  sentences?: readonly Span[];
  /** Spans that may be lit later, so that lighting them cuts nothing anew. */
  others?: readonly Span[];
}

/** Spans of a text to light: a thing, and what is said of it. */
export interface Light {
  things: readonly Span[];
  opinions: readonly Span[];
}

/** A span of the text as a line of the list of words. */
export interface Word {
  text: string;
  weight: number;
  /** Everywhere that it stands. */
  spans: Span[];
}

/** Below this share of the strongest weight a span is not underlined. */
const FAINT = 0.04;

/** Below this a weight would be shown as ±0.00. */
const NOTHING = 0.005;

/**
 * Cuts a text at the borders of its evidence, sentences and other spans. Where
 * evidence overlaps, each span gives a piece its weight in proportion to the
 * piece's length, so that the weights of all pieces sum to those of all spans.
 * What a reader sees as one character is never cut: spans grow to its borders.
 */
export function layout(text: string, marks: Marks): Piece[] {
  if (text === '') return [];
  const snap = snapper(text);
  const evidence = (marks.evidence ?? []).filter((e) => inside(text, e) && e.weight !== 0).map((e) => ({ ...snap(e), weight: e.weight }));
  const ends = new Map<number, number>();
  marks.sentences?.forEach((s, index) => inside(text, s) && ends.set(snap(s).endUtf16, index));
  const others = (marks.others ?? []).filter((s) => inside(text, s)).map(snap);
  const borders = [...evidence, ...others].flatMap((s) => [s.startUtf16, s.endUtf16]);
  const cuts = [...new Set([0, text.length, ...ends.keys(), ...borders])].sort((a, b) => a - b);
  const place = new Map(cuts.map((at, index) => [at, index]));
  const weights = new Array<number>(cuts.length - 1).fill(0);
  for (const span of evidence) {
    const length = span.endUtf16 - span.startUtf16;
    const to = place.get(span.endUtf16)!;
    for (let i = place.get(span.startUtf16)!; i < to; i++) weights[i]! += (span.weight * (cuts[i + 1]! - cuts[i]!)) / length;
  }
  const strongest = evidence.reduce((most, e) => Math.max(most, Math.abs(e.weight)), 0);
  return weights.map((weight, i) => ({
    text: text.slice(cuts[i], cuts[i + 1]), start: cuts[i]!, weight, level: level(weight, strongest), ends: ends.get(cuts[i + 1]!) ?? -1,
  }));
}

/** The pieces that a light falls on; a thing outshines what is said of it. */
export function lit(pieces: readonly Piece[], light: Light | undefined): Map<number, 'thing' | 'opinion'> {
  const found = new Map<number, 'thing' | 'opinion'>();
  for (const [spans, as] of [[light?.opinions ?? [], 'opinion'], [light?.things ?? [], 'thing']] as const) {
    for (const span of spans) {
      pieces.forEach((p, i) => {
        if (p.start < span.endUtf16 && p.start + p.text.length > span.startUtf16) found.set(i, as);
      });
    }
  }
  return found;
}

/** The words with the greatest weights, equal words added up, strongest first. */
export function topWords(text: string, evidence: readonly Evidence[], limit: number): Word[] {
  const sums = new Map<string, Word>();
  for (const e of evidence) {
    if (!inside(text, e)) continue;
    const word = text.slice(e.startUtf16, e.endUtf16);
    const key = word.toLowerCase();
    const known = sums.get(key) ?? { text: word, weight: 0, spans: [] };
    known.weight += e.weight;
    known.spans.push(e);
    sums.set(key, known);
  }
  return [...sums.values()]
    .filter((w) => Math.abs(w.weight) >= NOTHING && w.text.trim() !== '')
    .sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight))
    .slice(0, limit);
}

/** The text of a span; empty for one that is not in the text. */
export function quoted(text: string, span: Span): string {
  return inside(text, span) ? text.slice(span.startUtf16, span.endUtf16) : '';
}

function level(weight: number, strongest: number): Piece['level'] {
  const share = Math.abs(weight) / strongest;
  if (!(share >= FAINT)) return 0;
  if (share < 0.25) return 1;
  if (share < 0.5) return 2;
  return share < 0.75 ? 3 : 4;
}

function inside(text: string, s: Span): boolean {
  return Number.isInteger(s.startUtf16) && Number.isInteger(s.endUtf16) && s.startUtf16 >= 0 && s.endUtf16 > s.startUtf16 && s.endUtf16 <= text.length;
}

/** Gives a function that widens spans to whole characters as a reader sees them. */
function snapper(text: string): (span: Span) => Span {
  const characters = new Intl.Segmenter('en', { granularity: 'grapheme' }).segment(text);
  // Below U+0300 only a line break of two code units is one character.
  const plain = (at: number) => text.charCodeAt(at - 1) < 0x300 && text.charCodeAt(at) < 0x300 && text[at] !== '\n';
  const start = (at: number) => (plain(at) ? at : (characters.containing(at)?.index ?? at));
  const end = (at: number) => {
    if (plain(at)) return at;
    const found = characters.containing(at);
    return !found || found.index === at ? at : found.index + found.segment.length;
  };
  return (span) => ({ startUtf16: start(span.startUtf16), endUtf16: end(span.endUtf16) });
}
