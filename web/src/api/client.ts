import { Problem, problemOf } from './problem.ts';

// Every call goes to the origin of the page. The session is in HttpOnly cookies
// that this code can not read; the header is what a foreign page can not send.

const CSRF = { 'X-Synapse-Csrf': '1' };
const TIMEOUT_MS = 30_000;
const REFRESHED_AT = 'synapse.refreshedAt';

export interface CallOptions {
  body?: unknown;
  signal?: AbortSignal;
  /** Send this key in place of the session's cookies. */
  key?: string;
}

let onSessionEnd: () => void = () => {};

/** Says whom to tell when the session is over and can not be refreshed. */
export function whenSessionEnds(handler: () => void): void {
  onSessionEnd = handler;
}

/** Calls the API and gives the answer's JSON. Throws a Problem, or AbortError when the signal fires. */
export async function call(method: string, path: string, options: CallOptions = {}): Promise<unknown> {
  const response = await withSession(!options.key, () => {
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    const headers: Record<string, string> = { ...CSRF, Accept: 'application/json' };
    if (options.key) headers.Authorization = `Bearer ${options.key}`;
    if (options.body !== undefined) headers['Content-Type'] = 'application/json';
    return fetch(path, {
      method,
      headers,
      credentials: options.key ? 'omit' : 'same-origin',
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      signal: options.signal ? AbortSignal.any([options.signal, timeout]) : timeout,
    });
  });
  return response.status === 204 ? {} : response.json();
}

/** Opens a stream of server-sent events; the caller reads its body. */
export async function openStream(path: string, lastEventId: string, signal: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = { ...CSRF, Accept: 'text/event-stream' };
  if (lastEventId) headers['Last-Event-ID'] = lastEventId;
  return withSession(true, () => fetch(path, { headers, credentials: 'same-origin', cache: 'no-store', signal }));
}

async function withSession(session: boolean, send: () => Promise<Response>): Promise<Response> {
  const sentAt = Date.now();
  let response = await send();
  if (response.status === 401 && session) {
    if (await refresh(sentAt)) response = await send();
    if (response.status === 401) {
      onSessionEnd();
      throw await problemOf(response);
    }
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

/** Signs in: no session yet, so a 401 is the answer to the password. */
export async function signIn(email: string, password: string): Promise<void> {
  const response = await post('/v1/sessions', { email, password });
  if (!response.ok) throw await problemOf(response);
}

function post(path: string, body: unknown): Promise<Response> {
  return fetch(path, {
    method: 'POST',
    headers: { ...CSRF, 'Content-Type': 'application/json', Accept: 'application/json' },
    credentials: 'same-origin',
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
}

let refreshing: Promise<boolean> | null = null;

/**
 * Gets a new access cookie for the session, once for all calls that wait for it.
 * A refresh token works once, so the tabs of a browser take turns, and a tab
 * that finds the cookie younger than its own call keeps it. False: the session
 * is over. Throws when the server could not say.
 */
export function refresh(sentAt: number): Promise<boolean> {
  refreshing ??= alone(async () => {
    if (lastRefresh() > sentAt) return true;
    const response = await post('/v1/sessions:refresh', {});
    if (response.ok) {
      rememberRefresh();
      return true;
    }
    const problem = await problemOf(response);
    if (problem.status >= 500 || problem.status === 429) throw problem;
    return false;
  }).finally(() => {
    refreshing = null;
  });
  return refreshing;
}

// Web Locks exist on https and loopback origins only.
function alone<T>(work: () => Promise<T>): Promise<T> {
  const locks = (navigator as { locks?: LockManager }).locks;
  return locks ? (locks.request('synapse.refresh', work) as Promise<T>) : work();
}

function lastRefresh(): number {
  try {
    return Number(localStorage.getItem(REFRESHED_AT)) || 0;
  } catch {
    return 0;
  }
}

function rememberRefresh(): void {
  try {
    localStorage.setItem(REFRESHED_AT, String(Date.now()));
  } catch {
    // Without storage each tab refreshes for itself.
  }
}

export { Problem };
