/** Looks at what an address has earned, for as long as that is shown and the page is in front. */
import { signal } from '@preact/signals';
import { fetchDomain, fetchJson } from '../api/client.ts';
import type { Domain } from '../api/domain.ts';
import type { Failure } from '../api/failure.ts';
import { keepLooking } from '../looking.ts';
import { type Claimable, type Earnings, readClaimable, readEarnings } from './wire.ts';

const LOOK_EVERY_MS = 5000;
/** The chain is asked seldom: each time costs the gateway a question there. */
const LOOKS_PER_CHAIN = 6;

export const earnings = signal<Earnings | null>(null);
/** null before the chain was asked, or where it is out of reach. */
export const claimable = signal<Claimable[] | null>(null);
export const domain = signal<Domain | null>(null);
export const failure = signal<Failure | null>(null);
/** Nodes behind this address are shown; null: from the first. */
export const after = signal<string | null>(null);

/** Looks at once and then again and again, until the returned function is called. */
export function watch(address: string): () => void {
  return keepLooking(LOOK_EVERY_MS, (before) => {
    const asksChain = before % LOOKS_PER_CHAIN === 0;
    return Promise.all([lookAtEarnings(address), asksChain ? lookAtChain(address) : null]);
  });
}

/** Turns to other nodes. */
export function turnTo(address: string, behind: string | null) {
  after.value = behind;
  void lookAtEarnings(address);
}

export async function meet() {
  const met = await fetchDomain();
  if (met.ok) domain.value = met.value;
}

async function lookAtEarnings(address: string) {
  const behind = after.value === null ? '' : `?after=${after.value}`;
  const reply = await fetchJson(`/gaia/v1/earnings/${address}${behind}`, null);
  failure.value = reply.ok ? null : reply.failure;
  if (reply.ok) earnings.value = readEarnings(reply.value);
}

async function lookAtChain(address: string) {
  const [reply] = await Promise.all([fetchJson(`/gaia/v1/shares/${address}`, null), meet()]);
  if (reply.ok) claimable.value = readClaimable(reply.value);
}
