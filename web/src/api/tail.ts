import { openStream } from './client.ts';
import { asProblem, readProblem, type Problem } from './problem.ts';
import { object, readTail, text } from './read.ts';
import { EventParser, type ServerEvent } from './sse.ts';
import type { TailMessage } from './types.ts';

/** How a tail stands with the server. */
export type TailState = 'connecting' | 'live' | 'reconnecting' | 'failed' | 'stopped';

export interface TailHandlers {
  onState(state: TailState, problem: Problem | null): void;
  onMessage(message: TailMessage): void;
}

/** Without a sign of life for this long the connection is given up; the server sends one each 15 s. */
const SILENCE_MS = 40_000;
/** A connection that lasted this long counts as a success. */
const STEADY_MS = 5_000;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;

/** Follows a live tail, over any number of connections, until it is stopped. */
export class Tail {
  #path: string;
  #handlers: TailHandlers;
  #stop = new AbortController();
  #cursor = '';
  #failures = 0;

  constructor(path: string, handlers: TailHandlers) {
    this.#path = path;
    this.#handlers = handlers;
  }

  /** Runs until stop() is called or the server refuses for good. */
  async run(): Promise<void> {
    let state: TailState = 'connecting';
    while (!this.#stop.signal.aborted) {
      this.#handlers.onState(state, null);
      const problem = await this.#connect();
      if (this.#stop.signal.aborted) break;
      if (problem && !problem.retryable) {
        this.#handlers.onState('failed', problem);
        return;
      }
      state = 'reconnecting';
      this.#handlers.onState(state, problem);
      await this.#pause(problem?.retryAfter ?? 0);
    }
    this.#handlers.onState('stopped', null);
  }

  stop(): void {
    this.#stop.abort();
  }

  async #connect(): Promise<Problem | null> {
    const silence = new AbortController();
    const openedAt = Date.now();
    let timer = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      const signal = AbortSignal.any([this.#stop.signal, silence.signal]);
      const response = await openStream(this.#path, this.#cursor, signal);
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      this.#handlers.onState('live', null);
      const parser = new EventParser(this.#cursor);
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return null;
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
        if (Date.now() - openedAt > STEADY_MS) this.#failures = 0;
        for (const event of parser.push(value)) {
          const over = this.#take(event);
          if (over) return over === 'end' ? null : over;
        }
        this.#cursor = parser.lastEventId;
      }
    } catch (error) {
      if (silence.signal.aborted) return null;
      return asProblem(error);
    } finally {
      clearTimeout(timer);
      silence.abort();
    }
  }

  // Hands a message on; says how the server ended the stream, if it did.
  #take(event: ServerEvent): 'end' | Problem | null {
    let value: unknown;
    try {
      value = JSON.parse(event.data);
    } catch {
      return null;
    }
    this.#cursor = event.id || text(object(value).cursor);
    const message = readTail(event.type, value);
    if (message?.kind === 'error') return readProblem(message.problem);
    if (message) this.#handlers.onMessage(message);
    return message?.kind === 'end' ? 'end' : null;
  }

  #pause(askedSeconds: number): Promise<void> {
    const delay = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures++);
    const wait = Math.max(askedSeconds * 1000, delay * (0.75 + Math.random() / 2));
    return new Promise((resolve) => {
      const signal = this.#stop.signal;
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, wait);
      signal.addEventListener('abort', done);
    });
  }
}
