/**
 * Looks again and again for as long as somebody looks at the page.
 *
 * What is behind another tab is not looked at, and looked at at once when it comes in front. One look at a time is
 * waited for: a slow answer makes looks rarer, never more.
 */

/** A document as far as this is concerned. */
export interface Shown {
  readonly hidden: boolean;
  addEventListener(type: 'visibilitychange', listener: () => void): void;
  removeEventListener(type: 'visibilitychange', listener: () => void): void;
}

/**
 * Looks at once and then `everyMs` after each look, until the returned function is called.
 *
 * `look` is told how many looks there were before. Nothing is looked at while `wanted` says no.
 */
export function keepLooking(
  everyMs: number,
  look: (before: number) => Promise<unknown>,
  wanted: () => boolean = () => true,
  page: Shown = document,
): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let looks = 0;
  let ended = false;
  const next = async () => {
    clearTimeout(timer);
    if (ended || page.hidden || !wanted()) return;
    await look(looks++);
    clearTimeout(timer);
    if (!ended && wanted()) timer = setTimeout(() => void next(), everyMs);
  };
  const again = () => void next();
  page.addEventListener('visibilitychange', again);
  again();
  return () => {
    ended = true;
    clearTimeout(timer);
    page.removeEventListener('visibilitychange', again);
  };
}
