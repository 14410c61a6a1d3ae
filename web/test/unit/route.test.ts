import { describe, expect, it } from 'vitest';
import { formatRoute, HOME, parseRoute, type Route } from '../../src/lib/route.ts';

describe('route', () => {
  it.each<[string, Route]>([
    ['#/', HOME],
    ['#/default', { ...HOME, project: 'default' }],
    ['#/default/start', { ...HOME, project: 'default', screen: 'start' }],
    ['#/p-1/pulse?range=7d&group=source&event=ev-1&table=1&zoom=1', { ...HOME, project: 'p-1', screen: 'pulse', range: '7d', group: 'source', event: 'ev-1', table: true, zoom: true }],
    ['#/p/pulse?filter=label+%3D+%22NEGATIVE%22+AND+text%3A%22a%26b%22', { ...HOME, project: 'p', screen: 'pulse', filter: 'label = "NEGATIVE" AND text:"a&b"' }],
  ])('%s reads and writes back', (hash, route) => {
    expect(parseRoute(hash)).toEqual(route);
    expect(formatRoute(route)).toBe(hash);
  });
  it.each(['', '#', '#nonsense', '#/UPPER/pulse', '#/../../etc', '#/p/nowhere?range=1y&group=text&event=%3Cscript%3E', '#/%ff/x?%zz'])(
    'falls back for %s', (hash) => {
      const route = parseRoute(hash);
      expect(route).toMatchObject({ screen: '', range: '24h', group: '', event: '' });
      expect(parseRoute(formatRoute(route))).toEqual(route);
    });
});
