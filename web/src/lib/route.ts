import { DEFAULT_RANGE, isRangeId, type RangeId } from './range.ts';

// The whole state of a view lives in the fragment of the address. The fragment
// never leaves the browser, so filters and ids stay out of access logs.

export type Screen = 'start' | 'pulse';
export const GROUPS = ['source', 'label', 'language'] as const;
export type Group = (typeof GROUPS)[number] | '';

export interface Route {
  /** Empty: the project's home, Start without events and Pulse with. */
  screen: Screen | '';
  /** Empty: the project that was used last. */
  project: string;
  range: RangeId;
  group: Group;
  /** AIP-160 filter. */
  filter: string;
  /** Id of the open event. */
  event: string;
  /** Whether the chart is shown as a table. */
  table: boolean;
  /** Whether the y axis is zoomed to the data. */
  zoom: boolean;
}

export const HOME: Route = {
  screen: '', project: '', range: DEFAULT_RANGE, group: '', filter: '', event: '', table: false, zoom: false,
};

const PROJECT = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
const EVENT = /^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$/;

/** Reads "#/project/screen?range=…"; what it does not know falls back. */
export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = splitOnce(hash.replace(/^#/, ''), '?');
  const [, project = '', screen = ''] = path.split('/');
  const params = new URLSearchParams(query);
  const known = PROJECT.test(project);
  const range = params.get('range') ?? '';
  const group = params.get('group') ?? '';
  const event = params.get('event') ?? '';
  return {
    project: known ? project : '',
    screen: known && (screen === 'start' || screen === 'pulse') ? screen : '',
    range: isRangeId(range) ? range : DEFAULT_RANGE,
    group: (GROUPS as readonly string[]).includes(group) ? (group as Group) : '',
    filter: (params.get('filter') ?? '').slice(0, 2048),
    event: EVENT.test(event) ? event : '',
    table: params.get('table') === '1',
    zoom: params.get('zoom') === '1',
  };
}

/** Writes the shortest address that parseRoute reads back. */
export function formatRoute(route: Route): string {
  const path = ['', route.project, route.screen].join('/').replace(/\/+$/, '') || '/';
  const params = new URLSearchParams();
  if (route.range !== DEFAULT_RANGE) params.set('range', route.range);
  if (route.group) params.set('group', route.group);
  if (route.filter) params.set('filter', route.filter);
  if (route.event) params.set('event', route.event);
  if (route.table) params.set('table', '1');
  if (route.zoom) params.set('zoom', '1');
  const query = params.toString();
  return `#${path}${query ? `?${query}` : ''}`;
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
