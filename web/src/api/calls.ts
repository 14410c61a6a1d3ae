import { call } from './client.ts';
import { readCreatedKey, readEvent, readIngest, readPage, readScored, readSession, readTimeSeries, readTrail } from './read.ts';
import type {
  CreatedKey, EventPage, IngestAnswer, ScoredText, SessionInfo, SynapseEvent, TimeSeries, Trail,
} from './types.ts';
import type { Window } from '../lib/range.ts';

// One function for each route that the dashboard uses.

function project(id: string): string {
  return `/v1/projects/${encodeURIComponent(id)}`;
}

export async function getSession(): Promise<SessionInfo> {
  return readSession(await call('GET', '/v1/sessions/current'));
}

export async function signOut(): Promise<void> {
  await call('DELETE', '/v1/sessions/current');
}

export async function createKey(projectId: string, displayName: string): Promise<CreatedKey> {
  return readCreatedKey(await call('POST', `${project(projectId)}/apiKeys`, { body: { displayName, scopes: ['INGEST'] } }));
}

export async function listEvents(
  projectId: string, options: { filter?: string; pageSize: number; pageToken?: string }, signal?: AbortSignal,
): Promise<EventPage> {
  const query = new URLSearchParams({ pageSize: String(options.pageSize) });
  if (options.filter) query.set('filter', options.filter);
  if (options.pageToken) query.set('pageToken', options.pageToken);
  return readPage(await call('GET', `${project(projectId)}/events?${query}`, { signal }));
}

export async function getEvent(projectId: string, eventId: string, signal?: AbortSignal): Promise<SynapseEvent> {
  return readEvent(await call('GET', `${project(projectId)}/events/${encodeURIComponent(eventId)}`, { signal }));
}

export async function getTrail(projectId: string, eventId: string, signal?: AbortSignal): Promise<Trail> {
  return readTrail(await call('GET', `${project(projectId)}/events/${encodeURIComponent(eventId)}/trail`, { signal }));
}

/** Why an event has its score: worked out anew by the model that scored it, if the server still has it. */
export async function explainEvent(projectId: string, eventId: string, signal?: AbortSignal): Promise<ScoredText> {
  return readScored(await call('GET', `${project(projectId)}/events/${encodeURIComponent(eventId)}:explain`, { signal }));
}

/** Scores a text with everything that made the score; stores nothing. */
export async function scoreText(text: string, targets: string[], signal?: AbortSignal): Promise<ScoredText> {
  const extras = ['EMOTIONS', 'EVIDENCE', 'SENTENCES', 'ASPECTS'];
  return readScored(await call('POST', '/v1/texts:score', { body: { text, targets, extras }, signal }));
}

export async function queryTimeSeries(
  projectId: string, window: Window, options: { groupBy?: string; filter?: string }, signal?: AbortSignal,
): Promise<TimeSeries> {
  const query = new URLSearchParams({
    startTime: new Date(window.start).toISOString(),
    endTime: new Date(window.end).toISOString(),
    step: `${window.step / 1000}s`,
  });
  if (options.groupBy) query.set('groupBy', options.groupBy);
  if (options.filter) query.set('filter', options.filter);
  return readTimeSeries(await call('GET', `${project(projectId)}/timeSeries:query?${query}`, { signal }));
}

export async function ingestOne(projectId: string, key: string, text: string, source: string): Promise<IngestAnswer> {
  return readIngest(
    await call('POST', `${project(projectId)}/events:ingest`, { key, body: { events: [{ text, source }], fullResults: true } }),
  );
}

export function tailPath(projectId: string, filter: string): string {
  const query = filter ? `?${new URLSearchParams({ filter })}` : '';
  return `${project(projectId)}/events:tail${query}`;
}
