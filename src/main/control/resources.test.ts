import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code } from '../rpc/errors.ts';
import { Bench } from './testing/bench.ts';

const invalid = (text: string) => ({ code: Code.INVALID_ARGUMENT, text });
const named = (name: string, labels: Readonly<Record<string, string>> = {}) => ({
  annotations: { name, labels },
});
const payload = (text: string) => ({ typeUrl: 't', value: Buffer.from(text) });

test('[CTL60] extensions are created, read and removed, and never change', async () => {
  const bench = new Bench();
  const { extension } = await bench.call('CreateExtension', {
    ...named('gadget'),
    description: 'd',
  });
  const extensionId = extension?.id ?? '';
  assert.deepEqual(await bench.call('GetExtension', { extensionId }), { extension });
  for (const [refused, expected] of [
    [await bench.refusal('CreateExtension', {}), invalid('extension name must be provided')],
    [await bench.refusal('CreateExtension', named('')), invalid('extension name must be provided')],
    [
      await bench.refusal('CreateExtension', named('Gadget')),
      { code: Code.ALREADY_EXISTS, text: 'extension Gadget already exists' },
    ],
    [
      await bench.refusal('CreateExtension', named('service')),
      { code: Code.ALREADY_EXISTS, text: 'extension service already exists' },
    ],
    [await bench.refusal('GetExtension', {}), invalid('extension ID must be provided')],
    [await bench.refusal('RemoveExtension', {}), invalid('extension ID must be provided')],
    [
      await bench.refusal('GetExtension', { extensionId: 'x' }),
      { code: Code.NOT_FOUND, text: 'extension x not found' },
    ],
    [
      await bench.refusal('RemoveExtension', { extensionId: 'x' }),
      { code: Code.NOT_FOUND, text: 'could not find extension x' },
    ],
  ] as const) {
    assert.deepEqual(refused, expected);
  }
  await bench.call('CreateResource', { ...named('b'), kind: 'gadget' });
  const { resource } = await bench.call('CreateResource', { ...named('a'), kind: 'gadget' });
  assert.deepEqual(
    await bench.refusal('RemoveExtension', { extensionId }),
    invalid("extension 'gadget' is in use by the following resources: a, b"),
  );
  await bench.call('RemoveResource', { resourceId: resource?.id ?? '' });
  assert.deepEqual(
    await bench.refusal('RemoveExtension', { extensionId }),
    invalid("extension 'gadget' is in use by the following resource: b"),
  );
});

test('[CTL61] resources belong to an extension and keep their name', async () => {
  const bench = new Bench();
  await bench.call('CreateExtension', named('gadget'));
  const request = { ...named('a'), kind: 'gadget', payload: payload('1') };
  const { resource } = await bench.call('CreateResource', request);
  const resourceId = resource?.id ?? '';
  const resourceVersion = resource?.meta.version;
  assert.deepEqual(await bench.call('GetResource', { resourceId }), { resource });
  const { resource: changed } = await bench.call('UpdateResource', {
    resourceId,
    resourceVersion,
    ...named('a', { k: 'v' }),
  });
  assert.deepEqual(changed?.annotations.labels, { k: 'v' });
  assert.equal(Buffer.from(changed.payload?.value ?? []).toString(), '1');
  const { resource: loaded } = await bench.call('UpdateResource', {
    resourceId,
    resourceVersion: changed.meta.version,
    payload: payload('2'),
  });
  assert.deepEqual(loaded?.annotations, changed.annotations);
  assert.equal(Buffer.from(loaded.payload?.value ?? []).toString(), '2');
  for (const [refused, expected] of [
    [await bench.refusal('CreateResource', {}), invalid('Resource must have a name')],
    [
      await bench.refusal('CreateResource', named('b')),
      invalid('Resource must belong to an Extension'),
    ],
    [
      await bench.refusal('CreateResource', { ...named('b'), kind: 'widget' }),
      invalid('Kind widget is not registered'),
    ],
    [
      await bench.refusal('CreateResource', { ...named('A'), kind: 'gadget' }),
      { code: Code.ALREADY_EXISTS, text: 'A resource with name A already exists' },
    ],
    [await bench.refusal('GetResource', {}), invalid('resource ID must be present')],
    [await bench.refusal('RemoveResource', {}), invalid('resource ID must be present')],
    [
      await bench.refusal('GetResource', { resourceId: 'x' }),
      { code: Code.NOT_FOUND, text: 'resource x not found' },
    ],
    [await bench.refusal('UpdateResource', { resourceId }), invalid('must include ID and version')],
    [
      await bench.refusal('UpdateResource', { resourceId, resourceVersion, ...named('b') }),
      invalid('cannot change resource name'),
    ],
    [
      await bench.refusal('UpdateResource', { resourceId, resourceVersion }),
      invalid('update out of sequence'),
    ],
  ] as const) {
    assert.deepEqual(refused, expected);
  }
});

test('[CTL62] resources are listed by any name, then labels and kind', async () => {
  const bench = new Bench();
  for (const kind of ['gadget', 'widget']) {
    await bench.call('CreateExtension', named(kind));
    await bench.call('CreateResource', { ...named(`${kind}-1`, { l: kind }), kind });
    await bench.call('CreateResource', { ...named(`${kind}-2`), kind });
  }
  const names = async (filters: object): Promise<string> => {
    const { resources } = await bench.call('ListResources', { filters });
    return resources.map((resource) => resource.annotations.name).join(' ');
  };
  assert.equal(await names({}), 'gadget-1 gadget-2 widget-1 widget-2');
  assert.equal(await names({ kind: 'gadget' }), 'gadget-1 gadget-2');
  assert.equal(
    await names({ names: ['gadget-1'], namePrefixes: ['wid'] }),
    'gadget-1 widget-1 widget-2',
  );
  assert.equal(await names({ namePrefixes: ['wid'], labels: { l: '' } }), 'widget-1');
  assert.equal(await names({ namePrefixes: ['wid'], kind: 'gadget' }), '');
});
