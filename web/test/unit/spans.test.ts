import { describe, expect, it } from 'vitest';
import { layout, lit, quoted, topWords } from '../../src/lib/spans.ts';

const at = (startUtf16: number, endUtf16: number) => ({ startUtf16, endUtf16 });
const span = (startUtf16: number, endUtf16: number, weight: number) => ({ startUtf16, endUtf16, weight });
const find = (text: string, part: string) => at(text.indexOf(part), text.indexOf(part) + part.length);
const texts = (pieces: { text: string }[]) => pieces.map((p) => p.text);
const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);

describe('evidence', () => {
  it('cuts the text at the spans and keeps all of it', () => {
    const text = '🎉 great, but it fails';
    const pieces = layout(text, { evidence: [span(0, 2, 0.5), span(3, 8, 2), span(17, 22, -1.2)] });
    expect(pieces.map((p) => [p.text, p.level])).toEqual([['🎉', 2], [' ', 0], ['great', 4], [', but it ', 0], ['fails', 3]]);
    expect(texts(pieces).join('')).toBe(text);
    expect(pieces.map((p) => p.start)).toEqual([0, 2, 3, 8, 17]);
  });
  it('that overlaps shares its weight', () => {
    const pieces = layout('abcdef', { evidence: [span(0, 4, 4), span(2, 6, -2)] });
    expect(pieces.map((p) => [p.text, p.weight])).toEqual([['ab', 2], ['cd', 1], ['ef', -1]]);
    expect(sum(pieces.map((p) => p.weight))).toBeCloseTo(2);
  });
  it('inside other evidence adds to it', () => {
    const pieces = layout('not good at all', { evidence: [span(0, 15, -3), span(4, 8, 1.5)] });
    expect(texts(pieces)).toEqual(['not ', 'good', ' at all']);
    expect(pieces.map((p) => p.weight)).toEqual([expect.closeTo(-0.8), expect.closeTo(0.7), expect.closeTo(-1.4)]);
  });
  it.each([[[span(-1, 2, 1)]], [[span(3, 3, 1)]], [[span(2, 99, 1)]], [[span(0.5, 2, 1)]], [[span(0, NaN, 1)]], [[]]])('that is not in the text leaves it plain', (evidence) => {
    expect(layout('text', { evidence, sentences: evidence, others: evidence })).toEqual([{ text: 'text', start: 0, weight: 0, level: 0, ends: -1 }]);
  });
  it('that hardly counts is not underlined', () => {
    expect(layout('ab', { evidence: [span(0, 1, 5), span(1, 2, 0.01)] }).map((p) => p.level)).toEqual([4, 0]);
  });
  it('of no text is none', () => expect(layout('', { evidence: [span(0, 1, 1)] })).toEqual([]));
});

describe('characters', () => {
  const family = '👩‍👩‍👧‍👦';
  it.each([
    ['a pair of surrogates', 'a🎉b', at(2, 4), ['a', '🎉b']],
    ['a family', `x ${family} y`, at(5, 9), ['x ', family, ' y']],
    ['a letter and its mark', 'cafe\u0301 ok', at(0, 4), ['cafe\u0301', ' ok']],
    ['a mark alone', 'cafe\u0301 ok', at(4, 5), ['caf', 'e\u0301', ' ok']],
    ['a flag', '🇩🇪🇫🇷', at(0, 6), ['🇩🇪🇫🇷']],
    ['a line break', 'a\r\nb', at(0, 2), ['a\r\n', 'b']],
    ['a Hangul syllable of jamo', '\u1112\u1161\u11ab!', at(1, 2), ['\u1112\u1161\u11ab', '!']],
  ])('are not cut: %s', (_name, text, other, expected) => {
    expect(texts(layout(text, { others: [other] }))).toEqual(expected);
    expect(texts(layout(text, { evidence: [{ ...other, weight: 1 }] }))).toEqual(expected);
  });
  it('whose spans meet after that still sum', () => {
    const pieces = layout('e\u0301\u0302x', { evidence: [span(0, 1, 1), span(1, 2, 2), span(2, 4, 4)] });
    expect(pieces.map((p) => [p.text, p.weight])).toEqual([['e\u0301\u0302', 6], ['x', 1]]);
  });
  it('of a pile of marks stay together', () => {
    const pile = `Z${'\u0335\u0336\u0337'.repeat(40)}`;
    expect(texts(layout(`${pile}algo`, { others: [at(7, 60)] }))).toEqual([pile, 'algo']);
  });
});

describe('sentences', () => {
  const text = 'I love it. \n\nThe export fails! 🎉';
  const sentences = ['I love it.', 'The export fails!', '🎉'].map((part) => find(text, part));
  it('end where their last piece ends', () => {
    const pieces = layout(text, { sentences, evidence: [{ ...find(text, 'love'), weight: 2 }, { ...find(text, 'fails!'), weight: -1 }] });
    expect(pieces.map((p) => [p.text, p.ends])).toEqual([
      ['I ', -1], ['love', -1], [' it.', 0], [' \n\nThe export ', -1], ['fails!', 1], [' 🎉', 2],
    ]);
  });
  it('end inside of evidence that reaches beyond them', () => {
    const pieces = layout('Good. Bad.', { sentences: [at(0, 5), at(6, 10)], evidence: [span(0, 10, 1)] });
    expect(pieces.map((p) => [p.text, p.ends])).toEqual([['Good.', 0], [' Bad.', 1]]);
    expect(sum(pieces.map((p) => p.weight))).toBeCloseTo(1);
  });
  it('of a long text are found in a moment', () => {
    const long = 'I love thís and hate that. '.repeat(2400);
    const each = Array.from({ length: 2400 }, (_, i) => at(i * 27, i * 27 + 26));
    const pieces = layout(long, { sentences: each, evidence: each.map((s) => span(s.startUtf16 + 2, s.startUtf16 + 6, 1)) });
    expect(pieces.filter((p) => p.ends >= 0).length).toBe(2400);
    expect(texts(pieces).join('')).toBe(long);
  });
});

describe('lights', () => {
  const text = 'The battery life is bad, the battery case is fine';
  const life = find(text, 'battery life');
  const pieces = layout(text, { evidence: [{ ...find(text, 'battery'), weight: -0.2 }, { ...find(text, 'bad'), weight: -2 }], others: [life, find(text, 'case')] });
  const shown = (light: Parameters<typeof lit>[1]) => [...lit(pieces, light)].sort(([a], [b]) => a - b).map(([i, as]) => [pieces[i]!.text, as]);
  it('fall on every piece of a span', () => {
    expect(shown({ things: [life], opinions: [find(text, 'bad')] })).toEqual([['battery', 'thing'], [' life', 'thing'], ['bad', 'opinion']]);
  });
  it('show the thing where both overlap', () => {
    expect(shown({ things: [life], opinions: [find(text, 'battery')] })).toEqual([['battery', 'thing'], [' life', 'thing']]);
  });
  it('fall on nothing by themselves', () => {
    expect(shown(undefined)).toEqual([]);
    expect(shown({ things: [at(0, 0)], opinions: [at(900, 910)] })).toEqual([]);
  });
});

describe('topWords', () => {
  it('adds equal words up, strongest first', () => {
    expect(topWords('Bad bad good', [span(0, 3, -1), span(4, 7, -1), span(8, 12, 1.5)], 10)).toMatchObject([
      { text: 'Bad', weight: -2, spans: [at(0, 3), at(4, 7)] }, { text: 'good', weight: 1.5, spans: [at(8, 12)] },
    ]);
  });
  it('has an end', () => expect(topWords('a b c', [span(0, 1, 1), span(2, 3, 2), span(4, 5, 3)], 2).map((w) => w.text)).toEqual(['c', 'b']));
});

describe('quoted', () => {
  it.each([[at(0, 2), '🎉'], [at(3, 5), 'ok'], [at(3, 9), ''], [at(0, 0), '']])('%o', (s, expected) => expect(quoted('🎉 ok', s)).toBe(expected));
});
