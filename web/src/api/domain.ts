/**
 * What a domain's gateway says to its users: what it offers, what a token can still spend, what an answer cost.
 *
 * Pure. Money is in nano-dollars, and in nano-units of an asset. Everything that names come from is foreign.
 */
import { list, number, object, text } from './wire.ts';

/** A model that the domain offers. Prices are nano-dollars for a million tokens. */
export interface Offer {
  name: string;
  input: number;
  cached: number;
  output: number;
  contextTokens: number | null;
  /** Whether a node serves it now. */
  isServed: boolean;
  /** The knowledge bases with which it is served. */
  knowledge: string[];
}

export interface Domain {
  name: string | null;
  gateways: string[];
  offers: Offer[];
  /** When epoch 0 began, in seconds since 1970; null where no epochs are told of. */
  genesis: number | null;
  epochSeconds: number | null;
  /** Contracts and their addresses. */
  contracts: Map<string, string>;
}

/** What the token that was shown may spend. */
export interface Account {
  available: number;
  /** What the account was charged ever. */
  charged: number;
  /** What this token was charged ever; null where the gateway does not say. */
  tokenCharged: number | null;
}

/** Reads `GET /gaia/v1/domain`. */
export function readDomain(value: unknown): Domain {
  const fields = object(value);
  const epochSeconds = number(fields['epochSeconds']);
  return {
    name: text(fields['name']),
    gateways: texts(fields['gateways']),
    offers: list(fields['models']).flatMap(readOffer),
    genesis: number(fields['genesis']),
    epochSeconds: epochSeconds !== null && epochSeconds > 0 ? epochSeconds : null,
    contracts: new Map(Object.entries(object(fields['contracts'])).flatMap(([name, at]) => (typeof at === 'string' ? [[name, at]] : []))),
  };
}

function readOffer(value: unknown): Offer[] {
  const fields = object(value);
  const name = text(fields['name']);
  if (name === null) return [];
  return [
    {
      name,
      input: number(fields['input']) ?? 0,
      cached: number(fields['cached']) ?? 0,
      output: number(fields['output']) ?? 0,
      contextTokens: number(fields['contextTokens']),
      isServed: fields['isServed'] === true,
      knowledge: texts(fields['knowledge']),
    },
  ];
}

/** Reads `GET /v1/models`: the names that can be asked for. */
export const readModels = (value: unknown): string[] =>
  list(object(value)['data']).flatMap((model) => text(object(model)['id']) ?? []);

/** Reads `GET /gaia/v1/account`. */
export function readAccount(value: unknown): Account | null {
  const fields = object(value);
  const available = number(fields['availableNanoUsd']);
  if (available === null) return null;
  return { available, charged: number(fields['chargedNanoUsd']) ?? 0, tokenCharged: number(fields['tokenChargedNanoUsd']) };
}

/** What a receipt says that its request cost. */
export const readCost = (value: unknown): number | null => number(object(object(value)['receipt'])['cost']);

/** The names that can be asked for, by what the domain tells everybody: what is served first. */
export function namesOf(domain: Domain): string[] {
  const served = domain.offers.filter(({ isServed }) => isServed);
  const offers = served.length > 0 ? served : domain.offers;
  return offers.flatMap(({ name, knowledge }) => [name, ...knowledge.map((known) => `${name}@${known}`)]);
}

/** The offer behind a name that may have a knowledge base behind its last `@`. */
export function offerOf(domain: Domain, name: string): Offer | null {
  const known = (name: string) => domain.offers.find((offer) => offer.name === name) ?? null;
  return known(name) ?? known(name.slice(0, Math.max(0, name.lastIndexOf('@'))));
}

export interface Epoch {
  number: number;
  /** Seconds until the next one. */
  left: number;
}

/** The epoch at a moment in seconds since 1970. */
export function epochAt({ genesis, epochSeconds }: Domain, now: number): Epoch | null {
  if (genesis === null || epochSeconds === null || now < genesis) return null;
  const since = now - genesis;
  return { number: Math.floor(since / epochSeconds), left: epochSeconds - (since % epochSeconds) };
}

/** What people call an asset; its address where nobody has said. */
export function assetName({ contracts }: Domain, address: string): string {
  const is = (contract: string) => contracts.get(contract)?.toLowerCase() === address.toLowerCase();
  if (is('stable')) return 'USD';
  return is('token') ? 'GAIA' : `${address.slice(0, 8)}…`;
}

const texts = (value: unknown): string[] => list(value).flatMap((entry) => text(entry) ?? []);
