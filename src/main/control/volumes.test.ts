import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '../../shared/wire/gen/objects.ts';
import type { VolumeSpec } from '../../shared/wire/gen/specs.ts';
import type { Init } from '../../shared/wire/runtime.ts';
import { Code } from '../rpc/errors.ts';
import { Bench } from './testing/bench.ts';

const invalid = (text: string) => ({ code: Code.INVALID_ARGUMENT, text });
const spec = (name: string, init: Init<VolumeSpec> = {}): Init<VolumeSpec> => ({
  annotations: { name },
  driver: { name: 'csi' },
  accessMode: { accessType: { case: 'mount', value: {} } },
  ...init,
});

const secret = (...ids: readonly string[]) => ({
  secrets: ids.map((id) => ({ key: id, secret: id })),
});

test('[CTL70] a volume is checked, and its secrets must exist', async () => {
  const bench = new Bench();
  await bench.write((tx) => tx.secrets.create(Secret.create({ id: 's' })));
  assert.ok((await bench.call('CreateVolume', { spec: spec('a', secret('s')) })).volume);
  for (const [request, expected] of [
    [{}, invalid('spec must not be nil')],
    [{ spec: {} }, invalid('driver must be specified')],
    [{ spec: spec('b', secret('s', 'x')) }, invalid('secret not found: x')],
    [{ spec: spec('b', secret('y', 'x')) }, invalid('secrets not found: y, x')],
    [{ spec: spec('A') }, { code: Code.UNKNOWN, text: 'name conflicts with an existing object' }],
  ] as const) {
    assert.deepEqual(await bench.refusal('CreateVolume', request), expected);
  }
});

test('[CTL71] labels and availability change, nothing else', async () => {
  const bench = new Bench();
  const { volume } = await bench.call('CreateVolume', { spec: spec('a', { group: 'g' }) });
  const base = { volumeId: volume?.id ?? '', volumeVersion: volume?.meta.version };
  for (const [request, expected] of [
    [{}, invalid('VolumeID must not be empty')],
    [{ volumeId: 'x' }, invalid('Spec must not be empty')],
    [{ volumeId: 'x', spec: {} }, invalid('VolumeVersion must not be empty')],
    [{ ...base, spec: spec('b', { group: 'g' }) }, invalid('Name cannot be updated')],
    [{ ...base, spec: spec('a') }, invalid('Group cannot be updated')],
    [
      { ...base, volumeId: 'x', spec: spec('a') },
      { code: Code.NOT_FOUND, text: 'volume x not found' },
    ],
  ] as const) {
    assert.deepEqual(await bench.refusal('UpdateVolume', request), expected);
  }
  const changed = spec('a', {
    group: 'g',
    availability: 2,
    annotations: { name: 'a', labels: { k: 'v' } },
  });
  const { volume: after } = await bench.call('UpdateVolume', { ...base, spec: changed });
  assert.equal(after?.spec.availability, 2);
  assert.deepEqual(after.spec.annotations.labels, { k: 'v' });
  assert.deepEqual(await bench.refusal('UpdateVolume', { ...base, spec: changed }), {
    code: Code.UNKNOWN,
    text: 'update out of sequence',
  });
});

test('[CTL72] a volume in use stays, an unused one waits for its plugin, force forgets it', async () => {
  const bench = new Bench();
  const { volume } = await bench.call('CreateVolume', { spec: spec('a') });
  const volumeId = volume?.id ?? '';
  const publish = (states: readonly number[]) =>
    bench.write((tx) => {
      const stored = tx.volumes.get(volumeId);
      assert.ok(stored);
      const publishStatus = states.map(() => PUBLISHED);
      tx.volumes.update({ ...stored, publishStatus });
    });
  await publish([1]);
  assert.deepEqual(await bench.refusal('RemoveVolume', { volumeId }), {
    code: Code.FAILED_PRECONDITION,
    text: 'volume is still in use',
  });
  await publish([]);
  await bench.call('RemoveVolume', { volumeId });
  assert.equal((await bench.call('GetVolume', { volumeId })).volume?.pendingDelete, true);
  await publish([1]);
  await bench.call('RemoveVolume', { volumeId, force: true });
  assert.equal((await bench.refusal('GetVolume', { volumeId }))?.code, Code.NOT_FOUND);
});
const PUBLISHED = { nodeId: 'n', state: 1, publishContext: {}, message: '' } as const;

test('[CTL73] volumes are filtered by group and driver too', async () => {
  const bench = new Bench();
  await bench.call('CreateVolume', { spec: spec('a', { group: 'g' }) });
  await bench.call('CreateVolume', { spec: spec('b', { driver: { name: 'other' } }) });
  const names = async (filters: object): Promise<string> => {
    const { volumes } = await bench.call('ListVolumes', { filters });
    return volumes.map((volume) => volume.spec.annotations.name).join(' ');
  };
  assert.equal(await names({}), 'a b');
  assert.equal(await names({ groups: ['g', 'h'] }), 'a');
  assert.equal(await names({ drivers: ['other'] }), 'b');
  assert.equal(await names({ groups: ['g'], drivers: ['other'] }), '');
});
