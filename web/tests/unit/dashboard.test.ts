import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY, grown, type History, POINTS_MAX, requestsPerSecond, type Row, rows, sorted, standing, writtenPerSecond } from '../../src/dashboard/figures.ts';
import { readChain, readMembers, readStatus } from '../../src/dashboard/wire.ts';
import { readClaimable, readEarnings, sums } from '../../src/earnings/wire.ts';

const look = (requests: number, written: number) => readStatus({ requests, nodes: [{ node: '0xA', connected: true, health: 'closed', tokens: { output: written } }] });
const history = (...looks: [second: number, requests: number, written: number][]): History =>
  looks.reduce((history, [second, requests, written]) => grown(history, second * 1000, look(requests, written)), EMPTY);

test('what a gateway says is read, and anything else is nothing', () => {
  const nothing = readStatus('<html>');
  assert.deepEqual([nothing.requests, nothing.nodes, nothing.refused, nothing.firstByte.p50, nothing.hasMore], [0, [], [], null, false]);
  const status = readStatus({
    refused: { 402: 3 },
    firstByteMs: { p50: 1.5, p95: null },
    income: [{ asset: '0x', epoch: 2, role: 'domain', parties: 1, nanoUsd: 5 }],
    notices: [{ about: 'chain', text: 'out of reach' }, { about: 'x' }],
    nodes: [{ node: '0xA', operator: 5, services: ['<img src=x>', 5], requests: '7' }, { operator: '0xB' }],
    hasMoreNodes: true,
  });
  assert.deepEqual(status.refused, [{ status: 402, count: 3 }]);
  assert.deepEqual(status.firstByte, { p50: 1.5, p95: null, p99: null });
  assert.deepEqual(status.notices, [{ about: 'chain', text: 'out of reach' }]);
  assert.equal(status.nodes.length, 1);
  assert.deepEqual([status.nodes[0]?.services, status.nodes[0]?.requests, status.nodes[0]?.operator], [['<img src=x>'], 0, '']);
  assert.equal(status.nodesKnown, 1, 'a gateway of before does not count them');
  assert.deepEqual(readMembers({ nodes: [{ node: '0xA', status: 'suspended', reason: 'silence' }], has_more: true }), {
    members: [{ address: '0xA', operator: '', status: 'suspended', reason: 'silence', connected: false }],
    hasMore: true,
  });
  assert.deepEqual(readChain({ proposals: [{ id: '3', state: 'final' }, {}], waiting: ['later', 5] }), {
    isFollowed: false,
    creditedThrough: null,
    head: null,
    epoch: null,
    proposals: [{ id: '3', state: 'final' }],
    waiting: ['later'],
  });
});

test('speeds are what was counted in the last ten seconds', () => {
  assert.equal(requestsPerSecond(history([0, 5, 0])), null, 'one look is none');
  const two = history([0, 0, 0], [2, 10, 40]);
  assert.deepEqual([requestsPerSecond(two), writtenPerSecond(two, '0xA'), writtenPerSecond(two, '0xB')], [5, 20, null]);
  const later = history([0, 0, 0], [20, 100, 0], [22, 102, 30]);
  assert.deepEqual([requestsPerSecond(later), writtenPerSecond(later, '0xA')], [1, 15]);
  assert.deepEqual(later.curve, [0, 5, 1]);
});

test('a gateway that was started again counts from nothing', () => {
  const again = history([0, 900, 900], [2, 0, 0]);
  assert.equal(requestsPerSecond(again), null);
  assert.equal(requestsPerSecond(grown(again, 4000, look(8, 0))), 4);
  assert.deepEqual(again.curve, [0, 0]);
});

test('the past has an end', () => {
  let past = EMPTY;
  for (let second = 0; second < 500; second += 1) past = grown(past, second * 100, look(second, 0));
  assert.equal(past.curve.length, POINTS_MAX);
  assert.ok(past.readings.length <= 16);
});

test('how a node is, in words', () => {
  const member = (status: string, reason: string | null = null, connected = true) => ({ address: '0xA', operator: '', status, reason, connected });
  const node = (fields: object) => readStatus({ nodes: [{ node: '0xA', connected: true, health: 'closed', ...fields }] }).nodes[0] ?? null;
  const check = (state: string, ...[one, other]: Parameters<typeof standing>) => assert.equal(standing(one, other).state, state);
  check('well', member('serving'), node({}));
  check('well', null, node({}));
  check('away', member('serving'), null);
  check('away', member('serving'), node({ connected: false }));
  check('leaving', member('serving'), node({ draining: true }));
  check('left out', member('serving'), node({ health: 'open' }));
  check('on trial', member('serving'), node({ health: 'trial' }));
  check('on probation', member('probation'), null);
  check('on probation, away', member('probation', null, false), null);
  check('suspended: wrong answers', member('suspended', 'canaries'), node({}));
  check('suspended: stake', member('suspended', 'stake'), null);
});

test('each member has one row, whoever is gone has none', () => {
  const seen = readStatus({ nodes: [{ node: '0xAB', answered: 3, tokens: {} }, { node: '0xCD' }] }).nodes;
  const members = readMembers({ nodes: [{ node: '0xab', operator: '0x0b', status: 'serving' }, { node: '0xef', status: 'left' }] }).members;
  assert.deepEqual(
    rows(seen, members, EMPTY).map(({ address, operator, answered }) => [address, operator, answered]),
    [
      ['0xab', '0x0b', 3],
      ['0xCD', '', 0],
    ],
  );
});

test('what is not known goes last, whichever way', () => {
  const row = (address: string, answered: number | null) => ({ address, answered }) as Row;
  const all = [row('c', null), row('b', 2), row('a', 2), row('d', 9)];
  const order = (down: boolean) => sorted(all, 'answered', down).map(({ address }) => address).join('');
  assert.deepEqual([order(true), order(false)], ['dabc', 'abdc']);
  assert.equal(sorted(all, 'address', true).map(({ address }) => address).join(''), 'dcba');
});

test('earnings of an address, by asset', () => {
  const earned = readEarnings({
    open: [{ asset: '0xaa', epoch: 3, role: 'node-operator', nanoUsd: 26 }, { asset: '0xaa', epoch: 2, role: 'node-operator', nanoUsd: 4 }],
    shares: [{ asset: '0xaa', earnedNanoUnits: 100, drawnNanoUnits: 40 }],
    nodes: [{ node: '0x1', asset: '0xbb', earnedNanoUnits: 9, served: null }, { asset: '0xaa' }],
  });
  const claimable = readClaimable({ shares: [{ share: { asset: '0xAA', cumulative: 90 }, paid: 50 }, { share: {} }] });
  assert.deepEqual(sums(earned, claimable), [
    { asset: '0xaa', openNanoUsd: 30, earned: 100, drawn: 50, claimable: 40 },
    { asset: '0xbb', openNanoUsd: 0, earned: 0, drawn: 0, claimable: 0 },
  ]);
  assert.equal(sums(earned, null)[0]?.claimable, null, 'the chain was not asked');
  assert.equal(earned.nodes[0]?.served, null);
  assert.deepEqual(readEarnings(null), { open: [], shares: [], nodes: [], hasMore: false });
});
