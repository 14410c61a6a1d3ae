import { describe, expect, it } from 'vitest';
import { EventParser } from '../../src/api/sse.ts';

const STREAM = '\ufeffretry: 2000\n\nid: c1\nevent: event\ndata: {"a":1}\n\n: alive\n\nid: c2\r\ndata: one\r\ndata:two\r\n\r\nevent: gap\rdata\r\r: alive\nid: c3\n\nevent: end\n';

describe('EventParser', () => {
  const expected = [
    { id: 'c1', type: 'event', data: '{"a":1}' },
    { id: 'c2', type: 'message', data: 'one\ntwo' },
    { id: 'c2', type: 'gap', data: '' },
  ];
  it('reads a stream at once', () => expect(new EventParser().push(STREAM)).toEqual(expected));
  it('reads a stream in pieces of any size', () => {
    for (let size = 1; size < 12; size++) {
      const parser = new EventParser();
      const events = [];
      for (let at = 0; at < STREAM.length; at += size) events.push(...parser.push(STREAM.slice(at, at + size)));
      expect(events, `pieces of ${size}`).toEqual(expected);
      expect(parser.lastEventId).toBe('c3');
    }
  });
  it('goes on from a cursor and takes no id with NUL', () => {
    const parser = new EventParser('c9');
    expect(parser.push('id: x\0y\ndata: 1\n\n')[0]?.id).toBe('c9');
  });
  it('refuses a line without end', () => {
    const parser = new EventParser();
    expect(() => {
      for (let i = 0; i < 40; i++) parser.push('x'.repeat(1 << 16));
    }).toThrow(SyntaxError);
  });
  it('refuses an event without end', () => {
    const parser = new EventParser();
    expect(() => {
      for (let i = 0; i < 40; i++) parser.push(`data: ${'x'.repeat(1 << 16)}\n`);
    }).toThrow(SyntaxError);
  });
});
