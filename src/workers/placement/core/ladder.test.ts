/** The ladder against a sorted list, with nodes that are filed again during the walk. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Ladder, newPlace } from './ladder.ts';

const EVERY_ROOM = { low: -1, high: -1 };

type Filed = { tasks: number; room: number };

/** Node order: fewer tasks, more room, lower number. */
function inOrder(filed: ReadonlyMap<number, Filed>): number[] {
  return [...filed]
    .toSorted(([a, x], [b, y]) => x.tasks - y.tasks || y.room - x.room || a - b)
    .map(([node]) => node);
}

function walk(ladder: Ladder, at: (node: number) => void = () => undefined): number[] {
  const place = newPlace();
  const seen: number[] = [];
  ladder.start(place);
  for (;;) {
    const node = ladder.next(place, EVERY_ROOM);
    if (node < 0) return seen;
    seen.push(node);
    at(node);
  }
}

const position = fc.record({ tasks: fc.nat(5), room: fc.nat(63) });

test('[PL51] a walk gives the nodes in the node order, whatever was filed and unfiled', () => {
  const moves = fc.array(fc.tuple(fc.nat(40), fc.option(position, { nil: undefined })));
  fc.assert(
    fc.property(moves, (steps) => {
      const ladder = new Ladder();
      const filed = new Map<number, Filed>();
      for (const [node, to] of steps) {
        const from = filed.get(node);
        if (from !== undefined) ladder.unfile(node, from.tasks, from.room);
        filed.delete(node);
        if (to === undefined) continue;
        ladder.file(node, to.tasks, to.room);
        filed.set(node, to);
        if (node % 3 === 0) assert.deepEqual(walk(ladder), inOrder(filed));
      }
      assert.deepEqual(walk(ladder), inOrder(filed));
    }),
  );
});

test('[PL51] a node that is filed behind the walk is met again there', () => {
  fc.assert(
    fc.property(fc.array(position, { maxLength: 40 }), (positions) => {
      const ladder = new Ladder();
      positions.forEach(({ tasks, room }, node) => ladder.file(node, tasks, room));
      const filed = new Map(positions.map((at, node) => [node, at]));
      const moved = new Set<number>();
      const seen = walk(ladder, (node) => {
        const from = filed.get(node);
        if (from === undefined || moved.has(node) || node % 2 === 0) return;
        moved.add(node);
        const to = { tasks: from.tasks + 2, room: (node * 7) % 64 };
        ladder.unfile(node, from.tasks, from.room);
        ladder.file(node, to.tasks, to.room);
        filed.set(node, to);
      });
      const last = seen.filter((node, at) => seen.lastIndexOf(node) === at);
      assert.deepEqual(last, inOrder(filed));
    }),
  );
});

test('[PL51] rooms that are ruled out are passed over', () => {
  const ladder = new Ladder();
  [3, 40, 63].forEach((room, node) => ladder.file(node, 0, room));
  const place = newPlace();
  ladder.start(place);
  assert.equal(ladder.next(place, { low: 0, high: 1 << 8 }), 1);
  assert.equal(ladder.next(place, { low: 0, high: 1 << 8 }), -1);
});
