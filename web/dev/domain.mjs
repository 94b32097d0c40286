// What the stand-in answers as a domain's gateway: GAIA_PLACE=domain npm run dev. No test of the product uses it.
const address = (number) => `0x${number.toString(16).padStart(2, '0').repeat(20)}`;
const STABLE = address(0xaa);
const OPERATOR = address(0x0b);
const started = Date.now() / 1000 - 7400;

const nodes = (seconds) =>
  Array.from({ length: 7 }, (_, at) => ({
    node: address(0x10 + at), operator: at < 4 ? OPERATOR : address(0x0c), health: ['closed', 'closed', 'trial', 'closed', 'open', 'closed', 'closed'][at],
    services: ['SmolLM2-135M-Instruct', ...(at % 2 ? ['SmolLM2-135M-Instruct@paris'] : [])], connected: at !== 6, draining: at === 5,
    silentSeconds: at === 6 ? 340 : at % 3, requests: at % 4, sequences: 8, answered: 100 * at + Math.floor(seconds), failed: at === 4 ? 12 : 0, paidNanoUsd: 40_000 * (at + 1) * Math.floor(seconds),
    tokens: { input: 1000 * at, cached: 20, output: Math.floor(seconds * (12 + at)) }, firstByteMs: { p50: 110 + 30 * at, p95: 420 + 90 * at, p99: 900 },
  }));

const members = nodes(1).map(({ node, operator, connected }, at) => ({ node, operator, connected, config_hash: address(1), status: at === 3 ? 'suspended' : 'serving', ...(at === 3 ? { reason: 'canaries', since: 1 } : {}) }));
members.push({ node: address(0x44), operator: address(0x0c), connected: true, status: 'probation' });
const pairs = (one) => ({ p50: one, p90: one * 3, p95: one * 4, p99: one * 9 });

export function answer(path, seconds, shown) {
  const key = shown === 'Bearer secret';
  const [, asked] = /^\/gaia\/v1\/(?:earnings|shares)\/(.*)$/.exec(path) ?? [];
  const refused = { status: 401, body: { error: { message: 'This key is not good.', type: 'invalid_request_error', code: 'invalid_api_key' } } };
  switch (path) {
    case '/gaia/v1/domain':
      return { body: {
        name: 'Questions of the coast', gateways: ['https://coast.example'], genesis: Math.floor(started - 3600 * 40), epochSeconds: 3600, policy: ['open'], contracts: { stable: STABLE },
        models: [
          { name: 'SmolLM2-135M-Instruct', input: 40_000_000, cached: 10_000_000, output: 160_000_000, contextTokens: 8192, isServed: true, knowledge: ['paris'] },
          { name: 'a-model-with-a-very-long-name-indeed-70b', input: 900_000_000, cached: 100_000_000, output: 2_700_000_000, contextTokens: 32768, isServed: false, knowledge: [] },
        ],
      } };
    case '/v1/models':
      return key ? { body: { object: 'list', data: ['SmolLM2-135M-Instruct', 'SmolLM2-135M-Instruct@paris'].map((id) => ({ id, object: 'model' })) } } : refused;
    case '/gaia/v1/account':
      return key ? { body: { availableNanoUsd: 4_812_340_000, chargedNanoUsd: 187_660_000, tokenChargedNanoUsd: 12_340_000 } } : refused;
    case '/gaia/v1/chain':
      return { body: { isFollowed: true, creditedThrough: 1204, head: 1216, epoch: 42, proposals: [{ id: '3', state: 'final' }, { id: '4', state: 'proposed' }], waiting: ['The charges of epoch 41 can be challenged for 12 minutes more.'] } };
    case '/gaia/v1/nodes':
      return { body: { nodes: members, has_more: false } };
    case '/gaia/v1/status':
      return key ? { body: {
        notices: [{ about: 'policy', text: 'policy.toml cannot be read; the last good one holds' }], upSeconds: Math.floor(seconds), requests: Math.floor(seconds * 7 + 30 * Math.sin(seconds / 5)), running: 5, waiting: 2, captured: Math.floor(seconds * 6.5),
        refused: { 401: 3, 402: 18, 429: 2, 503: 1 }, failedAtNodes: 12, retries: 9, ejections: 1, incomeNanoUsd: 920_400_000, tokens: { input: 120_000, cached: 30_000, output: 94_000 },
        firstByteMs: pairs(140), durationMs: pairs(1900), income: [['node-operator', 736_320_000], ['domain', 147_264_000], ['stakers', 36_816_000]].map(([role, nanoUsd]) => ({ asset: STABLE, epoch: 42, role, parties: 2, nanoUsd })),
        nodesKnown: 7, nodesServing: 5, hasMoreNodes: false, nodes: nodes(seconds),
      } } : refused;
  }
  if (asked === undefined) return path.startsWith('/gaia/v1/receipts/') ? { body: { receipt: { cost: 20_160 } } } : null;
  const share = { account: asked, asset: STABLE, cumulative: 4_120_000_000 };
  if (path.startsWith('/gaia/v1/shares/')) return { body: { account: asked, root: address(2), shares: [{ share, paid: 3_000_000_000, proof: [], root: address(2) }] } };
  return { body: {
    account: asked, hasMore: false, open: [{ asset: STABLE, epoch: 42, role: 'node-operator', nanoUsd: 736_320_000 }], shares: [{ asset: STABLE, earnedNanoUnits: 4_120_000_000, drawnNanoUnits: 3_000_000_000 }],
    nodes: nodes(seconds).slice(0, 4).map(({ node, connected, answered, failed, tokens }, at) => ({ node, asset: STABLE, epoch: 42, earnedNanoUnits: 1_000_000_000 + at * 12_345_678, earnedBeforeEpochNanoUnits: 900_000_000, isConnected: connected, served: at === 3 ? null : { answered, failed, tokens } })),
  } };
}
