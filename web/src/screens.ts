/** Which of a domain's pages stands at a path. Pure. */

export type Screen = { kind: 'dashboard' } | { kind: 'earnings'; address: string | null };

/** null for the chat. */
export function screenAt(path: string): Screen | null {
  if (path === '/gaia/dashboard') return { kind: 'dashboard' };
  const [, address] = /^\/gaia\/earnings(?:\/(.*))?$/.exec(path) ?? [];
  if (address !== undefined) return { kind: 'earnings', address: readAddress(address) };
  return path === '/gaia/earnings' ? { kind: 'earnings', address: null } : null;
}

/** An address of an account, as people type it. */
export function readAddress(typed: string): string | null {
  const trimmed = typed.trim();
  return /^0x[0-9a-fA-F]{40}$/.test(trimmed) ? trimmed : null;
}
