import type { Group } from '../../lib/route.ts';
import { netOf, zoomedRange, type Totals } from '../../lib/series.ts';
import { groupName } from '../../lib/summary.ts';
import { S } from '../../strings.ts';
import type { Answer } from './chartdata.svelte.ts';

/** A line of the upper chart. */
export interface Line {
  name: string;
  /** CSS variable of its colour; 'sign' is blue above and orange below zero. */
  color: string;
  dash: number[];
  values: (number | null)[];
}

/** What the two charts of Pulse draw. */
export interface ChartModel {
  kind: 'net' | 'shares';
  group: Group;
  /** Middle of each bucket in Unix seconds. */
  xs: number[];
  starts: number[];
  step: number;
  /** Start and end in Unix seconds. */
  span: [number, number];
  firstIncomplete: number;
  lines: Line[];
  buckets: Totals[];
  y: [number, number];
}

const GROUP_DASHES = [[], [8, 3], [2, 3], [10, 3, 2, 3], [5, 5], [14, 4]];

export function chartModel(answer: Answer, zoom: boolean): ChartModel {
  const { grid, groups, question } = answer;
  const { window, starts, buckets, firstIncomplete } = grid;
  const kind = question.group === 'label' ? 'shares' : 'net';
  const lines = kind === 'shares' ? shareLines(buckets) : netLines(answer);
  const values = lines.flatMap((line) => line.values);
  const full: [number, number] = kind === 'shares' ? [0, 1] : [-1, 1];
  return {
    kind,
    group: groups.length > 0 || kind === 'shares' ? question.group : '',
    xs: starts.map((start) => (start + window.step / 2) / 1000),
    starts,
    step: window.step,
    span: [window.start / 1000, window.end / 1000],
    firstIncomplete,
    lines,
    buckets,
    y: zoom && kind === 'net' ? zoomedRange(values) : full,
  };
}

function netLines({ grid, groups }: Answer): Line[] {
  if (groups.length === 0) return [{ name: S.pulse.net, color: 'sign', dash: [], values: grid.buckets.map(netOf) }];
  return groups.map((group, i) => ({
    name: groupName(group),
    color: group.other ? '--s7' : `--s${i + 1}`,
    dash: group.other ? [1, 4] : GROUP_DASHES[i % GROUP_DASHES.length]!,
    values: group.grid.buckets.map(netOf),
  }));
}

function shareLines(buckets: Totals[]): Line[] {
  const share = (name: 'negative' | 'neutral' | 'positive') => buckets.map((b) => (b.count > 0 ? b[name] / b.count : null));
  return [
    { name: S.labels.POSITIVE, color: '--positive', dash: [], values: share('positive') },
    { name: S.labels.NEUTRAL, color: '--neutral', dash: [2, 3], values: share('neutral') },
    { name: S.labels.NEGATIVE, color: '--negative', dash: [7, 3], values: share('negative') },
  ];
}
