/** How the node's facts are written. */
import type { NodeInfo } from '../api/wire.ts';

/** A model's id without folders and file endings. */
export function modelName(info: NodeInfo): string {
  const id = info.chatModel ?? 'A model';
  return (id.split('/').at(-1) ?? id).replace(/\.gguf$/i, '');
}

/** The ends of an address, enough to compare with the eye. */
export const shortAddress = (address: string) =>
  address.length > 16 ? `${address.slice(0, 8)}…${address.slice(-6)}` : address;

/** Context sizes the way models are named: 8192 is 8K. */
export const tokensName = (tokens: number) =>
  tokens >= 1024 && tokens % 1024 === 0 ? `${tokens / 1024}K tokens` : `${tokens.toLocaleString('en')} tokens`;
