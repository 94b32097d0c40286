/** Times, sizes and counts for the small print. */

/** Below a second, tens of milliseconds: a finer number would change with every look. */
export const seconds = (ms: number): string =>
  ms < 950 ? `${Math.max(10, Math.round(ms / 10) * 10)} ms` : `${(ms / 1000).toFixed(1)} s`;

/** A time in seconds with two or three digits, down to a tenth of a millisecond. */
export function precise(time: number): string {
  if (time < 0.00995) return `${(time * 1000).toFixed(1)} ms`;
  if (time < 0.9995) return `${(time * 1000).toFixed(0)} ms`;
  return `${time.toFixed(time < 9.995 ? 2 : 0)} s`;
}

export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const kilobytes = bytes / 1000;
  if (kilobytes < 1000) return `${kilobytes.toFixed(kilobytes < 10 ? 1 : 0)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

/** How long something lasts, in its two largest units. */
export function duration(time: number): string {
  const units = [
    [86_400, 'd'],
    [3600, 'h'],
    [60, 'min'],
    [1, 's'],
  ] as const;
  let rest = Math.floor(time);
  const parts = units.map(([length, name]) => {
    const whole = Math.floor(rest / length);
    rest -= whole * length;
    return { whole, name };
  });
  const first = parts.findIndex(({ whole }) => whole > 0);
  if (first < 0) return '0 s';
  const shown = parts.slice(first, first + 2).filter(({ whole }) => whole > 0);
  return shown.map(({ whole, name }) => `${whole} ${name}`).join(' ');
}

export const count = (value: number): string => value.toLocaleString('en');

export const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** Something a second: one digit behind the point where there is only one before it. */
export const perSecond = (value: number): string => (value > 0 && value < 9.95 ? value.toFixed(1) : count(Math.round(value)));

/** Nano-dollars: cents where there are some, else the two digits that say something. */
export function dollars(nano: number): string {
  const value = nano / 1e9;
  if (nano === 0) return '$0';
  const cents = { minimumFractionDigits: 2, maximumFractionDigits: value < 0.0995 ? 3 : 2 };
  const digits = value < 0.00995 ? { maximumSignificantDigits: 2 } : cents;
  return `$${value.toLocaleString('en', digits)}`;
}

/** Nano-units of an asset, down to a millionth: less than that cannot be drawn. */
export const units = (nano: number): string =>
  nano > 0 && nano < 1000 ? '< 0.000001' : (nano / 1e9).toLocaleString('en', { maximumFractionDigits: 6 });

/** What is not known is a dash. */
export const orDash = <T>(value: T | null, written: (value: T) => string): string => (value === null ? '–' : written(value));
