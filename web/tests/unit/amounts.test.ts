import assert from 'node:assert/strict';
import { test } from 'node:test';
import { count, duration, orDash, percent, perSecond, precise, seconds, size } from '../../src/view/amounts.ts';

test('times', () => {
  assert.deepEqual([3, 132, 949, 950, 20004].map(seconds), ['10 ms', '130 ms', '950 ms', '0.9 s', '20.0 s']);
});

test('precise times', () => {
  assert.deepEqual([0.0083, 0.01, 0.042, 0.9996, 12.3].map(precise), ['8.3 ms', '10 ms', '42 ms', '1.00 s', '12 s']);
});

test('sizes', () => {
  assert.deepEqual([0, 999, 4210, 42_100, 1_048_576].map(size), ['0 B', '999 B', '4.2 kB', '42 kB', '1.0 MB']);
  assert.equal(size(1_740_000_000), '1.74 GB');
});

test('durations', () => {
  assert.deepEqual([0, 59, 60, 7500, 90_061].map(duration), ['0 s', '59 s', '1 min', '2 h 5 min', '1 d 1 h']);
});

test('counts, shares and speeds', () => {
  assert.equal(count(12_345), '12,345');
  assert.equal(percent(0.637), '64 %');
  assert.deepEqual([0, 3.44, 151.7].map(perSecond), ['0', '3.4', '152']);
  assert.equal(orDash(null, count), '–');
  assert.equal(orDash(0, count), '0');
});
