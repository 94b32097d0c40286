/** Every node in a table; on a phone, in a list of cards. */
import { useState } from 'preact/hooks';
import { count, dollars, duration, orDash, perSecond, precise } from '../view/amounts.ts';
import { CopyButton } from '../view/CopyButton.tsx';
import { shortAddress, shortDigest } from '../view/names.ts';
import { type Column, type Row, rows, sorted } from './figures.ts';
import { after, history, members, turnTo } from './watching.ts';
import type { GatewayStatus } from './wire.ts';

/** Rows that are drawn before somebody asks for all of the page. */
const ROWS_DRAWN_MAX = 100;

interface Head {
  column: Column;
  name: string;
  hint: string;
  /** Whether the largest stands first when it is chosen. */
  down: boolean;
}

const HEADS: Head[] = [
  { column: 'address', name: 'Node', hint: 'And its operator below', down: false },
  { column: 'state', name: 'State', hint: 'Whether it gets requests, and why not', down: false },
  { column: 'requests', name: 'Load', hint: 'Requests that it has, of those that it can work on at a time', down: true },
  { column: 'tokensPerSecond', name: 'Tokens/s', hint: 'Written in the last ten seconds', down: true },
  { column: 'firstByteP50', name: 'First byte', hint: 'Half of its answers began within this time', down: true },
  { column: 'firstByteP95', name: '95 %', hint: '19 of 20 of its answers began within this time', down: true },
  { column: 'answered', name: 'Answered', hint: 'Paid for, since this gateway knows it', down: true },
  { column: 'paid', name: 'Paid', hint: 'What its answers cost', down: true },
  { column: 'silentSeconds', name: 'Heard', hint: 'Since its last sign of life', down: true },
];

export function Nodes({ now }: { now: GatewayStatus }) {
  const [order, setOrder] = useState<{ column: Column; down: boolean }>({ column: 'address', down: false });
  const [all, setAll] = useState(false);
  const every = sorted(rows(now.nodes, members.value?.members ?? [], history.value), order.column, order.down);
  const drawn = all ? every : every.slice(0, ROWS_DRAWN_MAX);
  const choose = (column: Column) => {
    const down = HEADS.find((head) => head.column === column)?.down ?? false;
    setOrder((before) => (before.column === column ? { column, down: !before.down } : { column, down }));
  };
  return (
    <section class="panel nodes" aria-labelledby="nodes">
      <header>
        <h2 id="nodes">Nodes</h2>
        <label class="only-narrow">
          Order by{' '}
          <select value={order.column} onChange={(event) => choose(event.currentTarget.value as Column)}>
            {HEADS.map(({ column, name }) => (
              <option key={column} value={column}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </header>
      {every.length === 0 && <p class="hint">No node has joined yet. A node joins with: gaia join {location.origin}</p>}
      {every.length > 0 && (
        <table>
          <thead>
            <tr>
              {HEADS.map(({ column, name, hint }) => (
                <th key={column} scope="col" aria-sort={order.column !== column ? undefined : order.down ? 'descending' : 'ascending'}>
                  <button type="button" title={hint} onClick={() => choose(column)}>
                    {name}
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {drawn.map((row) => (
              <NodeRow key={row.address} row={row} />
            ))}
          </tbody>
        </table>
      )}
      {drawn.length < every.length && (
        <button type="button" class="outlined" onClick={() => setAll(true)}>
          Show all {count(every.length)} of this page
        </button>
      )}
      <Pages now={now} last={lastOf(now)} />
    </section>
  );
}

/** The last address of the page, from which the next one goes on. */
function lastOf(now: GatewayStatus): string | null {
  const listed = [...now.nodes, ...(members.value?.members ?? [])].map(({ address }) => address.toLowerCase());
  return listed.sort().at(-1) ?? null;
}

function Pages({ now, last }: { now: GatewayStatus; last: string | null }) {
  const more = now.hasMore || members.value?.hasMore === true;
  if (!more && after.value === null) return null;
  return (
    <p class="pages">
      {after.value !== null && (
        <button type="button" class="outlined" onClick={() => turnTo(null)}>
          From the first
        </button>
      )}
      {more && last !== null && (
        <button type="button" class="outlined" onClick={() => turnTo(last)}>
          Next nodes
        </button>
      )}
    </p>
  );
}

const milliseconds = (time: number | null) => orDash(time, (ms) => precise(ms / 1000));

function NodeRow({ row }: { row: Row }) {
  const failed = row.failed !== null && row.failed > 0 ? `${count(row.failed)} failed` : undefined;
  return (
    <tr>
      <th scope="row">
        <span class="address">
          <code title={row.address}>{shortAddress(row.address)}</code>
          <CopyButton text={row.address} label="Copy address" />
        </span>
        <a class="operator" href={`/gaia/earnings/${row.operator}`} title={`Operator ${row.operator}`}>
          {shortAddress(row.operator)}
        </a>
      </th>
      <td data-name="State">
        <span class={`tone ${row.tone}`}>{row.state}</span>
        {row.services.length > 0 && (
          <small class="services" title={row.services.join(', ')}>
            {row.services.map(shortDigest).join(', ')}
          </small>
        )}
      </td>
      <td data-name="Load">{row.requests === null ? '–' : `${row.requests}/${row.sequences ?? 0}`}</td>
      <td data-name="Tokens/s">{orDash(row.tokensPerSecond, perSecond)}</td>
      <td data-name="First byte">{milliseconds(row.firstByteP50)}</td>
      <td data-name="95 %">{milliseconds(row.firstByteP95)}</td>
      <td data-name="Answered" title={failed}>
        {orDash(row.answered, count)}
        {failed !== undefined && <small class="bad"> {failed}</small>}
      </td>
      <td data-name="Paid">{orDash(row.paid, dollars)}</td>
      <td data-name="Heard">{orDash(row.silentSeconds, (seconds) => (seconds < 1 ? 'now' : duration(seconds)))}</td>
    </tr>
  );
}
