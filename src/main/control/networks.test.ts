import assert from 'node:assert/strict';
import { test } from 'node:test';
import { initialNetworkSpecs } from '../../shared/model/networks.ts';
import { Network, Service, Task } from '../../shared/wire/gen/objects.ts';
import { TaskState } from '../../shared/wire/gen/types.ts';
import { Code } from '../rpc/errors.ts';
import { Bench } from './testing/bench.ts';

const spec = (name: string) => ({ annotations: { name } });
const failed = (text: string) => ({ code: Code.FAILED_PRECONDITION, text });

test('[CTL30] a network is created, read by its id, and stays as it is', async () => {
  const bench = new Bench();
  const { network } = await bench.call('CreateNetwork', { spec: spec('net') });
  assert.ok(network);
  assert.deepEqual(await bench.call('GetNetwork', { networkId: network.id }), { network });
  assert.deepEqual(await bench.refusal('GetNetwork', { name: 'net' }), {
    code: Code.INVALID_ARGUMENT,
    text: 'invalid argument: the network ID must be provided',
  });
  const missing = { code: Code.NOT_FOUND, text: 'network x not found' };
  assert.deepEqual(await bench.refusal('GetNetwork', { networkId: 'x', name: 'net' }), missing);
  assert.deepEqual(await bench.refusal('RemoveNetwork', { networkId: 'x', name: 'net' }), missing);
});

test('[CTL31] a taken name answers with the store’s own words', async () => {
  const bench = new Bench();
  await bench.call('CreateNetwork', { spec: spec('net') });
  assert.deepEqual(await bench.refusal('CreateNetwork', { spec: spec('NET') }), {
    code: Code.UNKNOWN,
    text: 'name conflicts with an existing object',
  });
  assert.deepEqual(await bench.refusal('CreateNetwork', { spec: spec('') }), {
    code: Code.INVALID_ARGUMENT,
    text: 'meta: name must be provided',
  });
  assert.equal((await bench.refusal('CreateNetwork', {}))?.code, Code.INVALID_ARGUMENT);
});

test('[CTL32] there is one ingress network', async () => {
  const bench = new Bench();
  const { network } = await bench.call('CreateNetwork', { spec: { ...spec('in'), ingress: true } });
  const old = { name: 'ingress', labels: { 'com.docker.swarm.internal': '' } };
  for (const second of [{ ...spec('b'), ingress: true }, { annotations: old }]) {
    assert.deepEqual(await bench.refusal('CreateNetwork', { spec: second }), {
      code: Code.ALREADY_EXISTS,
      text: `ingress network (${network?.id}) is already present`,
    });
  }
});

test('[CTL33] a network in use is not removed, and says who uses it', async () => {
  const bench = new Bench();
  const { network } = await bench.call('CreateNetwork', { spec: spec('net') });
  const networkId = network?.id ?? '';
  const networks = [{ target: networkId }];
  const removal = () => bench.refusal('RemoveNetwork', { networkId });
  const service = Service.create({ id: 's', spec: { ...spec('web'), task: { networks } } });
  await bench.write((tx) => tx.services.create(service));
  assert.deepEqual(await removal(), failed(`network ${networkId} is in use by service s`));
  await bench.write((tx) => tx.services.remove('s'));
  const dead = [
    [TaskState.RUNNING, TaskState.SHUTDOWN],
    [TaskState.FAILED, TaskState.RUNNING],
  ] as const;
  await bench.write((tx) => {
    for (const [index, [state, desiredState]] of dead.entries()) {
      const id = `dead${index}`;
      tx.tasks.create(Task.create({ id, status: { state }, desiredState, spec: { networks } }));
    }
    const live = { id: 't', desiredState: TaskState.RUNNING, spec: { networks } };
    tx.tasks.create(Task.create(live));
  });
  assert.deepEqual(await removal(), failed(`network ${networkId} is in use by task t`));
  await bench.write((tx) => tx.tasks.remove('t'));
  assert.equal(await removal(), undefined);
});

test('[CTL34] the networks of the cluster itself stay', async () => {
  const bench = new Bench();
  await bench.write((tx) => {
    for (const made of initialNetworkSpecs()) {
      tx.networks.create(Network.create({ id: `n-${made.annotations.name}`, spec: made }));
    }
    const published = { endpoint: { ports: [{ targetPort: 80 }] } };
    tx.services.create(Service.create({ id: 's', spec: { ...spec('web'), ...published } }));
  });
  const removal = (networkId: string) => bench.refusal('RemoveNetwork', { networkId });
  assert.deepEqual(
    await removal('n-host'),
    failed('network host (n-host) is a swarm predefined network and cannot be removed'),
  );
  assert.deepEqual(
    await removal('n-ingress'),
    failed('ingress network cannot be removed because service s depends on it'),
  );
  await bench.write((tx) => tx.services.remove('s'));
  assert.equal(await removal('n-ingress'), undefined);
});
