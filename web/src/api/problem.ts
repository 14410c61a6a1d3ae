import { S } from '../strings.ts';
import { object, readViolations, text } from './read.ts';
import type { Violation } from './types.ts';

/** Why a call did not work: RFC 9457 problem details, or this page's own words for a server that can not be reached. */
export class Problem extends Error {
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  /** Of the closed list of the API, or "NETWORK" and "TIMEOUT" from this page. */
  readonly reason: string;
  readonly remedy: string;
  readonly violations: Violation[];
  readonly retryable: boolean;
  readonly traceId: string;
  /** Seconds after which the server asks to be tried again; 0 if it does not say. */
  readonly retryAfter: number;

  constructor(fields: Partial<Omit<Problem, 'name' | 'message'>> & { detail: string }) {
    super(fields.detail);
    this.name = 'Problem';
    this.status = fields.status ?? 0;
    this.title = fields.title ?? S.problem.title;
    this.detail = fields.detail;
    this.reason = fields.reason ?? '';
    this.remedy = fields.remedy ?? '';
    this.violations = fields.violations ?? [];
    this.retryable = fields.retryable ?? false;
    this.traceId = fields.traceId ?? '';
    this.retryAfter = fields.retryAfter ?? 0;
  }
}

/** Makes the problem of an answer that is not a success. */
export async function problemOf(response: Response): Promise<Problem> {
  return readProblem(await response.json().catch(() => null), response.status, Number(response.headers.get('Retry-After')) || 0);
}

/** Reads problem details; a value that is none gives a problem that names the status. */
export function readProblem(value: unknown, httpStatus = 0, retryAfter = 0): Problem {
  const body = object(value);
  const status = httpStatus || (typeof body.status === 'number' ? body.status : 0);
  const retryable = typeof body.retryable === 'boolean' ? body.retryable : status === 429 || status >= 500;
  return new Problem({
    status,
    title: text(body.title) || S.problem.title,
    detail: text(body.detail) || text(body.message) || S.problem.status(status),
    reason: text(body.reason),
    remedy: text(body.remedy),
    violations: readViolations(body.violations),
    retryable,
    traceId: text(body.traceId),
    retryAfter: Math.min(60, retryAfter),
  });
}

/** Any thrown value as a problem; null for a call that was given up on purpose. */
export function asProblem(error: unknown): Problem | null {
  if (error instanceof Problem) return error;
  if (error instanceof DOMException && error.name === 'AbortError') return null;
  if (error instanceof DOMException && error.name === 'TimeoutError') {
    return new Problem({ reason: 'TIMEOUT', detail: S.problem.timeout, remedy: S.problem.timeoutRemedy, retryable: true });
  }
  if (error instanceof TypeError || error instanceof SyntaxError) {
    return new Problem({ reason: 'NETWORK', detail: S.problem.network, remedy: S.problem.networkRemedy, retryable: true });
  }
  return new Problem({ reason: 'PAGE', detail: error instanceof Error ? error.message : String(error) });
}
