import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { and, equals, has, without } from '../../src/lib/filter.ts';
import { escapeHidden, plainName, readableJson, visible } from '../../src/lib/json.ts';
import { KeyMatcher } from '../../src/lib/keys.ts';
import { cliCommand, curlCommand, grpcurlCommand, KEY_VARIABLE, quote } from '../../src/lib/shell.ts';

describe('filters', () => {
  const negative = equals('label', 'NEGATIVE');
  it('quote values', () => expect(equals('source', 'a"b\\c')).toBe('source = "a\\"b\\\\c"'));
  it('are added once and taken out again', () => {
    const filter = and(and('score < 0', negative), negative);
    expect(filter).toBe('score < 0 AND label = "NEGATIVE"');
    expect(has(filter, negative)).toBe(true);
    expect(without(filter, negative)).toBe('score < 0');
    expect(without(negative, negative)).toBe('');
  });
  it('keep an OR together', () => expect(and('a = 1 OR b = 2', negative)).toBe('(a = 1 OR b = 2) AND label = "NEGATIVE"'));
});

describe('commands', () => {
  const sample = { origin: 'http://127.0.0.1:8080', key: 'syn_sk_a_b', project: 'p', source: 'first-event', text: `it's "$HOME" \`x\` \\ ; rm -rf` };
  // A real shell says what a command's words are.
  const words = (command: string) =>
    execFileSync('sh', ['-c', command.replace(/^((?:\w+=\S+ )*)(\\\n)?\s*(curl|grpcurl|synapse)/, (_all, env = '') => `${env}printf '%s\\n'`)], { encoding: 'utf8' }).trimEnd().split('\n');
  it('quote any word for a shell', () => {
    for (const word of [sample.text, '', "'", '-n', 'a\tb', '$(id)']) {
      expect(execFileSync('sh', ['-c', `printf '%s' ${quote(word)}`], { encoding: 'utf8' })).toBe(word);
    }
  });
  it('send the text as it is', () => {
    const curl = words(curlCommand(sample));
    expect(JSON.parse(curl.at(-1)!)).toEqual({ events: [{ text: sample.text, source: 'first-event' }] });
    expect(curl).toContain('Authorization: Bearer syn_sk_a_b');
    expect(curl).toContain('http://127.0.0.1:8080/v1/projects/p/events:ingest');
    const grpcurl = words(grpcurlCommand(sample));
    expect(JSON.parse(grpcurl.at(-3)!)).toEqual({ parent: 'projects/p', events: [{ text: sample.text, source: 'first-event' }] });
    expect(grpcurl.at(-2)).toBe('127.0.0.1:9090');
    expect(words(cliCommand(sample)).at(-1)).toBe(sample.text);
    expect(words(cliCommand({ ...sample, text: '--help' })).slice(-2)).toEqual(['--', '--help']);
  });
  it('name a variable before there is a key', () => expect(curlCommand({ ...sample, key: KEY_VARIABLE })).toContain('"Authorization: Bearer $SYNAPSE_KEY"'));
});

describe('hidden characters', () => {
  it('are written as escapes', () => {
    expect(escapeHidden('a\u202eb\u200bc')).toBe('a\\u202eb\\u200bc');
    expect(readableJson({ a: '\u2066x' })).toBe('{\n  "a": "\\u2066x"\n}');
    expect(plainName('a\u202eb 👩\u200d👧')).toBe('a\\u202eb 👩\u200d👧');
  });
  it('are shown when there is nothing else', () => {
    expect(visible('\u200b \u200b')).toBe('\\u200b \\u200b');
    expect(visible('a\u200b')).toBe('a\u200b');
  });
});

describe('keys', () => {
  const commands = ['?', 'j', 'g p', 'g s'];
  it('match alone and in sequence', () => {
    const keys = new KeyMatcher();
    expect(keys.feed('j', commands, 0)).toBe('j');
    expect(keys.feed('g', commands, 0)).toBe('');
    expect(keys.feed('p', commands, 100)).toBe('g p');
    expect(keys.feed('p', commands, 200)).toBeNull();
  });
  it('forget a sequence that takes too long or goes elsewhere', () => {
    const keys = new KeyMatcher();
    keys.feed('g', commands, 0);
    expect(keys.feed('p', commands, 5000)).toBeNull();
    keys.feed('g', commands, 6000);
    expect(keys.feed('j', commands, 6100)).toBe('j');
  });
});
