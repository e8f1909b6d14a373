import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret, Service } from '../../shared/wire/gen/objects.ts';
import { Code } from '../rpc/errors.ts';
import { Bench } from './testing/bench.ts';

const data = Buffer.from('top secret');
const spec = (name: string, labels: Readonly<Record<string, string>> = {}) => ({
  annotations: { name, labels },
  data,
});
const invalid = (text: string) => ({ code: Code.INVALID_ARGUMENT, text });
const file = (name: string) => ({ case: 'file', value: { name } }) as const;

test('[CTL40] the data of a secret never comes back, that of a config does', async () => {
  const bench = new Bench();
  const { secret } = await bench.call('CreateSecret', { spec: spec('a') });
  const secretId = secret?.id ?? '';
  const secretVersion = secret?.meta.version;
  const seen = [
    secret,
    (await bench.call('GetSecret', { secretId })).secret,
    ...(await bench.call('ListSecrets', {})).secrets,
    (await bench.call('UpdateSecret', { secretId, secretVersion, spec: spec('a', { x: 'y' }) }))
      .secret,
  ];
  assert.equal(seen.length, 4);
  for (const shown of seen) {
    assert.equal(shown?.spec.annotations.name, 'a');
    assert.equal(shown.spec.data.length, 0);
  }
  const kept = bench.memory.store.view((view) => view.secrets.get(secretId)?.spec);
  assert.deepEqual(Buffer.from(kept?.data ?? []), data);
  assert.deepEqual(kept?.annotations.labels, { x: 'y' });
  const { config } = await bench.call('CreateConfig', { spec: spec('a') });
  const configId = config?.id ?? '';
  for (const shown of [
    config,
    (await bench.call('GetConfig', { configId })).config,
    ...(await bench.call('ListConfigs', {})).configs,
  ]) {
    assert.deepEqual(Buffer.from(shown?.spec.data ?? []), data);
  }
});

const exists = (kind: string) => ({
  code: Code.ALREADY_EXISTS,
  text: `${kind} A already exists`,
});

test('[CTL41] names are unique', async () => {
  const bench = new Bench();
  await bench.call('CreateSecret', { spec: spec('a') });
  await bench.call('CreateConfig', { spec: spec('a') });
  assert.deepEqual(await bench.refusal('CreateSecret', { spec: spec('A') }), exists('secret'));
  assert.deepEqual(await bench.refusal('CreateConfig', { spec: spec('A') }), exists('config'));
});

test('[CTL42] ids must be given and known', async () => {
  const bench = new Bench();
  const version = { index: 1 };
  for (const [refused, expected] of [
    [await bench.refusal('GetSecret', {}), invalid('secret ID must be provided')],
    [await bench.refusal('RemoveSecret', {}), invalid('secret ID must be provided')],
    [await bench.refusal('GetConfig', {}), invalid('config ID must be provided')],
    [await bench.refusal('RemoveConfig', {}), invalid('config ID must be provided')],
    [
      await bench.refusal('UpdateSecret', { secretId: 'x', spec: spec('a') }),
      invalid('invalid argument: the secret version must be provided'),
    ],
    [
      await bench.refusal('UpdateConfig', { configId: 'x', configVersion: version }),
      invalid('invalid argument: the config spec must be provided'),
    ],
    [
      await bench.refusal('GetSecret', { secretId: 'x' }),
      { code: Code.NOT_FOUND, text: 'secret x not found' },
    ],
    [
      await bench.refusal('UpdateConfig', {
        configId: 'x',
        configVersion: version,
        spec: spec('a'),
      }),
      { code: Code.NOT_FOUND, text: 'config x not found' },
    ],
    [
      await bench.refusal('RemoveSecret', { secretId: 'x' }),
      { code: Code.NOT_FOUND, text: 'could not find secret x' },
    ],
    [
      await bench.refusal('RemoveConfig', { configId: 'x' }),
      { code: Code.NOT_FOUND, text: 'could not find config x' },
    ],
    [
      await bench.refusal('CreateSecret', { spec: { annotations: { name: 'a' } } }),
      invalid('secret data must be larger than 0 and less than 512000 bytes'),
    ],
    [
      await bench.refusal('CreateConfig', { spec: { annotations: { name: 'a' } } }),
      invalid('config data must be larger than 0 and less than 1024000 bytes'),
    ],
  ] as const) {
    assert.deepEqual(refused, expected);
  }
});

test('[CTL43] only labels change, and only in sequence', async () => {
  const bench = new Bench();
  const { secret } = await bench.call('CreateSecret', { spec: spec('a') });
  const { config } = await bench.call('CreateConfig', { spec: spec('a') });
  const ofSecret = { secretId: secret?.id ?? '', secretVersion: secret?.meta.version };
  const ofConfig = { configId: config?.id ?? '', configVersion: config?.meta.version };
  const refused = invalid('only updates to Labels are allowed');
  for (const bad of [spec('b'), { ...spec('a'), data: Buffer.from('other') }]) {
    assert.deepEqual(await bench.refusal('UpdateSecret', { ...ofSecret, spec: bad }), refused);
    assert.deepEqual(await bench.refusal('UpdateConfig', { ...ofConfig, spec: bad }), refused);
  }
  const labelled = { annotations: { name: 'a', labels: { k: 'v' } } };
  await bench.call('UpdateSecret', { ...ofSecret, spec: labelled });
  await bench.call('UpdateConfig', { ...ofConfig, spec: labelled });
  const stale = { code: Code.UNKNOWN, text: 'update out of sequence' };
  assert.deepEqual(await bench.refusal('UpdateSecret', { ...ofSecret, spec: labelled }), stale);
  assert.deepEqual(await bench.refusal('UpdateConfig', { ...ofConfig, spec: labelled }), stale);
  const { config: after } = await bench.call('GetConfig', { configId: ofConfig.configId });
  assert.deepEqual(after?.spec.annotations.labels, { k: 'v' });
  assert.deepEqual(Buffer.from(after.spec.data), data);
});

test('[CTL44] what a service names is not removed, and the services are listed', async () => {
  const bench = new Bench();
  const secretId = (await bench.call('CreateSecret', { spec: spec('s') })).secret?.id ?? '';
  const configId = (await bench.call('CreateConfig', { spec: spec('c') })).config?.id ?? '';
  const value = {
    image: 'i',
    secrets: [{ secretId, secretName: 's', target: file('s') }],
    configs: [{ configId, configName: 'c', target: file('c') }],
  };
  const user = (name: string) =>
    Service.create({
      id: name,
      spec: { annotations: { name }, task: { runtime: { case: 'container', value } } },
    });
  await bench.write((tx) => tx.services.create(user('web')));
  const removeSecret = () => bench.refusal('RemoveSecret', { secretId });
  const removeConfig = () => bench.refusal('RemoveConfig', { configId });
  assert.deepEqual(
    await removeSecret(),
    invalid("secret 's' is in use by the following service: web"),
  );
  await bench.write((tx) => tx.services.create(user('api')));
  assert.deepEqual(
    await removeSecret(),
    invalid("secret 's' is in use by the following services: api, web"),
  );
  assert.deepEqual(
    await removeConfig(),
    invalid("config 'c' is in use by the following services: api, web"),
  );
  await bench.write((tx) => {
    tx.services.remove('web');
    tx.services.remove('api');
  });
  assert.deepEqual([await removeSecret(), await removeConfig()], [undefined, undefined]);
});

test('[CTL45] lists take what any name or prefix finds, then want the labels', async () => {
  const bench = new Bench();
  const ids = new Map<string, string>();
  for (const [name, label] of [
    ['alpha', '1'],
    ['beta', '1'],
    ['Bravo', '2'],
  ] as const) {
    const { secret } = await bench.call('CreateSecret', { spec: spec(name, { l: label }) });
    ids.set(name, secret?.id ?? '');
  }
  const internal = { id: 'zz', internal: true, spec: { annotations: { name: 'internal' } } };
  await bench.write((tx) => tx.secrets.create(Secret.create(internal)));
  const names = async (filters: object): Promise<string> => {
    const { secrets } = await bench.call('ListSecrets', { filters });
    return secrets.map((secret) => secret.spec.annotations.name).join(' ');
  };
  for (const [filters, expected] of [
    [{}, 'alpha beta Bravo'],
    [{ names: ['ALPHA'] }, 'alpha'],
    [{ names: ['alpha'], namePrefixes: ['b'] }, 'alpha beta Bravo'],
    [{ names: ['alpha'], idPrefixes: [ids.get('alpha')] }, 'alpha'],
    [{ namePrefixes: ['b'], labels: { l: '2' } }, 'Bravo'],
    [{ labels: { l: '1' } }, 'alpha beta'],
    [{ labels: { l: '' } }, 'alpha beta Bravo'],
    [{ names: ['nobody'] }, ''],
    [{ names: ['internal'] }, ''],
  ] as const) {
    assert.equal(await names(filters), expected, JSON.stringify(filters));
  }
});

const driven = (name: string, driver: string) => ({
  spec: { annotations: { name }, driver: { name: driver } },
});

test('[CTL46] a secret may be kept by a driver that is there', async () => {
  const bench = new Bench();
  assert.ok((await bench.call('CreateSecret', driven('a', 'vault'))).secret);
  assert.deepEqual(
    await bench.refusal('CreateSecret', driven('b', '')),
    invalid('secret driver must have a name'),
  );
  assert.deepEqual(
    await bench.refusal('CreateSecret', driven('b', 'safe')),
    invalid('plugin "safe" not found: this manager has no secret driver of that name'),
  );
});
