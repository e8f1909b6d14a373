/** The list of waiting shapes against a plain array. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Int32List } from '../../../shared/kit/columns.ts';
import { WaitingList } from './waiting-list.ts';

test('[PL64] shapes keep their order, whatever is taken, put back, dropped and added again', () => {
  const step = fc.record({
    added: fc.array(fc.nat(150), { maxLength: 90 }),
    dropped: fc.array(fc.nat(150), { maxLength: 9 }),
    taken: fc.nat(100),
    every: fc.nat(3),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const list = new WaitingList();
      const places = (): number[] => Array.from({ length: list.length }, (_, i) => list.at(i));
      let model: number[] = [];
      for (const { added, dropped, taken, every } of steps) {
        list.add(Int32Array.from(added));
        for (const shape of added) if (!model.includes(shape)) model.push(shape);
        for (const shape of dropped) list.drop(shape);
        model = model.filter((shape) => !dropped.includes(shape));
        const front = places().slice(0, taken);
        const present = front.filter((shape) => shape >= 0);
        const kept = present.filter((_, i) => every > 0 && i % every === 0);
        for (const shape of present) if (!kept.includes(shape)) list.drop(shape);
        const back = new Int32List();
        for (const shape of kept) back.push(shape);
        list.putBack(front.length, back);
        model = [...kept, ...model.slice(present.length)];
        assert.deepEqual(
          places().filter((shape) => shape >= 0),
          model,
        );
      }
    }),
  );
});
