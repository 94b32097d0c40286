/**
 * The state of the page and everything a person can do with it.
 *
 * The one place where values, the browser's storage, the clock and the network meet. Views read the signals and call
 * the functions; they hold no state of their own but what is open and what is being typed.
 */
import { batch, computed, signal } from '@preact/signals';
import { fetchCost, fetchInfo, fetchPrompts, streamChat } from '../api/client.ts';
import { explain, type Failure } from '../api/failure.ts';
import type { NamedPrompt, NodeInfo } from '../api/wire.ts';
import { place } from '../place.ts';
import { plainText } from '../markdown/plain.ts';
import { splitThoughts } from '../markdown/thoughts.ts';
import { grow, stop } from './answering.ts';
import * as talk from './conversation.ts';
import { lookAtAccount, meetDomain, model } from './domain.ts';
import { ConversationStore } from './store.ts';
import { settings } from './preferences.ts';
import { known } from './settings.ts';

type Conversation = talk.Conversation;

export type NodeState =
  | { kind: 'asking' }
  | { kind: 'there'; info: NodeInfo }
  | { kind: 'failed'; failure: Failure };

/** The view is refreshed at most this often while an answer streams. */
const PUBLISH_EVERY_MS = 40;
/** How long the page waits before it asks again a node that did not answer. */
const ASK_NODE_AGAIN_MS = 4000;
const KEY_NAME = 'gaia.key';
const STATUS_HASH = '#status';
/** When the receipt of an answer that was stopped is looked for: its gateway books it after the page has gone. */
const RECEIPT_LOOKS_MS = [0, 1500, 4000];

const store = new ConversationStore(localStorage);
/** The key that the person entered. */
export const key = signal<string | null>(sessionStorage.getItem(KEY_NAME));

export const conversations = signal<Conversation[]>(store.list());
/** null while a new conversation has not begun. */
export const currentId = signal<string | null>(idFromAddress());
/** Whether the node's status is shown instead of a conversation. */
export const statusShown = signal(place === 'node' && location.hash === STATUS_HASH);
export const node = signal<NodeState>({ kind: 'asking' });
/** The prompts that a question may name. */
export const prompts = signal<NamedPrompt[]>([]);
/** What to do once a key was entered; null while none is asked for. */
export const keyAsked = signal<(() => void) | null>(null);
/** The answers being written, by conversation. */
export const running = signal<Record<string, AbortController>>({});
/** What a screen reader is told. */
export const announcement = signal('');
/** The conversation that was just deleted, for as long as it can be brought back. */
export const deleted = signal<Conversation | null>(null);
/** Whether the browser has room for what is said. */
export const kept = signal(true);

export const current = computed(() => conversations.value.find(({ id }) => id === currentId.value) ?? null);
export const answering = computed(() => currentId.value !== null && currentId.value in running.value);
/** Whether the node said no to the key it has been given. */
export const keyRefused = computed(() => keyAsked.value !== null && key.value !== null);
/** What is there to answer; at a domain with the model that was chosen. */
export const info = computed<NodeInfo | null>(() => {
  if (node.value.kind !== 'there') return null;
  return place === 'domain' ? { ...node.value.info, chatModel: model.value } : node.value.info;
});
/** Whether nobody would answer before a token is entered. */
export const tokenMissing = computed(() => place === 'domain' && key.value === null);

export function open(id: string | null) {
  currentId.value = id;
  const left = statusShown.value;
  statusShown.value = false;
  const address = id === null ? location.pathname : `#${id}`;
  if (left || idFromAddress() !== id) history.pushState(null, '', address);
}

/** Shows the node's status; the conversation stays as it is. */
export function openStatus() {
  if (!statusShown.value) history.pushState(null, '', STATUS_HASH);
  statusShown.value = true;
}

/** Asks a question in the current conversation, or begins one with it. */
export function ask(question: string) {
  const now = Date.now();
  const id = currentId.value ?? newId();
  const before = current.value ?? talk.newConversation(id, now);
  batch(() => {
    put(talk.ask(before, question, now));
    open(id);
  });
  void answer(id);
}

/** Answers the last question of the current conversation once more. */
export function askAgain() {
  const conversation = current.value;
  if (conversation === null || answering.value) return;
  put(talk.askAgain(conversation, Date.now()));
  void answer(conversation.id);
}

/** Takes the last question back and gives its text, to be edited. */
export function takeBack(): string {
  if (current.value === null || answering.value) return '';
  const { conversation, question } = talk.takeBack(current.value);
  put(conversation);
  return question;
}

export function stopAnswering() {
  if (currentId.value !== null) running.value[currentId.value]?.abort();
}

export function rename(id: string, title: string) {
  const conversation = conversations.value.find((other) => other.id === id);
  if (conversation) put(talk.rename(conversation, title));
}

export function remove(id: string) {
  running.value[id]?.abort();
  deleted.value = conversations.value.find((other) => other.id === id) ?? null;
  conversations.value = conversations.value.filter((other) => other.id !== id);
  store.remove(id);
  if (currentId.value === id) open(null);
}

export function bringBack() {
  const conversation = deleted.value;
  if (conversation === null) return;
  batch(() => {
    put(talk.settled(conversation));
    deleted.value = null;
    open(conversation.id);
  });
}

export function clearAll() {
  for (const controller of Object.values(running.value)) controller.abort();
  batch(() => {
    conversations.value = [];
    deleted.value = null;
    open(null);
  });
  store.clear();
}

export function askForKey(then: () => void = () => undefined) {
  keyAsked.value = then;
}

export function enterKey(entered: string) {
  const then = keyAsked.value;
  key.value = entered.trim() || null;
  if (key.value === null) sessionStorage.removeItem(KEY_NAME);
  else sessionStorage.setItem(KEY_NAME, key.value);
  keyAsked.value = null;
  void meetNode();
  then?.();
}

/** The token is gone from this browser. */
export function forgetKey() {
  sessionStorage.removeItem(KEY_NAME);
  key.value = null;
  void meetNode();
}

let askNodeAgain: ReturnType<typeof setTimeout> | undefined;

/** Asks the node what it is, and again for as long as it does not answer. */
export async function meetNode() {
  clearTimeout(askNodeAgain);
  const reply = await (place === 'domain' ? meetDomain(key.value) : fetchInfo(key.value));
  if (reply.ok) {
    node.value = { kind: 'there', info: reply.value };
    if (place === 'node') prompts.value = await fetchPrompts(key.value);
    return;
  }
  node.value = { kind: 'failed', failure: reply.failure };
  if (reply.failure.kind === 'key-needed') {
    askForKey();
    return;
  }
  clearTimeout(askNodeAgain);
  askNodeAgain = setTimeout(() => void meetNode(), ASK_NODE_AGAIN_MS);
}

/** Follows the address bar and other tabs, and asks the node anew when the page comes back to the front. */
export function listen() {
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && keyAsked.value === null) void meetNode();
  });
  addEventListener('popstate', () => {
    statusShown.value = place === 'node' && location.hash === STATUS_HASH;
    if (!statusShown.value) currentId.value = idFromAddress();
  });
  addEventListener('storage', ({ key: changed }) => {
    if (ConversationStore.concerns(changed)) mergeStored();
  });
  addEventListener('pagehide', () => Object.keys(running.value).forEach(saveById));
}

async function answer(id: string) {
  const controller = new AbortController();
  const conversation = conversations.value.find((other) => other.id === id);
  if (conversation === undefined) return;
  running.value = { ...running.value, [id]: controller };
  announcement.value = 'Answering';
  const started = performance.now();
  let growing = talk.emptyAnswer();
  const publish = throttled(() => update(id, growing));
  const wanted = known(settings.value, prompts.value);
  const body = talk.requestBody(conversation, wanted, info.value?.chatModel ?? null);
  for await (const event of streamChat(body, key.value, controller.signal)) {
    growing = grow(growing, event, performance.now() - started);
    publish.soon();
  }
  growing = stop(growing);
  publish.now();
  finish(id, growing);
}

function finish(id: string, answer: talk.Answer) {
  const { [id]: _, ...others } = running.value;
  running.value = others;
  saveById(id);
  announcement.value = announced(answer);
  if (answer.failure?.kind === 'key-needed') askForKey(askAgain);
  if (answer.request !== null) void lookAtCost(id, answer.request);
  if (answer.failure?.kind === 'unreachable' && node.value.kind === 'there') void meetNode();
}

/** Adds what an answer has cost, once its receipt is there. */
async function lookAtCost(id: string, request: string) {
  for (const pause of RECEIPT_LOOKS_MS) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    const cost = await fetchCost(request);
    if (cost === null) continue;
    const last = conversations.value.find((other) => other.id === id)?.messages.at(-1);
    if (last?.role === 'assistant' && last.request === request) {
      update(id, { ...last, cost });
      saveById(id);
    }
    break;
  }
  if (key.value !== null) await lookAtAccount(key.value);
}

function announced(answer: talk.Answer): string {
  if (answer.failure !== null) return explain(answer.failure, place).title;
  return answer.state === 'stopped' ? 'Answer stopped' : `Answer: ${plainText(splitThoughts(answer.text).answer)}`;
}

function update(id: string, answer: talk.Answer) {
  conversations.value = conversations.value.map((other) => (other.id === id ? talk.withAnswer(other, answer) : other));
}

function put(conversation: Conversation) {
  conversations.value = [conversation, ...conversations.value.filter(({ id }) => id !== conversation.id)].sort(
    (one, other) => other.updatedAt - one.updatedAt,
  );
  kept.value = store.save(conversation);
}

function saveById(id: string) {
  const conversation = conversations.value.find((other) => other.id === id);
  if (conversation) kept.value = store.save(conversation);
}

/** Takes over what another tab stored, except what is being written here. */
function mergeStored() {
  const mine = conversations.value.filter(({ id }) => id in running.value);
  const theirs = store.list().filter(({ id }) => !(id in running.value));
  conversations.value = [...mine, ...theirs].sort((one, other) => other.updatedAt - one.updatedAt);
}

function throttled(publish: () => void) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const now = () => {
    clearTimeout(timer);
    timer = undefined;
    publish();
  };
  return { now, soon: () => (timer ??= setTimeout(now, PUBLISH_EVERY_MS)) };
}

function idFromAddress(): string | null {
  return /^#([a-z0-9]{8,40})$/.exec(location.hash)?.[1] ?? null;
}

/** Not `randomUUID`: that one is missing on plain http, and nodes are often reached that way. */
function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
