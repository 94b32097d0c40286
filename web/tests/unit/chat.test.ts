import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readPrompts } from '../../src/api/wire.ts';
import { grow, stop } from '../../src/chat/answering.ts';
import {
  type Answer,
  ask,
  askAgain,
  type Conversation,
  emptyAnswer,
  MESSAGES_MAX,
  newConversation,
  rename,
  requestBody,
  settled,
  takeBack,
  TITLE_CHARS_MAX,
  titleFrom,
  tokensPerSecond,
  withAnswer,
} from '../../src/chat/conversation.ts';
import { DEFAULTS, isDefault, known, RANGES, readSettings, within } from '../../src/chat/settings.ts';
import { byDay } from '../../src/view/days.ts';

const answered = (conversation: Conversation, text: string): Conversation =>
  withAnswer(conversation, { ...emptyAnswer(), text, state: 'complete' });
const talk = (...turns: [string, string | null][]) =>
  turns.reduce((so_far, [question, reply]) => {
    const asked = ask(so_far, question, 1);
    return reply === null ? asked : answered(asked, reply);
  }, newConversation('c', 0));
const sent = (conversation: Conversation, settings = DEFAULTS) =>
  requestBody(conversation, settings, null).messages.map(({ role, content }) => `${role}: ${content}`);

test('what is sent alternates and ends with the question', () => {
  assert.deepEqual(sent(talk(['a', null])), ['user: a']);
  assert.deepEqual(sent(talk(['a', 'b'], ['c', null])), ['user: a', 'assistant: b', 'user: c']);
});

test('a turn that got no answer is left out of the next request', () => {
  assert.deepEqual(sent(talk(['lost', ''], ['c', null])), ['user: c']);
});

test('thoughts are not sent back', () => {
  assert.deepEqual(sent(talk(['a', '<think>hm</think>b'], ['c', null])), ['user: a', 'assistant: b', 'user: c']);
});

test('an answer is given again from the same turns', () => {
  assert.deepEqual(sent(askAgain(talk(['a', 'b'], ['c', 'd']), 2)), ['user: a', 'assistant: b', 'user: c']);
});

test('a question can be taken back', () => {
  const { conversation, question } = takeBack(talk(['a', 'b'], ['c', 'd']));
  assert.equal(question, 'c');
  assert.equal(conversation.messages.length, 2);
  assert.equal(takeBack(newConversation('c', 0)).question, '');
});

test('only what was set is sent', () => {
  const plain = requestBody(talk(['a', null]), DEFAULTS, 'm');
  assert.deepEqual(Object.keys(plain), ['model', 'messages', 'stream', 'stream_options']);
  const settings = { systemPrompt: ' Be kind. ', prompt: 'brief', temperature: 0, topP: 0.5, tokensMax: 9, seed: 0 };
  const full = requestBody(talk(['a', null]), settings, null);
  assert.deepEqual(full.messages[0], { role: 'system', content: 'Be kind.' });
  assert.deepEqual(full.metadata, { prompt: 'brief' });
  assert.deepEqual(
    { temperature: full.temperature, top_p: full.top_p, max: full.max_completion_tokens, seed: full.seed },
    { temperature: 0, top_p: 0.5, max: 9, seed: 0 },
  );
});

test('titles come from the first question until a person gives one', () => {
  assert.equal(titleFrom('  What\tis it?\nmore'), 'What is it?');
  assert.equal(titleFrom(''), 'New conversation');
  assert.ok(titleFrom('word '.repeat(50)).length <= TITLE_CHARS_MAX);
  assert.ok(titleFrom('x'.repeat(500)).length <= TITLE_CHARS_MAX);
  assert.equal(talk(['first', 'b'], ['second', null]).title, 'first');
  assert.equal(ask(rename(newConversation('c', 0), 'Mine'), 'first', 1).title, 'Mine');
  assert.equal(rename(talk(['first', null]), '   ').title, 'first');
});

test('a conversation keeps its latest turns and still begins with a question', () => {
  let conversation = newConversation('c', 0);
  for (let turn = 0; turn < MESSAGES_MAX; turn++) conversation = answered(ask(conversation, `q${turn}`, turn), 'a');
  assert.equal(conversation.messages.length, MESSAGES_MAX);
  assert.equal(conversation.messages[0]?.role, 'user');
});

test('an answer grows from its events', () => {
  let answer: Answer = emptyAnswer();
  answer = grow(answer, { kind: 'text', text: 'Hel' }, 500);
  answer = grow(answer, { kind: 'text', text: 'lo' }, 1500);
  assert.equal(answer.state, 'streaming');
  answer = grow(answer, { kind: 'finish', reason: 'stop' }, 1500);
  answer = grow(answer, { kind: 'usage', usage: { promptTokens: 5, completionTokens: 11, cachedTokens: 0 } }, 1600);
  answer = grow(answer, { kind: 'done' }, 1600);
  assert.equal(answer.text, 'Hello');
  assert.equal(answer.state, 'complete');
  assert.equal(answer.timing.firstTextMs, 500);
  assert.equal(tokensPerSecond(answer.timing), 10);
  assert.equal(tokensPerSecond(emptyAnswer().timing), null);
});

test('calls of tools are kept in their order', () => {
  const call = { name: 'weather', arguments: '{}', failed: false, ms: 1, bytes: 2 };
  const called = grow(emptyAnswer(), { kind: 'called', call }, 1);
  assert.deepEqual(grow(called, { kind: 'called', call: { ...call, failed: true } }, 2).calls, [call, { ...call, failed: true }]);
});

test('how an answer ended is remembered', () => {
  assert.equal(grow(emptyAnswer(), { kind: 'finish', reason: 'length' }, 1).state, 'length');
  assert.equal(grow(emptyAnswer(), { kind: 'failure', failure: { kind: 'cut-short' } }, 1).state, 'failed');
  assert.equal(stop(emptyAnswer()).state, 'stopped');
  assert.equal(stop(grow(emptyAnswer(), { kind: 'done' }, 1)).state, 'complete');
  const last = settled(talk(['a', null])).messages.at(-1);
  assert.ok(last?.role === 'assistant' && last.state === 'stopped');
});

test('settings stay in their ranges', () => {
  assert.equal(within(RANGES.temperature, '0,7'), 0.7);
  assert.equal(within(RANGES.temperature, 99), 2);
  assert.equal(within(RANGES.seed, -4), 0);
  assert.equal(within(RANGES.tokensMax, '12.6'), 13);
  assert.equal(within(RANGES.seed, ''), null);
  assert.equal(within(RANGES.seed, 'x'), null);
  assert.equal(within(RANGES.seed, Number.NaN), null);
  assert.deepEqual(readSettings('nonsense'), DEFAULTS);
  assert.ok(isDefault(readSettings(null)));
  assert.ok(!isDefault(readSettings({ seed: 0 })));
  assert.ok(!isDefault(readSettings({ prompt: 'brief' })));
  assert.equal(readSettings({ prompt: 'x'.repeat(65) }).prompt.length, 64);
});

test('a prompt is asked for only while the node has it', () => {
  const prompts = readPrompts({
    data: [{ name: 'brief', kind: 'rag' }, { name: 'brief', description: 'Short.' }, { name: 1 }, null],
  });
  assert.deepEqual(prompts, [{ name: 'brief', description: 'Short.' }]);
  const settings = readSettings({ prompt: 'brief', seed: 1 });
  assert.equal(known(settings, prompts).prompt, 'brief');
  assert.deepEqual(known(settings, []), { ...settings, prompt: '' });
  assert.deepEqual(readPrompts(null), []);
});

test('conversations stand under their day', () => {
  const now = new Date(2026, 4, 20, 12).getTime();
  const hours = (ago: number) => ({ updatedAt: now - ago * 3_600_000 });
  const days = byDay([hours(1), hours(11), hours(13), hours(60), hours(900)], now);
  assert.deepEqual(days.map(({ day, conversations }) => [day, conversations.length]), [
    ['Today', 2],
    ['Yesterday', 1],
    ['This week', 1],
    ['Earlier', 1],
  ]);
});
