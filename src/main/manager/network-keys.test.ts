import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newNetworkKeys, rotatedKeys } from './network-keys.ts';

test('there are always three keys of each kind, with Lamport times used once', () => {
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
