/** What the domain is to who uses it: its model's price, what is left to spend, and the way to its other pages. */
import { explain } from '../api/failure.ts';
import { account, domain, model, offer } from '../chat/domain.ts';
import { askForKey, forgetKey, key, node } from '../chat/session.ts';
import { dollars } from './amounts.ts';

export function DomainCard() {
  const state = node.value;
  const name = domain.value?.name ?? 'This domain';
  return (
    <section class="node" aria-label="This domain">
      <h2>
        <span class={`lamp ${state.kind}`} aria-hidden="true" />
        <span class="name">{state.kind === 'asking' ? 'Asking the domain…' : name}</span>
        <a class="to-status" href="/gaia/earnings">
          Earnings
        </a>
      </h2>
      {state.kind === 'failed' && <p>{explain(state.failure, 'domain').title}.</p>}
      <Facts />
      <p class="token">
        {key.value === null ? (
          <button type="button" class="outlined" onClick={() => askForKey()}>
            Enter an access token
          </button>
        ) : (
          <button type="button" class="outlined" onClick={forgetKey}>
            Forget the token
          </button>
        )}
      </p>
    </section>
  );
}

function Facts() {
  const priced = offer.value;
  const left = account.value;
  return (
    <dl>
      {left !== null && (
        <>
          <dt>Credit left</dt>
          <dd>{dollars(left.available)}</dd>
          {left.tokenCharged !== null && (
            <>
              <dt>Spent so far</dt>
              <dd title="By this token">{dollars(left.tokenCharged)}</dd>
            </>
          )}
        </>
      )}
      {priced !== null && (
        <>
          <dt>Per 1M tokens</dt>
          <dd title={`${model.value ?? ''}: for a million tokens read, and for a million written`}>
            {dollars(priced.input)} in, {dollars(priced.output)} out
          </dd>
        </>
      )}
    </dl>
  );
}
