/** Says that a conversation was deleted, and brings it back. */
import { useEffect } from 'preact/hooks';
import { bringBack, deleted } from '../chat/session.ts';

const STAYS_MS = 8000;

export function Toast() {
  const conversation = deleted.value;
  useEffect(() => {
    if (conversation === null) return undefined;
    const timer = setTimeout(() => (deleted.value = null), STAYS_MS);
    return () => clearTimeout(timer);
  }, [conversation]);
  return (
    <div class="toast-place" role="status">
      {conversation !== null && (
        <div class="toast">
          Conversation deleted
          <button type="button" onClick={bringBack}>
            Undo
          </button>
        </div>
      )}
    </div>
  );
}
