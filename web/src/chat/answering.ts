/**
 * One answer growing from the events of its stream.
 *
 * Pure: the answer so far, an event and the time since the question in, the answer after it out.
 */
import type { StreamEvent } from '../api/events.ts';
import type { Answer } from './conversation.ts';

export function grow(answer: Answer, event: StreamEvent, elapsedMs: number): Answer {
  switch (event.kind) {
    case 'request':
      return { ...answer, request: event.id };
    case 'passages':
      return { ...answer, citations: event.citations };
    case 'warning':
      return { ...answer, warning: event.message };
    case 'thought':
      return { ...answer, thoughts: answer.thoughts + event.text, timing: at(answer, elapsedMs) };
    case 'text':
      return { ...answer, text: answer.text + event.text, timing: at(answer, elapsedMs) };
    case 'called':
      return { ...answer, calls: [...answer.calls, event.call] };
    case 'finish':
      return { ...answer, state: event.reason === 'length' ? 'length' : 'complete' };
    case 'usage': {
      const { completionTokens, promptTokens } = event.usage;
      return { ...answer, timing: { ...answer.timing, completionTokens, promptTokens } };
    }
    case 'failure':
      return { ...answer, state: 'failed', failure: event.failure };
    case 'done':
      return answer.state === 'streaming' ? { ...answer, state: 'complete' } : answer;
  }
}

/** The person pressed stop. */
export const stop = (answer: Answer): Answer =>
  answer.state === 'streaming' ? { ...answer, state: 'stopped' } : answer;

const at = (answer: Answer, elapsedMs: number) => ({
  ...answer.timing,
  firstTextMs: answer.timing.firstTextMs ?? elapsedMs,
  lastTextMs: elapsedMs,
});
