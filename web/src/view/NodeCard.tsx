/** What the node is: model, knowledge base, address. */
import { explain, plural } from '../api/failure.ts';
import type { NodeInfo } from '../api/wire.ts';
import { node, openStatus, statusShown } from '../chat/session.ts';
import { CopyButton } from './CopyButton.tsx';
import { modelName, shortAddress, tokensName } from './names.ts';

export function NodeCard({ onOpened }: { onOpened: () => void }) {
  const state = node.value;
  return (
    <section class="node" aria-label="This node">
      <h2>
        <span class={`lamp ${state.kind}`} aria-hidden="true" />
        {state.kind === 'there' ? (state.info.name ?? 'This node') : state.kind === 'asking' ? 'Asking the node…' : 'No answer'}
        <button
          type="button"
          class="to-status"
          aria-label="Status of the node"
          aria-current={statusShown.value ? 'page' : undefined}
          onClick={() => {
            openStatus();
            onOpened();
          }}
        >
          Status
        </button>
      </h2>
      {state.kind === 'there' && <Facts info={state.info} />}
      {state.kind === 'failed' && <p>{explain(state.failure, 'node').title}.</p>}
    </section>
  );
}

function Facts({ info }: { info: NodeInfo }) {
  return (
    <dl>
      <dt>Model</dt>
      <dd title={info.chatModel ?? undefined}>{modelName(info)}</dd>
      {info.contextTokens !== null && (
        <>
          <dt>Context</dt>
          <dd>{tokensName(info.contextTokens)}</dd>
        </>
      )}
      <dt>Knowledge</dt>
      <dd>{knowledgeOf(info)}</dd>
      {info.id !== null && (
        <>
          <dt>Address</dt>
          <dd class="address">
            <code title={info.id}>{shortAddress(info.id)}</code>
            <CopyButton text={info.id} label="Copy address" />
          </dd>
        </>
      )}
      {info.version !== null && (
        <>
          <dt>Version</dt>
          <dd>{info.version}</dd>
        </>
      )}
    </dl>
  );
}

function knowledgeOf(info: NodeInfo): string {
  if (info.passages !== null && info.passages > 0) return plural(info.passages, 'passage');
  return info.passages === 0 ? 'Empty' : 'None';
}
