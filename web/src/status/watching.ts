/**
 * Looks at the node for as long as its status is shown and the page is in front.
 *
 * What the page's key may not read is asked once and then left alone: each refusal is counted against somebody.
 */
import { signal } from '@preact/signals';
import { fetchMetrics, fetchReady } from '../api/client.ts';
import type { Failure } from '../api/failure.ts';
import { key, meetNode } from '../chat/session.ts';
import { keepLooking } from '../looking.ts';
import { readExposition } from './exposition.ts';
import { EMPTY, type History, grown } from './history.ts';

const LOOK_EVERY_MS = 2000;
/** What the node is, and how much it knows, changes seldom. */
const LOOKS_PER_MEETING = 10;

/** Whether the node can answer; null before the first look. */
export const readiness = signal<{ ready: true } | { ready: false; failure: Failure } | null>(null);
/** What the node counted. */
export const history = signal<History>(EMPTY);
/** Why there are no numbers; null while there are, or nobody has looked. */
export const withheld = signal<Failure | null>(null);

/** Looks at once and then again and again, until the returned function is called. */
export function watch(): () => void {
  withheld.value = null;
  return keepLooking(LOOK_EVERY_MS, (before) => {
    if (before % LOOKS_PER_MEETING === 0) void meetNode();
    return Promise.all([lookWhetherReady(), lookAtNumbers()]);
  });
}

async function lookWhetherReady() {
  const reply = await fetchReady(key.value);
  readiness.value = reply.ok ? { ready: true } : { ready: false, failure: reply.failure };
}

async function lookAtNumbers() {
  const reason = withheld.value?.kind;
  if (reason === 'refused' || reason === 'key-needed') return;
  const reply = await fetchMetrics(key.value);
  if (!reply.ok) {
    withheld.value = reply.failure;
    return;
  }
  withheld.value = null;
  history.value = grown(history.value, performance.now(), readExposition(reply.value));
}
