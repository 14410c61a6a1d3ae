import { isTyping, KeyMatcher } from '../lib/keys.ts';

const KEY = 'synapse.singleKeys';

type Handler = () => void;

/** The keyboard commands of what is on the page. */
class Commands {
  /** Whether keys without a modifier are commands (WCAG 2.1.4). */
  enabled = $state(read());
  help = $state(false);
  palette = $state(false);

  #layers: { keys: Record<string, Handler>; modal: boolean }[] = [];
  #matcher = new KeyMatcher();

  /**
   * Adds commands until the function that it gives is called. A modal layer
   * hides those below it.
   */
  add(keys: Record<string, Handler>, modal = false): () => void {
    const layer = { keys, modal };
    this.#layers.push(layer);
    return () => {
      this.#layers = this.#layers.filter((l) => l !== layer);
    };
  }

  toggle(on: boolean): void {
    this.enabled = on;
    try {
      if (on) localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, 'off');
    } catch {
      // Without storage the choice lasts until the page is left.
    }
  }

  /** Takes every key of the page. */
  handle(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.isComposing) return;
    if ((event.metaKey || event.ctrlKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      if (!document.querySelector('dialog[open]')) this.palette = true;
      return;
    }
    if (!this.enabled || event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target)) return;
    const keys = this.#visible();
    const found = this.#matcher.feed(event.key, keys.keys(), performance.now());
    if (found === null) return;
    event.preventDefault();
    if (found) keys.get(found)!();
  }

  #visible(): Map<string, Handler> {
    const keys = new Map<string, Handler>();
    for (const layer of [...this.#layers].reverse()) {
      for (const [name, handler] of Object.entries(layer.keys)) if (!keys.has(name)) keys.set(name, handler);
      if (layer.modal) break;
    }
    return keys;
  }
}

function read(): boolean {
  try {
    return localStorage.getItem(KEY) !== 'off';
  } catch {
    return true;
  }
}

export const commands = new Commands();
