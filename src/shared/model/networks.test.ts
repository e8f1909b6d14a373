import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Network } from '../wire/gen/objects.ts';
import { NetworkSpec } from '../wire/gen/specs.ts';
import {
  initialNetworkSpecs,
  isIngressNetwork,
  isNetworkAllocated,
  isNodeLocal,
  isPredefinedNetwork,
  networkDriver,
} from './networks.ts';

test('a new cluster starts with ingress first, then the predefined networks', () => {
  const specs = initialNetworkSpecs();
  assert.deepEqual(
    specs.map((spec) => [
      spec.annotations.name,
      networkDriver(spec),
      isIngressNetwork(spec),
      isPredefinedNetwork(spec),
      isNodeLocal(spec),
    ]),
    [
      ['ingress', 'overlay', true, false, false],
      ['bridge', 'bridge', false, true, true],
      ['host', 'host', false, true, true],
    ],
  );
  assert.deepEqual(specs[2]?.annotations.labels, { 'com.docker.swarm.predefined': 'true' });
});

test('a network without a driver is an overlay', () => {
  assert.equal(networkDriver(NetworkSpec.create()), 'overlay');
  assert.equal(isNodeLocal(NetworkSpec.create()), false);
  assert.equal(isNodeLocal(NetworkSpec.create({ driverConfig: { name: 'macvlan' } })), true);
});

function named(name: string, labels: Record<string, string>): NetworkSpec {
  return NetworkSpec.create({ annotations: { name, labels } });
}

test('the old ingress network is known by its name and label together', () => {
  const labels = { 'com.docker.swarm.internal': 'true' };
  assert.equal(isIngressNetwork(named('ingress', labels)), true);
  assert.equal(isIngressNetwork(named('ingress', {})), false);
  assert.equal(isIngressNetwork(named('web', labels)), false);
});

test('a network counts as allocated once it has a driver state', () => {
  assert.equal(isNetworkAllocated(Network.create()), false);
  assert.equal(isNetworkAllocated(Network.create({ driverState: { name: 'host' } })), true);
});
