/** What stands around a domain's pages that are no chat. */
import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import { Mark } from './icons.tsx';
import { ThemeButton } from './ThemeButton.tsx';

interface Props {
  title: string;
  /** What people call the domain. */
  name: string | null;
  /** Forgets the token that was entered; null while none is. */
  onForget?: (() => void) | null;
  children: ComponentChildren;
}

export function DomainFrame({ title, name, onForget = null, children }: Props) {
  useEffect(() => {
    document.title = `${title} · ${name ?? 'Gaia'}`;
  }, [title, name]);
  return (
    <main class="talk alone">
      <header class="bar">
        <a class="home" href="/" aria-label="To the chat" title="To the chat">
          <Mark />
        </a>
        <h1>
          {name !== null && <span class="whose">{name} · </span>}
          {title}
        </h1>
        {onForget !== null && (
          <button type="button" class="outlined" onClick={onForget}>
            Forget the token
          </button>
        )}
        <ThemeButton />
      </header>
      <div class="scroller">
        <div class="status column">{children}</div>
      </div>
    </main>
  );
}
