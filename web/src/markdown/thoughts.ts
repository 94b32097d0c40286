/** Tells a model's thinking aloud (`<think>…</think>` at the start of its answer) from the answer. */

export interface Spoken {
  thoughts: string;
  answer: string;
}

const OPEN = '<think>';
const CLOSE = '</think>';

/** Works on unfinished text too: while the tag is open, everything is thought. */
export function splitThoughts(text: string): Spoken {
  const start = text.trimStart();
  if (!start.startsWith(OPEN)) {
    const beginning = start.length > 0 && OPEN.startsWith(start);
    return { thoughts: '', answer: beginning ? '' : text };
  }
  const end = start.indexOf(CLOSE);
  if (end < 0) return { thoughts: start.slice(OPEN.length).trim(), answer: '' };
  return { thoughts: start.slice(OPEN.length, end).trim(), answer: start.slice(end + CLOSE.length).trimStart() };
}
