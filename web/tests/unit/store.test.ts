import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, emptyAnswer, newConversation, withAnswer } from '../../src/chat/conversation.ts';
import { ConversationStore, CONVERSATIONS_MAX, readConversation, type Shelf } from '../../src/chat/store.ts';

/** A shelf with room for so many characters, like a browser's. */
class SmallShelf implements Shelf {
  entries = new Map<string, string>();
  #room: number;

  constructor(room = Number.POSITIVE_INFINITY) {
    this.#room = room;
  }

  get length() {
    return this.entries.size;
  }

  key(at: number) {
    return [...this.entries.keys()][at] ?? null;
  }

  getItem(key: string) {
    return this.entries.get(key) ?? null;
  }

  setItem(key: string, value: string) {
    const others = [...this.entries].filter(([other]) => other !== key);
    const used = others.reduce((sum, [, kept]) => sum + kept.length, 0);
    if (used + value.length > this.#room) throw new Error('QuotaExceededError');
    this.entries.set(key, value);
  }

  removeItem(key: string) {
    this.entries.delete(key);
  }
}

const talk = (id: string, at: number, text = 'reply') =>
  withAnswer(ask(newConversation(id, at), `question ${id}`, at), { ...emptyAnswer(), text, state: 'complete' });

test('what is saved comes back, the latest first', () => {
  const store = new ConversationStore(new SmallShelf());
  store.save(talk('one', 1));
  store.save(talk('two', 2));
  assert.deepEqual(store.list(), [talk('two', 2), talk('one', 1)]);
  store.remove('two');
  assert.deepEqual(store.list().map(({ id }) => id), ['one']);
});

test('calls of tools come back with their answer', () => {
  const store = new ConversationStore(new SmallShelf());
  const call = { name: 'weather', arguments: '{}', failed: true, ms: 12, bytes: 34 };
  const asked = ask(newConversation('one', 1), 'why?', 1);
  const called = withAnswer(asked, { ...emptyAnswer(), state: 'complete', calls: [call] });
  store.save(called);
  assert.deepEqual(store.list(), [called]);
});

test('clearing leaves other entries alone', () => {
  const shelf = new SmallShelf();
  shelf.setItem('gaia.settings', '{}');
  const store = new ConversationStore(shelf);
  store.save(talk('one', 1));
  store.clear();
  assert.deepEqual([...shelf.entries.keys()], ['gaia.settings']);
});

test('past the limit the oldest goes', () => {
  const store = new ConversationStore(new SmallShelf());
  for (let at = 0; at <= CONVERSATIONS_MAX; at++) store.save(talk(`c${at}`, at));
  const ids = store.list().map(({ id }) => id);
  assert.equal(ids.length, CONVERSATIONS_MAX);
  assert.ok(!ids.includes('c0'));
});

test('a full shelf makes room from the oldest', () => {
  const store = new ConversationStore(new SmallShelf(4000));
  for (let at = 0; at < 5; at++) assert.equal(store.save(talk(`c${at}`, at, 'x'.repeat(900))), true);
  const ids = store.list().map(({ id }) => id);
  assert.equal(ids[0], 'c4');
  assert.ok(!ids.includes('c0'));
});

test('what is larger than the shelf is not kept, and says so', () => {
  const store = new ConversationStore(new SmallShelf(500));
  assert.equal(store.save(talk('big', 1, 'x'.repeat(900))), false);
  assert.deepEqual(store.list(), []);
});

test('entries that cannot be read are dropped', () => {
  const shelf = new SmallShelf();
  shelf.setItem('gaia.conversation.bad', '{"id":');
  shelf.setItem('gaia.conversation.odd', '[1,2]');
  assert.deepEqual(new ConversationStore(shelf).list(), []);
  assert.equal(shelf.length, 0);
});

test('what is read always alternates', () => {
  const roles = (...messages: string[]) => {
    const stored = { id: 'c', messages: messages.map((role) => ({ role, text: 'x' })) };
    return readConversation(JSON.stringify(stored))?.messages.map(({ role }) => role[0]).join('');
  };
  assert.equal(roles('user', 'assistant'), 'ua');
  assert.equal(roles('assistant', 'user'), 'ua');
  assert.equal(roles('user', 'user', 'assistant', 'assistant', 'system'), 'uaua');
  assert.equal(roles(), '');
});

test('an answer that was cut by closing the page is not streaming any more', () => {
  const stored = JSON.stringify(ask(newConversation('c', 1), 'q', 1));
  const last = readConversation(stored)?.messages.at(-1);
  assert.ok(last?.role === 'assistant' && last.state === 'stopped');
});

test('keys of others are told from ours', () => {
  assert.ok(ConversationStore.concerns('gaia.conversation.x'));
  assert.ok(ConversationStore.concerns(null));
  assert.ok(!ConversationStore.concerns('gaia.theme'));
});
