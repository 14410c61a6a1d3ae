import { describe, expect, it } from 'vitest';
import { segments, topWords } from '../../src/lib/evidence.ts';

const span = (startUtf16: number, endUtf16: number, weight: number) => ({ startUtf16, endUtf16, weight });
const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);

describe('segments', () => {
  it('cuts the text at the spans and keeps all of it', () => {
    const text = '🎉 great, but it fails';
    const parts = segments(text, [span(0, 2, 0.5), span(3, 8, 2), span(17, 22, -1.2)]);
    expect(parts.map((p) => [p.text, p.level])).toEqual([['🎉', 2], [' ', 0], ['great', 4], [', but it ', 0], ['fails', 3]]);
    expect(parts.map((p) => p.text).join('')).toBe(text);
  });
  it('shares the weight of spans that overlap', () => {
    const parts = segments('abcdef', [span(0, 4, 4), span(2, 6, -2)]);
    expect(parts.map((p) => [p.text, p.weight])).toEqual([['ab', 2], ['cd', 1], ['ef', -1]]);
    expect(sum(parts.map((p) => p.weight))).toBeCloseTo(2);
  });
  it.each([[[span(-1, 2, 1)]], [[span(3, 3, 1)]], [[span(2, 99, 1)]], [[span(0.5, 2, 1)]], [[]]])('shows the text plain with spans that are not in it', (evidence) => {
    expect(segments('text', evidence)).toEqual([{ text: 'text', weight: 0, level: 0 }]);
  });
  it('does not underline what hardly counts', () => {
    expect(segments('ab', [span(0, 1, 5), span(1, 2, 0.01)]).map((p) => p.level)).toEqual([4, 0]);
  });
});

describe('topWords', () => {
  it('adds equal words up, strongest first', () => {
    expect(topWords('Bad bad good', [span(0, 3, -1), span(4, 7, -1), span(8, 12, 1.5)], 10)).toEqual([
      { text: 'Bad', weight: -2 }, { text: 'good', weight: 1.5 },
    ]);
  });
  it('has an end', () => expect(topWords('a b c', [span(0, 1, 1), span(2, 3, 2), span(4, 5, 3)], 2).map((w) => w.text)).toEqual(['c', 'b']));
});
