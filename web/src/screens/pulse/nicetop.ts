/** Top of an axis of counts: the least of 1, 2, 4, 6, 8, 10, 20, … that is not below the largest. */
export function niceTop(value: number): number {
  const size = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 4, 6, 8, 10].find((n) => n * size >= value) ?? 10) * size;
}
