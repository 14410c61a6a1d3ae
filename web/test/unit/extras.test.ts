import { describe, expect, it, vi } from 'vitest';
import { patiently } from '../../src/api/patiently.ts';
import { Problem } from '../../src/api/problem.ts';
import { expectedStars, present, splitNames } from '../../src/lib/extras.ts';

describe('emotions', () => {
  const emotions = [{ name: 'neutral', probability: 0.8 }, { name: 'joy', probability: 0.5 }, { name: 'fear', probability: 0.49 }];
  it('are present from the bar on, without the lack of one', () => expect(present(emotions).map((e) => e.name)).toEqual(['joy']));
  it('that the server counts as present are', () => expect(present(emotions, 0).map((e) => e.name)).toEqual(['joy', 'fear']));
});

describe('stars', () => {
  it.each([[[0, 0, 0, 0, 1], 5], [[0.2, 0.2, 0.2, 0.2, 0.2], 3], [[0.5, 0, 0, 0, 0.5], 3], [[2, 0, 0, 0, 0], 1]])('%j', (shares, stars) => {
    expect(expectedStars(shares)).toBeCloseTo(stars);
  });
  it('of nothing are none', () => expect(expectedStars([])).toBeNaN());
});

describe('names in a line', () => {
  it.each([
    ['camera, battery', ['camera', 'battery']], [' a ;a\nb,, ', ['a', 'b']], ['', []], ['battery life', ['battery life']], ['\u00e9cran,\ud83c\udf89', ['écran', '🎉']],
  ])('%j', (line, names) => expect(splitNames(line)).toEqual(names));
});

describe('patience', () => {
  const missing = new Problem({ status: 404, detail: 'not yet' });
  const never = new AbortController().signal;
  it('asks again for what is not there yet', async () => {
    const ask = vi.fn().mockRejectedValueOnce(missing).mockRejectedValueOnce(missing).mockResolvedValue('here');
    expect(await patiently(ask, never, [0, 0, 0])).toBe('here');
    expect(ask).toHaveBeenCalledTimes(3);
  });
  it('has an end', async () => {
    const ask = vi.fn().mockRejectedValue(missing);
    await expect(patiently(ask, never, [0, 0])).rejects.toBe(missing);
    expect(ask).toHaveBeenCalledTimes(3);
  });
  it('is not for other problems', async () => {
    const refused = new Problem({ status: 403, detail: 'no' });
    const ask = vi.fn().mockRejectedValue(refused);
    await expect(patiently(ask, never, [0])).rejects.toBe(refused);
    expect(ask).toHaveBeenCalledTimes(1);
  });
  it('ends when nobody waits any more', async () => {
    const abort = new AbortController();
    const ask = vi.fn().mockImplementation(() => Promise.reject(missing));
    const asked = patiently(ask, abort.signal, [0, 0]);
    abort.abort();
    await expect(asked).rejects.toBe(missing);
    expect(ask).toHaveBeenCalledTimes(1);
  });
});
