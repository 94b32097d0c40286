/** A box of facts, as the status of a node and the pages of a domain show them. */
import type { ComponentChildren } from 'preact';
import { Curve } from './Curve.tsx';

export function Panel({ title, wide = false, children }: { title: string; wide?: boolean; children: ComponentChildren }) {
  return (
    <section class={wide ? 'panel wide' : 'panel'}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

/** What is not known is a dash. */
export function Fact({ name, value }: { name: string; value: string | null }) {
  return (
    <>
      <dt>{name}</dt>
      <dd title={value ?? undefined}>{value ?? '–'}</dd>
    </>
  );
}

/** A number that moves, with its last minutes. */
export function Moving({ name, now, points, places }: { name: string; now: string; points: number[]; places: number }) {
  return (
    <div class="speed">
      <p>
        <span>{name}</span> <strong>{now}</strong>
      </p>
      <Curve points={points} places={places} />
    </div>
  );
}
