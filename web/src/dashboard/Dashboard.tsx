/** The operator's dashboard: load, times, income, refusals, the chain, and every node. */
import { useEffect, useRef } from 'preact/hooks';
import { epochAt } from '../api/domain.ts';
import { explain } from '../api/failure.ts';
import { count, dollars, duration, orDash, perSecond, precise } from '../view/amounts.ts';
import { Warning } from '../view/icons.tsx';
import { Fact, Moving, Panel } from '../view/Panel.tsx';
import { DomainFrame } from '../view/DomainFrame.tsx';
import { POINTS_MAX, REFUSALS, requestsPerSecond } from './figures.ts';
import { Nodes } from './Nodes.tsx';
import { chain, domain, enter, failure, forget, history, status, token, watch } from './watching.ts';
import type { Chain, GatewayStatus, Income, Quantiles } from './wire.ts';

export function Dashboard() {
  const shown = token.value;
  useEffect(watch, [shown]);
  const now = status.value;
  return (
    <DomainFrame title="Dashboard" name={domain.value?.name ?? null} onForget={shown === null ? null : forget}>
      {shown === null ? <TokenForm /> : <Troubles />}
      {shown !== null && now !== null && (
        <>
          <div class="panels">
            <Load now={now} />
            <Times now={now} />
            <Money now={now} />
            <Refusals now={now} />
            <Ways now={now} />
            {chain.value !== null && <ChainState chain={chain.value} />}
          </div>
          <Nodes now={now} />
        </>
      )}
    </DomainFrame>
  );
}

function TokenForm() {
  const field = useRef<HTMLInputElement>(null);
  const refused = failure.value?.kind === 'key-needed';
  return (
    <form
      class="ask-token"
      onSubmit={(event) => {
        event.preventDefault();
        enter(field.current?.value ?? '');
      }}
    >
      <p role={refused ? 'alert' : undefined}>
        {refused
          ? 'The gateway did not accept this token. The file operator-token in the domain’s folder has the one that holds.'
          : 'This is for the domain’s operator. The file operator-token in the domain’s folder has the token.'}
      </p>
      <label class="field">
        <span>Operator’s token</span>
        <input ref={field} autofocus type="password" autoComplete="off" spellcheck={false} required />
        <small>Kept until you close this tab, and sent to this gateway only.</small>
      </label>
      <button type="submit" class="filled">
        Continue
      </button>
    </form>
  );
}

/** What is wrong, as the gateway says it, or with the gateway. */
function Troubles() {
  const wrong = failure.value;
  const said = wrong === null ? null : explain(wrong, 'domain');
  return (
    <>
      {said !== null && (
        <p class="note" role="status">
          <Warning />
          <span>
            {said.title}. {said.hint} {status.value !== null && 'What is shown is from before.'}
          </span>
        </p>
      )}
      {(status.value?.notices ?? []).map(({ about, text }) => (
        <p class="note" role="status" key={about}>
          <Warning />
          <span>
            {about !== '' && <b>{about}: </b>}
            {text}
          </span>
        </p>
      ))}
    </>
  );
}

function Load({ now }: { now: GatewayStatus }) {
  return (
    <Panel title="Load">
      <Moving name="Requests a second" now={orDash(requestsPerSecond(history.value), perSecond)} points={history.value.curve} places={POINTS_MAX} />
      <dl>
        <Fact name="Running" value={count(now.running)} />
        <Fact name="Waiting" value={count(now.waiting)} />
        <Fact name="Nodes that serve" value={`${count(now.nodesServing)} of ${count(now.nodesKnown)}`} />
      </dl>
    </Panel>
  );
}

const milliseconds = (time: number | null) => orDash(time, (ms) => precise(ms / 1000));

function Times({ now }: { now: GatewayStatus }) {
  const row = (name: string, { p50, p95, p99 }: Quantiles) => (
    <tr>
      <th scope="row">{name}</th>
      <td>{milliseconds(p50)}</td>
      <td>{milliseconds(p95)}</td>
      <td>{milliseconds(p99)}</td>
    </tr>
  );
  return (
    <Panel title="Time, since the start">
      <table>
        <thead>
          <tr>
            <td />
            <th scope="col">Half</th>
            <th scope="col">95 %</th>
            <th scope="col">99 %</th>
          </tr>
        </thead>
        <tbody>
          {row('First byte', now.firstByte)}
          {row('Last byte', now.duration)}
        </tbody>
      </table>
      <dl>
        <Fact name="Up" value={duration(now.upSeconds)} />
        <Fact name="Tokens read" value={count(now.read + now.cached)} />
        <Fact name="Tokens written" value={count(now.written)} />
      </dl>
    </Panel>
  );
}

const ROLES: Record<string, string> = {
  domain: 'Domain',
  'node-operator': 'Node operators',
  stakers: 'Stakers',
  'component-author': 'Authors',
};

function Money({ now }: { now: GatewayStatus }) {
  const epochs = [...new Set(now.income.map(({ epoch }) => epoch))].sort((one, other) => other - one);
  const sum = (rows: Income[]) => rows.reduce((total, { nanoUsd }) => total + nanoUsd, 0);
  return (
    <Panel title="Income">
      <dl>
        <Fact name="Here, since the start" value={dollars(now.earned)} />
        <Fact name="Answers paid for" value={count(now.captured)} />
        {epochs.flatMap((epoch) => {
          const rows = now.income.filter((row) => row.epoch === epoch);
          const parts = Object.entries(ROLES).map(([role, name]) => ({ name, earned: sum(rows.filter((row) => row.role === role)) }));
          return [
            <Fact key={epoch} name={`Epoch ${epoch}`} value={dollars(sum(rows))} />,
            ...parts
              .filter(({ earned }) => earned > 0)
              .map(({ name, earned }) => <Fact key={`${epoch} ${name}`} name={`– ${name}`} value={dollars(earned)} />),
          ];
        })}
      </dl>
    </Panel>
  );
}

function Refusals({ now }: { now: GatewayStatus }) {
  return (
    <Panel title="Refused">
      {now.refused.length === 0 && <p class="hint">Nothing, since the start.</p>}
      <dl>
        {now.refused.map(({ status, count: times }) => (
          <Fact key={status} name={`${REFUSALS[status] ?? 'Otherwise'} (${status})`} value={count(times)} />
        ))}
      </dl>
    </Panel>
  );
}

function Ways({ now }: { now: GatewayStatus }) {
  return (
    <Panel title="At nodes">
      <dl>
        <Fact name="Requests" value={count(now.requests)} />
        <Fact name="Failed at a node" value={count(now.failedAtNodes)} />
        <Fact name="Sent again" value={count(now.retries)} />
        <Fact name="Nodes left out" value={count(now.ejections)} />
      </dl>
    </Panel>
  );
}

function ChainState({ chain }: { chain: Chain }) {
  const epoch = domain.value === null ? null : epochAt(domain.value, Date.now() / 1000);
  const { creditedThrough, head } = chain;
  return (
    <Panel title="Chain">
      <dl>
        <Fact name="Followed" value={chain.isFollowed ? 'yes' : 'no: new deposits wait'} />
        <Fact name="Credited through" value={creditedThrough === null ? null : `${count(creditedThrough)} of ${orDash(head, count)}`} />
        <Fact name="Epoch on the chain" value={orDash(chain.epoch, count)} />
        {epoch !== null && <Fact name={`Epoch ${epoch.number} ends in`} value={duration(epoch.left)} />}
        {chain.proposals
          .slice(-4)
          .reverse()
          .map(({ id, state }) => (
            <Fact key={id} name={`Proposal ${id}`} value={state} />
          ))}
      </dl>
      {chain.waiting.map((sentence) => (
        <p class="hint" key={sentence}>
          {sentence}
        </p>
      ))}
    </Panel>
  );
}
