/** The conversations kept in this browser, and what the node or the domain is. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Conversation } from '../chat/conversation.ts';
import { conversations, currentId, open, remove, rename, running, statusShown } from '../chat/session.ts';
import { place } from '../place.ts';
import { byDay } from './days.ts';
import { DomainCard } from './DomainCard.tsx';
import { Bin, Close, Mark, Pencil, Plus } from './icons.tsx';
import { NodeCard } from './NodeCard.tsx';

interface Props {
  onClose: () => void;
  onClearAll: () => void;
  onNew: () => void;
}

export function Sidebar({ onClose, onClearAll, onNew }: Props) {
  const all = conversations.value;
  return (
    <>
      <header class="brand">
        <a
          href="/"
          aria-label="Gaia, new conversation"
          onClick={(event) => {
            event.preventDefault();
            onNew();
          }}
        >
          <Mark />
          Gaia
        </a>
        <button type="button" class="quiet only-narrow" aria-label="Close the menu" onClick={onClose}>
          <Close />
        </button>
      </header>
      <button type="button" class="new" onClick={onNew}>
        <Plus />
        New conversation
      </button>
      <nav class="conversations" aria-label="Conversations">
        {byDay(all, Date.now()).map(({ day, conversations: those }) => (
          <section key={day}>
            <h2>{day}</h2>
            <ul>
              {those.map((conversation) => (
                <Entry key={conversation.id} conversation={conversation} onOpened={onClose} />
              ))}
            </ul>
          </section>
        ))}
        {all.length > 0 && (
          <button type="button" class="quiet clear" onClick={onClearAll}>
            Delete all
          </button>
        )}
      </nav>
      {place === 'domain' ? <DomainCard /> : <NodeCard onOpened={onClose} />}
    </>
  );
}

function Entry({ conversation, onOpened }: { conversation: Conversation; onOpened: () => void }) {
  const [renaming, setRenaming] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const renamed = useRef(false);
  const { id, title } = conversation;
  useEffect(() => {
    if (!renaming && renamed.current) button.current?.focus();
    renamed.current = renaming;
  }, [renaming]);
  const here = currentId.value === id && !statusShown.value;
  if (renaming) {
    return (
      <li class="entry">
        <TitleField conversation={conversation} onDone={() => setRenaming(false)} />
      </li>
    );
  }
  return (
    <li class={here ? 'entry here' : 'entry'}>
      <button
        ref={button}
        type="button"
        class="title"
        title={title}
        aria-current={here ? 'page' : undefined}
        onClick={() => {
          open(id);
          onOpened();
        }}
      >
        {title}
        {id in running.value && <span class="lamp busy" role="img" aria-label="answering" />}
      </button>
      <span class="actions">
        <button type="button" class="quiet small" aria-label={`Rename “${title}”`} title="Rename" onClick={() => setRenaming(true)}>
          <Pencil />
        </button>
        <button type="button" class="quiet small" aria-label={`Delete “${title}”`} title="Delete" onClick={() => remove(id)}>
          <Bin />
        </button>
      </span>
    </li>
  );
}

function TitleField({ conversation, onDone }: { conversation: Conversation; onDone: () => void }) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.select(), []);
  const done = (keep: boolean) => {
    if (keep && field.current) rename(conversation.id, field.current.value);
    onDone();
  };
  return (
    <input
      ref={field}
      class="title"
      aria-label="Title"
      defaultValue={conversation.title}
      onBlur={() => done(true)}
      onKeyDown={(event) => {
        if (event.key === 'Enter') done(true);
        if (event.key !== 'Escape') return;
        event.stopPropagation();
        done(false);
      }}
    />
  );
}
