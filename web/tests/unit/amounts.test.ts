import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seconds, size } from '../../src/view/amounts.ts';

test('times', () => {
  assert.deepEqual([3, 132, 949, 950, 20004].map(seconds), ['10 ms', '130 ms', '950 ms', '0.9 s', '20.0 s']);
});

test('sizes', () => {
  assert.deepEqual([0, 999, 4210, 42_100, 1_048_576].map(size), ['0 B', '999 B', '4.2 kB', '42 kB', '1.0 MB']);
});
