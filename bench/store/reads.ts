/** Look-ups in a full store, and a snapshot of it that another is made of. */
import assert from 'node:assert/strict';
import { ReplicatedStore } from '../../src/main/store/store.ts';
import { env, NullLog, type Opened } from './opened.ts';
import { firstServiceId, nodeIds, SERVICES } from './tasks.ts';

export function lookUps({ store, figures }: Opened, ids: readonly string[]): void {
  let found = 0;
  const sample = ids.slice(0, 10_000);
  figures.calls('get and read five fields', sample.length, () =>
    store.view(({ tasks }) => {
      for (const id of sample) {
        const row = tasks.get(id);
        assert(row !== undefined);
        found += row.slot + row.state + row.desiredState + row.version + row.nodeId.length;
      }
    }),
  );
  assert.ok(found > 0);
  let listed = 0;
  const onNodes = store.view(({ tasks }) =>
    nodeIds.reduce((sum, id) => sum + tasks.countByNode(id), 0),
  );
  figures.calls('walk by node, a row', onNodes, () =>
    store.view(({ tasks }) => {
      for (const id of nodeIds) for (const row of tasks.byNode(id)) listed += row.slot > 0 ? 1 : 0;
    }),
  );
  assert.equal(listed, onNodes);
  figures.calls('slot look-up', sample.length, () =>
    store.view(({ tasks }) => {
      for (let n = 0; n < sample.length; n += 1) {
        const slot = 1 + (n % Math.ceil(ids.length / SERVICES));
        assert.equal(tasks.bySlot(firstServiceId, slot).length, 1);
      }
    }),
  );
  figures.calls('whole task decoded', sample.length, () =>
    store.view(({ tasks }) => {
      for (const id of sample) assert.equal(tasks.get(id)?.toTask().id, id);
    }),
  );
  figures.calls('whole task encoded', sample.length, () =>
    store.view(({ tasks }) => {
      for (const id of sample) assert.ok((tasks.get(id)?.toBytes().length ?? 0) > 0);
    }),
  );
}

export async function snapshotAndRestore({ store, figures }: Opened, count: number): Promise<void> {
  const slices: Uint8Array[] = [];
  let longestMs = 0;
  const start = performance.now();
  const drawing = store.snapshot();
  for (;;) {
    const from = performance.now();
    const next = await drawing.next();
    longestMs = Math.max(longestMs, performance.now() - from);
    if (next.done === true) break;
    slices.push(next.value);
  }
  const bytes = slices.reduce((sum, slice) => sum + slice.length, 0);
  const elapsedUs = (performance.now() - start) * 1000;
  figures.add('snapshot', { metric: 'wall', unit: 'us each' }, elapsedUs / count);
  figures.add('snapshot', { metric: 'turn', unit: 'ms at most' }, longestMs);
  figures.add('snapshot', { metric: 'size', unit: 'bytes each' }, bytes / count);
  await figures.measureTurns('restore', count, async (defer) => {
    const other = new ReplicatedStore({ env, log: new NullLog(), defer });
    await other.restore(7, slices);
    assert.equal(
      other.view(({ tasks }) => tasks.size),
      count,
    );
  });
}
