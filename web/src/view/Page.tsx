/** The whole page: the conversations on one side, the talk on the other. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { explain } from '../api/failure.ts';
import {
  announcement,
  answering,
  askForKey,
  conversations,
  current,
  currentId,
  info,
  keyAsked,
  kept,
  node,
  open,
  statusShown,
  stopAnswering,
  takeBack,
} from '../chat/session.ts';
import { place } from '../place.ts';
import { ClearDialog } from './ClearDialog.tsx';
import { Composer } from './Composer.tsx';
import { ConversationView } from './Conversation.tsx';
import { DomainWelcome } from './DomainWelcome.tsx';
import { Close, Menu, Plus, Warning } from './icons.tsx';
import { KeyDialog } from './KeyDialog.tsx';
import { ModelChoice } from './ModelChoice.tsx';
import { modelName } from './names.ts';
import { SettingsDialog } from './SettingsDialog.tsx';
import { Sidebar } from './Sidebar.tsx';
import { Status } from './Status.tsx';
import { ThemeButton } from './ThemeButton.tsx';
import { Toast } from './Toast.tsx';
import { Welcome } from './Welcome.tsx';

export function Page() {
  const [draft, setDraft] = useState('');
  const [asks, setAsks] = useState<'nothing' | 'settings' | 'clear'>('nothing');
  const [menu, setMenu] = useState(false);
  const area = useRef<HTMLTextAreaElement>(null);
  const narrow = useNarrow();
  const conversation = current.value;
  const talking = conversation !== null && conversation.messages.length > 0;
  const status = statusShown.value;
  const title = status ? 'Status' : (conversation?.title ?? 'New conversation');

  useEffect(() => {
    document.title = conversation === null && !status ? 'Gaia' : `${title} · Gaia`;
  }, [title]);
  useEffect(() => {
    setMenu(false);
    if (!narrow) area.current?.focus();
  }, [currentId.value, status]);
  // What was pressed may be gone now; the composer is where to go on.
  useEffect(() => {
    if (!narrow && document.activeElement === document.body) area.current?.focus();
  }, [answering.value, conversations.value.length, keyAsked.value]);
  const leaveStatus = () => open(currentId.value);
  useEscape(() => (menu ? setMenu(false) : status ? leaveStatus() : stopAnswering()));

  const begin = () => {
    open(null);
    setMenu(false);
    area.current?.focus();
  };
  const edit = () => {
    setDraft(takeBack());
    area.current?.focus();
  };

  return (
    <div class={menu ? 'frame menu-open' : 'frame'}>
      <aside class="sidebar" aria-label={`Conversations and ${place}`} inert={narrow && !menu}>
        <Sidebar onClose={() => setMenu(false)} onClearAll={() => setAsks('clear')} onNew={begin} />
      </aside>
      <div class="shade" onClick={() => setMenu(false)} />
      <main class={talking || status ? 'talk' : 'talk fresh'} inert={narrow && menu}>
        <header class="bar">
          <button type="button" class="quiet only-narrow" aria-label="Open the menu" onClick={() => setMenu(true)}>
            <Menu />
          </button>
          <h1>{title}</h1>
          {place === 'domain' ? <ModelChoice /> : info.value !== null && <span class="model">{modelName(info.value)}</span>}
          <ThemeButton />
          {status ? (
            <button type="button" class="quiet" aria-label="Close the status" title="Back to the conversation" onClick={leaveStatus}>
              <Close />
            </button>
          ) : (
            <button type="button" class="quiet only-narrow" aria-label="New conversation" onClick={begin}>
              <Plus />
            </button>
          )}
        </header>
        {status ? (
          <Status />
        ) : (
          <>
            <Trouble />
            {talking ? <ConversationView key={conversation.id} conversation={conversation} onEdit={edit} /> : <Greeting />}
            <Composer draft={draft} onDraft={setDraft} onSettings={() => setAsks('settings')} area={area} />
            <p class="caution column">Models make mistakes. Check {place === 'domain' ? 'what matters' : 'the sources'}.</p>
          </>
        )}
      </main>
      <div class="unseen" role="status" aria-live="polite">
        {announcement.value}
      </div>
      <Toast />
      {asks === 'settings' && <SettingsDialog onClose={() => setAsks('nothing')} />}
      {asks === 'clear' && <ClearDialog onClose={() => setAsks('nothing')} />}
      {keyAsked.value !== null && <KeyDialog />}
    </div>
  );
}

const Greeting = place === 'domain' ? DomainWelcome : Welcome;

/** What keeps the page from working, said once: at the top, unless the last answer says it. */
function Trouble() {
  const state = node.value;
  const last = current.value?.messages.at(-1);
  const said = last?.role === 'assistant' && last.failure !== null;
  if (state.kind === 'failed' && !answering.value && !said) {
    const { title, hint } = explain(state.failure, place);
    return (
      <p class="note column" role="status">
        <Warning />
        <span>
          {title}. {hint}
        </span>
        {state.failure.kind === 'key-needed' && (
          <button type="button" class="outlined" onClick={() => askForKey()}>
            {place === 'domain' ? 'Enter a token' : 'Enter the key'}
          </button>
        )}
      </p>
    );
  }
  if (kept.value) return null;
  return (
    <p class="note column" role="status">
      <Warning />
      <span>This browser has no room to keep the conversation. It will be gone when you close the page.</span>
    </p>
  );
}

/** Escape, where no dialog takes it first. Heard from the moment on in which what it is about is seen. */
function useEscape(onEscape: () => void) {
  useLayoutEffect(() => {
    const listener = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && document.querySelector('dialog[open]') === null) onEscape();
    };
    addEventListener('keydown', listener);
    return () => removeEventListener('keydown', listener);
  });
}

/** The same width as in page.css. */
const NARROW = '(max-width: 52rem)';

function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(() => matchMedia(NARROW).matches);
  useEffect(() => {
    const query = matchMedia(NARROW);
    const listener = () => setNarrow(query.matches);
    query.addEventListener('change', listener);
    return () => query.removeEventListener('change', listener);
  }, []);
  return narrow;
}
