import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../../shared/kit/random.ts';
import { OverlayRows } from './overlay-rows.ts';
import { RowPages, WORD } from './row-pages.ts';

test('what is proposed is on its lists whenever one looks, whatever came and went between', () => {
  const random = new Random(7n);
  const rows = new RowPages();
  const overlay = new OverlayRows(rows);
  const twin = new Map<number, number>();
  const byNode = (node: number): number[] => {
    const found: number[] = [];
    const { node: lists } = overlay;
    for (let row = lists.first(node); row !== 0; row = lists.next(row)) found.push(row);
    return found;
  };
  for (let step = 0; step < 5_000; step += 1) {
    const [first] = twin.keys();
    if (first !== undefined && random.below(10) < 5) {
      overlay.remove(first);
      rows.give(first);
      twin.delete(first);
    } else {
      const row = rows.take('id');
      const node = random.below(3);
      rows.set(row, WORD.node, node);
      overlay.add(row);
      twin.set(row, node);
    }
    assert.equal(overlay.size, twin.size);
    if (random.below(200) > 0) continue;
    const node = random.below(3);
    const wanted = [...twin].filter(([, of]) => of === node).map(([row]) => row);
    assert.deepEqual(byNode(node), wanted);
    assert.equal(overlay.node.count(node), wanted.length);
    assert.deepEqual(new Set(overlay.all()), new Set(twin.keys()));
  }
});
