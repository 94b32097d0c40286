/** What a node's owner has earned in the domain, by node, and how to draw it. Anybody may look. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { assetName, type Domain, epochAt } from '../api/domain.ts';
import { explain } from '../api/failure.ts';
import { readAddress } from '../screens.ts';
import { count, dollars, duration, orDash, units } from '../view/amounts.ts';
import { CopyButton } from '../view/CopyButton.tsx';
import { DomainFrame } from '../view/DomainFrame.tsx';
import { Warning } from '../view/icons.tsx';
import { shortAddress } from '../view/names.ts';
import { Fact, Panel } from '../view/Panel.tsx';
import { after, claimable, domain, earnings, failure, meet, turnTo, watch } from './watching.ts';
import { type Earnings as Earned, type NodeEarnings, type Sum, sums } from './wire.ts';

export function Earnings({ address }: { address: string | null }) {
  useEffect(() => {
    if (address !== null) return watch(address);
    void meet();
    return undefined;
  }, [address]);
  const earned = earnings.value;
  const wrong = failure.value === null ? null : explain(failure.value, 'domain');
  return (
    <DomainFrame title="Earnings" name={domain.value?.name ?? null}>
      {wrong !== null && (
        <p class="note" role="status">
          <Warning />
          <span>
            {wrong.title}. {wrong.hint}
          </span>
        </p>
      )}
      {address === null ? <AddressForm /> : <Whose address={address} />}
      {address !== null && earned !== null && <Shown address={address} earned={earned} />}
    </DomainFrame>
  );
}

function AddressForm() {
  const field = useRef<HTMLInputElement>(null);
  const [wrong, setWrong] = useState(false);
  return (
    <form
      class="ask-token"
      onSubmit={(event) => {
        event.preventDefault();
        const address = readAddress(field.current?.value ?? '');
        setWrong(address === null);
        if (address !== null) location.assign(`/gaia/earnings/${address}`);
      }}
    >
      <p role={wrong ? 'alert' : undefined}>
        {wrong ? 'An address is 0x and 40 digits in hex.' : 'What an operator’s nodes have served and earned in this domain. “gaia status” on a node shows its address.'}
      </p>
      <label class="field">
        <span>Operator’s address</span>
        <input ref={field} autofocus autoComplete="off" spellcheck={false} placeholder="0x…" required />
      </label>
      <button type="submit" class="filled">
        Show
      </button>
    </form>
  );
}

function Whose({ address }: { address: string }) {
  return (
    <p class="whose-earnings">
      Operator{' '}
      <code title={address}>
        <span class="whole">{address}</span>
        <span class="short">{shortAddress(address)}</span>
      </code>
      <CopyButton text={address} label="Copy address" /> <a href="/gaia/earnings">Another one</a>
    </p>
  );
}

function Shown({ address, earned }: { address: string; earned: Earned }) {
  const here = domain.value;
  const all = sums(earned, claimable.value);
  const name = (asset: string) => (here === null ? '' : assetName(here, asset));
  return (
    <>
      <div class="panels">
        {all.map((sum) => (
          <Summary key={sum.asset} sum={sum} name={name(sum.asset)} domain={here} />
        ))}
        {all.length === 0 && (
          <Panel title="Nothing yet">
            <p class="hint">This address has earned nothing here so far. A node earns with each answer that it gives to a user of the domain.</p>
          </Panel>
        )}
        <HowToClaim address={address} sums={all} />
      </div>
      {earned.nodes.length > 0 && <NodeTable address={address} earned={earned} name={name} />}
    </>
  );
}

function Summary({ sum, name, domain }: { sum: Sum; name: string; domain: Domain | null }) {
  const epoch = domain === null ? null : epochAt(domain, Date.now() / 1000);
  return (
    <Panel title={`Earned in ${name}`}>
      <dl>
        <Fact name="This epoch, so far" value={dollars(sum.openNanoUsd)} />
        {epoch !== null && <Fact name={`Epoch ${epoch.number} ends in`} value={duration(epoch.left)} />}
        <Fact name="In closed epochs" value={`${units(sum.earned)} ${name}`} />
        <Fact name="Of that, drawn" value={`${units(sum.drawn)} ${name}`} />
        <Fact name="To be drawn now" value={sum.claimable === null ? null : `${units(sum.claimable)} ${name}`} />
      </dl>
    </Panel>
  );
}

function HowToClaim({ address, sums }: { address: string; sums: Sum[] }) {
  const command = `gaia claim ${location.origin} --for ${address}`;
  const isDue = sums.some(({ claimable }) => (claimable ?? 0) > 0);
  return (
    <Panel title="How to draw it" wide>
      <p class="hint">
        {isDue
          ? 'Whoever runs this pays the gas; the money goes to this address.'
          : 'What an epoch has earned can be drawn once it is closed and its charges have stood their time to be challenged. Then:'}
      </p>
      <p class="command">
        <code>{command}</code>
        <CopyButton text={command} label="Copy command" />
      </p>
    </Panel>
  );
}

function NodeTable({ address, earned, name }: { address: string; earned: Earned; name: (asset: string) => string }) {
  const last = earned.nodes.at(-1)?.address ?? null;
  return (
    <section class="panel nodes earned" aria-labelledby="nodes">
      <header>
        <h2 id="nodes">Nodes</h2>
      </header>
      <table>
        <thead>
          <tr>
            <th scope="col">Node</th>
            <th scope="col">State</th>
            <th scope="col" title="Since this gateway knows the node">Answered</th>
            <th scope="col" title="Since this gateway knows the node">Tokens read</th>
            <th scope="col" title="Since this gateway knows the node">Tokens written</th>
            <th scope="col" title="In the epoch in which it earned last">Latest epoch</th>
            <th scope="col">Earned ever</th>
          </tr>
        </thead>
        <tbody>
          {earned.nodes.map((node) => (
            <Row key={`${node.address}${node.asset}`} node={node} name={name(node.asset)} />
          ))}
        </tbody>
      </table>
      <p class="hint">Answers and tokens are those since this gateway’s start; what was earned is from the domain’s books.</p>
      {(earned.hasMore || after.value !== null) && (
        <p class="pages">
          {after.value !== null && (
            <button type="button" class="outlined" onClick={() => turnTo(address, null)}>
              From the first
            </button>
          )}
          {earned.hasMore && last !== null && (
            <button type="button" class="outlined" onClick={() => turnTo(address, last)}>
              Next nodes
            </button>
          )}
        </p>
      )}
    </section>
  );
}

function Row({ node, name }: { node: NodeEarnings; name: string }) {
  const { served } = node;
  return (
    <tr>
      <th scope="row">
        <span class="address">
          <code title={node.address}>{shortAddress(node.address)}</code>
          <CopyButton text={node.address} label="Copy address" />
        </span>
      </th>
      <td data-name="State">
        <span class={`tone ${node.isConnected ? 'good' : 'idle'}`}>{node.isConnected ? 'connected' : 'away'}</span>
      </td>
      <td data-name="Answered">{orDash(served?.answered ?? null, count)}</td>
      <td data-name="Tokens read">{orDash(served?.read ?? null, count)}</td>
      <td data-name="Tokens written">{orDash(served?.written ?? null, count)}</td>
      <td data-name="Latest epoch" title={`Epoch ${node.epoch}`}>
        {units(node.earned - node.before)} {name}
      </td>
      <td data-name="Earned ever">
        {units(node.earned)} {name}
      </td>
    </tr>
  );
}
