/**
 * What a domain tells anybody of what an address has earned in it.
 *
 * Pure. Money is in nano-dollars while an epoch is open, in nano-units of the asset once it is closed.
 */
import { list, number, object, text } from '../api/wire.ts';

/** In an epoch that is not closed. */
export interface Open {
  asset: string;
  epoch: number;
  role: string;
  nanoUsd: number;
}

/** In closed epochs. */
export interface Share {
  asset: string;
  earned: number;
  drawn: number;
}

export interface NodeEarnings {
  address: string;
  asset: string;
  /** The latest epoch in which it earned. */
  epoch: number;
  /** Ever. */
  earned: number;
  /** Of that, before its latest epoch. */
  before: number;
  isConnected: boolean;
  /** Since the gateway knows the node; null where it does not. */
  served: { answered: number; failed: number; read: number; written: number } | null;
}

export interface Earnings {
  open: Open[];
  shares: Share[];
  nodes: NodeEarnings[];
  hasMore: boolean;
}

/** What can be drawn now, by the tree on the chain. */
export interface Claimable {
  asset: string;
  due: number;
  paid: number;
}

const count = (value: unknown): number => number(value) ?? 0;

/** Reads `GET /gaia/v1/earnings/ADDRESS`. */
export function readEarnings(value: unknown): Earnings {
  const fields = object(value);
  return {
    open: list(fields['open']).map(object).map((row) => ({
      asset: text(row['asset']) ?? '',
      epoch: count(row['epoch']),
      role: text(row['role']) ?? '',
      nanoUsd: count(row['nanoUsd']),
    })),
    shares: list(fields['shares']).map(object).map((row) => ({
      asset: text(row['asset']) ?? '',
      earned: count(row['earnedNanoUnits']),
      drawn: count(row['drawnNanoUnits']),
    })),
    nodes: list(fields['nodes']).map(object).flatMap(readNode),
    hasMore: fields['hasMore'] === true,
  };
}

function readNode(row: Record<string, unknown>): NodeEarnings[] {
  const address = text(row['node']);
  if (address === null) return [];
  const served = object(row['served']);
  const tokens = object(served['tokens']);
  const answered = number(served['answered']);
  return [
    {
      address,
      asset: text(row['asset']) ?? '',
      epoch: count(row['epoch']),
      earned: count(row['earnedNanoUnits']),
      before: count(row['earnedBeforeEpochNanoUnits']),
      isConnected: row['isConnected'] === true,
      served:
        answered === null
          ? null
          : {
              answered,
              failed: count(served['failed']),
              read: count(tokens['input']) + count(tokens['cached']),
              written: count(tokens['output']),
            },
    },
  ];
}

/** Reads `GET /gaia/v1/shares/ADDRESS`. */
export const readClaimable = (value: unknown): Claimable[] =>
  list(object(value)['shares']).flatMap((entry) => {
    const { share, paid } = object(entry);
    const asset = text(object(share)['asset']);
    if (asset === null) return [];
    const earned = count(object(share)['cumulative']);
    return [{ asset, due: Math.max(0, earned - count(paid)), paid: count(paid) }];
  });

/** One line of the summary, for each asset. */
export interface Sum {
  asset: string;
  /** In epochs that are not closed. */
  openNanoUsd: number;
  /** In those that are. */
  earned: number;
  drawn: number;
  /** What can be drawn now; null where the chain was not asked. */
  claimable: number | null;
}

export function sums(earnings: Earnings, claimable: Claimable[] | null): Sum[] {
  const assets = [...earnings.open, ...earnings.shares, ...earnings.nodes].map(({ asset }) => asset);
  return [...new Set(assets)].map((asset) => {
    const share = earnings.shares.find((other) => other.asset === asset);
    const due = claimable?.find((other) => other.asset.toLowerCase() === asset.toLowerCase());
    return {
      asset,
      openNanoUsd: earnings.open.filter((other) => other.asset === asset).reduce((sum, { nanoUsd }) => sum + nanoUsd, 0),
      earned: share?.earned ?? 0,
      drawn: Math.max(share?.drawn ?? 0, due?.paid ?? 0),
      claimable: claimable === null ? null : (due?.due ?? 0),
    };
  });
}
