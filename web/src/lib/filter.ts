// Small helpers for AIP-160 filters; the server is their only real parser.

/** A string literal of the filter language. */
export function literal(value: string): string {
  return `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/** `dimension = "value"`. */
export function equals(dimension: string, value: string): string {
  return `${dimension} = ${literal(value)}`;
}

/** Adds a condition to a filter, unless it is there already. */
export function and(filter: string, condition: string): string {
  const base = filter.trim();
  if (!base) return condition;
  if (base.split(' AND ').includes(condition)) return base;
  return `${/\bOR\b/.test(base) && !/^\(.*\)$/.test(base) ? `(${base})` : base} AND ${condition}`;
}

/** Takes a condition that `and` added out again. */
export function without(filter: string, condition: string): string {
  return filter.trim().split(' AND ').filter((part) => part !== condition).join(' AND ');
}

export function has(filter: string, condition: string): boolean {
  return filter.trim().split(' AND ').includes(condition);
}
