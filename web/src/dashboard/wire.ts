/**
 * What a gateway tells its operator, as types.
 *
 * Pure. Names, models and reasons come from nodes: they are text, and stay text.
 */
import { list, number, object, text } from '../api/wire.ts';

export interface Quantiles {
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

/** A node as the gateway's balancer sees it. Times in milliseconds, money in nano-dollars. */
export interface Seen {
  address: string;
  operator: string;
  services: string[];
  health: string;
  connected: boolean;
  draining: boolean;
  silentSeconds: number | null;
  requests: number;
  sequences: number;
  answered: number;
  failed: number;
  paid: number;
  /** Tokens that it has written. */
  written: number;
  firstByte: Quantiles;
}

/** A member as the domain has it. */
export interface Member {
  address: string;
  operator: string;
  status: string;
  reason: string | null;
  connected: boolean;
}

/** What was earned in an epoch that is not closed. */
export interface Income {
  epoch: number;
  role: string;
  parties: number;
  nanoUsd: number;
}

export interface GatewayStatus {
  upSeconds: number;
  requests: number;
  running: number;
  waiting: number;
  captured: number;
  refused: { status: number; count: number }[];
  failedAtNodes: number;
  retries: number;
  ejections: number;
  earned: number;
  read: number;
  cached: number;
  written: number;
  firstByte: Quantiles;
  duration: Quantiles;
  income: Income[];
  notices: { about: string; text: string }[];
  nodesKnown: number;
  nodesServing: number;
  hasMore: boolean;
  nodes: Seen[];
}

export interface Members {
  members: Member[];
  hasMore: boolean;
}

export interface Chain {
  isFollowed: boolean;
  creditedThrough: number | null;
  head: number | null;
  epoch: number | null;
  proposals: { id: string; state: string }[];
  waiting: string[];
}

const count = (value: unknown): number => number(value) ?? 0;

function readQuantiles(value: unknown): Quantiles {
  const fields = object(value);
  return { p50: number(fields['p50']), p95: number(fields['p95']), p99: number(fields['p99']) };
}

/** Reads `GET /gaia/v1/status`. */
export function readStatus(value: unknown): GatewayStatus {
  const fields = object(value);
  const tokens = object(fields['tokens']);
  const nodes = list(fields['nodes']).flatMap(readSeen);
  return {
    upSeconds: count(fields['upSeconds']),
    requests: count(fields['requests']),
    running: count(fields['running']),
    waiting: count(fields['waiting']),
    captured: count(fields['captured']),
    refused: Object.entries(object(fields['refused'])).map(([status, times]) => ({ status: Number(status), count: count(times) })),
    failedAtNodes: count(fields['failedAtNodes']),
    retries: count(fields['retries']),
    ejections: count(fields['ejections']),
    earned: count(fields['incomeNanoUsd']),
    read: count(tokens['input']),
    cached: count(tokens['cached']),
    written: count(tokens['output']),
    firstByte: readQuantiles(fields['firstByteMs']),
    duration: readQuantiles(fields['durationMs']),
    income: list(fields['income']).map(readIncome),
    notices: list(fields['notices']).flatMap(readNotice),
    nodesKnown: number(fields['nodesKnown']) ?? nodes.length,
    nodesServing: count(fields['nodesServing']),
    hasMore: fields['hasMoreNodes'] === true,
    nodes,
  };
}

function readSeen(value: unknown): Seen[] {
  const fields = object(value);
  const address = text(fields['node']);
  if (address === null) return [];
  return [
    {
      address,
      operator: text(fields['operator']) ?? '',
      services: list(fields['services']).flatMap((service) => text(service) ?? []),
      health: text(fields['health']) ?? '',
      connected: fields['connected'] === true,
      draining: fields['draining'] === true,
      silentSeconds: number(fields['silentSeconds']),
      requests: count(fields['requests']),
      sequences: count(fields['sequences']),
      answered: count(fields['answered']),
      failed: count(fields['failed']),
      paid: count(fields['paidNanoUsd']),
      written: count(object(fields['tokens'])['output']),
      firstByte: readQuantiles(fields['firstByteMs']),
    },
  ];
}

function readIncome(value: unknown): Income {
  const fields = object(value);
  return {
    epoch: count(fields['epoch']),
    role: text(fields['role']) ?? '',
    parties: count(fields['parties']),
    nanoUsd: count(fields['nanoUsd']),
  };
}

function readNotice(value: unknown): { about: string; text: string }[] {
  const fields = object(value);
  const said = text(fields['text']);
  return said === null ? [] : [{ about: text(fields['about']) ?? '', text: said }];
}

/** Reads `GET /gaia/v1/nodes`. */
export function readMembers(value: unknown): Members {
  const fields = object(value);
  const members = list(fields['nodes']).flatMap((entry) => {
    const member = object(entry);
    const address = text(member['node']);
    if (address === null) return [];
    return [
      {
        address,
        operator: text(member['operator']) ?? '',
        status: text(member['status']) ?? '',
        reason: text(member['reason']),
        connected: member['connected'] === true,
      },
    ];
  });
  return { members, hasMore: fields['has_more'] === true };
}

/** Reads `GET /gaia/v1/chain`. */
export function readChain(value: unknown): Chain {
  const fields = object(value);
  return {
    isFollowed: fields['isFollowed'] === true,
    creditedThrough: number(fields['creditedThrough']),
    head: number(fields['head']),
    epoch: number(fields['epoch']),
    proposals: list(fields['proposals']).flatMap((entry) => {
      const id = text(object(entry)['id']);
      return id === null ? [] : [{ id, state: text(object(entry)['state']) ?? '' }];
    }),
    waiting: list(fields['waiting']).flatMap((sentence) => text(sentence) ?? []),
  };
}
