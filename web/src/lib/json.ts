// JSON for reading. Characters that a reader can not see, or that reorder the
// line around them, are written as escapes.
const HIDDEN = /[\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

// Characters that turn the direction of the text after them.
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

export function readableJson(value: unknown): string {
  return escapeHidden(JSON.stringify(value, null, 2) ?? '');
}

export function escapeHidden(text: string): string {
  return text.replace(HIDDEN, escape);
}

/** A name for a line that is not its own: what could turn the line is escaped. */
export function plainName(text: string): string {
  return text.replace(BIDI, escape);
}

/** A name inside a sentence, kept from mixing with the words around it. */
export function isolated(name: string): string {
  return `\u2068${name}\u2069`;
}

/** The text; its escapes if a reader would see nothing at all. */
export function visible(text: string): string {
  return text.replace(HIDDEN, '').trim() === '' ? escapeHidden(JSON.stringify(text).slice(1, -1)) : text;
}

function escape(c: string): string {
  return `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
