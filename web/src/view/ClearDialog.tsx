/** Asks before every conversation is deleted, because that cannot be taken back. */
import { plural } from '../api/failure.ts';
import { clearAll, conversations } from '../chat/session.ts';
import { place } from '../place.ts';
import { Dialog } from './Dialog.tsx';

export function ClearDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Delete all conversations?" onClose={onClose}>
      <p class="hint">
        {plural(conversations.value.length, 'conversation')} in this browser will be gone. Nothing is kept {place === 'domain' ? 'at the domain' : 'on the node'}.
      </p>
      <form method="dialog">
        <footer>
          <button type="submit" class="outlined">
            Keep them
          </button>
          <button type="submit" class="filled danger" onClick={clearAll}>
            Delete all
          </button>
        </footer>
      </form>
    </Dialog>
  );
}
