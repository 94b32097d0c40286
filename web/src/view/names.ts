/** How the node's facts are written. */
import type { NodeInfo } from '../api/wire.ts';

/** A model's id without folders and file endings. */
export function modelName(info: NodeInfo): string {
  const id = info.chatModel ?? 'A model';
  return (id.split('/').at(-1) ?? id).replace(/\.gguf$/i, '');
}

/** A name at a domain: of a knowledge base that is named by its digest, only the beginning. */
export const shortDigest = (name: string) => name.replace(/(^|@)(0x[0-9a-f]{6})[0-9a-f]{58}$/i, '$1$2…');

/** The ends of an address, enough to compare with the eye. */
export const shortAddress = (address: string) =>
  address.length > 16 ? `${address.slice(0, 8)}…${address.slice(-6)}` : address;

/** Context sizes the way models are named: 8192 is 8K. */
export const tokensName = (tokens: number) =>
  tokens >= 1024 && tokens % 1024 === 0 ? `${tokens / 1024}K tokens` : `${tokens.toLocaleString('en')} tokens`;
