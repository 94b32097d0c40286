/** The passages an answer was given to read, each unfolding to its text. The best stands open: a small model errs, it does not. */
import { plural } from '../api/failure.ts';
import type { Citation } from '../api/wire.ts';
import { withoutHeadings } from '../markdown/passage.ts';
import { Book, Chevron } from './icons.tsx';
import { Markdown } from './Markdown.tsx';

export function Sources({ citations }: { citations: Citation[] }) {
  return (
    <section class="sources" aria-label="Sources">
      <h3>
        <Book />
        {plural(citations.length, 'source')}
      </h3>
      <ol>
        {citations.map((citation, at) => (
          <li key={`${citation.document} ${citation.chunk}`}>
            <Source citation={citation} place={at + 1} />
          </li>
        ))}
      </ol>
    </section>
  );
}

function Source({ citation, place }: { citation: Citation; place: number }) {
  const { document, heading, score, start, end, text } = citation;
  return (
    <details class="source" open={place === 1}>
      <summary>
        <span class="place" aria-hidden="true">
          {place}
        </span>
        <span class="where">
          <span class="document">{document}</span>
          {heading.length > 0 && <span class="heading">{heading.join(' › ')}</span>}
        </span>
        {score !== null && <Match score={score} />}
        <Chevron />
      </summary>
      <div class="passage">
        <Markdown source={withoutHeadings(text, heading)} headings={4} />
        {end > start && (
          <p class="range">
            Passage {citation.chunk + 1}, characters {start.toLocaleString('en')}–{end.toLocaleString('en')}
          </p>
        )}
      </div>
    </details>
  );
}

/** How close the passage is to the question, as the store scored it. */
function Match({ score }: { score: number }) {
  const width = `${Math.round(Math.min(1, Math.max(0, score)) * 100)}%`;
  return (
    <span class="match" title="How close this passage is to the question (cosine similarity)">
      <span class="gauge" aria-hidden="true">
        <i style={{ width }} />
      </span>
      <span class="unseen">match</span>
      {score.toFixed(2)}
    </span>
  );
}
