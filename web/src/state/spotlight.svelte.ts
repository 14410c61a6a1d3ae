/** Which part of an explanation is shown in the text: what is pointed at, else what was chosen. */
export class Spotlight {
  chosen = $state('');
  #pointed = $state('');

  get shown(): string {
    return this.#pointed || this.chosen;
  }

  point(key: string): void {
    this.#pointed = key;
  }

  leave(key: string): void {
    if (this.#pointed === key) this.#pointed = '';
  }

  /** Chooses a part, or nothing when it was chosen already. */
  toggle(key: string): void {
    if (this.chosen !== key) this.chosen = key;
    else this.chosen = this.#pointed = '';
  }
}
