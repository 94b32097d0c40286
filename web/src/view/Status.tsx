/** The node as it is now: whether it answers, what it does, how fast, and what it takes. */
import { useEffect } from 'preact/hooks';
import { explain, type Failure } from '../api/failure.ts';
import type { NodeInfo } from '../api/wire.ts';
import { askForKey, node } from '../chat/session.ts';
import { type Figures, figures, POINTS_MAX, type ToolUse } from '../status/history.ts';
import type { Quantiles } from '../status/quantile.ts';
import { history, readiness, watch, withheld } from '../status/watching.ts';
import { count, duration, orDash, percent, perSecond, precise, size } from './amounts.ts';
import { Warning } from './icons.tsx';
import { modelName, tokensName } from './names.ts';
import { Fact, Moving, Panel } from './Panel.tsx';

export function Status() {
  useEffect(watch, []);
  const seen = withheld.value === null ? figures(history.value) : null;
  const info = node.value.kind === 'there' ? node.value.info : null;
  return (
    <div class="scroller">
      <div class="status column">
        <Readiness />
        {withheld.value !== null && <Withheld failure={withheld.value} />}
        <div class="panels">
          {info !== null && <About info={info} upSeconds={seen?.upSeconds ?? null} />}
          {seen !== null && <Numbers seen={seen} />}
        </div>
      </div>
    </div>
  );
}

function Readiness() {
  const state = readiness.value;
  if (state === null) return <p class="readiness">Asking the node…</p>;
  if (state.ready) {
    return (
      <p class="readiness">
        <span class="lamp there" aria-hidden="true" />
        Ready to answer
      </p>
    );
  }
  const { title, hint } = explain(state.failure, 'node');
  return (
    <p class="readiness">
      <span class="lamp failed" aria-hidden="true" />
      {title}. <small>{hint}</small>
    </p>
  );
}

/** What is missing, and how to get it. */
function Withheld({ failure }: { failure: Failure }) {
  const forbidden = failure.kind === 'refused' || failure.kind === 'key-needed';
  return (
    <p class="note" role="status">
      <Warning />
      <span>
        {forbidden
          ? 'Requests, speed, times and memory are shown to keys with the scope “admin” only.'
          : `There are no numbers at the moment. ${explain(failure, 'node').title}.`}
      </span>
      {forbidden && (
        <button type="button" class="outlined" onClick={() => askForKey()}>
          Enter another key
        </button>
      )}
    </p>
  );
}

function About({ info, upSeconds }: { info: NodeInfo; upSeconds: number | null }) {
  return (
    <Panel title={info.name ?? 'This node'}>
      <dl>
        <Fact name="Model" value={modelName(info)} />
        {info.contextTokens !== null && <Fact name="Context" value={tokensName(info.contextTokens)} />}
        <Fact name="Knowledge" value={info.passages === null ? null : `${count(info.passages)} passages`} />
        {info.embeddingModel !== null && <Fact name="Embedding" value={info.embeddingModel} />}
        <Fact name="Version" value={info.version} />
        {upSeconds !== null && <Fact name="Up" value={duration(upSeconds)} />}
      </dl>
    </Panel>
  );
}

function Numbers({ seen }: { seen: Figures }) {
  return (
    <>
      <Panel title="Requests">
        <dl>
          <Fact name="Running" value={orDash(seen.running, count)} />
          <Fact name="Waiting" value={orDash(seen.waiting, count)} />
          <Fact name="Answered" value={orDash(seen.answered, count)} />
          <Fact name="Refused" value={orDash(seen.refused, count)} />
          <Fact name="Client gone" value={orDash(seen.aborted, count)} />
        </dl>
      </Panel>
      <Panel title="Tokens a second">
        <Moving name="Writing" now={orDash(seen.writing, perSecond)} points={history.value.writing} places={POINTS_MAX} />
        <Moving name="Reading" now={orDash(seen.reading, perSecond)} points={history.value.reading} places={POINTS_MAX} />
      </Panel>
      <Panel title={seen.isLastMinute ? 'Time, last minute' : 'Time, since the start'}>
        <Times firstToken={seen.firstToken} gap={seen.gap} />
      </Panel>
      <Memory seen={seen} />
      {seen.tools.length > 0 && <Tools tools={seen.tools} />}
    </>
  );
}

function Times({ firstToken, gap }: { firstToken: Quantiles; gap: Quantiles }) {
  const row = (name: string, { p50, p95 }: Quantiles) => (
    <tr>
      <th scope="row">{name}</th>
      <td>{orDash(p50, precise)}</td>
      <td>{orDash(p95, precise)}</td>
    </tr>
  );
  return (
    <table>
      <thead>
        <tr>
          <td />
          <th scope="col">
            <abbr title="Half of them took at most this">Half</abbr>
          </th>
          <th scope="col">
            <abbr title="19 of 20 took at most this">95 %</abbr>
          </th>
        </tr>
      </thead>
      <tbody>
        {row('First word', firstToken)}
        {row('Between words', gap)}
      </tbody>
    </table>
  );
}

function Memory({ seen }: { seen: Figures }) {
  const { kvCellsUsed, kvCells } = seen;
  return (
    <Panel title="Memory">
      <dl>
        <dt>KV cache</dt>
        <dd>
          {kvCellsUsed === null || kvCells === null ? (
            '–'
          ) : (
            <>
              <meter aria-hidden="true" value={kvCellsUsed} max={kvCells} />{' '}
              {percent(kvCellsUsed / Math.max(1, kvCells))} in use
            </>
          )}
        </dd>
        <Fact name="From cache" value={orDash(seen.hitShare, (share) => `${percent(share)} of prompts`)} />
        {seen.memory.length === 0 && <Fact name="Processes" value={null} />}
        {seen.memory.map(({ name, bytes }) => (
          <Fact key={name} name={name} value={size(bytes)} />
        ))}
      </dl>
    </Panel>
  );
}

function Tools({ tools }: { tools: ToolUse[] }) {
  return (
    <Panel title="Tools">
      <table>
        <thead>
          <tr>
            <td />
            <th scope="col">Calls</th>
            <th scope="col">Failed</th>
            <th scope="col">Each</th>
          </tr>
        </thead>
        <tbody>
          {tools.map(({ name, calls, failures, msEach }) => (
            <tr key={name}>
              <th scope="row" title={name}>
                {name}
              </th>
              <td>{count(calls)}</td>
              <td class={failures > 0 ? 'bad' : undefined}>{count(failures)}</td>
              <td>{precise(msEach / 1000)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}
