/** Times and sizes for the small print. */

/** Below a second, tens of milliseconds: a finer number would change with every look. */
export const seconds = (ms: number): string =>
  ms < 950 ? `${Math.max(10, Math.round(ms / 10) * 10)} ms` : `${(ms / 1000).toFixed(1)} s`;

export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const kilobytes = bytes / 1000;
  return kilobytes < 1000 ? `${kilobytes.toFixed(kilobytes < 10 ? 1 : 0)} kB` : `${(kilobytes / 1000).toFixed(1)} MB`;
}
