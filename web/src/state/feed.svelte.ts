import { listEvents, tailPath } from '../api/calls.ts';
import { asProblem, type Problem } from '../api/problem.ts';
import { Tail, type TailState } from '../api/tail.ts';
import type { SynapseEvent, TailMessage } from '../api/types.ts';

/** A line of the list: an event, or words about events that are not there. */
export type Row =
  | { key: string; kind: 'event'; event: SynapseEvent; fresh: boolean }
  | { key: string; kind: 'gap'; withheld: number; reason: string }
  | { key: string; kind: 'dropped'; withheld: number }
  | { key: string; kind: 'resync'; reason: string };

const PAGE = 50;
/** Most rows that came by the tail. */
const LIVE_ROWS = 150;
/** Most messages that wait to be shown; what comes on top is counted as dropped. */
const WAITING = 500;
/** The list moves at most this often, in milliseconds. */
const FLUSH_MS = 250;

/** The newest events of a project, kept up to date by the live tail. */
export class Feed {
  rows = $state.raw<Row[]>([]);
  loading = $state(true);
  problem = $state<Problem | null>(null);
  nextPageToken = $state('');
  tailState = $state<TailState>('connecting');
  tailProblem = $state<Problem | null>(null);
  paused = $state(false);
  /** Events that came while the list stood still. */
  waiting = $state(0);
  /** Ids of the events shown, from the top. */
  ids = $derived(this.rows.flatMap((row) => (row.kind === 'event' ? [row.event.id] : [])));

  #project: string;
  #filter: string;
  #tail: Tail;
  #live: Row[] = [];
  #page: Row[] = [];
  #queue: Row[] = [];
  #dropped = 0;
  #held = false;
  #lines = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #abort = new AbortController();

  constructor(project: string, filter: string) {
    this.#project = project;
    this.#filter = filter;
    this.#tail = new Tail(tailPath(project, filter), {
      onState: (state, problem) => {
        this.tailState = state;
        if (state === 'live' || problem) this.tailProblem = problem;
      },
      onMessage: (message) => this.#take(message),
    });
  }

  /** Opens the tail first and lists then, so that nothing falls between. */
  start(): void {
    void this.#tail.run();
    void this.load();
  }

  stop(): void {
    this.#tail.stop();
    this.#abort.abort();
    clearTimeout(this.#timer);
  }

  async load(): Promise<void> {
    await this.#list('', (rows) => {
      this.#page = rows;
    });
  }

  async older(): Promise<void> {
    const token = this.nextPageToken;
    if (!token) return;
    await this.#list(token, (rows) => {
      this.#page = [...this.#page, ...rows];
    });
  }

  pause(on: boolean): void {
    this.paused = on;
    this.#flush();
  }

  /** Keeps the rows where they are while somebody points at one of them. */
  hold(on: boolean): void {
    this.#held = on;
    this.#flush();
  }

  /** Shows what waits, and goes on. */
  show(): void {
    this.paused = false;
    this.#flush(true);
  }

  reconnect(): void {
    this.tailProblem = null;
    void this.#tail.run();
  }

  async #list(pageToken: string, use: (rows: Row[]) => void): Promise<void> {
    this.loading = true;
    try {
      const page = await listEvents(this.#project, { filter: this.#filter, pageSize: PAGE, pageToken }, this.#abort.signal);
      use(page.events.map((event) => ({ key: event.id, kind: 'event', event, fresh: false })));
      this.nextPageToken = page.nextPageToken;
      this.problem = null;
      this.#show();
    } catch (error) {
      const problem = asProblem(error);
      if (problem) this.problem = problem;
    } finally {
      this.loading = false;
    }
  }

  #take(message: TailMessage): void {
    if (message.kind !== 'event' && message.kind !== 'gap' && message.kind !== 'resync') return;
    if (this.#queue.length >= WAITING && this.#queue.shift()?.kind === 'event') this.#dropped++;
    if (message.kind === 'event') {
      this.#queue.push({ key: message.event.id, kind: 'event', event: message.event, fresh: true });
      if (this.paused || this.#held) this.waiting++;
    } else {
      const key = `line-${++this.#lines}`;
      this.#queue.push(
        message.kind === 'gap'
          ? { key, kind: 'gap', withheld: message.withheld, reason: message.reason }
          : { key, kind: 'resync', reason: message.reason },
      );
      if (message.kind === 'resync') void this.load();
    }
    if (!this.paused && !this.#held) this.#timer ??= setTimeout(() => this.#flush(), FLUSH_MS);
  }

  #flush(force = false): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.paused || (this.#held && !force)) return;
    const queue = this.#queue;
    this.#queue = [];
    this.waiting = 0;
    if (this.#dropped > 0) {
      queue.unshift({ key: `line-${++this.#lines}`, kind: 'dropped', withheld: this.#dropped });
      this.#dropped = 0;
    }
    if (queue.length === 0) return;
    this.#live = [...queue.reverse(), ...this.#live];
    if (this.#live.length > LIVE_ROWS) {
      // What was listed would follow a hole.
      this.#live.length = LIVE_ROWS;
      this.#page = [];
      this.nextPageToken = '';
    }
    this.#show();
  }

  // An event can come by the tail and by the list, and again after a reconnect.
  #show(): void {
    const seen = new Set<string>();
    this.rows = [...this.#live, ...this.#page].filter((row) => !seen.has(row.key) && seen.add(row.key));
  }
}
