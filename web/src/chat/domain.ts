/** At a domain: what it offers, which model was chosen, and what is left to spend. */
import { computed, signal } from '@preact/signals';
import { fetchAccount, fetchDomain, fetchModels, type Reply } from '../api/client.ts';
import { type Account, type Domain, namesOf, offerOf } from '../api/domain.ts';
import { type NodeInfo, readInfo } from '../api/wire.ts';

const MODEL_NAME = 'gaia.model';

export const domain = signal<Domain | null>(null);
/** What can be asked for. */
export const models = signal<string[]>([]);
export const account = signal<Account | null>(null);
const chosen = signal<string | null>(localStorage.getItem(MODEL_NAME));

/** The model that is asked: the one that was chosen, for as long as it is there. */
export const model = computed<string | null>(() => {
  const wanted = chosen.value;
  return wanted !== null && models.value.includes(wanted) ? wanted : (models.value[0] ?? null);
});

/** Its prices, and what else is told of it. */
export const offer = computed(() => {
  if (domain.value === null || model.value === null) return null;
  return offerOf(domain.value, model.value);
});

export function choose(name: string) {
  chosen.value = name;
  try {
    localStorage.setItem(MODEL_NAME, name);
  } catch {
    // Forbidden storage costs the choice its memory, not its effect.
  }
}

/** Asks the domain what it is; and with a token, what that one may do. */
export async function meetDomain(key: string | null): Promise<Reply<NodeInfo>> {
  const met = await fetchDomain();
  if (!met.ok) return met;
  domain.value = met.value;
  if (key === null) {
    account.value = null;
    models.value = namesOf(met.value);
    return { ok: true, value: infoOf(met.value) };
  }
  const [left, served] = await Promise.all([fetchAccount(key), fetchModels(key)]);
  if (!left.ok) return left;
  if (!served.ok) return served;
  account.value = left.value;
  models.value = served.value.length > 0 ? served.value : namesOf(met.value);
  return { ok: true, value: infoOf(met.value) };
}

/** What is left now; stays as it was where the domain does not say. */
export async function lookAtAccount(key: string) {
  const left = await fetchAccount(key);
  if (left.ok) account.value = left.value;
}

const infoOf = (domain: Domain): NodeInfo => ({ ...readInfo(null), name: domain.name });
