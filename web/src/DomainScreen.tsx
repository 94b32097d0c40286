/** The pages of a domain that are no chat: the operator's dashboard, and what a node's owner has earned. */
import { Dashboard } from './dashboard/Dashboard.tsx';
import { Earnings } from './earnings/Earnings.tsx';
import type { Screen } from './screens.ts';

export function DomainScreen({ screen }: { screen: Screen }) {
  return screen.kind === 'dashboard' ? <Dashboard /> : <Earnings address={screen.address} />;
}
