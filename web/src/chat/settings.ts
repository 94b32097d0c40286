/**
 * What a person may set for their questions. null leaves the choice to the node.
 *
 * Pure: reads what was stored or typed, and never gives a value outside its range.
 */
import { type NamedPrompt, number, object } from '../api/wire.ts';

export interface Settings {
  systemPrompt: string;
  /** The node's named prompt; empty leaves the choice to the node. */
  prompt: string;
  temperature: number | null;
  topP: number | null;
  tokensMax: number | null;
  seed: number | null;
}

export interface Range {
  min: number;
  max: number;
  integer: boolean;
}

export const SYSTEM_PROMPT_CHARS_MAX = 20_000;
const PROMPT_CHARS_MAX = 64;

export const RANGES: Record<Exclude<keyof Settings, 'systemPrompt' | 'prompt'>, Range> = {
  temperature: { min: 0, max: 2, integer: false },
  topP: { min: 0, max: 1, integer: false },
  tokensMax: { min: 1, max: 131_072, integer: true },
  seed: { min: 0, max: 2_147_483_647, integer: true },
};

export const DEFAULTS: Settings = { systemPrompt: '', prompt: '', temperature: null, topP: null, tokensMax: null, seed: null };

/** The nearest allowed value; null for nothing, or for what is no number. */
export function within(range: Range, value: unknown): number | null {
  const typed = typeof value === 'string' && value.trim() !== '' ? Number(value.replace(',', '.')) : value;
  const wanted = number(typed);
  if (wanted === null) return null;
  const clamped = Math.min(range.max, Math.max(range.min, wanted));
  return range.integer ? Math.round(clamped) : clamped;
}

export function readSettings(stored: unknown): Settings {
  const fields = object(stored);
  const chars = (value: unknown, max: number) => (typeof value === 'string' ? value.slice(0, max) : '');
  return {
    systemPrompt: chars(fields['systemPrompt'], SYSTEM_PROMPT_CHARS_MAX),
    prompt: chars(fields['prompt'], PROMPT_CHARS_MAX),
    temperature: within(RANGES.temperature, fields['temperature']),
    topP: within(RANGES.topP, fields['topP']),
    tokensMax: within(RANGES.tokensMax, fields['tokensMax']),
    seed: within(RANGES.seed, fields['seed']),
  };
}

/** The settings without a prompt that the node does not have any more. */
export const known = (settings: Settings, prompts: NamedPrompt[]): Settings =>
  prompts.some(({ name }) => name === settings.prompt) ? settings : { ...settings, prompt: '' };

export const isDefault = (settings: Settings) =>
  Object.values(settings).every((value) => value === null || (typeof value === 'string' && value.trim() === ''));
