/**
 * Keeps conversations in the browser, one entry each, so that two tabs do not overwrite one another.
 *
 * The storage arrives as an argument. Invariant: never more than CONVERSATIONS_MAX conversations; where the browser has
 * no room left the oldest others go first, and what cannot be kept is dropped without disturbing the talk.
 */
import { list, number, object, readCall, readCitations, text } from '../api/wire.ts';
import { readFailure } from '../api/failure.ts';
import { type Answer, type Conversation, emptyAnswer, type Message, MESSAGES_MAX, settled } from './conversation.ts';

export const CONVERSATIONS_MAX = 60;
const PREFIX = 'gaia.conversation.';

/** The part of `Storage` that is used. */
export type Shelf = Pick<Storage, 'length' | 'key' | 'getItem' | 'setItem' | 'removeItem'>;

export class ConversationStore {
  #shelf: Shelf;

  constructor(shelf: Shelf) {
    this.#shelf = shelf;
  }

  /** All conversations, the latest first. Entries that cannot be read are removed. */
  list(): Conversation[] {
    const found = this.#keys().flatMap((key) => {
      const conversation = readConversation(this.#shelf.getItem(key));
      if (conversation === null) this.#shelf.removeItem(key);
      return conversation ?? [];
    });
    return found.sort((one, other) => other.updatedAt - one.updatedAt);
  }

  /** Keeps a conversation; false where even an emptied shelf has no room for it. */
  save(conversation: Conversation): boolean {
    const key = PREFIX + conversation.id;
    const value = JSON.stringify(conversation);
    const others = this.list().filter((other) => other.id !== conversation.id);
    while (others.length >= CONVERSATIONS_MAX) this.#dropOldest(others);
    for (;;) {
      try {
        this.#shelf.setItem(key, value);
        return true;
      } catch {
        if (others.length === 0) return false;
        this.#dropOldest(others);
      }
    }
  }

  remove(id: string) {
    this.#shelf.removeItem(PREFIX + id);
  }

  clear() {
    for (const key of this.#keys()) this.#shelf.removeItem(key);
  }

  /** Whether a storage event's key belongs to a conversation; null means the whole shelf was cleared. */
  static concerns(key: string | null): boolean {
    return key === null || key.startsWith(PREFIX);
  }

  #keys(): string[] {
    return Array.from({ length: this.#shelf.length }, (_, at) => this.#shelf.key(at)).filter(
      (key): key is string => key?.startsWith(PREFIX) ?? false,
    );
  }

  #dropOldest(others: Conversation[]) {
    const oldest = others.pop();
    if (oldest) this.remove(oldest.id);
  }
}

/** Reads one entry; null for anything that is not a conversation. */
export function readConversation(stored: string | null): Conversation | null {
  let fields: Record<string, unknown>;
  try {
    fields = object(JSON.parse(stored ?? 'null'));
  } catch {
    return null;
  }
  const id = text(fields['id']);
  if (id === null) return null;
  const updatedAt = number(fields['updatedAt']) ?? 0;
  return settled({
    id,
    title: text(fields['title']) ?? 'Conversation',
    named: fields['named'] === true,
    createdAt: number(fields['createdAt']) ?? updatedAt,
    updatedAt,
    messages: alternating(list(fields['messages']).slice(-MESSAGES_MAX).flatMap(readMessage)),
  });
}

function readMessage(value: unknown): Message[] {
  const fields = object(value);
  const said = typeof fields['text'] === 'string' ? fields['text'] : '';
  if (fields['role'] === 'user') return [{ role: 'user', text: said }];
  if (fields['role'] !== 'assistant') return [];
  const timing = object(fields['timing']);
  return [
    {
      role: 'assistant',
      text: said,
      thoughts: text(fields['thoughts']) ?? '',
      state: readState(fields['state']),
      calls: list(fields['calls']).flatMap((call) => readCall(call) ?? []),
      citations: Array.isArray(fields['citations']) ? readCitations(fields['citations']) : null,
      warning: text(fields['warning']),
      failure: readFailure(fields['failure']),
      timing: {
        firstTextMs: number(timing['firstTextMs']),
        lastTextMs: number(timing['lastTextMs']),
        completionTokens: number(timing['completionTokens']),
        promptTokens: number(timing['promptTokens']),
      },
      request: readRequest(fields['request']),
      cost: number(fields['cost']),
    },
  ];
}

/** It stands in a link, so it must be what it says it is. */
const readRequest = (value: unknown): string | null =>
  typeof value === 'string' && /^0x[0-9a-f]{64}$/i.test(value) ? value : null;

const STATES = ['streaming', 'complete', 'stopped', 'length', 'failed'] as const;
const readState = (value: unknown): Answer['state'] => STATES.find((state) => state === value) ?? 'complete';

/** Mends a list that does not alternate: an unanswered question gets a stopped answer, a stray answer goes. */
function alternating(messages: Message[]): Message[] {
  const mended: Message[] = [];
  for (const message of messages) {
    const after = mended.at(-1)?.role ?? 'assistant';
    if (message.role === after && message.role === 'assistant') continue;
    if (message.role === after) mended.push({ ...emptyAnswer(), state: 'stopped' });
    mended.push(message);
  }
  if (mended.at(-1)?.role === 'user') mended.push({ ...emptyAnswer(), state: 'stopped' });
  return mended;
}
