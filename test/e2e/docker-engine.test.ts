/**
 * A stock Docker Engine as a node of a Skein cluster, beside a Skein worker that runs its tasks on an
 * engine of its own. What a task is given is checked from inside its container, on both.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostname } from 'node:os';
import { after, before, describe, test } from 'node:test';
import { Code } from '../../src/main/rpc/errors.ts';
import type { Init } from '../../src/shared/wire/runtime.ts';
import type { Node, Service, Task } from '../../src/shared/wire/gen/objects.ts';
import {
  type ContainerSpec,
  EndpointSpecResolutionMode,
  NodeSpecAvailability,
  type ServiceSpec,
} from '../../src/shared/wire/gen/specs.ts';
import type { LogMessage } from '../../src/shared/wire/gen/logbroker.ts';
import {
  IssuanceStatusState,
  MountType,
  NodeRole,
  NodeStatusState,
  PortConfigPublishMode,
  RestartPolicyRestartCondition,
} from '../../src/shared/wire/gen/types.ts';
import { type DockerEngine, whyNoEngine } from '../support/dockerd.ts';
import { Lab } from '../support/lab.ts';
import type { Namespace } from '../support/lab-network.ts';
import type { Finished } from '../support/run.ts';
import { containerOf } from '../support/swarm.ts';
import { until } from '../support/until.ts';

const why = whyNoEngine();
const WORKER = 'skein-worker';
/** Ends at once when asked to. */
const FOREVER = "trap 'exit 0' TERM; while :; do sleep 1 & wait; done";

const shell = (script: string): readonly string[] => ['sh', '-c', script];

/** A service of one busybox task, or of `replicas`. */
function serviceSpec(
  name: string,
  container: Init<ContainerSpec> = {},
  replicas = 1,
): Init<ServiceSpec> & { readonly task: Init<ServiceSpec['task']> } {
  const { ANY } = RestartPolicyRestartCondition;
  const value: Init<ContainerSpec> = {
    image: 'busybox:latest',
    command: shell(FOREVER),
    stopGracePeriod: { seconds: 1 },
    ...container,
  };
  return {
    annotations: { name },
    task: {
      runtime: { case: 'container', value },
      restart: { condition: ANY, delay: { seconds: 0 } },
    },
    mode: { case: 'replicated', value: { replicas: BigInt(replicas) } },
  };
}

const tasksOn = (tasks: readonly Task[], node: Node): readonly Task[] =>
  tasks.filter((task) => task.nodeId === node.id);

const text = ({ data }: LogMessage): string => Buffer.from(data).toString();

const overlayAddress = ({ networks }: Task): string =>
  networks[0]?.addresses[0]?.split('/')[0] ?? 'none';

/** The same but for its last character. */
const altered = (word: string): string => word.slice(0, -1) + (word.endsWith('0') ? '1' : '0');

/** A place where tasks run: a node of the cluster, and the engine that has its containers. */
type Seat = { readonly node: Node; readonly engine: DockerEngine; readonly namespace: Namespace };

const onNode = (node: Node, spec: ReturnType<typeof serviceSpec>): Init<ServiceSpec> => ({
  ...spec,
  task: { ...spec.task, placement: { constraints: [`node.id==${node.id}`] } },
});

describe('a stock Docker Engine in a Skein cluster', { skip: why ?? false }, () => {
  let lab: Lab;
  let stock: Omit<Seat, 'node'>;
  let engineNode: Node;
  let workerNode: Node;
  let workerSeat: Seat;
  let joinedAnew: string;
  let refusals: ReturnType<typeof refusedJoins>;

  before(async () => {
    lab = new Lab();
    const [first, own] = await Promise.all([
      lab.startEngine('engine'),
      lab.startEngine('worker-engine'),
      lab.startManager(),
    ]);
    stock = first;
    // Lost nodes are noticed sooner.
    await lab.swarm.updateCluster((spec) => ({
      ...spec,
      dispatcher: { ...spec.dispatcher, heartbeatPeriod: { seconds: 2, nanos: 0 } },
    }));
    const address = `--engine-addr=unix://${own.engine.socketPath}`;
    await lab.startWorker(WORKER, '--executor=docker', address);
    workerNode = await lab.swarm.readyNode(WORKER, 30_000);
    workerSeat = { ...own, node: workerNode };
    refusals = refusedJoins(own.engine);
  });

  after(() => lab[Symbol.dispose]());

  const seats = {
    'the stock engine': (): Seat => ({ ...stock, node: engineNode }),
    "Skein's worker": (): Seat => workerSeat,
  };

  const onEngine = (spec: ReturnType<typeof serviceSpec>): Init<ServiceSpec> =>
    onNode(engineNode, spec);

  /** Runs one task of the service, hands it over, and removes the service. */
  async function withTask(
    spec: Init<ServiceSpec>,
    check: (container: string, task: Task, service: Service) => Promise<void>,
  ): Promise<void> {
    const service = await lab.swarm.createService(spec);
    const task = await lab.swarm.onlyTask(service);
    await check(containerOf(task), task, service);
    await lab.swarm.remove(service);
  }

  const containers = async (on = stock.engine): Promise<readonly string[]> =>
    (await on.docker('ps', '-q', '--no-trunc')).split('\n').filter((id) => id !== '');

  /** Joins with what cannot be right, one after the other: an engine tries for 10 s each time. */
  async function refusedJoins(on: DockerEngine) {
    const { worker } = (await lab.swarm.cluster()).rootCa.joinTokens;
    const [prefix, version, digest = '', secret = ''] = worker.split('-');
    const joining = (...parts: readonly (string | undefined)[]): Promise<Finished> =>
      on.try('swarm', 'join', '--token', parts.join('-'), lab.address);
    return [
      { answer: await joining('nonsense'), expected: /invalid join token/ },
      {
        answer: await joining(prefix, version, digest, altered(secret)),
        expected: /A valid join token is necessary to join this cluster/,
      },
      {
        answer: await joining(prefix, version, altered(digest), secret),
        expected: /remote CA does not match fingerprint/,
      },
    ];
  }

  async function scale(service: Service, replicas: number): Promise<void> {
    const { service: now } = await lab.swarm.control.GetService({ serviceId: service.id });
    assert.ok(now?.spec !== undefined);
    await lab.swarm.control.UpdateService({
      serviceId: now.id,
      serviceVersion: now.meta.version,
      spec: { ...now.spec, mode: { case: 'replicated', value: { replicas: BigInt(replicas) } } },
    });
  }

  /** What `skein …` prints, trimmed. */
  async function skein(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await lab.skein(...args);
    assert.equal(code, 0, stderr);
    return stdout.trim();
  }

  test('joins by docker swarm join and is READY', async () => {
    const token = await skein('cluster', 'token', 'worker', '-q');
    const answer = await stock.engine.docker('swarm', 'join', '--token', token, lab.address);
    assert.match(answer, /This node joined a swarm as a worker\./);
    const nodeId = await stock.engine.docker('info', '-f', '{{.Swarm.NodeID}}');
    engineNode = await lab.swarm.nodeIs(nodeId, NodeStatusState.READY, 10_000);
    assert.equal(engineNode.description?.hostname, hostname());
    assert.equal(engineNode.status.addr, stock.namespace.address);
    assert.match(engineNode.description?.engine?.engineVersion ?? '', /^\d+\./);
    const listed = (await skein('node', 'ls', '--format=json'))
      .split('\n')
      .find((line) => line.includes(nodeId));
    assert.match(listed ?? '', /"role":"worker".*"status":"ready"/);
    const managers = '{{range .Swarm.RemoteManagers}}{{.Addr}} {{end}}';
    assert.equal(await stock.engine.docker('info', '-f', managers), lab.address);
  });

  test('is not promoted: it could share no quorum with a Skein manager', async () => {
    const { code, stderr } = await lab.skein('node', 'promote', engineNode.id);
    assert.equal(code, 1);
    assert.match(stderr, /is a Docker Engine, which cannot be a manager of this cluster yet/);
    assert.equal((await lab.swarm.node(engineNode.id)).spec.desiredRole, NodeRole.WORKER);
  });

  test('runs replicas of one service next to a Skein worker', async () => {
    const service = await lab.swarm.createService(serviceSpec('shared', {}, 4));
    const tasks = await lab.swarm.running(service, 4);
    assert.equal(tasksOn(tasks, workerNode).length, 2);
    const here = tasksOn(tasks, engineNode);
    const ids = here.map(containerOf);
    assert.deepEqual(new Set(await containers()), new Set(ids));
    for (const task of here) {
      const name = await stock.engine.docker('inspect', '-f', '{{.Name}}', containerOf(task));
      assert.equal(name, `/shared.${task.slot}.${task.id}`);
    }

    await scale(service, 6);
    const more = await lab.swarm.running(service, 6);
    assert.equal(tasksOn(more, engineNode).length, 3);
    assert.deepEqual(
      new Set(tasksOn(more, engineNode).map(containerOf)).intersection(new Set(ids)).size,
      2,
    );

    await lab.swarm.remove(service);
    assert.deepEqual(await containers(), []);
  });

  test('a container that ends is replaced', async () => {
    const service = await lab.swarm.createService(onEngine(serviceSpec('restarted')));
    const first = await lab.swarm.onlyTask(service);
    await stock.engine.docker('kill', containerOf(first));
    const second = await until('another task runs', 15_000, async () => {
      const [task] = await lab.swarm.running(service, 1);
      return task !== undefined && task.id !== first.id ? task : undefined;
    });
    assert.equal(second.slot, first.slot);
    const failed = (await lab.swarm.tasks(service)).find((task) => task.id === first.id);
    assert.equal(failed?.status.err, 'task: non-zero exit (137)');
    await lab.swarm.remove(service);
  });

  for (const [where, seat] of Object.entries(seats)) {
    test(`${where} gives a task no network, and its environment, host name and labels`, async () => {
      const { engine, namespace, node } = seat();
      const spec = serviceSpec('environment', {
        env: ['GREETING=hello world', 'EMPTY='],
        hostname: '{{.Service.Name}}-{{.Task.Slot}}',
        labels: { tint: 'blue' },
        dir: '/tmp',
      });
      await withTask(onNode(node, spec), async (container) => {
        const environment = await engine.inside(container, 'cat', '/proc/1/environ');
        assert.ok(environment.split('\0').includes('GREETING=hello world'), environment);
        assert.ok(environment.split('\0').includes('EMPTY='), environment);
        assert.equal(await engine.inside(container, 'hostname'), 'environment-1');
        assert.equal(await engine.inside(container, 'readlink', '/proc/1/cwd'), '/tmp');
        const label = '{{index .Config.Labels "tint"}}';
        assert.equal(await engine.docker('inspect', '-f', label, container), 'blue');
        const addresses = await engine.inside(container, 'ip', '-o', '-4', 'addr');
        assert.doesNotMatch(addresses, new RegExp(namespace.address));
      });
    });

    test(`${where} gives a task the host network`, async () => {
      const { engine, namespace, node } = seat();
      const { networks } = await lab.swarm.control.ListNetworks({});
      const host = networks.find((network) => network.spec.annotations.name === 'host');
      const spec = onNode(
        node,
        serviceSpec('host-network', {
          command: shell(
            `mkdir /www; echo from the host > /www/index.html; httpd -p 8081 -h /www; ${FOREVER}`,
          ),
        }),
      );
      const task = { ...spec.task, networks: [{ target: host?.id ?? 'none' }] };
      await withTask({ ...spec, task }, async (container) => {
        assert.match(
          await engine.inside(container, 'ip', '-o', '-4', 'addr', 'show', 'eth0'),
          new RegExp(`inet ${namespace.address}/24`),
        );
        const answer = await fetch(`http://${namespace.address}:8081/`);
        assert.equal(await answer.text(), 'from the host\n');
      });
    });

    test(`${where} publishes a port of the host`, async () => {
      const { namespace, node } = seat();
      const spec = onNode(
        node,
        serviceSpec('host-port', {
          command: shell(
            `mkdir /www; echo from a port > /www/index.html; httpd -p 80 -h /www; ${FOREVER}`,
          ),
        }),
      );
      const port = {
        targetPort: 80,
        publishedPort: 8082,
        publishMode: PortConfigPublishMode.HOST,
      } as const;
      await withTask({ ...spec, endpoint: { ports: [port] } }, async (_container, task) => {
        const [reported] = task.status.portStatus?.ports ?? [];
        assert.deepEqual([reported?.targetPort, reported?.publishedPort], [80, 8082]);
        const answer = await fetch(`http://${namespace.address}:8082/`);
        assert.equal(await answer.text(), 'from a port\n');
      });
      await assert.rejects(fetch(`http://${namespace.address}:8082/`), 'the port is free again');
    });

    test(`${where} gives a task its mounts`, async () => {
      const { engine, node } = seat();
      const folder = lab.folder('mounted');
      writeFileSync(join(folder, 'given'), 'from outside');
      const spec = serviceSpec('mounts', {
        mounts: [
          { type: MountType.BIND, source: folder, target: '/bound' },
          { type: MountType.BIND, source: folder, target: '/read-only', readonly: true },
          { type: MountType.VOLUME, source: 'kept', target: '/volume' },
          { type: MountType.TMPFS, target: '/memory', tmpfsOptions: { sizeBytes: 1 << 20 } },
        ],
      });
      await withTask(onNode(node, spec), async (container) => {
        assert.equal(await engine.inside(container, 'cat', '/bound/given'), 'from outside');
        await engine.inside(container, ...shell('echo from inside > /bound/made'));
        assert.equal(readFileSync(join(folder, 'made'), 'utf8'), 'from inside\n');
        const refused = await engine.try('exec', container, 'touch', '/read-only/x');
        assert.match(refused.stderr, /Read-only file system/);
        await engine.inside(container, ...shell('echo precious > /volume/file'));
        assert.match(await engine.inside(container, 'df', '-k', '/memory'), /tmpfs +1024 /);
      });
      await withTask(onNode(node, spec), async (container) => {
        assert.equal(await engine.inside(container, 'cat', '/volume/file'), 'precious');
      });
    });

    test(`${where} gives a task its secret and its config as files`, async () => {
      const { engine, node } = seat();
      const data = Buffer.from('s3cret\0bytes');
      const { control } = lab.swarm;
      const { secret } = await control.CreateSecret({
        spec: { annotations: { name: 'pass' }, data },
      });
      const { config } = await control.CreateConfig({
        spec: { annotations: { name: 'conf' }, data: Buffer.from('key = value\n') },
      });
      assert.ok(secret !== undefined && config !== undefined);
      const spec = serviceSpec('files', {
        secrets: [
          {
            secretId: secret.id,
            secretName: 'pass',
            target: { case: 'file', value: { name: 'pass', uid: '7', gid: '8', mode: 0o400 } },
          },
        ],
        configs: [
          {
            configId: config.id,
            configName: 'conf',
            target: {
              case: 'file',
              value: { name: '/etc/app.conf', uid: '0', gid: '0', mode: 0o444 },
            },
          },
        ],
      });
      await withTask(onNode(node, spec), async (container) => {
        const stat = (path: string): Promise<string> =>
          engine.inside(container, 'stat', '-L', '-c', '%a %u %g', path);
        assert.equal(await stat('/run/secrets/pass'), '400 7 8');
        assert.equal(await stat('/etc/app.conf'), '444 0 0');
        const hex = await engine.inside(container, 'xxd', '-p', '/run/secrets/pass');
        assert.equal(hex, data.toString('hex'));
        assert.equal(await engine.inside(container, 'cat', '/etc/app.conf'), 'key = value');
        const memory = await engine.inside(container, 'grep', '/run/secrets', '/proc/mounts');
        assert.match(memory, /tmpfs/, 'a secret never touches the disk');
      });
      await control.RemoveSecret({ secretId: secret.id });
      await control.RemoveConfig({ configId: config.id });
    });

    test(`${where} streams service logs: all, the last ones, and as they are written`, async () => {
      const { engine, node } = seat();
      const spec = serviceSpec('logs', {
        command: shell(
          'for i in 1 2 3 4 5; do echo line $i; done; echo problem >&2; ' +
            "trap 'exit 0' TERM; while :; do [ -f /tmp/say ] && cat /tmp/say && rm /tmp/say; sleep 0.1; done",
        ),
      });
      await withTask(onNode(node, spec), async (container, task, service) => {
        const selector = { serviceIds: [service.id] };
        const ending = new AbortController();
        const read = async (tail: number): Promise<readonly LogMessage[]> =>
          Array.fromAsync(lab.swarm.logs({ selector, options: { tail } }, ending.signal));

        const all = await until('six lines were written', 10_000, async () => {
          const messages = await read(0);
          return messages.length === 6 ? messages : undefined;
        });
        const lines = (stream: number): readonly string[] =>
          all.filter((message) => message.stream === stream).map(text);
        assert.deepEqual(lines(1), ['line 1\n', 'line 2\n', 'line 3\n', 'line 4\n', 'line 5\n']);
        assert.deepEqual(lines(2), ['problem\n']);
        const context = { serviceId: service.id, nodeId: node.id, taskId: task.id };
        for (const message of all) assert.deepEqual(message.context, context);

        assert.deepEqual((await read(-3)).map(text), all.slice(-2).map(text));

        const listed = await lab.skein('service', 'logs', '--raw', '--tail=2', 'logs');
        assert.equal(listed.code, 0, listed.stderr);
        const shown = `${listed.stdout}${listed.stderr}`.trim().split('\n');
        assert.deepEqual(new Set(shown), new Set(all.slice(-2).map((m) => text(m).trim())));

        const options = { follow: true, tail: -1 };
        const heard: string[] = [];
        const following = (async () => {
          for await (const message of lab.swarm.logs({ selector, options }, ending.signal)) {
            heard.push(text(message));
          }
        })();
        // Said until it is heard: nobody is told when the engine has begun to listen.
        await until('what is said is heard', 10_000, async () => {
          await engine.inside(container, ...shell('echo hello > /tmp/new; mv /tmp/new /tmp/say'));
          return heard.length > 0;
        });
        assert.equal(heard[0], 'hello\n');
        ending.abort();
        await assert.rejects(following, { code: Code.CANCELLED });
      });
    });
  }

  test('a paused node keeps its tasks and gets no more; a drained one loses them', async () => {
    const { PAUSE, DRAIN, ACTIVE } = NodeSpecAvailability;
    const availability = (value: NodeSpecAvailability): Promise<void> =>
      lab.swarm.updateNode(engineNode.id, (spec) => ({ ...spec, availability: value }));
    const service = await lab.swarm.createService(serviceSpec('moved', {}, 2));
    const [kept] = tasksOn(await lab.swarm.running(service, 2), engineNode);
    assert.ok(kept !== undefined);

    await availability(PAUSE);
    await scale(service, 4);
    const paused = await lab.swarm.running(service, 4);
    assert.deepEqual(tasksOn(paused, engineNode).map(containerOf), [containerOf(kept)]);
    assert.equal(tasksOn(paused, workerNode).length, 3);

    await availability(DRAIN);
    const drained = await until('the drained node has no task', 20_000, async () => {
      const tasks = await lab.swarm.running(service, 4);
      return tasksOn(tasks, engineNode).length === 0 ? tasks : undefined;
    });
    assert.equal(tasksOn(drained, workerNode).length, 4);
    await until('its containers have ended', 10_000, async () => (await containers()).length === 0);

    await availability(ACTIVE);
    await scale(service, 6);
    const active = await lab.swarm.running(service, 6);
    assert.equal(tasksOn(active, engineNode).length, 2);
    await lab.swarm.remove(service);
  });

  test('overlay: tasks have the addresses that the cluster gave them, and find each other', async () => {
    const { VIP, DNSRR } = EndpointSpecResolutionMode;
    const { network } = await lab.swarm.control.CreateNetwork({
      spec: { annotations: { name: 'inner' } },
    });
    assert.ok(network !== undefined);
    const connected = (
      spec: Init<ServiceSpec>,
      mode: EndpointSpecResolutionMode,
    ): Promise<Service> =>
      lab.swarm.createService({
        ...spec,
        task: { ...spec.task, networks: [{ target: network.id }] },
        endpoint: { mode },
      });
    const command = shell(
      `mkdir /www; hostname > /www/index.html; httpd -p 80 -h /www; ${FOREVER}`,
    );
    const web = await connected(onEngine(serviceSpec('web', { command }, 2)), DNSRR);
    const front = await connected(onEngine(serviceSpec('front')), VIP);
    const [asking] = await lab.swarm.running(front, 1, 30_000);
    assert.ok(asking !== undefined);
    const ask = (...question: readonly string[]): Promise<string> =>
      stock.engine.inside(containerOf(asking), ...question);
    const given = (await lab.swarm.running(web, 2, 30_000)).map(overlayAddress);
    assert.match(
      await ask('ip', '-o', '-4', 'addr'),
      new RegExp(`inet ${overlayAddress(asking)}/24`),
    );
    const virtual = asking.endpoint?.virtualIps[0]?.addr.split('/')[0] ?? 'none';
    for (const [name, addresses] of [
      ['web', given],
      ['tasks.web', given],
      ['front', [virtual]],
      ['tasks.front', [overlayAddress(asking)]],
    ] as const) {
      await until(`${name} is found at ${addresses.join(' and ')}`, 10_000, async () => {
        const words = (await ask('nslookup', name)).split(/\s+/);
        return addresses.every((address) => words.includes(address));
      });
    }
    for (const address of given) {
      assert.match(await ask('wget', '-qO-', `http://${address}/`), /^[0-9a-f]+$/);
    }
    await Promise.all([web, front].map((service) => lab.swarm.remove(service)));
    await lab.swarm.control.RemoveNetwork({ networkId: network.id });
  });

  test('comes back to a manager that was killed, with its tasks untouched', async () => {
    const service = await lab.swarm.createService(serviceSpec('lasting', {}, 4));
    const tasks = await lab.swarm.running(service, 4);
    const here = await containers();
    assert.equal(here.length, 2);

    await lab.endManager('SIGKILL');
    await lab.startManager();
    for (const node of [engineNode, workerNode]) {
      await lab.swarm.nodeIs(node.id, NodeStatusState.READY, 15_000);
    }
    // What the manager decides from now on reaches both, and what ran still runs.
    await scale(service, 6);
    const now = await lab.swarm.running(service, 6);
    const ids = new Set(now.map(({ id }) => id));
    assert.deepEqual(
      tasks.filter(({ id }) => !ids.has(id)),
      [],
    );
    assert.deepEqual(
      here.filter((id) => !tasksOn(now, engineNode).some((t) => containerOf(t) === id)),
      [],
    );
    assert.equal((await containers()).length, 3);
    await lab.swarm.remove(service);
  });

  test('renews its certificate when told to, and reconnects with the new one', async () => {
    const certificate = (): X509Certificate =>
      new X509Certificate(
        readFileSync(join(lab.folder('engine'), 'data/swarm/certificates/swarm-node.crt')),
      );
    const old = certificate().serialNumber;
    const service = await lab.swarm.createService(onEngine(serviceSpec('rotated')));
    const task = await lab.swarm.onlyTask(service);

    await lab.endManager('SIGTERM');
    const manager = await lab.managerHere();
    try {
      await lab.swarm.nodeIs(engineNode.id, NodeStatusState.READY, 15_000);
      const { ROTATE, ISSUED } = IssuanceStatusState;
      await manager.manager?.store.update((tx) => {
        const node = tx.nodes.get(engineNode.id);
        assert.ok(node !== undefined);
        const status = { state: ROTATE, err: '' };
        tx.nodes.update({ ...node, certificate: { ...node.certificate, status } });
      });
      await until('the engine has a new certificate', 15_000, async () => {
        const { status } = (await lab.swarm.node(engineNode.id)).certificate;
        return status.state === ISSUED && certificate().serialNumber !== old;
      });
    } finally {
      await manager.stop();
    }
    assert.equal(certificate().subject.split('\n').includes(`CN=${engineNode.id}`), true);

    // From now on the engine offers no ALPN when it connects.
    await lab.startManager();
    await lab.swarm.nodeIs(engineNode.id, NodeStatusState.READY, 20_000);
    assert.equal(containerOf(await lab.swarm.onlyTask(service)), containerOf(task));
    await scale(service, 2);
    await lab.swarm.running(service, 2);
    await lab.swarm.remove(service);
  });

  test('a node that left is DOWN, its tasks are replaced, and it may join anew', async () => {
    const service = await lab.swarm.createService(serviceSpec('left', {}, 2));
    assert.equal(tasksOn(await lab.swarm.running(service, 2), engineNode).length, 1);
    await stock.engine.docker('swarm', 'leave');
    await lab.swarm.nodeIs(engineNode.id, NodeStatusState.DOWN, 20_000);
    const { status } = await lab.swarm.node(engineNode.id);
    assert.equal(status.message, 'heartbeat failure');
    const tasks = await until('the Skein worker runs both', 15_000, async () => {
      const running = await lab.swarm.running(service, 2);
      return tasksOn(running, workerNode).length === 2 ? running : undefined;
    });
    assert.equal(tasks.length, 2);
    // What a lost node still runs is known only when it comes back, or is given up.
    await lab.swarm.control.RemoveNode({ nodeId: engineNode.id });
    await lab.swarm.remove(service);

    const token = await skein('cluster', 'token', 'worker', '-q');
    await stock.engine.docker('swarm', 'join', '--token', token, lab.address);
    const nodeId = await stock.engine.docker('info', '-f', '{{.Swarm.NodeID}}');
    assert.notEqual(nodeId, engineNode.id);
    await lab.swarm.nodeIs(nodeId, NodeStatusState.READY, 10_000);
    joinedAnew = nodeId;
  });

  test('a node that is removed is turned away', async () => {
    await assert.rejects(lab.swarm.control.RemoveNode({ nodeId: joinedAnew }), {
      code: Code.FAILED_PRECONDITION,
    });
    await lab.swarm.control.RemoveNode({ nodeId: joinedAnew, force: true });
    const words = `node ${joinedAnew} was removed from swarm`;
    await until('the engine is told', 15_000, () => stock.engine.log().includes(words));
    await assert.rejects(lab.swarm.node(joinedAnew), { code: Code.NOT_FOUND });
  });

  test('a wrong token and a wrong digest are told to whoever joins', async () => {
    for (const { answer, expected } of await refusals) {
      assert.notEqual(answer.code, 0);
      assert.match(answer.stderr, expected);
    }
  });
});
