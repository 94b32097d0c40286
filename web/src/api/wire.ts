/**
 * What the node says, as types, and the readers that turn foreign JSON into them.
 *
 * Everything that comes over the wire is checked here once; the rest of the page trusts these types.
 */

/** A passage the answer was given to read. */
export interface Citation {
  document: string;
  chunk: number;
  heading: string[];
  /** Cosine similarity with the question, 0 to 1 for what passes a threshold. */
  /** null for what was not found by similarity. */
  score: number | null;
  /** Range in the document, in characters. */
  start: number;
  end: number;
  text: string;
}

/** A tool that the node called by itself. */
export interface ToolCall {
  name: string;
  /** What it was called with, as JSON. */
  arguments: string;
  failed: boolean;
  ms: number;
  /** How long the tool's reply was. */
  bytes: number;
}

export interface Usage {
  promptTokens: number;
  completionTokens: number;
  cachedTokens: number;
}

/** What the node tells about itself. Anything it keeps to itself is null. */
export interface NodeInfo {
  id: string | null;
  name: string | null;
  version: string | null;
  chatModel: string | null;
  contextTokens: number | null;
  embeddingModel: string | null;
  collection: string | null;
  passages: number | null;
}

/** A prompt that the node's owner keeps under a name. */
export interface NamedPrompt {
  name: string;
  description: string;
}

type Json = Record<string, unknown>;

export const object = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
export const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
export const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);
export const number = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) ? value : null;

/** Keeps the passages that have a text; the rest of their fields may be missing. */
export function readCitations(value: unknown): Citation[] {
  return list(value).flatMap((entry) => {
    const fields = object(entry);
    const passage = text(fields['text']);
    if (passage === null) return [];
    return {
      document: text(fields['document']) ?? 'Untitled',
      chunk: number(fields['chunk']) ?? 0,
      heading: list(fields['heading']).flatMap((part) => text(part) ?? []),
      score: number(fields['score']),
      start: number(fields['start']) ?? 0,
      end: number(fields['end']) ?? 0,
      text: passage,
    };
  });
}

/** null for what has no name. */
export function readCall(value: unknown): ToolCall | null {
  const fields = object(value);
  const name = text(fields['name']);
  if (name === null) return null;
  return {
    name,
    arguments: text(fields['arguments']) ?? '{}',
    failed: fields['failed'] === true || fields['status'] === 'failed',
    ms: number(fields['ms']) ?? 0,
    bytes: number(fields['bytes']) ?? 0,
  };
}

export function readUsage(value: unknown): Usage | null {
  const usage = object(value);
  const completionTokens = number(usage['completion_tokens']);
  if (completionTokens === null) return null;
  const details = object(usage['prompt_tokens_details']);
  return {
    completionTokens,
    promptTokens: number(usage['prompt_tokens']) ?? 0,
    cachedTokens: number(details['cached_tokens']) ?? 0,
  };
}

/** Reads `GET /v1/info`. */
export function readInfo(value: unknown): NodeInfo {
  const info = object(value);
  const models = object(info['models']);
  const chat = object(models['chat']);
  const knowledge = object(info['knowledge']);
  return {
    id: text(info['node_id']),
    name: text(info['node_name']),
    version: text(info['version']),
    chatModel: text(chat['id']),
    contextTokens: number(chat['context']),
    embeddingModel: text(object(models['embedding'])['id']),
    collection: text(knowledge['collection']),
    passages: number(knowledge['points']),
  };
}

/** Reads `GET /v1/prompts`: each name once, with the first description it has. */
export function readPrompts(value: unknown): NamedPrompt[] {
  const described = new Map<string, string>();
  for (const entry of list(object(value)['data'])) {
    const name = text(object(entry)['name']);
    if (name === null) continue;
    described.set(name, described.get(name) || (text(object(entry)['description']) ?? ''));
  }
  return Array.from(described, ([name, description]) => ({ name, description }));
}

/** The name of the first model of `GET /v1/models`, for nodes that have no `/v1/info`. */
export function readFirstModel(value: unknown): string | null {
  return text(object(list(object(value)['data'])[0])['id']);
}
