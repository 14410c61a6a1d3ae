import { untrack } from 'svelte';
import { queryTimeSeries } from '../../api/calls.ts';
import { asProblem, type Problem } from '../../api/problem.ts';
import { rangeOf, refreshInterval, windowAt, windowBefore, type RangeId } from '../../lib/range.ts';
import type { Group } from '../../lib/route.ts';
import { gridOf, topGroups, type Grid, type GroupGrid } from '../../lib/series.ts';

/** Groups with a line of their own; the rest is "other". */
export const MOST_GROUPS = 6;

export interface Question {
  project: string;
  range: RangeId;
  group: Group;
  filter: string;
}

export interface Answer {
  question: Question;
  grid: Grid;
  before: Grid;
  groups: GroupGrid[];
  completeTo: number;
  /** When the answer came, Unix milliseconds. */
  at: number;
  /** The server can not filter the chart by this filter: it shows all events. */
  unfiltered: boolean;
}

/** The series behind Pulse, asked for again while the page is seen. */
export class ChartData {
  answer = $state.raw<Answer | null>(null);
  problem = $state<Problem | null>(null);
  /** Whether the answer is of another question than the one that is asked. */
  stale = $state(false);

  #question: Question | null = null;
  #abort = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #unfilterable = '';
  #onvisible = () => {
    if (document.visibilityState === 'visible' && this.#question) void this.#ask();
  };

  start(): void {
    document.addEventListener('visibilitychange', this.#onvisible);
  }

  stop(): void {
    document.removeEventListener('visibilitychange', this.#onvisible);
    this.#abort.abort();
    clearTimeout(this.#timer);
  }

  /** Asks a question; the old answer stays, marked as stale, until the new one is there. */
  ask(question: Question): void {
    this.#question = question;
    // Not a dependency of the effect that asks.
    this.stale = untrack(() => this.answer !== null);
    void this.#ask();
  }

  async #ask(): Promise<void> {
    clearTimeout(this.#timer);
    this.#abort.abort();
    const abort = (this.#abort = new AbortController());
    const question = this.#question!;
    const range = rangeOf(question.range);
    try {
      const answer = await this.#load(question, abort.signal);
      if (abort.signal.aborted) return;
      this.answer = answer;
      this.problem = null;
      this.stale = false;
    } catch (error) {
      if (abort.signal.aborted) return;
      this.problem = asProblem(error);
    }
    this.#timer = setTimeout(() => {
      if (document.visibilityState === 'visible') void this.#ask();
    }, refreshInterval(range));
  }

  async #load(question: Question, signal: AbortSignal): Promise<Answer> {
    const window = windowAt(rangeOf(question.range), Date.now());
    // A label splits every point already.
    const groupBy = question.group === 'label' ? '' : question.group;
    const ask = (filter: string) =>
      Promise.all([
        queryTimeSeries(question.project, window, { groupBy, filter }, signal),
        queryTimeSeries(question.project, windowBefore(window), { filter }, signal),
      ]);
    let unfiltered = question.filter !== '' && question.filter === this.#unfilterable;
    const [now, before] = await ask(unfiltered ? '' : question.filter).catch((error: unknown) => {
      const problem = asProblem(error);
      if (!question.filter || problem?.reason !== 'INVALID_FILTER') throw error;
      // The list can filter by more than the chart: say so and show all.
      this.#unfilterable = question.filter;
      unfiltered = true;
      return ask('');
    });
    const grid = gridOf(now.points, window, now.completeTo);
    return {
      question,
      grid,
      before: gridOf(before.points, windowBefore(window), Infinity),
      groups: groupBy ? topGroups(grid, now.series, groupBy, MOST_GROUPS, now.completeTo) : [],
      completeTo: now.completeTo,
      at: Date.now(),
      unfiltered,
    };
  }
}
