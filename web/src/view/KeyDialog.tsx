/** Asks for the node's API key, or for an access token of the domain. It is kept until this tab closes. */
import { useRef } from 'preact/hooks';
import { enterKey, keyAsked, keyRefused } from '../chat/session.ts';
import { place } from '../place.ts';
import { Dialog } from './Dialog.tsx';

const WORDS = {
  node: { title: 'This node asks for a key', where: 'Its owner has it.', field: 'API key' },
  domain: { title: 'An access token of this domain', where: '“gaia token new” makes one, once you have deposited.', field: 'Access token' },
};

export function KeyDialog() {
  const words = WORDS[place];
  const field = useRef<HTMLInputElement>(null);
  return (
    <Dialog title={words.title} focusInside onClose={() => (keyAsked.value = null)}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          enterKey(field.current?.value ?? '');
        }}
      >
        <p class="hint" role={keyRefused.value ? 'alert' : undefined}>
          {keyRefused.value ? 'It did not accept the last one.' : words.where}
        </p>
        <label class="field">
          <span>{words.field}</span>
          <input ref={field} autofocus type="password" autoComplete="off" spellcheck={false} required />
          <small>Kept until you close this tab, and sent to this {place} only.</small>
        </label>
        <footer>
          <button type="submit" class="filled">
            Continue
          </button>
        </footer>
      </form>
    </Dialog>
  );
}
