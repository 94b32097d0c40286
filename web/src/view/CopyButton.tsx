/** Copies a text, and says so for a moment. */
import { useEffect, useState } from 'preact/hooks';
import { Check, Copy } from './icons.tsx';

const SAYS_COPIED_MS = 1600;

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), SAYS_COPIED_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => setCopied(await write(text));
  return (
    <button type="button" class="quiet small" aria-label={copied ? 'Copied' : label} title={label} onClick={copy}>
      {copied ? <Check /> : <Copy />}
    </button>
  );
}

async function write(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return writeTheOldWay(text);
  }
}

/** On plain http there is no clipboard API. */
function writeTheOldWay(text: string): boolean {
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'unseen';
  document.body.append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  return done;
}
