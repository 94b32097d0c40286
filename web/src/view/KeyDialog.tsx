/** Asks for the node's API key. It is kept until this tab closes. */
import { useRef } from 'preact/hooks';
import { enterKey, keyAsked, keyRefused } from '../chat/session.ts';
import { Dialog } from './Dialog.tsx';

export function KeyDialog() {
  const field = useRef<HTMLInputElement>(null);
  return (
    <Dialog title="This node asks for a key" onClose={() => (keyAsked.value = null)}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          enterKey(field.current?.value ?? '');
        }}
      >
        {keyRefused.value && (
          <p class="hint" role="alert">
            The node did not accept the last key.
          </p>
        )}
        <label class="field">
          <span>API key</span>
          <input ref={field} type="password" autoComplete="off" spellcheck={false} required />
          <small>The node’s owner has it. It is kept until you close this tab, and goes to this node only.</small>
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
