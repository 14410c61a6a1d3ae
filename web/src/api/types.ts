// The shapes that the screens use. api/read.ts makes them from what the server
// sends; fields which the server leaves out get their zero value there.

export type Label = 'NEGATIVE' | 'NEUTRAL' | 'POSITIVE' | '';

export interface Sentiment {
  label: Label;
  score: number;
  probabilities: { negative: number; neutral: number; positive: number };
  confidence: number;
  modelVersion: string;
}

export interface SynapseEvent {
  id: string;
  name: string;
  text: string;
  source: string;
  userId: string;
  /** Unix milliseconds; NaN if not given. */
  occurredAt: number;
  acceptedAt: number;
  attributes: [string, string][];
  targets: string[];
  sentiment: Sentiment;
  language: string;
  languageSupported: boolean;
  traceId: string;
  /** As the server sent it. */
  raw: unknown;
}

export interface EventPage {
  events: SynapseEvent[];
  nextPageToken: string;
}

export interface Evidence {
  startUtf16: number;
  endUtf16: number;
  weight: number;
}

export interface ScoredText {
  sentiment: Sentiment;
  language: string;
  languageSupported: boolean;
  evidence: Evidence[];
  bias: number;
}

export interface Hop {
  stage: string;
  /** Unix milliseconds. */
  time: number;
  /** Seconds since the station before; NaN for the first. */
  elapsed: number;
  detail: string;
}

export interface Trail {
  hops: Hop[];
  modelVersion: string;
  traceId: string;
}

export interface Point {
  /** Unix milliseconds. */
  startTime: number;
  count: number;
  mean: number;
  net: number;
  negative: number;
  neutral: number;
  positive: number;
}

export interface Series {
  group: Record<string, string>;
  points: Point[];
}

export interface TimeSeries {
  points: Point[];
  series: Series[];
  /** Unix milliseconds; NaN if the server does not say. */
  completeTo: number;
}

export interface User {
  name: string;
  email: string;
}

export interface Project {
  id: string;
  displayName: string;
  /** Empty when the server does not say. */
  scopes: string[];
}

export interface SessionInfo {
  user: User;
  projects: Project[];
  /** When the access cookie ends, Unix milliseconds; NaN if not said. */
  expireTime: number;
}

export interface CreatedKey {
  name: string;
  prefix: string;
  secret: string;
}

export interface IngestAnswer {
  accepted: number;
  duplicate: number;
  rejected: number;
  results: { id: string; status: string; reason: string; violations: Violation[] }[];
  traceId: string;
}

export interface Violation {
  field: string;
  rule: string;
  remedy: string;
}

/** One message of the live tail. */
export type TailMessage =
  | { kind: 'event'; event: SynapseEvent }
  | { kind: 'gap'; withheld: number; reason: string }
  | { kind: 'resync'; reason: string }
  | { kind: 'end'; reason: string }
  | { kind: 'error'; problem: unknown }
  | { kind: 'heartbeat' };
