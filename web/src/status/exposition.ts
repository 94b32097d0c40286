/**
 * Prometheus' text format, as far as a node writes it.
 *
 * Pure, and forgiving: a line that is not understood is left out.
 */

interface Sample {
  labels: Map<string, string>;
  value: number;
}

/** All samples of one reading, by name. */
export type Exposition = Map<string, Sample[]>;

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

export function readExposition(text: string): Exposition {
  const samples: Exposition = new Map();
  for (const line of text.split('\n')) {
    const [, name, labels, value] = LINE.exec(line.trim()) ?? [];
    const number = readNumber(value);
    if (name === undefined || number === null) continue;
    const sample = { labels: readLabels(labels ?? ''), value: number };
    samples.set(name, [...(samples.get(name) ?? []), sample]);
  }
  return samples;
}

/** The sum of all values under `name`; null where there is no such name. */
export function sum(from: Exposition, name: string): number | null {
  const samples = from.get(name);
  return samples === undefined ? null : samples.reduce((total, { value }) => total + value, 0);
}

/** The values under `name` by their `label`. */
export function by(from: Exposition, name: string, label: string): Map<string, number> {
  const values = new Map<string, number>();
  for (const { labels, value } of from.get(name) ?? []) {
    const key = labels.get(label);
    if (key !== undefined) values.set(key, (values.get(key) ?? 0) + value);
  }
  return values;
}

function readLabels(text: string): Map<string, string> {
  const unescape = (value: string) => value.replace(/\\(.)/g, (_, letter: string) => (letter === 'n' ? '\n' : letter));
  return new Map(Array.from(text.matchAll(LABEL), ([, name, value]) => [name ?? '', unescape(value ?? '')]));
}

function readNumber(text: string | undefined): number | null {
  if (text === '+Inf') return Infinity;
  const value = text === undefined ? Number.NaN : Number(text);
  return Number.isNaN(value) ? null : value;
}
