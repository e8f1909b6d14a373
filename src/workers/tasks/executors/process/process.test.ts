/** The contract, and the process executor's own rules, with real processes of this machine. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { Config, Secret, Task } from '../../../../shared/wire/gen/objects.ts';
import type { ContainerSpec, TaskSpec } from '../../../../shared/wire/gen/specs.ts';
import { PortConfigPublishMode } from '../../../../shared/wire/gen/types.ts';
import type { Init } from '../../../../shared/wire/runtime.ts';
import type { Dependencies } from '../../core/dependencies.ts';
import { until } from '../../../../../test/support/until.ts';
import { Cancellation } from '../cancellation.ts';
import { endOf, executorContract, logged, run, type Program } from '../contract.test.ts';
import { ExitError } from '../errors.ts';
import type { Controller, Executor } from '../executor.ts';
import { processExecutor } from './executor.ts';
import { identify, processesWith, stateOf } from './identity.ts';
import { writeRecord } from './record.ts';

const LOG = { info: () => undefined, warn: () => undefined };
const NODE = { nodeId: `test${process.pid}`, hostname: 'host1' };
const NONE: Dependencies = { secret: assert.fail, config: assert.fail };
const isRoot = process.getuid?.() === 0;

type TaskInit = Omit<Init<Task>, 'spec'> & { readonly spec?: Init<TaskSpec> };

let ids = 0;
function taskOf(container: Init<ContainerSpec>, init: TaskInit = {}): Task {
  ids += 1;
  return Task.create({
    id: `task${process.pid}x${ids}`,
    serviceAnnotations: { name: 'web' },
    slot: ids,
    ...init,
    spec: {
      ...init.spec,
      runtime: { case: 'container', value: { image: 'busybox', ...container } },
    },
  });
}

const shell = (script: string): Init<ContainerSpec> => ({ command: ['sh', '-c', script] });

function programTask(program: Program): Task {
  switch (program.does) {
    case 'exit':
      return taskOf(shell(`echo out; echo err >&2; exit ${program.code}`));
    case 'serve':
      return taskOf(shell('trap "exit 0" TERM; echo on; while :; do sleep 0.05; done'));
    case 'resist':
      break;
  }
  const stopGracePeriod = { nanos: program.graceMs * 1e6 };
  return taskOf({ ...shell('trap "" TERM; while :; do sleep 1; done'), stopGracePeriod });
}

const go = (): Cancellation => new Cancellation();

const file = (name: string, mode: number) => ({
  case: 'file' as const,
  value: { name, mode, uid: '', gid: '' },
});

describe('process', () => {
  let stateDir: string;
  let executor: Executor;
  before(() => {
    stateDir = mkdtempSync(join(tmpdir(), 'skein-process-'));
    executor = open();
  });
  after(async () => {
    await executor.close();
    assert.deepEqual(readdirSync(join(stateDir, 'tasks')), [], 'nothing is left');
    rmSync(stateDir, { recursive: true });
  });

  const open = (): Executor => processExecutor(NODE, { stateDir, labels: {} }, LOG);

  executorContract('process', () =>
    Promise.resolve({
      open: () => Promise.resolve(open()),
      task: programTask,
      real: true,
      close: () => Promise.resolve(),
    }),
  );

  const make = (task: Task, dependencies = NONE): Controller & AsyncDisposable => {
    const controller = executor.controller(task, dependencies);
    return Object.assign(controller, { [Symbol.asyncDispose]: () => controller.remove() });
  };

  test('[PRC1] arguments and environment are as given, and nothing else', async () => {
    const text = '$(echo no) "; `x` $HOME';
    const task = taskOf({
      command: ['printf', '%s\n'],
      args: [text, '{{.Task.Slot}}'],
    });
    await using printed = make(task);
    await run(printed);
    await endOf(printed);
    assert.deepEqual(await logged(printed), [`stdout: ${text}`, 'stdout: {{.Task.Slot}}']);
    const env = ['SLOT={{.Task.Slot}}', 'PATH=/bin:/usr/bin'] as const;
    const withEnv = taskOf({ command: ['env'], env, hostname: 'h-{{.Task.Slot}}', dir: '/' });
    await using printing = make(withEnv);
    await run(printing);
    await endOf(printing);
    const lines = (await logged(printing)).map((line) => line.replace('stdout: ', ''));
    const names = new Set(lines.map((line) => line.split('=')[0] ?? ''));
    const known = ['HOME', 'HOSTNAME', 'PATH', 'SKEIN_CONFIGS_DIR', 'SKEIN_SECRETS_DIR'];
    const all = new Set([...known, 'SKEIN_TASK_ID', 'SKEIN_TASK_NAME', 'SLOT']);
    // Some shells and libraries add these by themselves.
    names.delete('PWD');
    assert.deepEqual(names, all);
    for (const line of [`SLOT=${withEnv.slot}`, `HOSTNAME=h-${withEnv.slot}`, env[1]]) {
      assert.ok(lines.includes(line ?? ''), line);
    }
  });

  test('[PRC1] what cannot be started says why', async () => {
    for (const [spec, message, exitCode] of [
      [{ command: ['no-such-command'] }, /exec: "no-such-command": executable file not found/, 127],
      [{ command: ['/no/such'] }, /exec: "\/no\/such": no such file or directory/, 127],
      [{ command: ['/etc/passwd'] }, /exec: "\/etc\/passwd": permission denied/, 126],
      [
        { command: ['true'], dir: '/no/dir' },
        /working directory \/no\/dir does not exist/,
        undefined,
      ],
    ] as const) {
      await using controller = make(taskOf(spec));
      await controller.prepare(go());
      await assert.rejects(controller.start(go()), (error: Error) => {
        assert.match(error.message, message);
        assert.equal('exitCode' in error ? error.exitCode : undefined, exitCode);
        return true;
      });
    }
    await using stranger = make(taskOf({ command: ['true'], user: 'nobody-at-all' }));
    await assert.rejects(stranger.prepare(go()), /unable to find user nobody-at-all/);
  });

  test('[PRC2] what a process cannot have is refused by name', () => {
    const command = ['true'];
    const port = { targetPort: 80, publishedPort: 8080, publishMode: PortConfigPublishMode.HOST };
    for (const [container, init, message] of [
      [{ image: 'x' }, {}, /the process runtime needs a command/],
      [{ command, mounts: [{}] }, {}, /cannot provide: mounts$/],
      [{ command, tty: true, readOnly: true }, {}, /a terminal, a read-only root$/],
      [{ command, capabilityAdd: ['X'], sysctls: { a: 'b' } }, {}, /capabilities, sysctls$/],
      [{ command, ulimits: [{}], privileges: {} }, {}, /ulimits, privileges$/],
      [{ command, healthcheck: { test: ['CMD', 'x'] } }, {}, /a health check$/],
      [{ command, groups: ['x'] }, {}, /supplementary groups$/],
      [
        { command },
        { networks: [{ network: { spec: { annotations: { name: 'n' } } } }] },
        /network n$/,
      ],
      [{ command }, { endpoint: { ports: [port] } }, /published port 8080 for target port 80$/],
      [{ command }, { logDriver: { name: 'syslog' } }, /log driver syslog$/],
    ] as const) {
      assert.throws(() => executor.controller(taskOf(container, init), NONE), message);
    }
    const fine = { networks: [{ network: { spec: { annotations: { name: 'host' } } } }] };
    executor.controller(taskOf({ command, healthcheck: { test: ['NONE'] } }, fine), NONE).close();
  });

  const DEPENDENCIES: Dependencies = {
    secret: (id) => Secret.create({ id, spec: { data: Buffer.from('hush') } }),
    config: (id) => Config.create({ id, spec: { data: Buffer.from('open') } }),
  };

  test('[PRC3] secrets and configs are files that go with the task', async () => {
    const script =
      'cat $SKEIN_SECRETS_DIR/a/pass $SKEIN_CONFIGS_DIR/etc/app; stat -c %a $SKEIN_SECRETS_DIR/a/pass; echo $SKEIN_SECRETS_DIR';
    const task = taskOf({
      ...shell(script),
      ...(isRoot && { user: 'nobody' }),
      secrets: [{ secretId: 's', secretName: 'pass', target: file('a/pass', 0o444) }],
      configs: [{ configId: 'c', configName: 'app', target: file('/etc/app', 0) }],
    });
    const controller = make(task, DEPENDENCIES);
    await run(controller);
    await endOf(controller);
    const [first, directory = ''] = (await logged(controller)).map((line) => line.slice(8));
    assert.equal(first, 'hushopen444');
    assert.equal(statSync(join(directory, 'a/pass')).size, 4);
    const { stdout } = await promisify(execFile)('stat', ['-f', '-c', '%T', directory]);
    assert.equal(stdout.trim(), 'tmpfs');
    assert.equal(statSync(join(directory, '..')).mode & 0o777, 0o700);
    await controller.remove();
    assert.equal(existsSync(directory), false);
    const escaping = {
      ...task,
      ...taskOf({ command: ['true'], secrets: [{ target: file('../x', 0) }] }),
    };
    await using refused = make(escaping, DEPENDENCIES);
    await assert.rejects(refused.prepare(go()), /invalid target: "\.\.\/x"/);
  });

  test('[PRC4] a process that has the id of the task’s is not taken for it', async () => {
    const stranger = spawn('sleep', ['60'], { stdio: 'ignore' });
    const pid = stranger.pid ?? 0;
    const identity = identify(pid);
    assert.ok(identity !== undefined);
    assert.equal(stateOf(identity)?.is, 'running');
    assert.equal(stateOf({ ...identity, startTicks: identity.startTicks - 1 }), undefined);
    assert.equal(stateOf({ ...identity, bootId: 'another' }), undefined);
    const task = taskOf(shell('sleep 60'));
    await using controller = make(task);
    await controller.prepare(go());
    const directory = join(stateDir, 'tasks', task.id);
    const wrong = { ...identity, startTicks: identity.startTicks - 1 };
    writeRecord(directory, { state: 'started', identity: wrong });
    await controller.start(go());
    await controller.terminate();
    assert.match(String(await endOf(controller)), /exit status lost/);
    assert.equal(stranger.exitCode, null, 'the stranger lives');
    stranger.kill('SIGKILL');
    await once(stranger, 'exit');
  });

  test('[PRC5] the end of an adopted process is the kernel’s word, or is lost', async () => {
    // A process whose parent does not wait for it leaves its exit code with the kernel.
    const task = taskOf(shell('exit 0'));
    await using controller = make(task);
    await controller.prepare(go());
    const parent = spawn('sh', ['-c', 'sh -c "sleep 0.4; exit 7" & echo $!; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [chunk]: unknown[] = await once(parent.stdout, 'data');
    const identity = identify(Number(String(chunk)));
    assert.ok(identity !== undefined);
    writeRecord(join(stateDir, 'tasks', task.id), { state: 'started', identity });
    await controller.start(go());
    const end = await endOf(controller);
    assert.ok(end instanceof ExitError && end.exitCode === 7, String(end));
    parent.kill('SIGKILL');
    await once(parent, 'exit');
  });

  test('[PRC5] a process whose start was not noted is found by its mark', async () => {
    const task = taskOf(shell('echo again; exec sleep 60'));
    await using controller = make(task);
    await run(controller);
    const status = await controller.containerStatus();
    const directory = join(stateDir, 'tasks', task.id);
    writeRecord(directory, { state: 'starting' });
    const successor = executor.controller(task, NONE);
    await successor.start(go());
    assert.deepEqual(await successor.containerStatus(), status);
    successor.close();
    assert.equal(processesWith(`SKEIN_TASK_ID=${task.id}`).length, 1);
  });

  test('[PRC7] nothing outlives the task, even what left its group', async () => {
    const task = taskOf(shell('sleep 61 & setsid sleep 62 & sleep 0.2; exit 0'));
    await using controller = make(task);
    await run(controller);
    assert.equal(await endOf(controller), undefined);
    const mark = `SKEIN_TASK_ID=${task.id}`;
    await until('no process has its mark', 60_000, () => processesWith(mark).length === 0);
  });

  test('[PRC8] limits are those of the task’s control group', async (t) => {
    const cgroup = readFileSync('/proc/self/cgroup', 'utf8');
    const task = taskOf(
      {
        ...shell(
          'sleep 0.1; cat /proc/self/cgroup; x=$(head -c 100000000 /dev/zero | tr "\\0" x); echo done',
        ),
        pidsLimit: 20,
      },
      { spec: { resources: { limits: { memoryBytes: 16 << 20, nanoCpus: 5e8 } } } },
    );
    await using controller = make(task);
    await run(controller);
    const end = await endOf(controller);
    const text = (await logged(controller)).join('\n');
    if (!text.includes(task.id)) {
      t.skip(`no control groups can be made here: ${cgroup}`);
      return;
    }
    assert.match(String(end), /task: non-zero exit \(\d+\): out of memory/);
    assert.ok(!text.includes('done'), text);
  });
});
