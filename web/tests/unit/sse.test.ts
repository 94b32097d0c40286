import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVENT_CHARS_MAX, EventTooLongError, SseParser } from '../../src/api/sse.ts';

const bytes = new TextEncoder();

/** Parses `stream` whole, and again in pieces of every small size: the cuts must not matter. */
function check(stream: string, expected: string[]) {
  const whole = bytes.encode(stream);
  for (const size of [whole.length || 1, 1, 2, 3, 5, 7]) {
    const parser = new SseParser();
    const events: string[] = [];
    for (let at = 0; at < whole.length; at += size) events.push(...parser.push(whole.slice(at, at + size)));
    events.push(...parser.end());
    assert.deepEqual(events, expected, `${JSON.stringify(stream)} in pieces of ${size}`);
  }
}

test('events come out whole wherever the stream is cut', () => {
  check('', []);
  check('data: a\n\n', ['a']);
  check('data:a\n\ndata:  b\n\n', ['a', ' b']);
  check('data: a\r\n\r\ndata: b\r\n\r\n', ['a', 'b']);
  check('data: a\r\rdata: b\r\r', ['a', 'b']);
  check('data: one\ndata: two\n\n', ['one\ntwo']);
  check('data\n\n', ['']);
});

test('characters of several bytes survive the cuts', () => {
  check('data: Grüße 🌱 你好\n\n', ['Grüße 🌱 你好']);
});

test('comments, other fields and empty lines say nothing', () => {
  check(': keep-alive\n\n', []);
  check('event: x\nid: 1\nretry: 5\ndata: a\n\n\n\n', ['a']);
  check('\n\n\ndata: a\n\n', ['a']);
});

test('the last event needs no blank line', () => {
  check('data: a\n\ndata: [DONE]', ['a', '[DONE]']);
  check('data: a\n', ['a']);
});

test('an event past the limit is refused, in one line or many', () => {
  const parser = new SseParser();
  const piece = bytes.encode('x'.repeat(1024 * 1024));
  parser.push(bytes.encode('data: '));
  assert.throws(() => {
    for (let at = 0; at <= EVENT_CHARS_MAX / piece.length; at++) parser.push(piece);
  }, EventTooLongError);
  const lines = new SseParser();
  const line = bytes.encode(`data: ${'x'.repeat(1024 * 1024)}\n`);
  assert.throws(() => {
    for (let at = 0; at <= EVENT_CHARS_MAX / line.length + 1; at++) lines.push(line);
  }, EventTooLongError);
});
