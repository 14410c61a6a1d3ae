// The commands of the start page.

/** A word as a POSIX shell reads it back unchanged. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

export interface Sample {
  /** Origin of the dashboard, for example http://127.0.0.1:8080. */
  origin: string;
  /** The key, or a shell variable before there is one. */
  key: string;
  project: string;
  text: string;
  source: string;
}

/** Stands in for the key until it is created; shells fill it in. */
export const KEY_VARIABLE = '$SYNAPSE_KEY';

function header(name: string, key: string): string {
  return key === KEY_VARIABLE ? `"${name}: Bearer ${KEY_VARIABLE}"` : quote(`${name}: Bearer ${key}`);
}

export function curlCommand(s: Sample): string {
  const body = JSON.stringify({ events: [{ text: s.text, source: s.source }] });
  return [
    `curl -sS ${quote(`${s.origin}/v1/projects/${s.project}/events:ingest`)}`,
    `  -H ${header('Authorization', s.key)}`,
    `  -H 'Content-Type: application/json'`,
    `  -d ${quote(body)}`,
  ].join(' \\\n');
}

export function grpcurlCommand(s: Sample): string {
  const url = new URL(s.origin);
  const body = JSON.stringify({ parent: `projects/${s.project}`, events: [{ text: s.text, source: s.source }] });
  return [
    `grpcurl ${url.protocol === 'https:' ? '' : '-plaintext '}-H ${header('authorization', s.key)}`,
    `  -d ${quote(body)}`,
    `  ${grpcAddress(s.origin)} synapse.ingest.v1.IngestService/IngestEvents`,
  ].join(' \\\n');
}

export function cliCommand(s: Sample): string {
  const server = `SYNAPSE_SERVER=${grpcAddress(s.origin)}`;
  const key = s.key === KEY_VARIABLE ? '' : ` SYNAPSE_KEY=${quote(s.key)}`;
  // A text that begins like a flag is none.
  const end = s.text.startsWith('-') ? '-- ' : '';
  return `${server}${key} \\\n  synapse send --source ${s.source} ${end}${quote(s.text)}`;
}

// The page knows the host; the port is the default one.
function grpcAddress(origin: string): string {
  return `${new URL(origin).hostname}:9090`;
}
