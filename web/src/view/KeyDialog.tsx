/** Asks for the node's API key. It is kept until this tab closes. */
import { useRef } from 'preact/hooks';
import { enterKey, keyAsked, keyRefused } from '../chat/session.ts';
import { Dialog } from './Dialog.tsx';

export function KeyDialog() {
  const field = useRef<HTMLInputElement>(null);
  return (
    <Dialog title="This node asks for a key" focusInside onClose={() => (keyAsked.value = null)}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          enterKey(field.current?.value ?? '');
        }}
      >
        <p class="hint" role={keyRefused.value ? 'alert' : undefined}>
          {keyRefused.value ? 'It did not accept the last one.' : 'Its owner has it.'}
        </p>
        <label class="field">
          <span>API key</span>
          <input ref={field} autofocus type="password" autoComplete="off" spellcheck={false} required />
          <small>Kept until you close this tab, and sent to this node only.</small>
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
