import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { Cluster } from '../../shared/wire/gen/objects.ts';
import { realEnv } from '../env.ts';
import { silentLog } from '../log.ts';
import { openMemoryStore } from '../store/testing/memory-log.ts';
import { KeyManager, NETWORK_KEYS, newNetworkKeys, rotatedKeys } from './network-keys.ts';

test('[MGR2] there are always three keys of each kind, with Lamport times used once', () => {
  let keys = newNetworkKeys(() => 41);
  const seen = new Set<number>();
  for (let i = 0; i < 10; i += 1) {
    for (const subsystem of ['networking:gossip', 'networking:ipsec']) {
      const own = keys.networkBootstrapKeys.filter((key) => key.subsystem === subsystem);
      assert.deepEqual([own.length, new Set(own.map((k) => k.lamportTime)).size], [3, 3]);
      assert.ok(own.every((key) => key.key.length === 16));
    }
    const times = keys.networkBootstrapKeys.map((key) => key.lamportTime);
    assert.equal(new Set(times).size, 6);
    assert.equal(Math.max(...times), keys.encryptionKeyLamportClock);
    for (const time of times) seen.add(time);
    keys = rotatedKeys(keys);
  }
  assert.equal(seen.size, 6 + 9 * 2);
});

test('[MGR2] the oldest key of each kind is replaced every twelve hours, while this manager leads', async () => {
  mock.timers.enable({ apis: ['setInterval'] });
  try {
    const { store } = openMemoryStore(realEnv);
    const first = newNetworkKeys(() => 0);
    await store.update((tx) => tx.clusters.create(Cluster.create({ id: 'c', ...first })));
    const times = async (): Promise<number[]> => {
      await store.update((tx) => tx.clusters.byName('')); // what was written before is committed
      await new Promise<void>((resolve) => void setImmediate(resolve));
      const keys = store.view((view) => view.clusters.get('c')?.networkBootstrapKeys);
      return (keys ?? []).map(({ lamportTime }) => lamportTime);
    };
    const keys = new KeyManager(store, silentLog);
    keys.start();
    mock.timers.tick(NETWORK_KEYS.rotationMs - 1);
    assert.deepEqual(await times(), [1, 2, 3, 4, 5, 6]);
    mock.timers.tick(1);
    assert.deepEqual(await times(), [2, 3, 7, 5, 6, 8]);
    keys.stop();
    mock.timers.tick(2 * NETWORK_KEYS.rotationMs);
    assert.deepEqual(await times(), [2, 3, 7, 5, 6, 8]);
  } finally {
    mock.timers.reset();
  }
});
