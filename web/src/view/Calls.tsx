/** The tools that the node called for an answer: which, how long it took, how much came back; each unfolds to what was asked. */
import type { ToolCall } from '../api/wire.ts';
import { seconds, size } from './amounts.ts';
import { Chevron, Wrench } from './icons.tsx';

export function Calls({ calls }: { calls: ToolCall[] }) {
  return (
    <ol class="calls" aria-label="Tools that were called">
      {calls.map((call, at) => (
        <li key={at}>
          <details class={call.failed ? 'call failed' : 'call'}>
            <summary>
              <Wrench />
              <span class="name">{call.name}</span>
              <span class="facts">{facts(call).join(' · ')}</span>
              <Chevron />
            </summary>
            <code class="arguments">{call.arguments}</code>
          </details>
        </li>
      ))}
    </ol>
  );
}

const facts = ({ failed, ms, bytes }: ToolCall): string[] => [
  ...(failed ? ['failed'] : []),
  seconds(ms),
  ...(bytes > 0 ? [size(bytes)] : []),
];
