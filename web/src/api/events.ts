/**
 * Chunks of a streamed chat completion, as the few things the page cares about.
 *
 * Pure: the `data` of one server-sent event in, zero or more happenings out.
 */
import { type Citation, list, object, readCall, readCitations, readUsage, text, type ToolCall, type Usage } from './wire.ts';
import { type Failure, failureFromBody } from './failure.ts';

export type StreamEvent =
  /** How a domain's gateway names the request; its receipt is found by it. */
  | { kind: 'request'; id: string }
  /** What the knowledge base held; an empty list where it was asked and held nothing near the question. */
  | { kind: 'passages'; citations: Citation[] }
  | { kind: 'warning'; message: string }
  | { kind: 'text'; text: string }
  | { kind: 'thought'; text: string }
  /** The node called a tool of its own; the answer goes on. */
  | { kind: 'called'; call: ToolCall }
  | { kind: 'finish'; reason: string }
  | { kind: 'usage'; usage: Usage }
  | { kind: 'failure'; failure: Failure }
  | { kind: 'done' };

export function readEvent(data: string): StreamEvent[] {
  if (data.trim() === '[DONE]') return [{ kind: 'done' }];
  let chunk: Record<string, unknown>;
  try {
    chunk = object(JSON.parse(data));
  } catch {
    return [{ kind: 'failure', failure: { kind: 'garbled', detail: data.slice(0, 200) } }];
  }
  if (chunk['error'] !== undefined && chunk['error'] !== null) {
    return [{ kind: 'failure', failure: failureFromBody(chunk) }];
  }
  return [...readChoice(object(list(chunk['choices'])[0])), ...readRest(chunk)];
}

function readChoice(choice: Record<string, unknown>): StreamEvent[] {
  const delta = object(choice['delta']);
  const events: StreamEvent[] = [];
  const thought = text(delta['reasoning_content']);
  const content = text(delta['content']);
  const reason = text(choice['finish_reason']);
  if (Array.isArray(delta['citations'])) events.push({ kind: 'passages', citations: readCitations(delta['citations']) });
  if (thought !== null) events.push({ kind: 'thought', text: thought });
  if (content !== null) events.push({ kind: 'text', text: content });
  if (reason !== null) events.push({ kind: 'finish', reason });
  return events;
}

function readRest(chunk: Record<string, unknown>): StreamEvent[] {
  const warning = text(chunk['warning']);
  const usage = readUsage(chunk['usage']);
  const call = readCall(chunk['gaia_tool']);
  const events: StreamEvent[] = [];
  if (warning !== null) events.push({ kind: 'warning', message: warning });
  if (call !== null) events.push({ kind: 'called', call });
  if (usage !== null) events.push({ kind: 'usage', usage });
  return events;
}
