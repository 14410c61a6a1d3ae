/** What the polite live region says; App shows it. */
export const announcer = $state({ text: '' });

export function announce(text: string): void {
  announcer.text = text;
}
