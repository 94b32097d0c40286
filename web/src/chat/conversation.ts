/**
 * Conversations as values, and what of them is sent to the node.
 *
 * Pure. Invariant: a conversation alternates between the person and the node, and begins with the person.
 */
import type { Failure } from '../api/failure.ts';
import type { Citation, ToolCall } from '../api/wire.ts';
import { splitThoughts } from '../markdown/thoughts.ts';
import type { Settings } from './settings.ts';

export type AnswerState = 'streaming' | 'complete' | 'stopped' | 'length' | 'failed';

/** How an answer went, for the small print. Times in milliseconds since the question was sent. */
export interface Timing {
  firstTextMs: number | null;
  lastTextMs: number | null;
  completionTokens: number | null;
  promptTokens: number | null;
}

export interface Question {
  role: 'user';
  text: string;
}

export interface Answer {
  role: 'assistant';
  text: string;
  thoughts: string;
  state: AnswerState;
  /** The tools that the node called for it, in their order. */
  calls: ToolCall[];
  /** null where the knowledge base was not asked. */
  citations: Citation[] | null;
  warning: string | null;
  failure: Failure | null;
  timing: Timing;
  /** At a domain: how its gateway names the request. */
  request: string | null;
  /** At a domain: nano-dollars that it cost, by its receipt. */
  cost: number | null;
}

export type Message = Question | Answer;

export interface Conversation {
  id: string;
  title: string;
  /** Whether a person gave the title; only then it survives a new first question. */
  named: boolean;
  createdAt: number;
  updatedAt: number;
  messages: Message[];
}

export const TITLE_CHARS_MAX = 80;
export const MESSAGES_MAX = 400;

export const emptyAnswer = (): Answer => ({
  role: 'assistant',
  text: '',
  thoughts: '',
  state: 'streaming',
  calls: [],
  citations: null,
  warning: null,
  failure: null,
  timing: { firstTextMs: null, lastTextMs: null, completionTokens: null, promptTokens: null },
  request: null,
  cost: null,
});

export const newConversation = (id: string, now: number): Conversation => ({
  id,
  title: 'New conversation',
  named: false,
  createdAt: now,
  updatedAt: now,
  messages: [],
});

/** The first line of a question, cut at a word. */
export function titleFrom(question: string): string {
  const line = question.trim().split('\n')[0]?.replace(/\s+/g, ' ') ?? '';
  if (line.length <= TITLE_CHARS_MAX) return line || 'New conversation';
  const cut = line.slice(0, TITLE_CHARS_MAX - 1);
  const space = cut.lastIndexOf(' ');
  return `${(space > TITLE_CHARS_MAX / 2 ? cut.slice(0, space) : cut).trimEnd()}…`;
}

/** Adds a question and the empty answer to it. The oldest turns go when MESSAGES_MAX is reached. */
export function ask(conversation: Conversation, question: string, now: number): Conversation {
  const first = conversation.messages.length === 0;
  const messages = [...conversation.messages, { role: 'user', text: question } as Question, emptyAnswer()];
  return {
    ...conversation,
    title: first && !conversation.named ? titleFrom(question) : conversation.title,
    updatedAt: now,
    messages: messages.slice(-MESSAGES_MAX),
  };
}

/** Empties the last answer so that it can be given again. */
export function askAgain(conversation: Conversation, now: number): Conversation {
  const last = conversation.messages.at(-1);
  if (last?.role !== 'assistant') return conversation;
  return { ...conversation, updatedAt: now, messages: [...conversation.messages.slice(0, -1), emptyAnswer()] };
}

/** Takes the last question with its answer back; gives the question's text too. */
export function takeBack(conversation: Conversation): { conversation: Conversation; question: string } {
  const question = conversation.messages.at(-2);
  if (question?.role !== 'user') return { conversation, question: '' };
  return { conversation: { ...conversation, messages: conversation.messages.slice(0, -2) }, question: question.text };
}

export function rename(conversation: Conversation, title: string): Conversation {
  const trimmed = title.trim().slice(0, TITLE_CHARS_MAX);
  return trimmed === '' ? conversation : { ...conversation, title: trimmed, named: true };
}

/** Replaces the last answer. */
export function withAnswer(conversation: Conversation, answer: Answer): Conversation {
  return { ...conversation, messages: [...conversation.messages.slice(0, -1), answer] };
}

/** An answer that was streaming when the page closed did not finish. */
export function settled(conversation: Conversation): Conversation {
  const last = conversation.messages.at(-1);
  if (last?.role !== 'assistant' || last.state !== 'streaming') return conversation;
  return withAnswer(conversation, { ...last, state: 'stopped' });
}

/** The body of the chat completion that answers the last question. Turns without an answer are left out. */
export function requestBody(conversation: Conversation, settings: Settings, model: string | null) {
  const messages: { role: string; content: string }[] = [];
  if (settings.systemPrompt.trim() !== '') messages.push({ role: 'system', content: settings.systemPrompt.trim() });
  const turns = conversation.messages;
  turns.forEach((message, at) => {
    if (message.role !== 'user') return;
    const answer = turns[at + 1];
    const reply = answer?.role === 'assistant' ? splitThoughts(answer.text).answer.trim() : '';
    const last = at >= turns.length - 2;
    if (reply === '' && !last) return;
    messages.push({ role: 'user', content: message.text });
    if (!last) messages.push({ role: 'assistant', content: reply });
  });
  return {
    ...(model === null ? {} : { model }),
    messages,
    stream: true,
    stream_options: { include_usage: true },
    ...(settings.prompt === '' ? {} : { metadata: { prompt: settings.prompt } }),
    ...(settings.temperature === null ? {} : { temperature: settings.temperature }),
    ...(settings.topP === null ? {} : { top_p: settings.topP }),
    ...(settings.tokensMax === null ? {} : { max_completion_tokens: settings.tokensMax }),
    ...(settings.seed === null ? {} : { seed: settings.seed }),
  };
}

/** Tokens a second after the first one, or null where the node sent too little to tell. */
export function tokensPerSecond(timing: Timing): number | null {
  const { firstTextMs, lastTextMs, completionTokens } = timing;
  if (firstTextMs === null || lastTextMs === null || completionTokens === null) return null;
  if (completionTokens < 2 || lastTextMs <= firstTextMs) return null;
  return ((completionTokens - 1) * 1000) / (lastTextMs - firstTextMs);
}
