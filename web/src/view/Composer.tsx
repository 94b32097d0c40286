/** Where a question is typed. Enter sends, Shift+Enter breaks the line, Escape stops the answer. */
import type { RefObject } from 'preact';
import { useLayoutEffect } from 'preact/hooks';
import { answering, ask, askForKey, stopAnswering, tokenMissing } from '../chat/session.ts';
import { settings } from '../chat/preferences.ts';
import { isDefault } from '../chat/settings.ts';
import { Send, Sliders, Stop } from './icons.tsx';

interface Props {
  draft: string;
  onDraft: (draft: string) => void;
  onSettings: () => void;
  area: RefObject<HTMLTextAreaElement | null>;
}

/** Far more than any context takes, far less than the node's body limit. */
const QUESTION_CHARS_MAX = 200_000;

export function Composer({ draft, onDraft, onSettings, area }: Props) {
  const busy = answering.value;
  const empty = draft.trim() === '';
  useLayoutEffect(() => fit(area.current), [draft]);

  const send = () => {
    if (busy || empty) return;
    if (tokenMissing.value) return askForKey(sendNow);
    sendNow();
  };
  const sendNow = () => {
    ask(draft.trim());
    onDraft('');
    area.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  };

  return (
    <form
      class="composer column"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <div class="box">
        <textarea
          ref={area}
          rows={1}
          aria-label="Your question"
          placeholder="Ask something…"
          maxLength={QUESTION_CHARS_MAX}
          enterkeyhint="send"
          value={draft}
          onInput={(event) => onDraft(event.currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        <div class="tools">
          <button type="button" class={isDefault(settings.value) ? 'quiet' : 'quiet marked'} onClick={onSettings}>
            <Sliders />
            <span>Settings</span>
          </button>
          <span class="keys" aria-hidden="true">
            {busy ? (
              <>
                <kbd>Esc</kbd> to stop
              </>
            ) : (
              <>
                <kbd>Shift</kbd> <kbd>Enter</kbd> for a new line
              </>
            )}
          </span>
          {busy ? (
            <button type="button" class="round" aria-label="Stop answering" title="Stop (Esc)" onClick={stopAnswering}>
              <Stop />
            </button>
          ) : (
            <button type="submit" class="round" aria-label="Send" title="Send (Enter)" disabled={empty}>
              <Send />
            </button>
          )}
        </div>
      </div>
    </form>
  );
}

/** As high as its text, up to what the style allows. */
function fit(area: HTMLTextAreaElement | null) {
  if (area === null) return;
  area.style.height = 'auto';
  area.style.height = `${area.scrollHeight}px`;
}
