/** A server-sent event (WHATWG HTML, section 9.2). */
export interface ServerEvent {
  /** The last id seen on the stream. */
  id: string;
  type: string;
  data: string;
}

/** Longest line and longest event that are kept, in UTF-16 units; a text has at most 64 KiB. */
const LIMIT = 1 << 20;

/**
 * Reads server-sent events from text as it comes in pieces. It is used in place
 * of EventSource, which hides the status and the problem of a refused stream and
 * can not resume a stream that it has given up.
 */
export class EventParser {
  #rest = '';
  #id: string;
  #type = '';
  #data: string[] = [];
  #size = 0;
  #first = true;

  constructor(lastEventId = '') {
    this.#id = lastEventId;
  }

  /** Takes the next piece and gives the events that it completes. */
  push(piece: string): ServerEvent[] {
    let text = this.#rest + piece;
    if (this.#first && text !== '') {
      text = text.replace(/^\ufeff/, '');
      this.#first = false;
    }
    // A CR at the end may be half of a CR LF.
    const held = text.endsWith('\r') ? '\r' : '';
    const lines = (held ? text.slice(0, -1) : text).split(/\r\n|\n|\r/);
    this.#rest = (lines.pop() ?? '') + held;
    if (this.#rest.length > LIMIT) throw new SyntaxError('a line of the event stream is too long');
    const events: ServerEvent[] = [];
    for (const line of lines) {
      const event = this.#line(line);
      if (event) events.push(event);
    }
    return events;
  }

  /** The last id seen, also one that came without an event: where a reader goes on. */
  get lastEventId(): string {
    return this.#id;
  }

  #line(line: string): ServerEvent | null {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return null;
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? '' : line.slice(colon + 1);
    if (value.startsWith(' ')) value = value.slice(1);
    if (field === 'data') {
      this.#size += value.length;
      if (this.#size > LIMIT) throw new SyntaxError('an event of the stream is too long');
      this.#data.push(value);
    } else if (field === 'event') this.#type = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
    return null;
  }

  #dispatch(): ServerEvent | null {
    const event = { id: this.#id, type: this.#type || 'message', data: this.#data.join('\n') };
    const empty = this.#data.length === 0;
    this.#type = '';
    this.#data = [];
    this.#size = 0;
    return empty ? null : event;
  }
}
