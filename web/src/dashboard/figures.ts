/**
 * What follows from one look at the gateway after another: speeds, and the rows of the table of nodes.
 *
 * Pure. Counts of two lives of a gateway are never subtracted from each other: when one falls, the past is forgotten,
 * and only the drawn curve stays.
 */
import type { GatewayStatus, Member, Seen } from './wire.ts';

interface Reading {
  ms: number;
  requests: number;
  written: Map<string, number>;
}

export interface History {
  readings: Reading[];
  /** Requests a second. */
  curve: number[];
}

/** How well a node is, for the colour beside its words. */
export type Tone = 'good' | 'care' | 'bad' | 'idle';

/** A row of the table. What is not known is null. */
export interface Row {
  address: string;
  operator: string;
  state: string;
  tone: Tone;
  services: string[];
  requests: number | null;
  sequences: number | null;
  tokensPerSecond: number | null;
  firstByteP50: number | null;
  firstByteP95: number | null;
  answered: number | null;
  failed: number | null;
  paid: number | null;
  silentSeconds: number | null;
}

export const EMPTY: History = { readings: [], curve: [] };

/** The points of the curve: the last minutes. */
export const POINTS_MAX = 120;
/** Speeds are those of so long. */
const WINDOW_MS = 10_000;
const READINGS_MAX = 16;

export function grown(history: History, ms: number, { requests, nodes }: GatewayStatus): History {
  const now = { ms, requests, written: new Map(nodes.map(({ address, written }) => [address, written])) };
  const before = history.readings.at(-1);
  const goesOn = before !== undefined && before.requests <= requests && before.ms < ms;
  const recent = (goesOn ? history.readings : []).filter((reading) => ms - reading.ms <= WINDOW_MS);
  const point = goesOn ? perSecond(before, now, ({ requests }) => requests) : 0;
  return {
    readings: [...recent, now].slice(-READINGS_MAX),
    curve: [...history.curve, point].slice(-POINTS_MAX),
  };
}

/** Requests that came a second; null before the second look. */
export function requestsPerSecond({ readings }: History): number | null {
  return over(readings, ({ requests }) => requests);
}

/** Tokens a second that a node has written. */
export function writtenPerSecond({ readings }: History, address: string): number | null {
  const known = readings.filter(({ written }) => written.has(address));
  return over(known, ({ written }) => written.get(address) ?? 0);
}

function over(readings: Reading[], value: (reading: Reading) => number): number | null {
  const [first, last] = [readings[0], readings.at(-1)];
  return first === undefined || last === undefined || first === last ? null : perSecond(first, last, value);
}

const perSecond = (first: Reading, last: Reading, value: (reading: Reading) => number): number =>
  Math.max(0, ((value(last) - value(first)) * 1000) / Math.max(1, last.ms - first.ms));

/** All members but those that are gone, with what the gateway sees of them; then nodes that are seen and no members. */
export function rows(seen: Seen[], members: Member[], history: History): Row[] {
  const byAddress = new Map(seen.map((node) => [node.address.toLowerCase(), node]));
  const known = new Set(members.map(({ address }) => address.toLowerCase()));
  const strangers = seen.filter(({ address }) => !known.has(address.toLowerCase()));
  const listed = members.filter(({ status }) => status !== 'left');
  return [
    ...listed.map((member) => row(member.address, member, byAddress.get(member.address.toLowerCase()) ?? null, history)),
    ...strangers.map((node) => row(node.address, null, node, history)),
  ];
}

function row(address: string, member: Member | null, node: Seen | null, history: History): Row {
  const { state, tone } = standing(member, node);
  return {
    address,
    operator: member?.operator ?? node?.operator ?? '',
    state,
    tone,
    services: node?.services ?? [],
    requests: node?.requests ?? null,
    sequences: node?.sequences ?? null,
    tokensPerSecond: node === null ? null : writtenPerSecond(history, node.address),
    firstByteP50: node?.firstByte.p50 ?? null,
    firstByteP95: node?.firstByte.p95 ?? null,
    answered: node?.answered ?? null,
    failed: node?.failed ?? null,
    paid: node?.paid ?? null,
    silentSeconds: node?.silentSeconds ?? null,
  };
}

/** Why a member gets no requests, for who has to do something about it. */
const REASONS: Record<string, string> = {
  silence: 'suspended: silent',
  canaries: 'suspended: wrong answers',
  counts: 'suspended: miscounted',
};

/** How a node is, in words. */
export function standing(member: Member | null, node: Seen | null): { state: string; tone: Tone } {
  if (member?.status === 'suspended') return { state: REASONS[member.reason ?? ''] ?? `suspended: ${member.reason ?? 'unknown'}`, tone: 'bad' };
  if (member?.status === 'left') return { state: 'gone', tone: 'idle' };
  if (member?.status === 'probation') return { state: member.connected ? 'on probation' : 'on probation, away', tone: 'care' };
  if (node === null || !node.connected) return { state: 'away', tone: 'idle' };
  if (node.draining) return { state: 'leaving', tone: 'care' };
  if (node.health === 'open') return { state: 'left out', tone: 'bad' };
  if (node.health === 'trial') return { state: 'on trial', tone: 'care' };
  return { state: 'well', tone: 'good' };
}

/** What the table can be put in order by. */
export type Column = 'address' | 'state' | 'requests' | 'tokensPerSecond' | 'firstByteP50' | 'firstByteP95' | 'answered' | 'paid' | 'silentSeconds';

/** A copy in the order of a column; what is not known goes last, whichever way. */
export function sorted(rows: Row[], column: Column, down: boolean): Row[] {
  return [...rows].sort((one, other) => {
    const [a, b] = [one[column], other[column]];
    if (a === null || b === null) return Number(a === null) - Number(b === null) || tie(one, other);
    const order = typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b));
    return (down ? -order : order) || tie(one, other);
  });
}

const tie = (one: Row, other: Row) => one.address.localeCompare(other.address);

/** What was refused, in words. */
export const REFUSALS: Record<number, string> = {
  400: 'Made no sense',
  401: 'No good token',
  402: 'Too little credit',
  404: 'No such model or path',
  413: 'Too large',
  429: 'Too many at a time',
  500: 'The gateway failed',
  502: 'The nodes failed',
  503: 'No node, or no ledger',
};
