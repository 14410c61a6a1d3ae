import { getSession, signOut as endSession } from '../api/calls.ts';
import { refresh, signIn as postSignIn, whenSessionEnds } from '../api/client.ts';
import { asProblem, Problem } from '../api/problem.ts';
import type { CreatedKey, Project, User } from '../api/types.ts';

type Phase = 'loading' | 'out' | 'in' | 'error';

/** Refresh this long before the access cookie ends. */
const AHEAD_MS = 30_000;

/** Who is signed in, with which projects. */
class Session {
  phase = $state<Phase>('loading');
  user = $state<User>({ name: '', email: '' });
  projects = $state<Project[]>([]);
  problem = $state<Problem | null>(null);
  /** Whether a session that was there has ended. */
  ended = $state(false);
  /** Keys made on the Start page, by project: only here, until the page is left. */
  keys = $state<Record<string, CreatedKey>>({});

  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Asks the server who is signed in. */
  async load(): Promise<void> {
    if (this.phase !== 'in') this.phase = 'loading';
    this.problem = null;
    try {
      const info = await getSession();
      this.user = info.user;
      this.projects = info.projects;
      this.ended = false;
      this.phase = 'in';
      this.#refreshBefore(info.expireTime);
    } catch (error) {
      const problem = asProblem(error);
      if (problem?.status === 401) {
        this.#out(this.ended);
        return;
      }
      // A page that works goes on: its next call says what is wrong.
      if (this.phase === 'in') return;
      this.problem = problem;
      this.phase = 'error';
    }
  }

  async signIn(email: string, password: string): Promise<void> {
    await postSignIn(email, password);
    await this.load();
  }

  async signOut(): Promise<void> {
    try {
      await endSession();
    } catch (error) {
      const problem = asProblem(error);
      if (problem && problem.status !== 401) throw problem;
    }
    this.#out(false);
  }

  /** The server no longer takes the cookies. */
  end(): void {
    this.#out(this.phase === 'in' || this.ended);
  }

  #out(ended: boolean): void {
    clearTimeout(this.#timer);
    this.ended = ended;
    this.keys = {};
    this.user = { name: '', email: '' };
    this.projects = [];
    this.phase = 'out';
  }

  // A call with an old cookie is refreshed too, but costs a refused call first.
  #refreshBefore(expireTime: number): void {
    clearTimeout(this.#timer);
    const wait = expireTime - Date.now() - AHEAD_MS;
    if (!(wait > 0) || wait > 2 ** 31 - 1) return;
    this.#timer = setTimeout(async () => {
      const startedAt = Date.now();
      try {
        if (await refresh(startedAt - AHEAD_MS)) await this.load();
        else this.end();
      } catch {
        // The next call finds out.
      }
    }, wait);
  }
}

export const session = new Session();
whenSessionEnds(() => session.end());
