const KEY = 'synapse.project';

/** The project that was open last on this browser; empty if none is known. */
export function lastProject(): string {
  try {
    return localStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}

export function rememberProject(id: string): void {
  try {
    localStorage.setItem(KEY, id);
  } catch {
    // Without storage the first project is opened.
  }
}
