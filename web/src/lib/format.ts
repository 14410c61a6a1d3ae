// Numbers and times as the product writes them (look: signed scores, thin
// separators, whole per cents, local time with its zone).

export const MINUS = '\u2212';
export const THIN = '\u202f';
export const PLUS_MINUS = '\u00b1';

/** A score or net sentiment: always signed, two decimals, +0.42 or −0.18. */
export function signed(value: number, decimals = 2): string {
  if (!Number.isFinite(value)) return '–';
  const text = Math.abs(value).toFixed(decimals);
  if (Number(text) === 0) return PLUS_MINUS + text;
  return (value < 0 ? MINUS : '+') + text;
}

/** A whole number with thin separators: 12 431. */
export function count(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const digits = Math.abs(Math.round(value)).toString();
  const grouped = digits.replace(/\B(?=(\d{3})+(?!\d))/g, THIN);
  return value < 0 ? MINUS + grouped : grouped;
}

/** A count in short form: 999, 12.4k, 3.1M. The full number belongs beside it. */
export function shortCount(value: number): string {
  if (!Number.isFinite(value)) return '–';
  for (const [size, unit] of [[1e9, 'G'], [1e6, 'M'], [1e3, 'k']] as const) {
    // 999,500 and up would round to 1000k.
    if (Math.abs(value) < size * 0.9995) continue;
    const scaled = value / size;
    return `${Math.abs(scaled) >= 99.95 ? Math.round(scaled) : trimZero(scaled.toFixed(1))}${unit}`;
  }
  return String(Math.round(value));
}

function trimZero(text: string): string {
  return text.endsWith('.0') ? text.slice(0, -2) : text;
}

/** A share of 1 as whole per cent: 54 %. Small but not nothing is <1 %. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return '–';
  const whole = Math.round(share * 100);
  if (whole === 0 && share > 0) return `<1${THIN}%`;
  if (whole === 100 && share < 1) return `>99${THIN}%`;
  return `${whole}${THIN}%`;
}

/** A change in per cent with its sign: +12 %. */
export function percentChange(now: number, before: number): string {
  const whole = Math.round(((now - before) / before) * 100);
  if (!Number.isFinite(whole)) return '–';
  if (whole === 0) return `${PLUS_MINUS}0${THIN}%`;
  return `${whole < 0 ? MINUS : '+'}${count(Math.abs(whole))}${THIN}%`;
}

/** Seconds as milliseconds with three digits of use: 0.12 ms, 48.3 ms, 1 204 ms. */
export function milliseconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–';
  const ms = seconds * 1000;
  const size = Math.abs(ms);
  if (size >= 100) return `${count(ms)}${THIN}ms`;
  return `${ms.toFixed(size >= 10 ? 1 : 2)}${THIN}ms`;
}

/** How long, in words: 4 s, 3 min, 2 h 10 min, 5 d. */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s}${THIN}s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes}${THIN}min`;
  const hours = Math.floor(minutes / 60);
  if (hours >= 48) return `${Math.floor(hours / 24)}${THIN}d`;
  const rest = minutes % 60;
  return rest ? `${hours}${THIN}h ${rest}${THIN}min` : `${hours}${THIN}h`;
}

/** A protobuf Duration in JSON ("0.000123s") in seconds; NaN if it is none. */
export function parseDuration(text: string): number {
  return /^-?\d+(\.\d+)?s$/.test(text) ? Number(text.slice(0, -1)) : NaN;
}

export type Zone = string | undefined;
type Parts = Intl.DateTimeFormatOptions;

const formats = new Map<string, Intl.DateTimeFormat>();

function formatter(zone: Zone, options: Parts): Intl.DateTimeFormat {
  const key = JSON.stringify([zone, options]);
  let format = formats.get(key);
  if (!format) {
    format = new Intl.DateTimeFormat('en-GB', { ...options, timeZone: zone, hourCycle: 'h23' });
    formats.set(key, format);
  }
  return format;
}

const CLOCK: Parts = { hour: '2-digit', minute: '2-digit' };
const CLOCK_S: Parts = { ...CLOCK, second: '2-digit' };
const DAY: Parts = { day: 'numeric', month: 'short' };

/** 12:04 */
export function clock(ms: number, zone?: Zone): string {
  return formatter(zone, CLOCK).format(ms);
}

/** 12:04:31 */
export function clockSeconds(ms: number, zone?: Zone): string {
  return formatter(zone, CLOCK_S).format(ms);
}

/** 24 Nov */
export function day(ms: number, zone?: Zone): string {
  return formatter(zone, DAY).format(ms);
}

/** 24 Nov 2026, 12:04:31.123 */
export function fullTime(ms: number, zone?: Zone): string {
  if (!Number.isFinite(ms)) return '–';
  const date = formatter(zone, { ...DAY, year: 'numeric' }).format(ms);
  return `${date}, ${clockSeconds(ms, zone)}.${String(((ms % 1000) + 1000) % 1000).padStart(3, '0')}`;
}

/** The clock for today, the day and the clock otherwise. */
export function moment(ms: number, now: number, zone?: Zone): string {
  if (!Number.isFinite(ms)) return '–';
  const sameDay = formatter(zone, { ...DAY, year: 'numeric' });
  if (sameDay.format(ms) === sameDay.format(now)) return clockSeconds(ms, zone);
  if (Math.abs(now - ms) > 300 * 86_400_000) return sameDay.format(ms);
  return `${day(ms, zone)} ${clock(ms, zone)}`;
}

/** A bucket's span: Tue 24 Nov, 12:00–12:15, or 24 Nov for whole days. */
export function bucketSpan(startMs: number, stepMs: number, zone?: Zone): string {
  if (stepMs >= 86_400_000) return formatter('UTC', { weekday: 'short', ...DAY }).format(startMs);
  const date = formatter(zone, { weekday: 'short', ...DAY }).format(startMs);
  return `${date}, ${clock(startMs, zone)}–${clock(startMs + stepMs, zone)}`;
}

/** The zone that times are shown in: Europe/Berlin (UTC+1). */
export function zoneName(now: number, zone?: Zone): string {
  const name = zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
  const part = formatter(zone, { timeZoneName: 'shortOffset' })
    .formatToParts(now)
    .find((p) => p.type === 'timeZoneName');
  const offset = (part?.value ?? '').replace('GMT', 'UTC');
  return name === 'UTC' || !offset ? name : `${name} (${offset})`;
}

/** Bytes of a text in UTF-8. */
export function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}
