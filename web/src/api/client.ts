/**
 * Talks to the node or the domain this page came from. The only module that fetches.
 */
import { type Account, type Domain, readAccount, readCost, readDomain, readModels } from './domain.ts';
import { readEvent, type StreamEvent } from './events.ts';
import { type Failure, failureFromReply } from './failure.ts';
import { EventTooLongError, SseParser } from './sse.ts';
import { type NamedPrompt, type NodeInfo, readFirstModel, readInfo, readPrompts } from './wire.ts';

export type Reply<T> = { ok: true; value: T } | { ok: false; failure: Failure };

const headers = (key: string | null): Record<string, string> =>
  key === null ? {} : { authorization: `Bearer ${key}` };

/** What the node is, from `/v1/info`; from `/v1/models` where that route does not exist. */
export async function fetchInfo(key: string | null): Promise<Reply<NodeInfo>> {
  const info = await fetchJson('/v1/info', key);
  if (info.ok) {
    const value = readInfo(info.value);
    if (value.chatModel !== null) return { ok: true, value };
  } else if (info.failure.kind !== 'refused' && info.failure.kind !== 'broken') {
    return info;
  }
  const models = await fetchJson('/v1/models', key);
  if (!models.ok) return models;
  const known = readInfo(info.ok ? info.value : null);
  return { ok: true, value: { ...known, chatModel: readFirstModel(models.value) } };
}

/** The prompts that a question may name; none where the node has no such route. */
export async function fetchPrompts(key: string | null): Promise<NamedPrompt[]> {
  const prompts = await fetchJson('/v1/prompts', key);
  return prompts.ok ? readPrompts(prompts.value) : [];
}

/** Whether the node can answer. */
export async function fetchReady(key: string | null): Promise<Reply<unknown>> {
  return fetchJson('/ready', key);
}

/** What the node counts, in Prometheus' text format. */
export async function fetchMetrics(key: string | null): Promise<Reply<string>> {
  try {
    const response = await fetch('/metrics', { headers: headers(key) });
    if (response.ok) return { ok: true, value: await response.text() };
    const body: unknown = await response.json().catch(() => null);
    return { ok: false, failure: failureFromReply(response.status, body, response.headers.get('retry-after')) };
  } catch {
    return { ok: false, failure: { kind: 'unreachable' } };
  }
}

/** What a domain is and offers; it tells everybody. */
export async function fetchDomain(): Promise<Reply<Domain>> {
  return read(await fetchJson('/gaia/v1/domain', null), readDomain);
}

/** The models that a domain serves now. */
export async function fetchModels(key: string): Promise<Reply<string[]>> {
  return read(await fetchJson('/v1/models', key), readModels);
}

/** What a token can still spend. */
export async function fetchAccount(key: string): Promise<Reply<Account | null>> {
  return read(await fetchJson('/gaia/v1/account', key), readAccount);
}

/** What a request at a domain has cost; null while there is no receipt. */
export async function fetchCost(request: string): Promise<number | null> {
  const receipt = await fetchJson(`/gaia/v1/receipts/${request}`, null);
  return receipt.ok ? readCost(receipt.value) : null;
}

const read = <T>(reply: Reply<unknown>, reader: (value: unknown) => T): Reply<T> =>
  reply.ok ? { ok: true, value: reader(reply.value) } : reply;

export async function fetchJson(path: string, key: string | null): Promise<Reply<unknown>> {
  try {
    const response = await fetch(path, { headers: headers(key) });
    const body: unknown = await response.json().catch(() => null);
    if (response.ok) return { ok: true, value: body };
    return { ok: false, failure: failureFromReply(response.status, body, response.headers.get('retry-after')) };
  } catch {
    return { ok: false, failure: { kind: 'unreachable' } };
  }
}

/**
 * Sends a chat completion and gives its events as they come. Ends after a `failure` or `done`, and silently when
 * `signal` aborts: the one who aborted knows.
 */
export async function* streamChat(body: unknown, key: string | null, signal: AbortSignal): AsyncGenerator<StreamEvent> {
  let answering = false;
  try {
    const response = await fetch('/v1/chat/completions', {
      method: 'POST',
      headers: { ...headers(key), 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    });
    answering = response.ok;
    const id = response.headers.get('x-gaia-request-id');
    if (id !== null) yield { kind: 'request', id };
    if (!response.ok || response.body === null) {
      const reply: unknown = await response.json().catch(() => null);
      const failure = failureFromReply(response.status, reply, response.headers.get('retry-after'));
      yield { kind: 'failure', failure };
      return;
    }
    yield* readStream(response.body);
  } catch (error) {
    if (signal.aborted) return;
    yield { kind: 'failure', failure: failureFromThrow(error, answering) };
  }
}

function failureFromThrow(error: unknown, answering: boolean): Failure {
  if (error instanceof EventTooLongError) return { kind: 'garbled', detail: error.message };
  return { kind: answering ? 'cut-short' : 'unreachable' };
}

async function* readStream(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent> {
  const parser = new SseParser();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const events = (done ? parser.end() : parser.push(value)).flatMap(readEvent);
      for (const event of events) {
        yield event;
        if (event.kind === 'done' || event.kind === 'failure') return;
      }
      if (done) break;
    }
    yield { kind: 'failure', failure: { kind: 'cut-short' } };
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
