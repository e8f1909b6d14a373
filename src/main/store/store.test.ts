import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Service, Task } from '../../shared/wire/gen/objects.ts';
import { openMemoryStore } from './testing/memory-log.ts';

const env = { nowMs: () => 1_700_000_000_123, randBelow: () => 7, newId: () => 'x' };

test('writes are seen on the head at once and in the committed state later', async () => {
  const { store } = openMemoryStore(env);
  const done = store.update((tx) => {
    tx.services.create(Service.create({ id: 's1', spec: { annotations: { name: 'Web' } } }));
    tx.tasks.create(Task.create({ id: 't1', serviceId: 's1', slot: 1 }));
    assert.equal(tx.tasks.bySlot('s1', 1).length, 1);
    return 'made';
  });
  assert.equal(store.head((view) => view.services.byName('wEB'))?.id, 's1');
  assert.equal(
    store.view((view) => view.services.size),
    0,
  );
  assert.equal(await done, 'made');
  assert.equal(store.view((view) => view.services.byName('web'))?.id, 's1');
  assert.equal(store.view((view) => view.tasks.byService('s1')).length, 1);
});
