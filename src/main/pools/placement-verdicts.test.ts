/** A verdict holds until a node is written, and no longer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Node } from '../../shared/wire/gen/objects.ts';
import { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import { NodeStatusState } from '../../shared/wire/gen/types.ts';
import { manual, turn } from '../store/testing/store-kit.ts';
import { PlacementVerdicts } from './placement-verdicts.ts';

const ready = (id: string): Node => Node.create({ id, status: { state: NodeStatusState.READY } });

test('a node takes tasks as long as the head says so', async () => {
  const { store, log } = manual();
  const verdicts = new PlacementVerdicts();
  const isAvailable = (number: number, id: string): boolean =>
    store.head((head) => verdicts.isAvailable(head, number, id));
  assert.equal(isAvailable(0, 'a'), false);
  void store.update((tx) => ['a', 'b'].forEach((id) => tx.nodes.create(ready(id))));
  assert.deepEqual([isAvailable(0, 'a'), isAvailable(1, 'b')], [true, true]);
  await turn();
  log.commitAll();
  assert.equal(isAvailable(0, 'a'), true);

  // Drained on the head, then not after all.
  const drained = store.update((tx) => {
    const node = tx.nodes.get('a')!;
    const spec = { ...node.spec, availability: NodeSpecAvailability.DRAIN };
    tx.nodes.update({ ...node, spec });
  });
  assert.deepEqual([isAvailable(0, 'a'), isAvailable(1, 'b')], [false, true]);
  await turn();
  log.loseLeadership();
  await assert.rejects(drained);
  assert.equal(isAvailable(0, 'a'), true);
});

test('a number may mean another node once the first one is gone', async () => {
  const { store } = manual();
  const verdicts = new PlacementVerdicts();
  void store.update((tx) => tx.nodes.create(ready('a')));
  assert.ok(store.head((head) => verdicts.isAvailable(head, 0, 'a')));
  void store.update((tx) => {
    tx.nodes.remove('a');
    tx.nodes.create(Node.create({ id: 'b', status: { state: NodeStatusState.DOWN } }));
  });
  await turn();
  assert.equal(
    store.head((head) => verdicts.isAvailable(head, 0, 'b')),
    false,
  );
});
