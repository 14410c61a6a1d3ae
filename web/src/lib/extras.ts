import type { Emotion } from '../api/types.ts';

/** From here on an emotion counts as present. */
export const PRESENT = 0.5;

/** The emotions that a text shows, strongest first; "neutral" is the lack of one. */
export function present(emotions: readonly Emotion[], bar = PRESENT): Emotion[] {
  return emotions.filter((e) => e.probability >= bar && e.name !== 'neutral');
}

/** The stars that are expected of a distribution over 1 to 5; NaN without one. */
export function expectedStars(shares: readonly number[]): number {
  const all = shares.reduce((sum, share) => sum + share, 0);
  return shares.reduce((sum, share, i) => sum + share * (i + 1), 0) / all;
}

/** Names that somebody typed in one line, each once. */
export function splitNames(line: string): string[] {
  return [...new Set(line.split(/[,;\n]/).map((name) => name.trim()).filter(Boolean))];
}
