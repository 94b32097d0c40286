import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keepLooking, type Shown } from '../../src/looking.ts';

class Tab implements Shown {
  hidden = false;
  listeners = new Set<() => void>();
  addEventListener(_type: 'visibilitychange', listener: () => void) {
    this.listeners.add(listener);
  }
  removeEventListener(_type: 'visibilitychange', listener: () => void) {
    this.listeners.delete(listener);
  }
  turn(hidden: boolean) {
    this.hidden = hidden;
    for (const listener of this.listeners) listener();
  }
}

/** Until `seen` has `count` looks. */
async function until(seen: number[], count: number) {
  while (seen.length < count) await new Promise((done) => setTimeout(done, 1));
}

test('looks at once and again, and not after its end', async () => {
  const [tab, seen]: [Tab, number[]] = [new Tab(), []];
  const end = keepLooking(1, async (before) => seen.push(before), undefined, tab);
  assert.deepEqual(seen, [0]);
  await until(seen, 3);
  end();
  const looked = seen.length;
  tab.turn(false);
  await new Promise((done) => setTimeout(done, 10));
  assert.equal(seen.length, looked);
  assert.equal(tab.listeners.size, 0);
  assert.deepEqual(seen.slice(0, 3), [0, 1, 2]);
});

test('what is behind another tab is looked at when it comes in front', async () => {
  const [tab, seen]: [Tab, number[]] = [new Tab(), []];
  tab.hidden = true;
  const end = keepLooking(1, async (before) => seen.push(before), undefined, tab);
  await new Promise((done) => setTimeout(done, 10));
  assert.deepEqual(seen, []);
  tab.turn(false);
  await until(seen, 2);
  end();
});

test('nobody looks who does not want to', async () => {
  const [tab, seen]: [Tab, number[]] = [new Tab(), []];
  const end = keepLooking(1, async (before) => seen.push(before), () => seen.length < 1, tab);
  await new Promise((done) => setTimeout(done, 10));
  assert.deepEqual(seen, [0]);
  end();
});
