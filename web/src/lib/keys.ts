// Keyboard commands: single keys and sequences such as "g s".

/** How long the second key of a sequence may take, in milliseconds. */
const SEQUENCE_MS = 1200;

/** Finds the command for keys as they come. */
export class KeyMatcher {
  #prefix = '';
  #at = 0;

  /**
   * Takes a key and gives the name of the command that it completes, "" while a
   * sequence is open and null when it means nothing.
   */
  feed(key: string, commands: Iterable<string>, now: number): string | null {
    const names = [...commands];
    const open = this.#prefix && now - this.#at <= SEQUENCE_MS ? this.#prefix : '';
    this.#prefix = '';
    for (const candidate of open ? [`${open} ${key}`, key] : [key]) {
      if (names.includes(candidate)) return candidate;
      if (names.some((name) => name.startsWith(`${candidate} `))) {
        this.#prefix = candidate;
        this.#at = now;
        return '';
      }
    }
    return null;
  }

  reset(): void {
    this.#prefix = '';
  }
}

/** Whether a key belongs to the element that has the focus. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return target instanceof HTMLInputElement && !['checkbox', 'radio', 'button', 'submit'].includes(target.type);
}
