import { describe, expect, it } from 'vitest';
import {
  bucketSpan, count, duration, fullTime, milliseconds, moment, parseDuration, percent, percentChange, shortCount, signed, zoneName,
} from '../../src/lib/format.ts';

const T = '\u202f';

describe('numbers', () => {
  it.each([[0.424, '+0.42'], [-0.18, '−0.18'], [0, '±0.00'], [0.004, '±0.00'], [-0.004, '±0.00'], [1, '+1.00'], [NaN, '–']])(
    'signed %d is %s', (value, text) => expect(signed(value)).toBe(text));
  it.each([[0, '0'], [999, '999'], [12431, `12${T}431`], [1234567, `1${T}234${T}567`], [-4200, `−4${T}200`]])(
    'count %d', (value, text) => expect(count(value)).toBe(text));
  it.each([
    [0, '0'], [999, '999'], [1000, '1k'], [12_431, '12.4k'], [99_960, '100k'], [404_007, '404k'], [999_499, '999k'], [999_500, '1M'],
    [3_100_000, '3.1M'], [2e9, '2G'],
  ])('short %d is %s', (value, text) => expect(shortCount(value)).toBe(text));
  it.each([[0, `0${T}%`], [0.001, `<1${T}%`], [0.54, `54${T}%`], [0.999, `>99${T}%`], [1, `100${T}%`]])(
    'percent %d', (value, text) => expect(percent(value)).toBe(text));
  it.each([[112, 100, `+12${T}%`], [88, 100, `−12${T}%`], [100, 100, `±0${T}%`], [5, 0, '–'], [1300, 100, `+1${T}200${T}%`]])(
    'change %d from %d', (now, before, text) => expect(percentChange(now, before)).toBe(text));
});

describe('durations', () => {
  it.each([[0.00012, `0.12${T}ms`], [0.0483, `48.3${T}ms`], [1.204, `1${T}204${T}ms`]])(
    '%d s', (seconds, text) => expect(milliseconds(seconds)).toBe(text));
  it.each([[4, `4${T}s`], [200, `3${T}min`], [7800, `2${T}h 10${T}min`], [7200, `2${T}h`], [5 * 86400, `5${T}d`], [-3, `0${T}s`]])(
    '%d s in words', (seconds, text) => expect(duration(seconds)).toBe(text));
  it('reads protobuf durations', () => {
    expect(parseDuration('0.000123s')).toBe(0.000123);
    expect(parseDuration('60s')).toBe(60);
    expect(parseDuration('1m')).toBeNaN();
  });
});

describe('times', () => {
  const at = Date.UTC(2026, 10, 24, 11, 4, 31, 123);
  it('shows today as a clock and other days with their date', () => {
    expect(moment(at, at + 1000, 'Europe/Berlin')).toBe('12:04:31');
    expect(moment(at, at + 86_400_000, 'Europe/Berlin')).toBe('24 Nov 12:04');
    expect(moment(at, at + 400 * 86_400_000, 'Europe/Berlin')).toBe('24 Nov 2026');
    expect(moment(NaN, at)).toBe('–');
  });
  it('shows all of a time', () => expect(fullTime(at, 'UTC')).toBe('24 Nov 2026, 11:04:31.123'));
  it('shows buckets, whole days in UTC', () => {
    expect(bucketSpan(Date.UTC(2026, 10, 24, 11), 900_000, 'UTC')).toBe('Tue, 24 Nov, 11:00–11:15'.replace('Tue, 24', 'Tue 24'));
    expect(bucketSpan(Date.UTC(2026, 10, 24), 86_400_000, 'America/New_York')).toMatch(/^Tue,? 24 Nov$/);
  });
  it('names the zone', () => {
    expect(zoneName(at, 'Europe/Berlin')).toBe('Europe/Berlin (UTC+1)');
    expect(zoneName(at, 'UTC')).toBe('UTC');
  });
});
