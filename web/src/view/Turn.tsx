/** A question or an answer in the conversation. */
import { Component } from 'preact';
import { explain } from '../api/failure.ts';
import { type Answer, type Message, tokensPerSecond } from '../chat/conversation.ts';
import { askAgain, open } from '../chat/session.ts';
import { place } from '../place.ts';
import { splitThoughts } from '../markdown/thoughts.ts';
import { dollars, seconds } from './amounts.ts';
import { Calls } from './Calls.tsx';
import { CopyButton } from './CopyButton.tsx';
import { Again, Pencil, Warning } from './icons.tsx';
import { Markdown } from './Markdown.tsx';
import { Sources } from './Sources.tsx';

interface Props {
  message: Message;
  /** Whether nothing follows; only the last turn can be repeated or edited. */
  last: boolean;
  onEdit: () => void;
}

/** Drawn again only when its message changed: while an answer streams, the others stay as they are. */
export class Turn extends Component<Props> {
  override shouldComponentUpdate(next: Props) {
    return next.message !== this.props.message || next.last !== this.props.last;
  }

  override render() {
    const { message, last, onEdit } = this.props;
    if (message.role === 'assistant') return <AnswerView answer={message} last={last} onEdit={onEdit} />;
    return (
      <article class="question" aria-label="Your question">
        <p>{message.text}</p>
      </article>
    );
  }
}

function AnswerView({ answer, last, onEdit }: { answer: Answer; last: boolean; onEdit: () => void }) {
  const streaming = answer.state === 'streaming';
  const spoken = splitThoughts(answer.text);
  const thoughts = answer.thoughts || spoken.thoughts;
  return (
    <article class={`answer ${answer.state}`} aria-label="Answer" aria-busy={streaming}>
      {answer.warning !== null && (
        <p class="note">
          <Warning />
          <span>{answer.warning}</span>
        </p>
      )}
      {thoughts !== '' && (
        <details class="thoughts">
          <summary>{spoken.answer === '' && streaming ? 'Thinking…' : 'How it thought'}</summary>
          <Markdown source={thoughts} />
        </details>
      )}
      {answer.calls.length > 0 && <Calls calls={answer.calls} />}
      {spoken.answer === '' && streaming && thoughts === '' && <Waiting answer={answer} />}
      {spoken.answer !== '' && <Markdown source={spoken.answer} />}
      {answer.failure !== null && <FailureNote answer={answer} retry={last} />}
      {answer.citations !== null && answer.citations.length > 0 && <Sources citations={answer.citations} />}
      {!streaming && <SmallPrint answer={answer} text={spoken.answer} last={last} onEdit={onEdit} />}
    </article>
  );
}

function Waiting({ answer }: { answer: Answer }) {
  return (
    <p class="waiting">
      <span class="dots" aria-hidden="true">
        <i />
        <i />
        <i />
      </span>
      {doing(answer)}
    </p>
  );
}

function doing({ calls, citations }: Answer): string {
  const passages = citations?.length ?? 0;
  const called = calls.at(-1);
  if (called !== undefined) return `Reading what ${called.name} said`;
  return passages === 0 ? 'Reading the question' : `Reading ${passages} passage${passages === 1 ? '' : 's'}`;
}

function FailureNote({ answer, retry }: { answer: Answer; retry: boolean }) {
  if (answer.failure === null) return null;
  const { title, hint, retry: canHelp } = explain(answer.failure, place);
  return (
    <div class="failure" role="alert">
      <Warning />
      <div>
        <strong>{title}</strong>
        <p>{hint}</p>
      </div>
      {retry && canHelp && (
        <button type="button" class="outlined" onClick={askAgain}>
          Try again
        </button>
      )}
      {answer.failure.kind === 'too-long' && (
        <button type="button" class="outlined" onClick={() => open(null)}>
          New conversation
        </button>
      )}
    </div>
  );
}

function SmallPrint({ answer, text, last, onEdit }: { answer: Answer; text: string; last: boolean; onEdit: () => void }) {
  return (
    <footer class="small-print">
      <span class="actions">
        {text !== '' && <CopyButton text={text} label="Copy answer" />}
        {last && answer.failure === null && (
          <button type="button" class="quiet small" aria-label="Answer again" title="Answer again" onClick={askAgain}>
            <Again />
          </button>
        )}
        {last && (
          <button type="button" class="quiet small" aria-label="Edit question" title="Edit question" onClick={onEdit}>
            <Pencil />
          </button>
        )}
      </span>
      <span class="facts">
        {facts(answer).join(' · ')}
        {answer.cost !== null && answer.request !== null && (
          <>
            {' · '}
            <a href={`/gaia/v1/receipts/${answer.request}`} target="_blank" rel="noreferrer" title="The receipt">
              {dollars(answer.cost)}
            </a>
          </>
        )}
      </span>
    </footer>
  );
}

function facts(answer: Answer): string[] {
  const { firstTextMs, completionTokens } = answer.timing;
  const rate = tokensPerSecond(answer.timing);
  return [
    ...(answer.citations?.length === 0 ? ['no passage of the knowledge was near this question'] : []),
    ...(answer.state === 'stopped' ? ['Stopped'] : []),
    ...(answer.state === 'length' ? ['Cut at the token limit'] : []),
    ...(firstTextMs === null ? [] : [`first word after ${seconds(firstTextMs)}`]),
    ...(rate === null ? [] : [`${rate < 10 ? rate.toFixed(1) : Math.round(rate)} tokens/s`]),
    ...(completionTokens === null ? [] : [`${completionTokens} tokens`]),
  ];
}
