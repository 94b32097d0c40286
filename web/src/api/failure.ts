/**
 * What can go wrong between the page and the node or domain, and how to say it to a person.
 *
 * Pure. `explain` never shows a status number alone: each failure has a sentence and, where there is one, a way out.
 */
import type { Place } from '../place.ts';
import { number, object, text } from './wire.ts';

export type Failure =
  | { kind: 'unreachable' }
  | { kind: 'key-needed' }
  | { kind: 'unpaid'; detail: string }
  | { kind: 'too-long'; detail: string }
  | { kind: 'too-large' }
  | { kind: 'busy'; retryAfterSeconds: number | null; detail: string }
  | { kind: 'not-ready'; detail: string }
  | { kind: 'refused'; detail: string }
  | { kind: 'broken'; detail: string }
  | { kind: 'cut-short' }
  | { kind: 'garbled'; detail: string };

/** Reads a failure that was stored; null for anything that is none. */
export function readFailure(stored: unknown): Failure | null {
  const fields = object(stored);
  const detail = text(fields['detail']) ?? '';
  const kind = text(fields['kind']) as Failure['kind'] | null;
  switch (kind) {
    case 'unreachable':
    case 'key-needed':
    case 'too-large':
    case 'cut-short':
      return { kind };
    case 'busy':
      return { kind, retryAfterSeconds: null, detail };
    case 'unpaid':
    case 'too-long':
    case 'not-ready':
    case 'refused':
    case 'broken':
    case 'garbled':
      return { kind, detail };
    default:
      return null;
  }
}

export interface Explanation {
  title: string;
  hint: string;
  /** Whether sending the same thing again can help. */
  retry: boolean;
}

/** Reads an error reply. `retryAfter` is the header of that name. */
export function failureFromReply(status: number, body: unknown, retryAfter: string | null): Failure {
  switch (status) {
    case 401:
      return { kind: 'key-needed' };
    case 402:
      return { kind: 'unpaid', detail: messageOf(body) };
    case 403:
      return { kind: 'refused', detail: messageOf(body) };
    case 413:
      return { kind: 'too-large' };
    case 429:
      return { kind: 'busy', retryAfterSeconds: secondsFromHeader(retryAfter), detail: messageOf(body) };
    case 502:
    case 503:
    case 504:
      return { kind: 'not-ready', detail: messageOf(body) };
    default:
      return status >= 500 ? { kind: 'broken', detail: messageOf(body) } : failureFromBody(body);
  }
}

/** Reads `{"error": …}`, as a reply to a bad request and in the middle of a stream. */
export function failureFromBody(body: unknown): Failure {
  const error = object(object(body)['error']);
  const detail = messageOf(body);
  if (text(error['code']) === 'context_length_exceeded') return { kind: 'too-long', detail };
  if (text(error['type']) === 'invalid_request_error') return { kind: 'refused', detail };
  return { kind: 'broken', detail };
}

/** In the words of a node's page, or of a domain's. */
export const explain = (failure: Failure, at: Place): Explanation =>
  (at === 'domain' ? atDomain(failure) : null) ?? atNode(failure);

/** What means something else where many nodes stand behind one address. */
function atDomain(failure: Failure): Explanation | null {
  switch (failure.kind) {
    case 'unreachable':
      return { title: 'The domain cannot be reached', hint: 'Its gateway may have stopped, or the network is down.', retry: true };
    case 'key-needed':
      return {
        title: 'This domain asks for an access token',
        hint: 'One that is mistyped or revoked does not count. “gaia token new” makes one for who has deposited.',
        retry: true,
      };
    case 'busy':
      return {
        title: 'Too many requests',
        hint: `${failure.detail || 'All nodes are at work.'} ${again(failure.retryAfterSeconds)}`,
        retry: true,
      };
    case 'not-ready':
      return { title: 'No node can answer just now', hint: `${failure.detail} Try again in a moment.`.trim(), retry: true };
    case 'refused':
      return { title: 'The domain refused this request', hint: failure.detail, retry: true };
    case 'broken':
      return { title: 'The domain could not finish this answer', hint: failure.detail, retry: true };
    case 'garbled':
      return { title: 'The domain sent something unreadable', hint: failure.detail, retry: true };
    default:
      return null;
  }
}

const again = (seconds: number | null) =>
  seconds === null ? 'Try again in a moment.' : `Try again in ${plural(seconds, 'second')}.`;

function atNode(failure: Failure): Explanation {
  switch (failure.kind) {
    case 'unreachable':
      return {
        title: 'The node cannot be reached',
        hint: 'It may have stopped, or the network is down. On the machine it runs on, “gaia status” tells more.',
        retry: true,
      };
    case 'key-needed':
      return { title: 'This node asks for a key', hint: 'Enter the API key its owner gave you.', retry: true };
    case 'unpaid':
      return {
        title: 'The credit does not cover this',
        hint: `${sentence(failure.detail)} Deposit more with “gaia deposit”, or allow fewer tokens as the longest answer in the settings.`.trim(),
        retry: true,
      };
    case 'too-long':
      return {
        title: 'This conversation no longer fits the model',
        hint: `Start a new conversation, or ask something shorter. ${failure.detail}`.trim(),
        retry: false,
      };
    case 'too-large':
      return { title: 'That message is too large', hint: 'Shorten it and send it again.', retry: false };
    case 'busy':
      return {
        title: 'The node is busy',
        hint: `Too many questions at once. ${again(failure.retryAfterSeconds)}`,
        retry: true,
      };
    case 'not-ready':
      return {
        title: 'The node is not ready yet',
        hint: failure.detail || 'Its model may still be loading. Try again in a moment.',
        retry: true,
      };
    case 'refused':
      return { title: 'The node refused this request', hint: failure.detail, retry: true };
    case 'broken':
      return { title: 'The node could not finish this answer', hint: failure.detail, retry: true };
    case 'cut-short':
      return {
        title: 'The connection ended before the answer did',
        hint: 'What arrived is kept above. Try again to get the whole answer.',
        retry: true,
      };
    case 'garbled':
      return { title: 'The node sent something unreadable', hint: failure.detail, retry: true };
  }
}

/** A message as a sentence: with a full stop, where it has none. */
const sentence = (message: string) => (message === '' || /[.!?]$/.test(message) ? message : `${message}.`);

export const plural = (count: number, noun: string) =>
  `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;

function messageOf(body: unknown): string {
  const error = object(body)['error'];
  return text(error) ?? text(object(error)['message']) ?? text(object(body)['message']) ?? '';
}

function secondsFromHeader(header: string | null): number | null {
  const seconds = header === null ? null : number(Number.parseInt(header, 10));
  return seconds !== null && seconds > 0 ? seconds : null;
}
