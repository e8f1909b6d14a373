/** Commands as they are typed, against the control service over a store in memory. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Config } from '@oclif/core';
import { Cluster, Node, Service, Task } from '../../shared/wire/gen/objects.ts';
import { BackupHeader, StatusResponse } from '../../shared/wire/gen/operations.ts';
import { LogMessage, LogStream } from '../../shared/wire/gen/logbroker.ts';
import {
  NodeRole,
  NodeStatusState,
  TaskState,
  UpdateStatusUpdateState,
} from '../../shared/wire/gen/types.ts';
import { BackupFile } from '../backup/backup-file.ts';
import type { ClientCommand } from '../cli/client-command.ts';
import { CommandError, ExitCode } from '../cli/command-error.ts';
import {
  type ControlSocket,
  FakeTerminal,
  openControlSocket,
} from '../cli/testing/control-socket.ts';
import { Code, RpcError } from '../rpc/errors.ts';
import { COMMANDS } from './index.ts';

const ready = { state: NodeStatusState.READY };
const NODES = [
  Node.create({
    id: 'node1',
    role: NodeRole.MANAGER,
    spec: { desiredRole: NodeRole.MANAGER },
    status: ready,
    description: { hostname: 'm1' },
  }),
  Node.create({
    id: 'node2',
    status: { state: NodeStatusState.DOWN, message: 'heartbeat failure' },
    description: { hostname: 'w1', resources: { nanoCpus: 2e9, memoryBytes: 1024 } },
    spec: { annotations: { labels: { zone: 'a' } } },
  }),
];
const CLUSTER = Cluster.create({
  id: 'cluster1',
  spec: { annotations: { name: 'default' }, caConfig: { nodeCertExpiry: { seconds: 7_776_000 } } },
  rootCa: {
    caCert: Buffer.from('root'),
    joinTokens: { worker: 'SWMTKN-1-w', manager: 'SWMTKN-1-m' },
  },
});

/** One of three managers, the other two of which are gone. */
const ALONE = { raftId: 1n, clusterId: 'cluster1', nodeId: 'node1', hostname: 'm1', term: 3 };
const LOST = { member: { raftId: 2n, addr: '10.0.0.2:2377' }, error: '10.0.0.2:2377 is gone' };

type ClientCommandName = {
  [K in keyof typeof COMMANDS]: (typeof COMMANDS)[K] extends new (
    argv: string[],
    config: Config,
  ) => ClientCommand
    ? K
    : never;
}[keyof typeof COMMANDS];

describe('commands', () => {
  let socket: ControlSocket;
  let config: Config;
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'skein-commands-'));
    config = await Config.load(join(import.meta.dirname, '..', '..', '..'));
    socket = await openControlSocket({
      cluster: CLUSTER,
      nodes: NODES,
      operations: {
        Status: ({ withPeers }) =>
          StatusResponse.create({ manager: ALONE, peers: withPeers ? [LOST, LOST] : [] }),
        Backup: async (_request, _caller, sink) => {
          const header = BackupHeader.create({ clusterId: 'cluster1', index: 70 });
          await sink.write({ part: { case: 'header', value: header } });
          await sink.write({ part: { case: 'piece', value: Buffer.from('all there is') } });
        },
        RotateDataKey: () => ({}),
      },
      logs: {
        SubscribeLogs: async (request, _caller, sink) => {
          const context = { taskId: 'task1', nodeId: 'node2' };
          const { tail = 0, follow = false } = request.options ?? {};
          const line = (stream: LogStream, text: string) =>
            LogMessage.create({ context, stream, data: Buffer.from(text) });
          await sink.write({
            messages: [
              line(LogStream.LOG_STREAM_STDOUT, `tail ${tail} follow ${follow}\n`),
              line(LogStream.LOG_STREAM_STDERR, 'no newline'),
            ],
          });
          throw new RpcError(
            Code.UNKNOWN,
            'warning: incomplete log stream. node n9 is not available',
          );
        },
      },
    });
  });
  before(stuckService);
  after(() => rm(directory, { recursive: true }));
  after(() => socket[Symbol.asyncDispose]());

  const err = `no suitable node (${'insufficient resources on 2 nodes; '.repeat(5)})`;

  /** A service with a task that waits and one that has failed, for the tests that look at tasks. */
  async function stuckService(): Promise<void> {
    const [serviceId = ''] = await lines('service:create', '-d', '--name', 'stuck', 'alpine');
    const common = { serviceId, nodeId: 'node2', serviceAnnotations: { name: 'stuck' } };
    await socket.store.update((tx) => {
      tx.tasks.create(
        Task.create({
          ...common,
          id: 'task1',
          slot: 1,
          desiredState: TaskState.RUNNING,
          status: { state: TaskState.PENDING, err },
        }),
      );
      tx.tasks.create(
        Task.create({
          ...common,
          id: 'task0',
          slot: 1,
          desiredState: TaskState.SHUTDOWN,
          status: { state: TaskState.FAILED, err: 'task: non-zero exit (3)' },
        }),
      );
    });
  }

  async function run(
    name: ClientCommandName,
    argv: readonly string[],
    terminal = new FakeTerminal(),
  ): Promise<FakeTerminal> {
    const command: ClientCommand = new COMMANDS[name](['--socket', socket.path, ...argv], config);
    command.terminal = terminal;
    await command.run();
    return terminal;
  }

  async function lines(name: ClientCommandName, ...argv: string[]): Promise<readonly string[]> {
    return (await run(name, argv)).stdout.trimEnd().split('\n');
  }

  async function json(name: ClientCommandName, ...argv: string[]): Promise<readonly unknown[]> {
    return (await lines(name, '--format', 'json', ...argv)).map((line): unknown =>
      JSON.parse(line),
    );
  }

  const fails = (name: ClientCommandName, argv: readonly string[], text: RegExp): Promise<void> =>
    assert.rejects(run(name, argv), (error) => {
      assert.ok(error instanceof Error);
      assert.match(error.message, text);
      return true;
    });

  test('service create takes everything after the image as the command', async () => {
    const words = [
      '--detach',
      '--name',
      'ping',
      '-e',
      'A=1',
      '-p',
      '8080:80',
      'alpine',
      'ping',
      '-c',
      '3',
      '--',
      'host',
    ];
    const [id = ''] = await lines('service:create', ...words);
    assert.match(id, /^[0-9a-z]{25}$/);
    const [service] = await json('service:inspect', 'ping');
    assert.partialDeepStrictEqual(service, {
      id,
      spec: {
        annotations: { name: 'ping' },
        mode: { replicated: { replicas: 1 } },
        task: {
          runtime: {
            container: { image: 'alpine', args: ['ping', '-c', '3', '--', 'host'], env: ['A=1'] },
          },
          restart: { condition: 'any' },
        },
        endpoint: {
          ports: [{ publishedPort: 8080, targetPort: 80, protocol: 'tcp', publishMode: 'ingress' }],
        },
      },
    });
  });

  test('a service has a name even when none is given', async () => {
    await run('service:create', ['--detach', 'docker.io/library/nginx:1.27']);
    const names = (await json('service:ls', '--filter', 'name=nginx-')).length;
    assert.equal(names, 1);
  });

  test('a wrong value names its flag, what is wrong, and an example', async () => {
    for (const [flag, value, text] of [
      ['--publish', '80:80:80', /^--publish: "80:80:80": .*leave the host address out/],
      ['--limit-memory', '10x', /^--limit-memory: "10x" is not a size; write e\.g\. 64m/],
      [
        '--restart-condition',
        'maybe',
        /^--restart-condition: .*write one of none, on-failure, any/,
      ],
      ['--update-delay', '5', /^--update-delay: "5" is not a duration; write e\.g\. 10s/],
      ['--mount', 'source=a', /^--mount: "source=a" has no target/],
      ['--replicas', '-1', /^--replicas: .*from 0 up/],
      ['--timeout', 'soon', /^--timeout: "soon" is not a duration/],
    ] as const) {
      await assert.rejects(run('service:create', ['-d', flag, value, 'alpine']), (error) => {
        assert.ok(error instanceof CommandError);
        assert.equal(error.exitCode, ExitCode.USAGE);
        assert.match(error.message, text);
        return true;
      });
    }
    await fails(
      'service:create',
      ['-d', '--mode', 'global', '--replicas', '2', 'alpine'],
      /^--replicas: replicas can only/,
    );
    await fails('service:create', ['-d', '--secret', 'nope', 'alpine'], /^secret nope not found/);
    await fails('service:create', ['-d', '--env-file', '/nope', 'alpine'], /^--env-file \/nope: /);
    const taken = ['-d', '--name', 'taken', 'alpine'];
    await run('service:create', taken);
    await fails('service:create', taken, /service taken already exists/);
  });

  test('service update adds, removes, scales, goes back', async () => {
    await run('service:create', [
      '-d',
      '--name',
      'edit',
      '--env',
      'A=1',
      '--env',
      'B=2',
      '-l',
      'x=1',
      'alpine:1',
    ]);
    await run('service:update', [
      '-d',
      '--env-rm',
      'A',
      '--env-add',
      'C=3',
      '--image',
      'alpine:2',
      '--args',
      'sh -c "a b"',
      '--force',
      'edit',
    ]);
    const [changed] = await json('service:inspect', 'edit');
    assert.partialDeepStrictEqual(changed, {
      spec: {
        annotations: { labels: { x: '1' } },
        task: {
          forceUpdate: 1,
          runtime: {
            container: { image: 'alpine:2', args: ['sh', '-c', 'a b'], env: ['B=2', 'C=3'] },
          },
        },
      },
    });
    await fails('service:update', ['-d', 'edit'], /^no changes detected$/);
    await run('service:update', ['-d', '--rollback', 'edit']);
    await fails('service:update', ['-d', '--image', 'x y', 'edit'], /not a valid repository\/tag/);
    assert.deepEqual(await lines('service:scale', '-d', 'edit=4'), ['edit scaled to 4']);
    const [scaled] = await json('service:ls', '--filter', 'name=edit');
    assert.partialDeepStrictEqual(scaled, { desired: 4, running: 0, image: 'alpine:1' });
    await fails('service:scale', ['-d', 'edit'], /is not SERVICE=REPLICAS/);
  });

  test('names, ids and beginnings of ids find a service; nothing and many are errors', async () => {
    const [id = ''] = await lines('service:create', '-d', '--name', 'found', 'alpine');
    for (const reference of ['found', id, id.slice(0, 10)]) {
      assert.partialDeepStrictEqual((await json('service:inspect', reference))[0], { id });
    }
    await fails('service:inspect', ['nothing'], /^service nothing not found$/);
    await socket.store.update((tx) => {
      for (const node of ['ambiguous1', 'ambiguous2']) tx.nodes.create(Node.create({ id: node }));
    });
    await fails('node:inspect', ['ambiguous'], /^node ambiguous is ambiguous \(2 matches found\)$/);
    await run('node:rm', ['--force', 'ambiguous1', 'ambiguous2']);
  });

  test('tasks show why they wait, whole', async () => {
    const table = (await run('service:ps', ['stuck'], new FakeTerminal({ columns: 100 }))).stdout;
    assert.equal(table.replaceAll(/\s+/g, '').includes(err.replaceAll(/\s+/g, '')), true);
    assert.match(table, /stuck\.1 .*w1 .*running .*pending/);
    assert.deepEqual(await lines('task:ls', '-q', '--filter', 'service=stuck'), ['task1']);
    assert.deepEqual(await lines('task:ls', '-q', '-a', '--filter', 'service=stuck'), [
      'task1',
      'task0',
    ]);
    assert.deepEqual(
      await lines('service:ps', '-q', '--filter', 'desired-state=shutdown', 'stuck'),
      ['task0'],
    );
    assert.partialDeepStrictEqual(await json('task:ls', '--filter', 'service=stuck'), [
      { state: 'pending', desiredState: 'running', error: err, node: 'w1', service: 'stuck' },
    ]);
    assert.partialDeepStrictEqual(await json('task:inspect', 'task0'), [
      { status: { state: 'failed' } },
    ]);
    await fails('task:ls', ['--filter', 'color=red'], /KEY is one of id, name/);
    await fails('task:ls', ['--filter', 'state=tired'], /write one of new, pending/);
  });

  test('logs keep stdout and stderr apart, and say when they are not whole', async () => {
    const terminal = new FakeTerminal();
    await assert.rejects(run('service:logs', ['--tail', '3', 'stuck'], terminal), {
      message: /^warning: incomplete log stream/,
    });
    assert.equal(terminal.stdout, 'stuck.1@w1 | tail -4 follow false\n');
    assert.equal(terminal.stderr, 'stuck.1@w1 | no newline\n');
    const raw = new FakeTerminal();
    await assert.rejects(run('service:logs', ['--raw', '-f', 'task1'], raw), /incomplete/);
    assert.equal(raw.stdout, 'tail 0 follow true\n');
    await fails('service:logs', ['nothing'], /there is no service and no task called nothing/);
    await fails('service:logs', ['--since', 'later', 'stuck'], /^--since: "later" is not a time/);
  });

  test('create waits, and gives up in time with the reason', async () => {
    const terminal = new FakeTerminal();
    const words = ['--name', 'never', '--timeout', '300ms', 'alpine'];
    await assert.rejects(run('service:create', words, terminal), (error) => {
      assert.ok(error instanceof CommandError);
      assert.equal(error.exitCode, ExitCode.TIMEOUT);
      assert.match(error.message, /service never did not converge in time, 0 of 1 tasks are ready/);
      return true;
    });
    assert.equal(terminal.stderr, 'never: 0/1 ready\n');
  });

  test('the exit code tells how an update ended', async () => {
    await run('service:create', ['-d', '--name', 'rolls', 'alpine']);
    for (const [state, exitCode, text] of [
      [
        UpdateStatusUpdateState.PAUSED,
        ExitCode.PAUSED,
        'the update of service rolls is paused: why',
      ],
      [
        UpdateStatusUpdateState.ROLLBACK_COMPLETED,
        ExitCode.ROLLED_BACK,
        'service rolls was rolled back: why',
      ],
    ] as const) {
      const unwatch = socket.store.watch(({ changes }) => {
        for (const change of changes) {
          if (change.kind !== 'service' || change.action !== 'update') continue;
          const service = change.object;
          if (service.updateStatus !== undefined) continue;
          void socket.store.update((tx) =>
            tx.services.update(
              Service.create({ ...service, updateStatus: { state, message: 'why' } }),
            ),
          );
        }
      });
      try {
        await assert.rejects(run('service:update', ['--force', 'rolls']), (error) => {
          assert.ok(error instanceof CommandError);
          assert.deepEqual([error.exitCode, error.message], [exitCode, text]);
          return true;
        });
      } finally {
        unwatch();
      }
    }
  });

  test('nodes: list, filter, label, drain, remove', async () => {
    assert.deepEqual(await lines('node:ls', '-q'), ['node1', 'node2']);
    assert.deepEqual(await lines('node:ls', '-q', '--filter', 'label=zone=a'), ['node2']);
    assert.deepEqual(await lines('node:ls', '-q', '--filter', 'role=manager'), ['node1']);
    assert.match((await run('node:ls', [])).stdout, /node2 +w1 +down +active +heartbeat failure/);
    await run('node:update', [
      '--availability',
      'drain',
      '--label-add',
      'disk=ssd',
      '--label-rm',
      'zone',
      'w1',
    ]);
    assert.partialDeepStrictEqual((await json('node:ls', '--filter', 'name=w1'))[0], {
      availability: 'drain',
      labels: { disk: 'ssd' },
      cpus: 2,
      memoryBytes: 1024,
      leader: false,
    });
    await fails('node:update', ['--availability', 'drain', 'w1'], /^No change for node w1$/);
    await fails('node:rm', ['m1', 'nope'], /cluster manager[^]*\nError: node nope not found/);
  });

  test('nodes: promote and demote, with what stands in the way', async () => {
    await fails(
      'node:promote',
      ['m1', 'nope'],
      /^node nope not found\nError: Node m1 is already a manager$/,
    );
    await fails('node:promote', ['w1'], /^node w1 is a Docker Engine, which cannot be a manager/);
    await fails('node:demote', ['m1'], /^attempting to demote the last manager of the swarm$/);
    await fails('node:demote', ['w1'], /^Node w1 is already a worker$/);
    await fails('node:demote', [], /^name at least one node$/);
    const description = { hostname: 'w2', engine: { plugins: [{ type: 'Runtime', name: 'x' }] } };
    await socket.store.update((tx) => tx.nodes.create(Node.create({ id: 'node3', description })));
    assert.equal((await run('node:promote', ['--detach', 'w2'])).stdout, 'w2\n');
    await assert.rejects(run('node:promote', ['--timeout', '1ms', 'w2']), (error) => {
      assert.ok(error instanceof CommandError);
      assert.equal(error.exitCode, ExitCode.TIMEOUT);
      assert.match(
        error.message,
        /^Node w2 is not a manager yet: the node is not ready; it becomes/,
      );
      return true;
    });
    await socket.store.update((tx) => tx.nodes.remove('node3'));
  });

  test('the cluster: its managers, and why nothing can be decided', async () => {
    const terminal = new FakeTerminal();
    await assert.rejects(run('cluster:status', [], terminal), (error) => {
      assert.ok(error instanceof CommandError);
      assert.equal(error.exitCode, ExitCode.FAILED);
      assert.match(error.message, /^No quorum: 1 of 3 managers answers/);
      return true;
    });
    assert.match(terminal.stdout, /^Cluster cluster1, term 3, no leader\n\nMANAGER /);
    const asJson = new FakeTerminal();
    await assert.rejects(run('cluster:status', ['--format', 'json'], asJson), { message: '' });
    assert.partialDeepStrictEqual(JSON.parse(asJson.stdout), { quorum: false, needed: 2 });
  });

  test('the cluster: a backup, sealed or with a warning, and never over another file', async () => {
    const file = join(directory, 'cluster.backup');
    const words = join(directory, 'passphrase');
    const plain = await run('cluster:backup', [file]);
    assert.match(plain.stdout, /^Wrote .*: cluster cluster1 at index 70, \d+ B\.\n$/);
    assert.match(plain.stderr, /knows no leader[^]*is not sealed\. It holds the key/);
    await fails('cluster:backup', [file], /exists already: .* --force$/);
    await writeFile(words, '\n');
    await fails('cluster:backup', [file, '--passphrase-file', words], /it is empty/);
    await fails('cluster:backup', [file, '--passphrase-file', `${words}2`], /passphrase2: ENOENT/);
    await writeFile(words, 'open sesame\n');
    await run('cluster:backup', [file, '--force', '--passphrase-file', words]);
    using backup = new BackupFile(file, Buffer.from('open sesame'));
    assert.deepEqual([...backup.pieces()].map(String), ['all there is']);
  });

  test('the cluster: a new key for the log of this manager', async () => {
    assert.match((await run('cluster:rotate-data-key', [])).stdout, /was replaced/);
  });

  test('the cluster: settings and tokens', async () => {
    const text = (await run('cluster:token', ['worker'])).stdout;
    assert.match(text, /^SWMTKN-1-w\n/);
    assert.match(text, /skein worker --join-addr 10\.0\.0\.1:2377 --join-token SWMTKN-1-w\n/);
    assert.match(text, /docker swarm join --token SWMTKN-1-w 10\.0\.0\.1:2377\n/);
    // An engine can't be a manager, so nobody is told to try.
    assert.doesNotMatch((await run('cluster:token', ['manager'])).stdout, /docker/);
    const [token = ''] = await lines('cluster:token', 'manager', '--rotate', '-q');
    assert.match(token, /^SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}$/);
    assert.deepEqual(await lines('cluster:token', 'worker', '-q'), ['SWMTKN-1-w']);
    await run('cluster:update', [
      '--task-history-limit',
      '2',
      '--cert-expiry',
      '48h',
      '--log-driver',
      'json-file',
      '--log-opt',
      'max-size=1m',
    ]);
    assert.partialDeepStrictEqual((await json('cluster:inspect'))[0], {
      spec: {
        orchestration: { taskHistoryRetentionLimit: 2 },
        caConfig: { nodeCertExpiry: '48h' },
        taskDefaults: { logDriver: { name: 'json-file', options: { 'max-size': '1m' } } },
      },
    });
    await fails('cluster:update', [], /^no changes detected$/);
    await fails(
      'cluster:update',
      ['--cert-expiry', '1m'],
      /minimum certificate expiry time is: 1h0m0s/,
    );
  });

  test('networks, secrets and configs', async () => {
    await run('network:create', [
      '--subnet',
      '10.9.0.0/24',
      '--gateway',
      '10.9.0.1',
      '-l',
      'a=b',
      'front',
    ]);
    assert.partialDeepStrictEqual((await json('network:ls', '--filter', 'name=front'))[0], {
      driver: 'overlay',
      subnets: ['10.9.0.0/24'],
      labels: { a: 'b' },
    });
    await fails('network:create', ['--gateway', '10.9.0.1', 'bad'], /every --gateway/);
    await fails('network:create', ['--label', '=b', 'bad'], /^--label: "=b" has no name/);
    await run('secret:create', ['-l', 'a=b', 'key'], new FakeTerminal({ input: 'hush' }));
    await run('config:create', ['site', import.meta.filename]);
    const secret = (await run('secret:inspect', ['key'])).stdout;
    assert.match(secret, /name: key/);
    assert.doesNotMatch(secret, /hush/);
    assert.match((await run('config:inspect', ['site'])).stdout, /Commands as they are typed/);
    await run('service:create', [
      '-d',
      '--name',
      'user',
      '--network',
      'front',
      '--secret',
      'key',
      '--config',
      'source=site,target=/site',
      'alpine',
    ]);
    await fails('secret:rm', ['key'], /secret 'key' is in use by the following service: user/);
    await fails('network:rm', ['front'], /is in use by service/);
    await run('service:rm', ['user']);
    assert.deepEqual(await lines('secret:rm', 'key'), ['key']);
    assert.deepEqual(await lines('config:rm', 'site'), ['site']);
    await run('network:rm', ['front']);
    assert.equal((await run('secret:ls', [])).stdout, 'ID   NAME   CREATED\n');
  });

  test('what can be removed is removed, and each failure is told', async () => {
    await run('service:create', ['-d', '--name', 'gone', 'alpine']);
    const terminal = new FakeTerminal();
    await assert.rejects(run('service:rm', ['nope', 'gone'], terminal), {
      message: 'service nope not found',
    });
    assert.equal(terminal.stdout, 'gone\n');
    await fails('service:rm', [], /name at least one service/);
  });

  test('without a manager the error says where it looked and how to start one', async () => {
    const command = new COMMANDS['service:ls'](['--socket', '/nowhere/skein.sock'], config);
    await assert.rejects(
      command.run(),
      /there is no manager at \/nowhere\/skein\.sock: .*skein manager.*SKEIN_SOCKET/,
    );
    const dead = new COMMANDS['service:ls'](['--socket', import.meta.filename], config);
    await assert.rejects(dead.run(), /no manager answers at .*commands\.test\.ts \(connect/);
  });
});
