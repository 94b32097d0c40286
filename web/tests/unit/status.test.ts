import assert from 'node:assert/strict';
import { test } from 'node:test';
import { by, readExposition, sum } from '../../src/status/exposition.ts';
import { EMPTY, figures, grown, type History, POINTS_MAX } from '../../src/status/history.ts';
import { quantiles } from '../../src/status/quantile.ts';

const TEXT = `# HELP gaia_requests_running Requests the models work on.
# TYPE gaia_requests_running gauge
gaia_requests_running 3
gaia_tool_calls_total{tool="a"} 2
gaia_tool_calls_total{tool="b \\"c\\" }"} 5 1700000000
gaia_tool_failures_total{tool="a"} 1
gaia_tool_seconds_total{tool="a"} 3
`;

const history = (...readings: [second: number, text: string][]): History =>
  readings.reduce((history, [second, text]) => grown(history, second * 1000, readExposition(text)), EMPTY);

test('values by name and label', () => {
  const read = readExposition(TEXT);
  assert.equal(sum(read, 'gaia_requests_running'), 3);
  assert.equal(sum(read, 'gaia_tool_calls_total'), 7);
  assert.equal(sum(read, 'gaia_unheard_of'), null);
  assert.deepEqual([...by(read, 'gaia_tool_calls_total', 'tool')], [
    ['a', 2],
    ['b "c" }', 5],
  ]);
});

test('what is not understood is left out', () => {
  for (const line of ['', '# a remark 5', 'name', 'name word', 'name NaN', '<html>no metrics</html>', '{"error": 1}']) {
    assert.equal(readExposition(line).size, 0, line);
  }
});

test('quantiles lie evenly within a bucket', () => {
  const of = (first: number, second: number, all: number) =>
    readExposition(`t_bucket{le="1"} ${first}\nt_bucket{le="3"} ${second}\nt_bucket{le="+Inf"} ${all}`);
  assert.deepEqual(quantiles('t', new Map(), of(0, 100, 100)), { p50: 2, p95: 2.9 });
  assert.deepEqual(quantiles('t', of(90, 90, 90), of(90, 100, 100)), { p50: 2, p95: 2.9 }, 'only what came since');
  assert.deepEqual(quantiles('t', new Map(), of(0, 1, 10)), { p50: 3, p95: 3 }, 'the last end is said');
  assert.deepEqual(quantiles('t', of(1, 1, 1), of(1, 1, 1)), { p50: null, p95: null });
  assert.deepEqual(quantiles('unheard_of', new Map(), new Map()), { p50: null, p95: null });
});

test('speeds are what was counted in between', () => {
  const text = (pieces: number, prompt: number, cached: number) =>
    `gaia_inter_token_latency_seconds_count ${pieces}\ngaia_prompt_tokens_total ${prompt}\ngaia_prompt_tokens_cached_total ${cached}`;
  const grownHistory = history([0, text(100, 0, 0)], [2, text(200, 100, 50)], [4, text(240, 200, 50)]);
  const seen = figures(grownHistory);
  assert.equal(seen?.writing, 35);
  assert.equal(seen?.reading, 37.5);
  assert.equal(seen?.hitShare, 0.25);
  assert.deepEqual(grownHistory.writing, [0, 50, 20]);
});

test('where the last minute was quiet, times are those since the start', () => {
  const gap = (count: number) => `gaia_inter_token_latency_seconds_bucket{le="2"} ${count}\ngaia_inter_token_latency_seconds_bucket{le="+Inf"} ${count}`;
  const quiet = figures(history([0, gap(10)], [2, gap(10)]));
  assert.deepEqual([quiet?.isLastMinute, quiet?.gap.p50, quiet?.firstToken.p50], [false, 1, null]);
  const busy = figures(history([0, gap(10)], [2, gap(20)]));
  assert.deepEqual([busy?.isLastMinute, busy?.gap.p50], [true, 1]);
});

test('a node that was started again counts from nothing', () => {
  const again = history([0, 'gaia_uptime_seconds 900\ngaia_prompt_tokens_total 5000'], [2, 'gaia_uptime_seconds 0\ngaia_prompt_tokens_total 0']);
  assert.equal(figures(again)?.reading, null);
  assert.equal(figures(grown(again, 4000, readExposition('gaia_uptime_seconds 2\ngaia_prompt_tokens_total 30')))?.reading, 15);
});

test('what the node does not count is not known', () => {
  const seen = figures(history([0, TEXT]));
  assert.equal(seen?.running, 3);
  assert.equal(seen?.kvCells, null);
  assert.equal(seen?.refused, null);
  assert.deepEqual(seen?.memory, []);
  assert.deepEqual(seen?.tools[1], { name: 'a', calls: 2, failures: 1, msEach: 1500 });
  assert.equal(figures(EMPTY), null);
});

test('the past has an end', () => {
  let grownHistory = EMPTY;
  for (let second = 0; second < 300; second += 1) grownHistory = grown(grownHistory, second * 1000, readExposition('gaia_ready 1'));
  assert.equal(grownHistory.readings.length, 61);
  assert.equal(grownHistory.writing.length, POINTS_MAX);
  for (let same = 0; same < 300; same += 1) grownHistory = grown(grownHistory, 299_000, readExposition('gaia_ready 1'));
  assert.equal(grownHistory.readings.length, 128);
});
