/** The conversation that is open: its turns, and the way back to the latest one. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Conversation } from '../chat/conversation.ts';
import { Down } from './icons.tsx';
import { Turn } from './Turn.tsx';

/** How far from the end still counts as being at the end. */
const NEAR_END_PX = 80;

export function ConversationView({ conversation, onEdit }: { conversation: Conversation; onEdit: () => void }) {
  const scroller = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const [away, setAway] = useState(false);
  const { messages } = conversation;

  const toEnd = (behavior: ScrollBehavior) => {
    const box = scroller.current;
    box?.scrollTo({ top: box.scrollHeight, behavior });
  };
  const onScroll = () => {
    const box = scroller.current;
    if (box === null) return;
    follows.current = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END_PX;
    setAway(!follows.current);
  };

  useEffect(() => {
    follows.current = true;
    toEnd('instant');
  }, [conversation.id, messages.length]);
  useLayoutEffect(() => {
    if (follows.current) toEnd('instant');
  }, [messages.at(-1)]);

  return (
    <div class="scroller" ref={scroller} onScroll={onScroll}>
      <section class="turns column" aria-label="Conversation">
        {messages.map((message, at) => (
          <Turn key={at} message={message} last={at === messages.length - 1} onEdit={onEdit} />
        ))}
      </section>
      {away && (
        <button type="button" class="to-end" aria-label="To the latest" title="To the latest" onClick={() => toEnd('smooth')}>
          <Down />
        </button>
      )}
    </div>
  );
}
