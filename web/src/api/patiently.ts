import { asProblem } from './problem.ts';

/** Milliseconds before each further try. */
const WAITS = [200, 500, 1000, 2000];

/**
 * Asks for something about an event that was just told of: the event may be a
 * moment ahead of what is stored of it, so that not found is asked again.
 */
export async function patiently<T>(ask: () => Promise<T>, signal: AbortSignal, waits: readonly number[] = WAITS): Promise<T> {
  for (const wait of waits) {
    try {
      return await ask();
    } catch (error) {
      if (asProblem(error)?.status !== 404 || signal.aborted) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    signal.throwIfAborted();
  }
  return ask();
}
