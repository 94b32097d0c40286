/** What stands there before the first question. */
import { plural } from '../api/failure.ts';
import { ask, info } from '../chat/session.ts';
import { modelName } from './names.ts';

/** Questions the handbook that comes with a node answers. */
const EXAMPLES = [
  { title: 'Knowledge', question: 'How do I add my own files to the knowledge base?' },
  { title: 'Models', question: 'How do I change to a larger chat model?' },
  { title: 'Your own programs', question: 'How do I use the node from Python?' },
  { title: 'Privacy', question: 'Are my questions sent to a cloud service?' },
];

export function Welcome() {
  const node = info.value;
  return (
    <div class="scroller">
      <section class="welcome column" aria-labelledby="welcome">
        <h2 id="welcome">What would you like to know?</h2>
        <p class="lead">
          {node === null ? 'An open model, with its owner’s knowledge.' : <Introduction />} Conversations stay in this
          browser.
        </p>
        <ul class="examples">
          {EXAMPLES.map(({ title, question }) => (
            <li key={title}>
              <button type="button" disabled={node === null} onClick={() => ask(question)}>
                <strong>{title}</strong>
                <span>{question}</span>
              </button>
            </li>
          ))}
        </ul>
      </section>
    </div>
  );
}

function Introduction() {
  const node = info.value;
  if (node === null) return null;
  const knows = node.passages !== null && node.passages > 0;
  return (
    <>
      <b>{modelName(node)}</b> answers here
      {knows ? `, with ${plural(node.passages ?? 0, 'passage')} of knowledge to draw on.` : ', from what it was trained on.'}
    </>
  );
}
