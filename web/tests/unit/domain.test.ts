import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assetName, epochAt, namesOf, offerOf, readAccount, readCost, readDomain, readModels } from '../../src/api/domain.ts';
import { explain, failureFromReply } from '../../src/api/failure.ts';
import { readAddress, screenAt } from '../../src/screens.ts';
import { dollars, units } from '../../src/view/amounts.ts';
import { shortDigest } from '../../src/view/names.ts';

const STABLE = `0x${'aa'.repeat(20)}`;
const DOMAIN = readDomain({
  name: 'coast',
  gateways: ['https://coast.example', 7],
  genesis: 1000,
  epochSeconds: 60,
  contracts: { stable: STABLE.toUpperCase().replace('X', 'x'), token: `0x${'bb'.repeat(20)}`, chainId: 5 },
  models: [
    { name: 'small', input: 40, cached: 10, output: 160, isServed: true, knowledge: ['paris', 3] },
    { name: 'large', input: 900, output: 2700, isServed: false },
    { input: 1 },
    'nonsense',
  ],
});

test('a domain is read, and what makes no sense is left out', () => {
  assert.deepEqual(DOMAIN.offers.map(({ name }) => name), ['small', 'large']);
  assert.deepEqual(DOMAIN.gateways, ['https://coast.example']);
  assert.equal(DOMAIN.contracts.has('chainId'), false);
  const nothing = readDomain('<html>');
  assert.deepEqual([nothing.name, nothing.offers, nothing.genesis, nothing.epochSeconds], [null, [], null, null]);
  assert.equal(readDomain({ epochSeconds: 0 }).epochSeconds, null, 'nobody divides by it');
});

test('what can be asked for is what is served, with each knowledge base', () => {
  assert.deepEqual(namesOf(DOMAIN), ['small', 'small@paris']);
  const away = { ...DOMAIN, offers: DOMAIN.offers.map((offer) => ({ ...offer, isServed: false, knowledge: [] })) };
  assert.deepEqual(namesOf(away), ['small', 'large'], 'the gateway says why there is no answer');
  assert.equal(offerOf(DOMAIN, 'small@paris')?.output, 160);
  assert.equal(offerOf(DOMAIN, 'else'), null);
  assert.deepEqual(readModels({ data: [{ id: 'a' }, { id: 5 }, null] }), ['a']);
});

test('money is read only where it is there', () => {
  assert.deepEqual(readAccount({ availableNanoUsd: 5, chargedNanoUsd: 7 }), { available: 5, charged: 7, tokenCharged: null });
  assert.equal(readAccount({ heldUnits: 5 }), null, 'a gateway of before');
  assert.equal(readCost({ receipt: { cost: 21 } }), 21);
  assert.equal(readCost({ error: { message: 'not found' } }), null);
});

test('money is written so that it says something', () => {
  const nano = [0, 20_160, 12_340_000, 37_000_000, 900_000_000, 999_999_999, 4_812_340_000, 1_234_567_890_000];
  assert.deepEqual(nano.map(dollars), ['$0', '$0.00002', '$0.012', '$0.037', '$0.90', '$1.00', '$4.81', '$1,234.57']);
  assert.deepEqual([0, 999, 1_120_000_000, 12_345_678].map(units), ['0', '< 0.000001', '1.12', '0.012346']);
});

test('a digest is shown by its beginning, a name whole', () => {
  const digest = `0x${'3f'.repeat(32)}`;
  assert.deepEqual([`m@${digest}`, digest, 'm@paris', `0x${'3f'.repeat(20)}`].map(shortDigest), ['m@0x3f3f3f…', '0x3f3f3f…', 'm@paris', `0x${'3f'.repeat(20)}`]);
});

test('epochs go by the domain’s clock', () => {
  assert.deepEqual(epochAt(DOMAIN, 1000), { number: 0, left: 60 });
  assert.deepEqual(epochAt(DOMAIN, 1119), { number: 1, left: 1 });
  assert.equal(epochAt(DOMAIN, 999), null);
  assert.equal(epochAt(readDomain({}), 5), null);
});

test('assets are called what people call them', () => {
  assert.equal(assetName(DOMAIN, STABLE), 'USD');
  assert.equal(assetName(DOMAIN, `0x${'BB'.repeat(20)}`), 'GAIA');
  assert.equal(assetName(DOMAIN, '0x1234567890'), '0x123456…');
});

test('a domain refuses in its own words', () => {
  const check = (status: number, message: string, retryAfter: string | null, ...expected: RegExp[]) => {
    const failure = failureFromReply(status, { error: { message, type: 'x' } }, retryAfter);
    const { title, hint } = explain(failure, 'domain');
    for (const part of expected) assert.match(`${title}. ${hint}`, part);
    assert.doesNotMatch(`${title} ${hint}`, /its owner|The node /i);
  };
  check(401, 'no', null, /access token/, /gaia token new/);
  check(402, 'The account has 1 left', null, /credit/, /has 1 left\./, /gaia deposit/);
  check(429, 'The access token asks more often than it may.', '7', /Too many requests/, /more often/, /7 seconds/);
  check(429, '', null, /All nodes are at work/);
  check(503, 'No node is healthy.', '5', /No node can answer/, /healthy/);
  check(502, '', null, /No node can answer/);
  check(500, 'broken', null, /could not finish/);
  check(403, 'no', null, /refused/);
});

test('a node still speaks for itself', () => {
  assert.match(explain({ kind: 'key-needed' }, 'node').hint, /its owner/);
  assert.match(explain({ kind: 'unpaid', detail: '' }, 'node').title, /credit/);
});

test('each page of a domain has its path', () => {
  const address = `0x${'Ab'.repeat(20)}`;
  assert.equal(screenAt('/'), null);
  assert.deepEqual(screenAt('/gaia/dashboard'), { kind: 'dashboard' });
  assert.deepEqual(screenAt('/gaia/earnings'), { kind: 'earnings', address: null });
  assert.deepEqual(screenAt(`/gaia/earnings/${address}`), { kind: 'earnings', address });
  assert.deepEqual(screenAt('/gaia/earnings/me'), { kind: 'earnings', address: null });
  assert.equal(readAddress(` ${address} `), address);
  assert.equal(readAddress(`${address}?x=`), null);
});
