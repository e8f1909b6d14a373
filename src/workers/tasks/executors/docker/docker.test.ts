/** The contract, and the Docker executor's own rules, on an engine of this test's own. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { Config, Secret, Task } from '../../../../shared/wire/gen/objects.ts';
import type { ContainerSpec, TaskSpec } from '../../../../shared/wire/gen/specs.ts';
import { MountType, PortConfigPublishMode } from '../../../../shared/wire/gen/types.ts';
import type { Init } from '../../../../shared/wire/runtime.ts';
import type { Dependencies } from '../../core/dependencies.ts';
import { until } from '../../../../../test/support/until.ts';
import { Cancellation } from '../cancellation.ts';
import { endOf, executorContract, logged, run, type Program } from '../contract.test.ts';
import { CancelledError, TemporaryError } from '../errors.ts';
import type { Controller, Executor } from '../executor.ts';
import { dockerExecutor } from './executor.ts';
import { IMAGE, OwnEngine, whyNoEngine } from './testing/own-engine.ts';

const sh = promisify(execFile);
const LOG = { info: () => undefined, warn: () => undefined };
const NODE = { nodeId: 'node1', hostname: '' };

const skip = await whyNoEngine();

let engine: OwnEngine | undefined;
let filesBase = '';
let ids = 0;

/** The engine of this file, in a network namespace of its own. */
function ownEngine(): OwnEngine {
  assert(engine !== undefined, 'the engine was started');
  return engine;
}

const open = (nodeId = NODE.nodeId): Executor =>
  dockerExecutor(
    { ...NODE, nodeId },
    { socketPath: ownEngine().socketPath, pull: 'missing', labels: { zone: 'a' } },
    LOG,
  );

type TaskInit = Omit<Init<Task>, 'spec'> & { readonly spec?: Init<TaskSpec> };

function taskOf(container: Init<ContainerSpec>, init: TaskInit = {}): Task {
  ids += 1;
  return Task.create({
    id: `task${ids}`,
    serviceId: 'service1',
    nodeId: NODE.nodeId,
    slot: ids,
    serviceAnnotations: { name: 'web' },
    ...init,
    spec: {
      ...init.spec,
      runtime: {
        case: 'container',
        value: { image: IMAGE, stopGracePeriod: { seconds: 1 }, ...container },
      },
    },
  });
}

const shell = (script: string): Init<ContainerSpec> => ({ command: ['sh', '-c', script] });

function programTask(program: Program): Task {
  switch (program.does) {
    case 'exit':
      return taskOf(shell(`echo out; echo err >&2; exit ${program.code}`));
    case 'serve':
      return taskOf(shell('trap "exit 0" TERM; while :; do sleep 0.05; done'));
    case 'resist':
      break;
  }
  const stopGracePeriod = { nanos: program.graceMs * 1e6 };
  return taskOf({ ...shell('trap "" TERM; while :; do sleep 1; done'), stopGracePeriod });
}

before(async () => {
  if (skip !== undefined) return;
  engine = await OwnEngine.start();
  filesBase = await mkdtemp(join(tmpdir(), 'skein-docker-'));
});

after(async () => {
  if (skip !== undefined) return;
  await engine?.stop();
  await rm(filesBase, { recursive: true, force: true });
});

executorContract(
  'docker',
  () =>
    Promise.resolve({
      open: () => Promise.resolve(open()),
      task: programTask,
      real: true,
      close: () => Promise.resolve(),
    }),
  skip,
);

const inspect = async (controller: Controller) => {
  const status = await controller.containerStatus();
  return ownEngine()
    .docker.getContainer(status?.containerId ?? '')
    .inspect();
};

const go = (): Cancellation => new Cancellation();

const probe = (check: string, extra = {}): Init<ContainerSpec> => ({
  ...shell('trap "exit 0" TERM; while :; do sleep 0.05; done'),
  healthcheck: {
    test: ['CMD-SHELL', check],
    interval: { nanos: 100e6 },
    timeout: { seconds: 5 },
    retries: 1,
    ...extra,
  },
});

const network = (id: string, init: { readonly ingress?: boolean } = {}) =>
  ({
    network: {
      id,
      spec: { annotations: { name: id }, ...init },
      ipam: { configs: [{ family: 4, subnet: '10.77.1.0/24', gateway: '10.77.1.1' }] },
    },
    aliases: ['alias1'],
  }) as const;

const file = (name: string, mode: number, uid = '0') => ({
  case: 'file' as const,
  value: { name, uid, gid: uid, mode },
});

const attached = (address: string): TaskInit => ({
  networks: [{ ...network('net1'), addresses: [`${address}/24`] }],
});

const predefined = (name: string) => ({
  network: {
    id: name,
    spec: { annotations: { name, labels: { 'com.docker.swarm.predefined': 'true' } } },
  },
});

const port = (targetPort: number, publishedPort: number, publishMode: 0 | 1) => ({
  name: `p${targetPort}`,
  targetPort,
  publishedPort,
  publishMode,
});

describe('docker', { skip: skip ?? false }, () => {
  let executor: Executor;
  before(() => {
    executor = open();
  });
  after(async () => {
    await executor.close();
  });

  const NONE: Dependencies = { secret: assert.fail, config: assert.fail };

  /** A controller whose container goes with the test. */
  const make = (task: Task, dependencies = NONE): Controller & AsyncDisposable => {
    const controller = executor.controller(task, dependencies);
    return Object.assign(controller, { [Symbol.asyncDispose]: () => controller.remove() });
  };

  test('[DOC1] names, labels and environment are those of the task', async () => {
    const task = taskOf(
      {
        labels: { a: 'spec', b: 'spec', 'com.docker.swarm.task.id': 'forged' },
        env: ['SLOT={{.Task.Slot}}', 'ARCH={{.Node.Platform.OS}}'],
        hostname: 'h-{{.Task.Slot}}',
      },
      {
        annotations: { labels: { b: 'task' } },
        assignedGenericResources: [
          { resource: { case: 'namedResourceSpec', value: { kind: 'gpu', value: 'g1' } } },
          { resource: { case: 'namedResourceSpec', value: { kind: 'gpu', value: 'g2' } } },
        ],
      },
    );
    await using controller = make(task);
    await controller.prepare(go());
    const { Name, Config: config } = await inspect(controller);
    assert.equal(Name, `/web.${task.slot}.${task.id}`);
    assert.deepEqual(config.Labels, {
      a: 'spec',
      b: 'task',
      'com.docker.swarm.task': '',
      'com.docker.swarm.task.id': task.id,
      'com.docker.swarm.task.name': `web.${task.slot}.${task.id}`,
      'com.docker.swarm.node.id': 'node1',
      'com.docker.swarm.service.id': 'service1',
      'com.docker.swarm.service.name': 'web',
    });
    for (const entry of [`SLOT=${task.slot}`, 'ARCH=linux', 'DOCKER_RESOURCE_GPU=g1,g2']) {
      assert.ok(config.Env.includes(entry), `${entry} in ${config.Env.join(' ')}`);
    }
    assert.equal(config.Hostname, `h-${task.slot}`);
  });

  test('[DOC2] the whole spec reaches the engine', async () => {
    const task = taskOf(
      {
        command: ['sh', '-c'],
        args: ['sleep 60'],
        dir: '/tmp',
        user: 'nobody',
        groups: ['2000'],
        readOnly: true,
        init: { value: true },
        stopSignal: 'SIGUSR1',
        hosts: ['10.0.0.9 db db.local'],
        dnsConfig: { nameservers: ['10.0.0.2'], search: ['example.org'], options: ['ndots:2'] },
        healthcheck: { test: ['CMD', 'true'], interval: { seconds: 7 }, retries: 4 },
        pidsLimit: 50,
        sysctls: { 'net.core.somaxconn': '99' },
        capabilityAdd: ['CAP_SYS_TIME'],
        capabilityDrop: ['CAP_CHOWN'],
        ulimits: [{ name: 'nofile', soft: 100, hard: 200 }],
        oomScoreAdj: 77,
        privileges: {
          noNewPrivileges: true,
          seccomp: { mode: 1 },
          selinuxContext: { disable: true },
        },
        mounts: [
          { type: MountType.TMPFS, target: '/scratch', tmpfsOptions: { sizeBytes: 65_536 } },
          { type: MountType.VOLUME, source: 'data', target: '/data', readonly: true },
        ],
      },
      {
        spec: {
          resources: {
            limits: { nanoCpus: 5e8, memoryBytes: 64 << 20 },
            reservations: { memoryBytes: 32 << 20 },
          },
        },
        logDriver: { name: 'json-file', options: { 'max-size': '1m' } },
      },
    );
    await using controller = make(task);
    await controller.prepare(go());
    const { Config: config, HostConfig: host } = await inspect(controller);
    assert.deepEqual([config.Entrypoint, config.Cmd], [['sh', '-c'], ['sleep 60']]);
    assert.deepEqual([config.WorkingDir, config.User], ['/tmp', 'nobody']);
    assert.partialDeepStrictEqual(config, { StopSignal: 'SIGUSR1' });
    assert.deepEqual(config.Healthcheck?.Test, ['CMD', 'true']);
    assert.deepEqual([config.Healthcheck?.Interval, config.Healthcheck?.Retries], [7e9, 4]);
    assert.deepEqual(host.GroupAdd, ['2000']);
    assert.deepEqual([host.ReadonlyRootfs, host.Init, host.PidsLimit], [true, true, 50]);
    assert.deepEqual(host.ExtraHosts, ['db:10.0.0.9', 'db.local:10.0.0.9']);
    assert.deepEqual([host.Dns, host.DnsSearch], [['10.0.0.2'], ['example.org']]);
    assert.deepEqual(host.Sysctls, { 'net.core.somaxconn': '99' });
    assert.deepEqual([host.CapAdd, host.CapDrop], [['CAP_SYS_TIME'], ['CAP_CHOWN']]);
    assert.deepEqual(host.Ulimits, [{ Name: 'nofile', Soft: 100, Hard: 200 }]);
    assert.equal(host.OomScoreAdj, 77);
    assert.deepEqual(host.SecurityOpt, [
      'label=disable',
      'seccomp=unconfined',
      'no-new-privileges',
    ]);
    assert.deepEqual(
      [host.NanoCpus, host.Memory, host.MemoryReservation],
      [5e8, 64 << 20, 32 << 20],
    );
    assert.deepEqual(host.LogConfig, { Type: 'json-file', Config: { 'max-size': '1m' } });
    const types = host.Mounts?.map((mount: { Type: string }) => mount.Type);
    assert.deepEqual(types, ['tmpfs', 'volume']);
  });

  test('[DOC3] an image that is not to be had is told of with the registry’s words', async () => {
    await using controller = make(taskOf({ image: 'nowhere.invalid/absent:1' }));
    const expected =
      /No such image: nowhere\.invalid\/absent:1 \(pulling it failed: .*nowhere\.invalid/s;
    await assert.rejects(controller.prepare(go()), expected);
    const id = (await ownEngine().docker.getImage(IMAGE).inspect()).Id;
    await using byId = make(taskOf({ image: id, command: ['true'] }));
    const startedMs = performance.now();
    await byId.prepare(go());
    assert.ok(performance.now() - startedMs < 20_000, 'a local image asks nobody');
  });

  test('[DOC4] a bind source that is missing is made only when that is wished', async () => {
    const source = join(filesBase, 'made');
    const bind = { type: MountType.BIND, source, target: '/data' };
    await using refused = make(taskOf({ mounts: [bind] }));
    await assert.rejects(refused.prepare(go()), /bind source path does not exist: .*made/);
    const mounts = [{ ...bind, bindOptions: { createmountpoint: true } }];
    await using accepted = make(taskOf({ ...shell('echo hello > /data/file'), mounts }));
    await run(accepted);
    assert.equal(await endOf(accepted), undefined);
    assert.equal(await readFile(join(source, 'file'), 'utf8'), 'hello\n');
    await using strange = make(taskOf({ mounts: [{ type: MountType.CLUSTER, target: '/x' }] }));
    await assert.rejects(strange.prepare(go()), /cannot mount \/x: unsupported mount type/);
  });

  test('[DOC5] a task with a health check has started when it is healthy', async () => {
    await using controller = make(taskOf(probe('touch /tmp/probed')));
    await run(controller);
    const { State } = await inspect(controller);
    assert.equal(State.Health?.Status, 'healthy');
  });

  test('[DOC5] an unhealthy task is shut down and fails', async () => {
    await using never = make(taskOf(probe('false')));
    await never.prepare(go());
    await assert.rejects(never.start(go()), /^FatalError: dockerexec: unhealthy container$/);
    assert.equal((await inspect(never)).State.Running, false);
    await using later = make(taskOf(probe('test ! -e /tmp/sick')));
    await run(later);
    const waiting = endOf(later);
    const status = await later.containerStatus();
    const container = ownEngine().docker.getContainer(status?.containerId ?? '');
    const exec = await container.exec({ Cmd: ['touch', '/tmp/sick'] });
    await exec.start({});
    assert.match(String(await waiting), /dockerexec: unhealthy container/);
  });

  const DEPENDENCIES: Dependencies = {
    secret: (id) => Secret.create({ id, spec: { data: Buffer.from('hush') } }),
    config: (id) =>
      Config.create({
        id,
        spec: {
          data: Buffer.from('{{.Service.Name}} {{secret "pass"}}'),
          templating: { name: 'golang' },
        },
      }),
  };

  test('[DOC6] secrets and configs are files, in memory, with their mode and owner', async () => {
    const script =
      'cat /run/secrets/pass /etc/app.conf; stat -c "%a %u" /run/secrets/pass /etc/app.conf';
    const task = taskOf({
      ...shell(`${script}; touch /run/secrets/pass 2>/dev/null && echo written`),
      secrets: [{ secretId: 's', secretName: 'pass', target: file('pass', 0o400) }],
      configs: [
        { configId: 'c', configName: 'conf', target: file('/etc/app.conf', 0o444, '65534') },
      ],
    });
    const controller = make(task, DEPENDENCIES);
    await run(controller);
    await endOf(controller);
    const lines = await logged(controller, { stderr: false });
    assert.deepEqual(lines, ['stdout: hushweb hush400 0', 'stdout: 444 65534']);
    const { Mounts } = await inspect(controller);
    const source = Mounts.find((mount) => mount.Destination === '/run/secrets/pass')?.Source ?? '';
    const mountPoint = await sh('stat', ['-f', '-c', '%T', source]);
    assert.equal(mountPoint.stdout.trim(), 'tmpfs');
    await controller.remove();
    await assert.rejects(stat(source), { code: 'ENOENT' });
  });

  test('[DOC6] what a task may not see stops it before its container is made', async () => {
    const target = { case: 'file' as const, value: { name: 'x' } };
    const task = taskOf({ secrets: [{ secretId: 's', secretName: 'x', target }] });
    const dependencies: Dependencies = {
      ...NONE,
      secret: (id) => {
        throw new Error(`secret ${id} not found`);
      },
    };
    await using controller = make(task, dependencies);
    await assert.rejects(controller.prepare(go()), /secret s not found/);
    assert.equal(await controller.containerStatus(), undefined);
  });

  test('[DOC7] tasks of one network reach each other by name at their own addresses', async () => {
    await using server = make(
      taskOf(shell('trap "exit 0" TERM; while :; do sleep 0.05; done'), attached('10.77.1.10')),
    );
    await run(server);
    const script = 'ip addr; nslookup web; nslookup alias1; ping -c 1 -W 5 10.77.1.10';
    const client = make(taskOf(shell(script), attached('10.77.1.11')));
    await run(client);
    const end = await endOf(client);
    const text = (await logged(client)).join('\n');
    assert.equal(end, undefined, text);
    assert.match(text, /inet 10\.77\.1\.11\/24/);
    assert.match(text, /10\.77\.1\.10/);
    await client.remove();
    await server.remove();
    const left = await ownEngine().docker.listNetworks();
    assert.deepEqual(
      left.filter((found) => found.Name.startsWith('skein-')),
      [],
    );
  });

  test('[DOC7] the host’s network, none of it, and ingress which is left out', async () => {
    for (const [networks, mode] of [
      [[predefined('host')], 'host'],
      [[predefined('none')], 'none'],
      [[network('ingress1', { ingress: true })], 'default'],
      [[], 'default'],
    ] as const) {
      await using controller = make(taskOf({ command: ['true'] }, { networks }));
      await controller.prepare(go());
      assert.equal((await inspect(controller)).HostConfig.NetworkMode, mode);
    }
  });

  test('[DOC8] published ports are told, each once, also when the engine chose', async () => {
    const { HOST, INGRESS } = PortConfigPublishMode;
    const task = taskOf(shell('trap "exit 0" TERM; while :; do sleep 0.05; done'), {
      networks: [network('net2')],
      endpoint: { ports: [port(80, 8080, HOST), port(81, 0, HOST), port(82, 8082, INGRESS)] },
    });
    await using controller = make(task);
    await run(controller);
    const ports = (await controller.portStatus())?.ports.toSorted(
      (a, b) => a.targetPort - b.targetPort,
    );
    assert.deepEqual(
      ports?.map((found) => [found.name, found.targetPort]),
      [
        ['p80', 80],
        ['p81', 81],
      ],
    );
    assert.equal(ports?.[0]?.publishedPort, 8080);
    assert.ok((ports?.[1]?.publishedPort ?? 0) > 1024);
  });

  test('[DOC10] containers of others are left alone', async () => {
    await using mine = make(taskOf(shell('sleep 60')));
    await run(mine);
    const other = open('node2');
    assert.deepEqual(await other.leftovers(), []);
    const theirs = taskOf(shell('true'), { annotations: { name: 'same' } });
    const second = taskOf(shell('true'), { annotations: { name: 'same' } });
    await using first = make(theirs);
    await first.prepare(go());
    await using clash = make(second);
    await assert.rejects(clash.prepare(go()), /container name "\/same" is already in use/);
    await other.close();
  });

  test('[DOC9] an engine that goes away is waited for, and its containers are found again', async () => {
    await using controller = make(taskOf(shell('sleep 60')));
    await run(controller);
    const waiting = endOf(controller);
    await ownEngine().kill();
    assert.ok((await waiting) instanceof TemporaryError, String(await waiting));
    await assert.rejects(controller.prepare(go()), TemporaryError);
    await ownEngine().launch();
    const end = await endOf(controller);
    assert.match(String(end), /task: non-zero exit \(1\d\d\)/);
  });

  test('[EXE4] a cancelled pull or start ends at once', async () => {
    await using controller = make(taskOf(probe('false', { interval: { seconds: 60 } })));
    await controller.prepare(go());
    const cancellation = go();
    const starting = assert.rejects(controller.start(cancellation), CancelledError);
    await until('it runs', 60_000, async () => (await inspect(controller)).State.Running);
    cancellation.cancel();
    await starting;
    assert.equal((await inspect(controller)).State.Running, true);
  });

  test('[EXE9] a task with a terminal has no log to read', async () => {
    await using controller = make(taskOf({ ...shell('true'), tty: true }));
    await assert.rejects(logged(controller), /logs not supported on services with TTY/);
    await writeFile(join(filesBase, 'done'), '');
  });
});
