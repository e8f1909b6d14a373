import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pace } from './pace.ts';

test('loops go on in the order in which they came, a few in each turn', async () => {
  const pace = new Pace(1);
  const went: { readonly loop: number; readonly turn: number }[] = [];
  let turn = 0;
  let isOver = false;
  const count = (): void => {
    turn += 1;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  const loops = Array.from({ length: 100 }, async (_, loop) => {
    await pace.turn();
    went.push({ loop, turn });
  });
  await Promise.all(loops);
  isOver = true;
  assert.deepEqual(
    went.map(({ loop }) => loop),
    Array.from({ length: 100 }, (_, loop) => loop),
  );
  const turns = Map.groupBy(went, (one) => one.turn);
  assert.ok(turns.size >= 6, `100 loops went on in ${turns.size} turns`);
});

test('nobody goes on before the time is over', async () => {
  const pace = new Pace(20);
  const fromMs = performance.now();
  await pace.turn();
  assert.ok(performance.now() - fromMs >= 20);
});
