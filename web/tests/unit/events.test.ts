import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readEvent, type StreamEvent } from '../../src/api/events.ts';
import { explain, failureFromReply, readFailure } from '../../src/api/failure.ts';
import { readFirstModel, readInfo } from '../../src/api/wire.ts';

const check = (chunk: unknown, expected: StreamEvent[]) =>
  assert.deepEqual(readEvent(typeof chunk === 'string' ? chunk : JSON.stringify(chunk)), expected);

const delta = (delta: unknown, finish_reason: string | null = null) => ({ choices: [{ index: 0, delta, finish_reason }] });

const PASSAGE = { document: 'a.md', chunk: 3, heading: ['A', 'B'], score: 0.7, start: 10, end: 20, text: 'words' };

test('chunks become what they tell', () => {
  check(delta({ role: 'assistant', content: '' }), []);
  check(delta({ content: 'Hi' }), [{ kind: 'text', text: 'Hi' }]);
  check(delta({ reasoning_content: 'hm' }), [{ kind: 'thought', text: 'hm' }]);
  check(delta({}, 'stop'), [{ kind: 'finish', reason: 'stop' }]);
  check('[DONE]', [{ kind: 'done' }]);
  check(delta({ role: 'assistant', citations: [PASSAGE] }), [{ kind: 'passages', citations: [PASSAGE] }]);
  check(delta({ citations: [] }), [{ kind: 'passages', citations: [] }]);
  check({ ...delta({}), gaia_tool: { name: 'weather', arguments: '{"city":"Bonn"}', status: 'failed', ms: 12, bytes: 34 } }, [
    { kind: 'called', call: { name: 'weather', arguments: '{"city":"Bonn"}', failed: true, ms: 12, bytes: 34 } },
  ]);
  check({ ...delta({}), gaia_tool: { name: 'news' } }, [
    { kind: 'called', call: { name: 'news', arguments: '{}', failed: false, ms: 0, bytes: 0 } },
  ]);
  check({ ...delta({}), gaia_tool: {} }, []);
  check({ ...delta({}), warning: 'store down' }, [{ kind: 'warning', message: 'store down' }]);
  check({ choices: [], usage: { prompt_tokens: 5, completion_tokens: 7 } }, [
    { kind: 'usage', usage: { promptTokens: 5, completionTokens: 7, cachedTokens: 0 } },
  ]);
});

test('an error in the stream is a failure, not text', () => {
  check({ error: { message: 'worker gone', type: 'server_error', param: null, code: null } }, [
    { kind: 'failure', failure: { kind: 'broken', detail: 'worker gone' } },
  ]);
  check('{"choi', [{ kind: 'failure', failure: { kind: 'garbled', detail: '{"choi' } }]);
});

test('foreign shapes do no harm', () => {
  for (const odd of ['null', '7', '[]', '{}', '{"choices":7}', '{"choices":[null]}', '{"choices":[{"delta":{"content":9}}]}']) {
    check(odd, []);
  }
  check(delta({ citations: [{ text: 'only text' }, { document: 'no text' }, null] }), [
    {
      kind: 'passages',
      citations: [{ document: 'Untitled', chunk: 0, heading: [], score: null, start: 0, end: 0, text: 'only text' }],
    },
  ]);
});

test('each refusal has a kind of its own', () => {
  const body = (code: string | null, type = 'invalid_request_error') => ({ error: { message: 'm', type, param: null, code } });
  const kind = (status: number, reply: unknown, after: string | null = null) => failureFromReply(status, reply, after).kind;
  assert.equal(kind(400, body('context_length_exceeded')), 'too-long');
  assert.equal(kind(400, body(null)), 'refused');
  assert.equal(kind(401, body('invalid_api_key')), 'key-needed');
  assert.deepEqual(failureFromReply(403, { error: { message: 'not from there', type: 'forbidden' } }, null), {
    kind: 'refused',
    detail: 'not from there',
  });
  assert.equal(kind(413, null), 'too-large');
  assert.equal(kind(500, null), 'broken');
  assert.equal(kind(503, body(null)), 'not-ready');
  assert.deepEqual(failureFromReply(429, null, '7'), { kind: 'busy', retryAfterSeconds: 7, detail: '' });
  assert.deepEqual(failureFromReply(429, null, 'soon'), { kind: 'busy', retryAfterSeconds: null, detail: '' });
});

test('each failure is explained, also after it was stored', () => {
  const failures = [
    failureFromReply(400, { error: { message: 'm', type: 'x', code: 'context_length_exceeded' } }, null),
    failureFromReply(401, null, null),
    failureFromReply(413, null, null),
    failureFromReply(429, null, '1'),
    failureFromReply(500, null, null),
    failureFromReply(503, null, null),
    { kind: 'unreachable' } as const,
    { kind: 'cut-short' } as const,
    { kind: 'garbled', detail: 'x' } as const,
  ];
  for (const failure of failures) {
    for (const at of ['node', 'domain'] as const) assert.ok(explain(failure, at).title.length > 5);
    assert.equal(readFailure(JSON.parse(JSON.stringify(failure)))?.kind, failure.kind);
  }
  assert.equal(readFailure({ kind: 'of the future' }), null);
  assert.equal(readFailure(null), null);
});

test('the node may keep to itself what it likes', () => {
  const info = readInfo({ node_id: '0xabc', models: { chat: { id: 'm', context: 8192 } }, knowledge: { collection: 'default', points: null } });
  assert.equal(info.id, '0xabc');
  assert.equal(info.chatModel, 'm');
  assert.equal(info.contextTokens, 8192);
  assert.equal(info.passages, null);
  assert.equal(readInfo('nonsense').chatModel, null);
  assert.equal(readFirstModel({ data: [{ id: 'first' }, { id: 'second' }] }), 'first');
  assert.equal(readFirstModel({}), null);
});
