/**
 * Readings of the last minute, and what follows from them: speeds and times.
 *
 * Pure. Numbers of two lives of a worker are never subtracted from each other: when a count falls, the history begins
 * anew, and only the drawn curves stay.
 */
import { by, type Exposition, sum } from './exposition.ts';
import { type Quantiles, quantiles } from './quantile.ts';

/** One reading, and when it was. */
interface Reading {
  ms: number;
  counts: Exposition;
}

export interface History {
  readings: Reading[];
  writing: number[];
  reading: number[];
}

export const EMPTY: History = { readings: [], writing: [], reading: [] };

/** A tool of the node that was called. */
export interface ToolUse {
  name: string;
  calls: number;
  failures: number;
  msEach: number;
}

/** What there is to show. What the node does not count is null. */
export interface Figures {
  running: number | null;
  waiting: number | null;
  answered: number | null;
  refused: number | null;
  aborted: number | null;
  upSeconds: number | null;
  /** Pieces of answers a second, a token each or several where the model guesses ahead. */
  writing: number | null;
  /** Tokens of prompts a second, without what the cache held. */
  reading: number | null;
  /** Whether the times are those of the last minute; else, where that was quiet, of all since the start. */
  isLastMinute: boolean;
  firstToken: Quantiles;
  gap: Quantiles;
  kvCellsUsed: number | null;
  kvCells: number | null;
  hitShare: number | null;
  memory: { name: string; bytes: number }[];
  tools: ToolUse[];
}

const WINDOW_MS = 60_000;
const SPEED_WINDOW_MS = 6_000;
/** The points of a curve: the last minutes. */
export const POINTS_MAX = 120;
const READINGS_MAX = 128;

const FIRST_TOKEN = 'gaia_time_to_first_token_seconds';
const GAP = 'gaia_inter_token_latency_seconds';
const PROMPT_TOKENS = 'gaia_prompt_tokens_total';
const CACHED_TOKENS = 'gaia_prompt_tokens_cached_total';

/** The history with what was read now. */
export function grown(history: History, ms: number, counts: Exposition): History {
  const before = history.readings.at(-1);
  const goesOn = before !== undefined && !isAnotherLife(before.counts, counts);
  const recent = (goesOn ? history.readings : []).filter((reading) => ms - reading.ms <= WINDOW_MS);
  const readings = [...recent, { ms, counts }].slice(-READINGS_MAX);
  const point = (curve: number[], value: typeof written) =>
    [...curve, rate(readings.slice(-2), value) ?? 0].slice(-POINTS_MAX);
  return { readings, writing: point(history.writing, written), reading: point(history.reading, read) };
}

export function figures({ readings }: History): Figures | null {
  const last = readings.at(-1);
  if (last === undefined) return null;
  const first = readings[0]?.counts ?? last.counts;
  const now = last.counts;
  const recent = readings.filter(({ ms }) => last.ms - ms <= SPEED_WINDOW_MS);
  return {
    running: sum(now, 'gaia_requests_running'),
    waiting: sum(now, 'gaia_requests_waiting'),
    answered: sum(now, 'gaia_e2e_request_latency_seconds_count'),
    refused: added(sum(now, 'gaia_ingress_refused_total'), sum(now, 'gaia_refused_total')),
    aborted: sum(now, 'gaia_aborted_total'),
    upSeconds: sum(now, 'gaia_uptime_seconds'),
    writing: rate(recent, written),
    reading: rate(recent, read),
    ...times(first, now),
    kvCellsUsed: sum(now, 'gaia_kv_cells_used'),
    kvCells: sum(now, 'gaia_kv_cells'),
    hitShare: hitShare(now),
    memory: Array.from(by(now, 'gaia_process_resident_bytes', 'process'), ([name, bytes]) => ({ name, bytes })),
    tools: tools(now),
  };
}

function times(first: Exposition, now: Exposition) {
  const since = (before: Exposition) => ({ firstToken: quantiles(FIRST_TOKEN, before, now), gap: quantiles(GAP, before, now) });
  const minute = since(first);
  const isLastMinute = minute.firstToken.p50 !== null || minute.gap.p50 !== null;
  return { isLastMinute, ...(isLastMinute ? minute : since(new Map())) };
}

const isAnotherLife = (before: Exposition, now: Exposition) =>
  ['gaia_uptime_seconds', PROMPT_TOKENS].some((name) => (sum(now, name) ?? -1) < (sum(before, name) ?? -1));

/** Pieces are counted as they come; tokens only when their answer has ended. */
const written = (counts: Exposition) => (sum(counts, `${FIRST_TOKEN}_count`) ?? 0) + (sum(counts, `${GAP}_count`) ?? 0);

const read = (counts: Exposition) => (sum(counts, PROMPT_TOKENS) ?? 0) - (sum(counts, CACHED_TOKENS) ?? 0);

function rate(readings: Reading[], value: (counts: Exposition) => number): number | null {
  const [first, last] = [readings[0], readings.at(-1)];
  if (first === undefined || last === undefined || last.ms <= first.ms) return null;
  return Math.max(0, ((value(last.counts) - value(first.counts)) * 1000) / (last.ms - first.ms));
}

const added = (one: number | null, other: number | null) =>
  one === null && other === null ? null : (one ?? 0) + (other ?? 0);

function hitShare(counts: Exposition): number | null {
  const prompts = sum(counts, PROMPT_TOKENS) ?? 0;
  return prompts > 0 ? (sum(counts, CACHED_TOKENS) ?? 0) / prompts : null;
}

function tools(counts: Exposition): ToolUse[] {
  const failures = by(counts, 'gaia_tool_failures_total', 'tool');
  const seconds = by(counts, 'gaia_tool_seconds_total', 'tool');
  const uses = Array.from(by(counts, 'gaia_tool_calls_total', 'tool'), ([name, calls]) => ({
    name,
    calls,
    failures: failures.get(name) ?? 0,
    msEach: ((seconds.get(name) ?? 0) * 1000) / Math.max(1, calls),
  }));
  return uses.sort((one, other) => other.calls - one.calls);
}
