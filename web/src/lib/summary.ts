import { S } from '../strings.ts';
import { bucketSpan } from './format.ts';
import { isolated, plainName } from './json.ts';
import type { RangeId } from './range.ts';
import { compare, extremes, netOf, totalsOf, type Grid, type GroupGrid } from './series.ts';

/** Says in one sentence what the chart shows (two when it has groups). */
export function chartSummary(range: RangeId, grid: Grid, before: Grid | null, groups: readonly GroupGrid[]): string {
  const totals = totalsOf(grid.buckets);
  const net = netOf(totals);
  if (net === null) return S.summary.empty(S.pulse.last[range]);
  let text = S.summary.net(S.pulse.last[range], net, totals.count);
  if (before) {
    const both = compare(grid, before);
    const [now, then] = [netOf(both.now), netOf(both.before)];
    if (now !== null && then !== null) text += S.summary.change(now - then, S.pulse.before[range]);
  }
  const found = extremes(grid);
  if (found && found.lowest.at !== found.highest.at) {
    const at = (ms: number) => bucketSpan(ms, grid.window.step);
    text += S.summary.extremes(found.lowest.net, at(found.lowest.at), found.highest.net, at(found.highest.at));
  }
  text += '.';
  if (groups.length > 0) {
    const names = groups.map((g) => S.summary.group(isolated(groupName(g)), netOf(g.totals) ?? 0));
    text += S.summary.groups(names.join(', '));
  }
  return text;
}

/** What a group is called on the page. */
export function groupName(group: { value: string; other: boolean }): string {
  if (group.other) return S.other;
  return group.value === '' ? S.none : plainName(group.value);
}
