// The shapes that the screens use. api/read.ts makes them from what the server
// sends; fields which the server leaves out get their zero value there.

export type Label = 'NEGATIVE' | 'NEUTRAL' | 'POSITIVE' | '';

/** A sentiment without what only a whole text has. */
export interface Polarity {
  label: Label;
  score: number;
  probabilities: { negative: number; neutral: number; positive: number };
}

export interface Sentiment extends Polarity {
  confidence: number;
  modelVersion: string;
  /** Speaks clearly well and clearly badly. */
  mixed: boolean;
  /** Probabilities of 1 to 5 stars; empty for an event that was scored without. */
  stars: number[];
}

/** A part of a text, half open, in UTF-16 code units: the offsets of a JavaScript string. */
export interface Span {
  startUtf16: number;
  endUtf16: number;
}

export interface Emotion {
  name: string;
  probability: number;
}

export interface TargetSentiment extends Span, Polarity {
  target: string;
  /** Whether it stands in the text; if not, the sentiment is that of all of it. */
  mentioned: boolean;
  /** Found in the text, not given by the sender. */
  found: boolean;
  /** The words that speak about it. */
  opinions: Span[];
}

export interface Sentence extends Span, Polarity {}

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
  /** The targets that the sender named. */
  targets: string[];
  /** Their sentiments; empty for an event that was scored without. */
  targetSentiments: TargetSentiment[];
  sentiment: Sentiment;
  /** Those that the server counts as present, strongest first. */
  emotions: Emotion[];
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

export interface Evidence extends Span {
  weight: number;
}

export interface ScoredText {
  sentiment: Sentiment;
  language: string;
  languageSupported: boolean;
  evidence: Evidence[];
  bias: number;
  /** All of them, strongest first. */
  emotions: Emotion[];
  /** In the order of the text. */
  sentences: Sentence[];
  /** First those given, then those found. */
  targets: TargetSentiment[];
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
