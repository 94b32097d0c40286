/**
 * Quantiles out of the buckets of a histogram. Within a bucket values are taken to lie evenly, as Prometheus does;
 * beyond the last bucket with an end nothing is known but that end.
 */
import { by, type Exposition } from './exposition.ts';

export interface Quantiles {
  p50: number | null;
  p95: number | null;
}

interface Bucket {
  end: number;
  /** How many values are at or below the end. */
  count: number;
}

/** Those of what the histogram `name` counted between `before` and `now`. */
export function quantiles(name: string, before: Exposition, now: Exposition): Quantiles {
  const earlier = new Map(buckets(name, before).map(({ end, count }) => [end, count]));
  const counted = buckets(name, now).map(({ end, count }) => ({ end, count: Math.max(0, count - (earlier.get(end) ?? 0)) }));
  return { p50: quantile(counted, 0.5), p95: quantile(counted, 0.95) };
}

function buckets(name: string, from: Exposition): Bucket[] {
  const counts = Array.from(by(from, `${name}_bucket`, 'le'), ([end, count]) => ({
    end: end === '+Inf' ? Infinity : Number(end),
    count,
  }));
  return counts.sort((one, other) => one.end - other.end);
}

function quantile(counted: Bucket[], share: number): number | null {
  const all = counted.at(-1)?.count ?? 0;
  if (all <= 0) return null;
  const rank = share * all;
  let below: Bucket = { end: 0, count: 0 };
  for (const bucket of counted) {
    if (bucket.count >= rank && bucket.count > below.count) {
      if (bucket.end === Infinity) return below.end;
      return below.end + ((bucket.end - below.end) * (rank - below.count)) / (bucket.count - below.count);
    }
    below = bucket;
  }
  return null;
}
