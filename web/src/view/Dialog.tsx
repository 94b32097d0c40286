/** A modal dialog: the browser's own, which keeps the focus inside, closes on Escape and gives the focus back. */
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { Close } from './icons.tsx';

interface Props {
  title: string;
  onClose: () => void;
  /** Whether something inside asks for the focus; else the dialog itself takes it. */
  focusInside?: boolean;
  children: ComponentChildren;
}

export function Dialog({ title, onClose, focusInside = false, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    // The browser gives the focus back on close, but not when the dialog just goes.
    return () => before instanceof HTMLElement && before.focus();
  }, []);
  const onBackdrop = (event: MouseEvent) => {
    if (event.target === dialog.current) dialog.current?.close();
  };
  return (
    <dialog ref={dialog} autofocus={!focusInside} aria-labelledby={id} onClose={onClose} onClick={onBackdrop}>
      <div class="dialog">
        <header>
          <h2 id={id}>{title}</h2>
          <button type="button" class="quiet" aria-label="Close" onClick={() => dialog.current?.close()}>
            <Close />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
