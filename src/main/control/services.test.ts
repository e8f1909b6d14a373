import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Config, Network, Secret } from '../../shared/wire/gen/objects.ts';
import { ServiceSpec } from '../../shared/wire/gen/specs.ts';
import type { Service } from '../../shared/wire/gen/objects.ts';
import type { Init } from '../../shared/wire/runtime.ts';
import { Code } from '../rpc/errors.ts';
import { Bench } from './testing/bench.ts';

type Spec = Init<ServiceSpec>;

const container = (value: object = {}): Spec => ({
  task: { runtime: { case: 'container', value: { image: 'nginx', ...value } } },
});
const web = (init: Spec = {}): Spec => ({
  annotations: { name: 'web' },
  mode: { case: 'replicated', value: { replicas: 2n } },
  ...container(),
  ...init,
});
const named = (name: string, init: Spec = {}): Spec => web({ annotations: { name }, ...init });

async function created(bench: Bench, spec: Spec): Promise<Service> {
  const { service } = await bench.call('CreateService', { spec });
  assert.ok(service);
  return service;
}

async function withIngress(bench: Bench): Promise<void> {
  await bench.write((tx) =>
    tx.networks.create(
      Network.create({ id: 'net-in', spec: { annotations: { name: 'ingress' }, ingress: true } }),
    ),
  );
}

const port = (publishedPort: number, publishMode: 0 | 1 = 0, protocol: 0 | 1 = 0) => ({
  publishedPort,
  publishMode,
  protocol,
});
const publishing = (...ports: readonly ReturnType<typeof port>[]): Spec => ({
  endpoint: { ports },
});

test('[CTL1] a created service starts with an empty spec version and is what was asked for', async () => {
  const bench = new Bench();
  const service = await created(bench, web());
  assert.deepEqual(service.spec, ServiceSpec.create(web()));
  assert.deepEqual(service.specVersion, { index: 0 });
  assert.equal(service.jobStatus, undefined);
  assert.deepEqual(await bench.call('GetService', { serviceId: service.id }), { service });
  const job = await created(bench, named('job', { mode: { case: 'globalJob', value: {} } }));
  assert.deepEqual(job.jobStatus, {
    jobIteration: { index: 0 },
    lastExecution: { seconds: 1_700_000_000, nanos: 0 },
  });
});

test('[CTL2] names are unique, upper and lower case alike', async () => {
  const bench = new Bench();
  await created(bench, web());
  assert.deepEqual(await bench.refusal('CreateService', { spec: named('Web') }), {
    code: Code.ALREADY_EXISTS,
    text: 'name conflicts with an existing object: service Web already exists',
  });
});

test('[CTL3] a request without its parts, or for what is not there, is turned down', async () => {
  const bench = new Bench();
  const version = { index: 1 };
  const invalid = Code.INVALID_ARGUMENT;
  const rows = [
    [
      await bench.refusal('CreateService', {}),
      invalid,
      'invalid argument: the service spec must be provided',
    ],
    [
      await bench.refusal('GetService', {}),
      invalid,
      'invalid argument: the service ID must be provided',
    ],
    [
      await bench.refusal('RemoveService', {}),
      invalid,
      'invalid argument: the service ID must be provided',
    ],
    [
      await bench.refusal('UpdateService', { serviceId: 'x', spec: web() }),
      invalid,
      'invalid argument: the service version must be provided',
    ],
    [
      await bench.refusal('UpdateService', { serviceId: 'x', serviceVersion: version }),
      invalid,
      'invalid argument: the service spec must be provided',
    ],
    [await bench.refusal('GetService', { serviceId: 'x' }), Code.NOT_FOUND, 'service x not found'],
    [
      await bench.refusal('RemoveService', { serviceId: 'x' }),
      Code.NOT_FOUND,
      'service x not found',
    ],
    [
      await bench.refusal('UpdateService', {
        serviceId: 'x',
        serviceVersion: version,
        spec: web(),
      }),
      Code.NOT_FOUND,
      'service x not found',
    ],
  ] as const;
  for (const [refused, code, text] of rows) assert.deepEqual(refused, { code, text });
});

test('[CTL4] checks of the spec come before anything is written', async () => {
  const bench = new Bench();
  const good = await created(bench, web());
  const at = bench.memory.store.appliedIndex;
  const bad = web({ mode: undefined });
  const refused = { code: Code.INVALID_ARGUMENT, text: 'Unrecognized service mode' };
  assert.deepEqual(await bench.refusal('CreateService', { spec: bad }), refused);
  assert.deepEqual(
    await bench.refusal('UpdateService', {
      serviceId: good.id,
      serviceVersion: good.meta.version,
      spec: bad,
    }),
    refused,
  );
  assert.deepEqual(
    await bench.refusal('CreateService', {
      spec: named('b', {
        task: { ...container().task, placement: { constraints: ['node.role'] } },
      }),
    }),
    { code: Code.UNKNOWN, text: 'constraint expected one operator from ==, !=' },
  );
  assert.equal(bench.memory.store.appliedIndex, at);
});

const portText = (how: string, id: string): string =>
  `port '80' is already in use by service 'web' (${id}) as ${how}`;

test('[CTL5] a published port belongs to one service, but for two on hosts', async () => {
  const INGRESS = 'an ingress port';
  const HOST = 'a host-published port';
  const rows = [
    [port(80), port(80), INGRESS],
    [port(80), port(80, 1), INGRESS],
    [port(80, 1), port(80), HOST],
    [port(80, 1), port(80, 1), undefined],
    [port(80), port(80, 0, 1), undefined],
    [port(80), port(81), undefined],
    [port(0), port(0), undefined],
  ] as const;
  for (const [taken, wished, how] of rows) {
    const bench = new Bench();
    await withIngress(bench);
    const { id } = await created(bench, web(publishing(taken)));
    const refused = await bench.refusal('CreateService', { spec: named('b', publishing(wished)) });
    const expected = how && { code: Code.INVALID_ARGUMENT, text: portText(how, id) };
    assert.deepEqual(refused, expected);
  }
});

test('[CTL5] ports that the allocator gave are taken too, and a service never conflicts with itself', async () => {
  const bench = new Bench();
  await withIngress(bench);
  const service = await created(bench, web(publishing(port(0))));
  await bench.write((tx) => {
    const stored = tx.services.get(service.id);
    assert.ok(stored);
    tx.services.update({
      ...stored,
      endpoint: { spec: undefined, virtualIps: [], ports: [{ ...PORT, publishedPort: 30_000 }] },
    });
  });
  const refused = await bench.refusal('CreateService', {
    spec: named('b', publishing(port(30_000))),
  });
  assert.match(refused?.text ?? '', /^port '30000' is already in use by service 'web'/);
  const { service: now } = await bench.call('GetService', { serviceId: service.id });
  const update = { serviceId: service.id, serviceVersion: now?.meta.version };
  await bench.call('UpdateService', { ...update, spec: web(publishing(port(30_000))) });
});
const PORT = { name: '', protocol: 0, targetPort: 0, publishedPort: 0, publishMode: 0 } as const;

test('[CTL6] an update checks ports only when the endpoint changes', async () => {
  const bench = new Bench();
  await withIngress(bench);
  const first = await created(bench, web(publishing(port(80))));
  const second = await created(bench, named('b'));
  // As a race of old managers could have left it.
  await bench.write((tx) => {
    const stored = tx.services.get(second.id);
    assert.ok(stored);
    const spec = ServiceSpec.create(named('b', publishing(port(80))));
    tx.services.update({ ...stored, spec });
  });
  const get = async () => (await bench.call('GetService', { serviceId: second.id })).service;
  await bench.call('UpdateService', {
    serviceId: second.id,
    serviceVersion: (await get())?.meta.version,
    spec: named('b', { ...publishing(port(80)), ...container({ image: 'redis' }) }),
  });
  const refused = await bench.refusal('UpdateService', {
    serviceId: second.id,
    serviceVersion: (await get())?.meta.version,
    spec: named('b', publishing(port(80), port(81))),
  });
  assert.match(refused?.text ?? '', new RegExp(`\\(${first.id}\\) as an ingress port$`));
});

test('[CTL7] the ingress network must be there when needed, and is never named', async () => {
  const bench = new Bench();
  assert.deepEqual(await bench.refusal('CreateService', { spec: web(publishing(port(80))) }), {
    code: Code.FAILED_PRECONDITION,
    text: 'service needs ingress network, but no ingress network is present',
  });
  await created(bench, named('host', publishing(port(80, 1))));
  await withIngress(bench);
  const attached: readonly Spec[] = [
    { networks: [{ target: 'net-in' }] },
    { task: { ...container().task, networks: [{ target: 'net-in' }] } },
  ];
  for (const init of attached) {
    assert.deepEqual(await bench.refusal('CreateService', { spec: web(init) }), {
      code: Code.INVALID_ARGUMENT,
      text: 'Service cannot be explicitly attached to the ingress network "ingress"',
    });
  }
});

const file = (name: string) => ({ case: 'file', value: { name } }) as const;

const secret = (secretId: string, secretName: string) => ({
  secretId,
  secretName,
  target: file(`${secretId}${secretName}`),
});

const config = (configId: string, configName: string) => ({
  configId,
  configName,
  target: file(`${configId}${configName}`),
});

test('[CTL8] named secrets and configs must exist under their names', async () => {
  const bench = new Bench();
  await bench.write((tx) => {
    tx.secrets.create(Secret.create({ id: 's1', spec: { annotations: { name: 'a' } } }));
    tx.configs.create(Config.create({ id: 'c1', spec: { annotations: { name: 'a' } } }));
  });
  const rows = [
    [{ secrets: [secret('s1', 'a')], configs: [config('c1', 'a')] }, undefined],
    [{ secrets: [secret('s1', 'a'), secret('s2', 'b')] }, 'secret not found: b'],
    [{ secrets: [secret('s1', 'other'), secret('s2', 'b')] }, 'secrets not found: other, b'],
    [{ configs: [config('c2', 'b')] }, 'config not found: b'],
    [{ configs: [config('c2', 'b'), config('c1', 'A')] }, 'configs not found: b, A'],
  ] as const;
  for (const [init, text] of rows) {
    const refused = await bench.refusal('CreateService', { spec: web(container(init)) });
    assert.deepEqual(refused, text && { code: Code.INVALID_ARGUMENT, text });
  }
});

test('[CTL9] an update keeps the former spec and what others own', async () => {
  const bench = new Bench();
  const service = await created(bench, web());
  const endpoint = { spec: undefined, ports: [], virtualIps: [{ networkId: 'n', addr: 'a' }] };
  await bench.write((tx) => {
    const stored = tx.services.get(service.id);
    assert.ok(stored);
    const updateStatus = {
      state: 2,
      message: 'paused',
      startedAt: undefined,
      completedAt: undefined,
    } as const;
    tx.services.update({ ...stored, endpoint, updateStatus });
  });
  const { service: before } = await bench.call('GetService', { serviceId: service.id });
  const spec = web(container({ image: 'redis' }));
  const { service: after } = await bench.call('UpdateService', {
    serviceId: service.id,
    serviceVersion: before?.meta.version,
    spec,
  });
  assert.deepEqual(after?.spec, ServiceSpec.create(spec));
  assert.deepEqual(after.specVersion, before?.meta.version);
  assert.deepEqual(after.previousSpec, service.spec);
  assert.deepEqual(after.previousSpecVersion, { index: 0 });
  assert.equal(after.updateStatus, undefined);
  assert.deepEqual(after.endpoint, endpoint);
  assert.ok(after.meta.version.index > (before?.meta.version.index ?? 0));
});

test('[CTL10] the second update with one version is out of sequence', async () => {
  const bench = new Bench();
  const service = await created(bench, web());
  const request = { serviceId: service.id, serviceVersion: service.meta.version, spec: web() };
  const both = [bench.refusal('UpdateService', request), bench.refusal('UpdateService', request)];
  const stale = { code: Code.UNKNOWN, text: 'update out of sequence' };
  assert.deepEqual(await Promise.all(both), [undefined, stale]);
  assert.deepEqual(await bench.refusal('UpdateService', request), stale);
});

test('[CTL11] legacy networks, mode and name do not change', async () => {
  const bench = new Bench();
  const service = await created(bench, web());
  const rows = [
    [
      web({ networks: [{ target: 'n' }] }),
      'networks must be migrated to TaskSpec before being changed',
    ],
    [web({ mode: { case: 'global', value: {} } }), 'service mode change is not allowed'],
    [named('Web'), 'renaming services is not supported'],
  ] as const;
  for (const [spec, text] of rows) {
    assert.deepEqual(
      await bench.refusal('UpdateService', {
        serviceId: service.id,
        serviceVersion: service.meta.version,
        spec,
      }),
      { code: Code.UNIMPLEMENTED, text },
    );
  }
});

test('[CTL12] a rollback swaps the specs, and a second one swaps them back', async () => {
  const bench = new Bench();
  const first = await created(bench, web());
  const request = (service: Service | undefined) => ({
    serviceId: first.id,
    serviceVersion: service?.meta.version,
    spec: web(container({ image: 'ignored' })),
    rollback: 1 as const,
  });
  assert.deepEqual(await bench.refusal('UpdateService', request(first)), {
    code: Code.FAILED_PRECONDITION,
    text: `service ${first.id} does not have a previous spec`,
  });
  const { service: second } = await bench.call('UpdateService', {
    ...request(first),
    spec: web(container({ image: 'redis' })),
    rollback: 0,
  });
  const { service: back } = await bench.call('UpdateService', request(second));
  assert.deepEqual(back?.spec, first.spec);
  assert.deepEqual(back.specVersion, first.specVersion);
  assert.deepEqual(back.previousSpec, second?.spec);
  assert.deepEqual(back.previousSpecVersion, second?.specVersion);
  assert.deepEqual(back.updateStatus, {
    state: 4,
    message: 'manually requested rollback',
    startedAt: { seconds: 1_700_000_000, nanos: 0 },
    completedAt: undefined,
  });
  const { service: forth } = await bench.call('UpdateService', request(back));
  assert.deepEqual(forth?.spec, second?.spec);
});

test('[CTL12] a rollback does not bring back a port that another service has by now', async () => {
  const bench = new Bench();
  await withIngress(bench);
  const first = await created(bench, web(publishing(port(80))));
  const { service: second } = await bench.call('UpdateService', {
    serviceId: first.id,
    serviceVersion: first.meta.version,
    spec: web(),
  });
  await created(bench, named('b', publishing(port(80))));
  const refused = await bench.refusal('UpdateService', {
    serviceId: first.id,
    serviceVersion: second?.meta.version,
    spec: web(),
    rollback: 1,
  });
  assert.match(refused?.text ?? '', /^port '80' is already in use by service 'b'/);
});

test('[CTL13] every update of a job is a new iteration', async () => {
  const bench = new Bench();
  const spec = web({ mode: { case: 'replicatedJob', value: { maxConcurrent: 1n } } });
  const job = await created(bench, spec);
  bench.nowMs += 5000;
  const { service } = await bench.call('UpdateService', {
    serviceId: job.id,
    serviceVersion: job.meta.version,
    spec,
  });
  assert.deepEqual(service?.jobStatus, {
    jobIteration: { index: 1 },
    lastExecution: { seconds: 1_700_000_005, nanos: 0 },
  });
});

test('[CTL14] defaults are written out on request and never stored', async () => {
  const bench = new Bench();
  const service = await created(bench, web({ update: { parallelism: 3 } }));
  const { service: full } = await bench.call('GetService', {
    serviceId: service.id,
    insertDefaults: true,
  });
  const task = full?.spec.task;
  assert.ok(task?.runtime?.case === 'container');
  assert.deepEqual(task.runtime.value.stopGracePeriod, { seconds: 10, nanos: 0 });
  assert.deepEqual(task.runtime.value.pullOptions, { registryAuth: '' });
  assert.ok(task.runtime.value.dnsConfig && task.resources && task.placement);
  assert.equal(task.restart?.condition, 2);
  assert.deepEqual(task.restart.delay, { seconds: 5, nanos: 0 });
  assert.equal(full?.spec.update?.parallelism, 3);
  assert.deepEqual(full.spec.update.monitor, { seconds: 5, nanos: 0 });
  assert.equal(full.spec.rollback?.parallelism, 1);
  const { service: stored } = await bench.call('GetService', { serviceId: service.id });
  assert.deepEqual(stored?.spec, service.spec);
});

test('[CTL14] a job with its defaults is still a good job', async () => {
  const bench = new Bench();
  const mode = { case: 'globalJob', value: {} } as const;
  const job = await created(bench, web({ mode }));
  const request = { serviceId: job.id, insertDefaults: true };
  const { service } = await bench.call('GetService', request);
  await bench.call('UpdateService', {
    serviceId: job.id,
    serviceVersion: job.meta.version,
    spec: service?.spec,
  });
});

test('[CTL15] a removed service is gone at once', async () => {
  const bench = new Bench();
  const { id } = await created(bench, web());
  await bench.call('RemoveService', { serviceId: id });
  assert.equal((await bench.refusal('GetService', { serviceId: id }))?.code, Code.NOT_FOUND);
});

test('[CTL16] services are listed by runtime, with the generic kinds in lower case', async () => {
  const bench = new Bench();
  const payload = { typeUrl: 'x', value: Uint8Array.of(1) };
  await created(bench, web());
  await created(
    bench,
    named('plug', { task: { runtime: { case: 'generic', value: { kind: 'Plugin', payload } } } }),
  );
  const names = async (...runtimes: readonly string[]): Promise<readonly string[]> => {
    const { services } = await bench.call('ListServices', { filters: { runtimes } });
    return services.map(({ spec }) => spec.annotations.name);
  };
  assert.deepEqual(await names(), ['web', 'plug']);
  assert.deepEqual(await names('plugin'), ['plug']);
  assert.deepEqual(await names('container', 'x'), ['web']);
});
