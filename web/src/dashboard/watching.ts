/**
 * Looks at the gateway for as long as the dashboard is shown and the page is in front.
 *
 * The operator's token stands in a header and in this tab's storage, nowhere else. A refusal is not asked for again.
 */
import { signal } from '@preact/signals';
import { fetchDomain, fetchJson } from '../api/client.ts';
import type { Domain } from '../api/domain.ts';
import type { Failure } from '../api/failure.ts';
import { keepLooking } from '../looking.ts';
import { EMPTY, grown, type History } from './figures.ts';
import { type Chain, type GatewayStatus, type Members, readChain, readMembers, readStatus } from './wire.ts';

const LOOK_EVERY_MS = 2000;
/** Members, the chain and the domain change seldom. */
const LOOKS_PER_SLOW = 5;
const TOKEN_NAME = 'gaia.operator';

export const token = signal<string | null>(sessionStorage.getItem(TOKEN_NAME));
export const status = signal<GatewayStatus | null>(null);
export const history = signal<History>(EMPTY);
export const members = signal<Members | null>(null);
export const chain = signal<Chain | null>(null);
export const domain = signal<Domain | null>(null);
/** Why there is nothing new; null while there is. */
export const failure = signal<Failure | null>(null);
/** Nodes behind this address are shown; null: from the first. */
export const after = signal<string | null>(null);

export function enter(entered: string) {
  const trimmed = entered.trim();
  if (trimmed === '') return;
  sessionStorage.setItem(TOKEN_NAME, trimmed);
  failure.value = null;
  token.value = trimmed;
}

export function forget() {
  sessionStorage.removeItem(TOKEN_NAME);
  token.value = null;
  status.value = null;
  history.value = EMPTY;
}

/** Looks at once and then again and again, until the returned function is called; not without a token. */
export function watch(): () => void {
  const look = (before: number) => {
    const slow = before % LOOKS_PER_SLOW === 0;
    return Promise.all([token.value === null ? null : lookAtStatus(token.value), slow ? lookAtTheRest() : null]);
  };
  return keepLooking(LOOK_EVERY_MS, look, () => token.value !== null);
}

/** Turns to other nodes. */
export function turnTo(address: string | null) {
  after.value = address;
  history.value = { ...EMPTY, curve: history.value.curve };
  if (token.value !== null) void Promise.all([lookAtStatus(token.value), lookAtTheRest()]);
}

const page = () => (after.value === null ? '' : `?after=${after.value}`);

async function lookAtStatus(shown: string) {
  const reply = await fetchJson(`/gaia/v1/status${page()}`, shown);
  // Forgotten meanwhile.
  if (token.value !== shown) return;
  if (!reply.ok) {
    failure.value = reply.failure;
    if (reply.failure.kind === 'key-needed') forget();
    return;
  }
  failure.value = null;
  status.value = readStatus(reply.value);
  history.value = grown(history.value, performance.now(), status.value);
}

async function lookAtTheRest() {
  const [listed, followed, met] = await Promise.all([
    fetchJson(`/gaia/v1/nodes${page()}`, null),
    fetchJson('/gaia/v1/chain', null),
    fetchDomain(),
  ]);
  if (listed.ok) members.value = readMembers(listed.value);
  if (followed.ok) chain.value = readChain(followed.value);
  if (met.ok) domain.value = met.value;
}
