import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Task } from '../../shared/wire/gen/objects.ts';
import { WireError } from '../../shared/wire/runtime.ts';
import { ClusterSnapshot, Snapshot, StoreSnapshot } from '../../shared/wire/gen/snapshot.ts';
import { readSnapshot, snapshotHeader } from './entry-codec.ts';
import { open, secret } from './testing/store-kit.ts';

test('[STO15] [STO16] a snapshot of one moment, framed, restored with its differences', async () => {
  const { store, log } = open();
  const ids = Array.from({ length: 3000 }, (_, n) => `t${n}`);
  await store.batch(ids, (tx, id) => tx.tasks.create(Task.create({ id, serviceId: 's' })));
  await store.update((tx) => {
    tx.secrets.create(secret('kept'));
    tx.secrets.create(secret('gone'));
  });
  const at = store.appliedIndex;
  const snapshot = store.snapshot();
  const first = await snapshot.next();
  assert(first.done !== true);
  const slices = [first.value];
  await store.update((tx) => {
    for (const id of ids) tx.tasks.patch(id, { nodeId: 'n' });
    tx.tasks.remove('t2999');
    tx.tasks.create(Task.create({ id: 'new' }));
    tx.secrets.remove('gone');
    tx.secrets.create(secret('late'));
  });
  for await (const slice of snapshot) slices.push(slice);
  assert.ok(slices.length >= 3);

  const membership = ClusterSnapshot.create({
    members: [{ raftId: 1n, addr: 'a:1' }],
    removed: [3n],
  });
  const bytes = slices.reduce((sum, slice) => sum + slice.length, 0);
  const framed = Buffer.concat([snapshotHeader(membership, bytes), ...slices]);
  const whole = Snapshot.decode(framed);
  assert.deepEqual(whole.membership, membership);
  assert.equal(whole.store.tasks.length, 3000);
  assert.ok(whole.store.tasks.every((task) => task.nodeId === ''));
  assert.deepEqual(whole.store.secrets.map(({ id }) => id).toSorted(), ['gone', 'kept']);

  const heard = new Map<string, number>();
  store.watch(({ index, changes }) => {
    assert.equal(index, at + 100);
    for (const { kind, action } of changes) {
      heard.set(`${action} ${kind}`, 1 + (heard.get(`${action} ${kind}`) ?? 0));
    }
  });
  log.compact(at + 100);
  await store.restore(at + 100, readSnapshot(framed).store);
  assert.deepEqual(Object.fromEntries(heard), {
    'create secret': 1,
    'create task': 1,
    'update task': 2999,
    'remove secret': 1,
    'remove task': 1,
  });
  assert.equal(store.appliedIndex, at + 100);
  assert.deepEqual(
    store.view(({ tasks }) => tasks.get('t5')?.toTask()),
    whole.store.tasks.find(({ id }) => id === 't5'),
  );
});

test('[STO15] one snapshot at a time: the former ends', async () => {
  const { store } = open();
  await store.update((tx) => tx.tasks.create(Task.create({ id: 't' })));
  const former = store.snapshot();
  const latter = store.snapshot();
  await assert.rejects(former.next(), /followed by another/);
  const slice = await latter.next();
  assert(slice.done !== true);
  assert.equal(StoreSnapshot.decode(slice.value).tasks.length, 1);
});

test('[STO16] until a snapshot is taken in as a whole, everybody reads the former state', async () => {
  const { store, log } = open();
  await store.update((tx) => tx.secrets.create(secret('former')));
  const other = open();
  const ids = Array.from({ length: 3000 }, (_, n) => `t${n}`);
  await other.store.batch(ids, (tx, id) => tx.tasks.create(Task.create({ id })));
  const slices = await Array.fromAsync(other.store.snapshot());
  log.compact(500);
  const restored = store.restore(500, slices);
  const sizes = (): readonly number[] =>
    store.view((view) => [view.secrets.size, view.tasks.size, store.appliedIndex]);
  assert.deepEqual(sizes(), [1, 0, 1]);
  const heard: number[] = [];
  store.watch(({ changes }) => heard.push(changes.length));
  await restored;
  assert.deepEqual(sizes(), [0, 3000, 500]);
  assert.deepEqual(heard, [3001]); // also by those who came meanwhile
});

test('[STO16] a snapshot that cannot be read changes nothing', async () => {
  const { store, log } = open();
  await store.update((tx) => tx.secrets.create(secret('former')));
  log.compact(500);
  await assert.rejects(store.restore(500, [Uint8Array.of(0x0a, 5, 1)]), WireError);
  assert.equal(store.appliedIndex, 1);
  assert.equal(
    store.view(({ secrets }) => secrets.size),
    1,
  );
});

test('[STO16] a snapshot of another version is refused', () => {
  const bytes = Uint8Array.of(8, 3);
  assert.throws(() => readSnapshot(bytes), /unrecognized snapshot version 3/);
});
