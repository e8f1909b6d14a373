/** `skein up` and `skein down` as a user types them: real processes, and nothing left behind. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { DockerEngine, whyNoEngine } from '../support/dockerd.ts';
import { processesOf } from '../support/processes.ts';
import { Undo } from '../support/undo.ts';

const SKEIN = join(import.meta.dirname, '..', '..', 'bin', 'skein');

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

const FILE = (replicas: number): string => `
name: e2e
workers: 2
secrets: { key: { content: sesame } }
services:
  web:
    image: busybox
    replicas: ${replicas}
    command: [sh, -c, 'trap "exit 0" TERM; echo up; while true; do sleep 1 & wait $!; done']
    secrets: [key]
    restart: { condition: any, delay: 100ms }
    stop_grace_period: 3s
`;

async function ended(child: ChildProcess): Promise<Ended> {
  const output = { stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk) => (output.stdout += String(chunk)));
  child.stderr?.on('data', (chunk) => (output.stderr += String(chunk)));
  const [code]: unknown[] = await once(child, 'close');
  return { code: Number(code), ...output };
}

describe('skein up', { timeout: 240_000 }, () => {
  let directory: string;
  let file: string;
  let children: ChildProcess[] = [];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'skein-up-'));
    file = join(directory, 'cluster.yaml');
    await writeFile(file, FILE(3));
  });

  afterEach(async () => {
    for (const child of children) child.kill('SIGKILL');
    children = [];
    await run(['down', file, '--purge'], true);
    const left = processesOf(directory);
    await rm(directory, { recursive: true, force: true });
    assert.deepEqual(left, [], 'processes are left behind');
  });

  function start(words: readonly string[]): ChildProcess {
    const child = spawn(SKEIN, words, {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1' },
    });
    children.push(child);
    return child;
  }

  async function run(words: readonly string[], mayFail = false): Promise<Ended> {
    const end = await ended(start(words));
    if (!mayFail) assert.equal(end.code, 0, `skein ${words.join(' ')}\n${end.stderr}`);
    return end;
  }

  async function socket(): Promise<string> {
    const record: unknown = JSON.parse(
      await readFile(join(directory, '.skein', 'e2e', 'cluster.json'), 'utf8'),
    );
    assert.ok(typeof record === 'object' && record !== null && 'socket' in record);
    return String(record.socket);
  }

  async function running(): Promise<readonly string[]> {
    const words = ['task', 'ls', '--format', 'json', '--socket', await socket()];
    const { stdout } = await run(words);
    return stdout
      .split('\n')
      .filter((line) => line.includes('"state":"running"'))
      .toSorted();
  }

  for (const executor of ['process', 'simulated']) {
    test(`detached on ${executor}: up, up again, changed, down, up again, purged`, async () => {
      const up = ['up', file, '--detach', '--executor', executor, '--timeout', '60s'];
      const first = await run(up);
      assert.match(first.stderr, new RegExp(`tasks run on: ${executor} \\(--executor says so\\)`));
      assert.match(first.stdout, /web +replicated +3\/3 +busybox/);
      assert.match(first.stdout, /worker-1 +ready +active[^]*worker-2 +ready +active/);
      assert.match(first.stdout, new RegExp(`export SKEIN_SOCKET=${await socket()}`));
      const before = await running();
      assert.equal(before.length, 3);
      const again = await run(up);
      assert.match(again.stderr, /nothing to change: the cluster is as the file says/);
      assert.deepEqual(await running(), before, 'the same file must restart nothing');
      await writeFile(file, FILE(5));
      assert.match((await run(up)).stderr, /service web updated/);
      const after = await running();
      assert.equal(after.length, 5);
      assert.equal(after.filter((line) => before.includes(line)).length, 3);
      await writeFile(file, FILE(5).replace('workers: 2', 'workers: 1'));
      const fewer = await run(up);
      assert.match(fewer.stderr, /stopping worker-2: no longer in the file/);
      assert.doesNotMatch(fewer.stdout, /worker-2/);
      assert.equal((await running()).length, 5);
      await run(['down', file]);
      assert.deepEqual(processesOf(directory), []);
      assert.match((await run(up)).stdout, /web +replicated +5\/5/);
      await run(['down', file, '--purge']);
      assert.match((await run(['down', file], true)).stderr, /no cluster was started from/);
    });
  }

  test('in the foreground: it says what to type next, and Ctrl-C stops everything', async () => {
    const child = start(['up', file, '--executor', 'process']);
    const end = ended(child);
    let text = '';
    const shown = new Promise<void>((resolve) => {
      child.stdout?.on('data', (chunk) => {
        text += String(chunk);
        if (text.includes('Ctrl-C here stops everything')) resolve();
      });
    });
    await Promise.race([shown, end]);
    assert.equal((await running()).length, 3);
    child.kill('SIGINT');
    child.kill('SIGINT');
    const { code, stderr } = await end;
    assert.equal(code, 0, stderr);
    assert.match(stderr, /stopping: tasks first, then workers, then the manager\nstopped\n$/);
    assert.deepEqual(processesOf(directory), []);
  });

  test('what cannot run ends in an error that says why, and leaves nothing running', async () => {
    await writeFile(
      file,
      'name: e2e\nservices: { bad: { image: x, command: [/no/such/program], restart: { condition: any, delay: 0s } } }\n',
    );
    const { code, stderr } = await run(
      ['up', file, '--executor', 'process', '--timeout', '60s'],
      true,
    );
    assert.equal(code, 1, stderr);
    assert.match(
      stderr,
      /Error: service bad keeps failing, 0 of 1 tasks are ready: bad\.1: .*no\/such\/program/,
    );
    assert.deepEqual(processesOf(directory), []);
  });

  test('a file that is not right starts nothing', async () => {
    await writeFile(file, 'name: e2e\nservices:\n  web: { imag: x }\n');
    const { code, stderr } = await run(['up', file], true);
    assert.equal(code, 1);
    assert.match(stderr, /cluster\.yaml:3:10: unknown key "imag"; did you mean "image"\?/);
    assert.match(
      (await run(['up', join(directory, 'none.yaml')], true)).stderr,
      /cannot read the cluster file/,
    );
    assert.match(
      (await run(['up', file, '--executor', 'podman'], true)).stderr,
      /expected auto, docker/,
    );
  });

  test(
    'on a Docker Engine: the example runs; an image that cannot be had is explained',
    { skip: whyNoEngine() ?? false },
    async () => {
      using undo = new Undo();
      const folder = join(directory, 'engine');
      await mkdir(folder);
      const flags = ['--bridge=none', '--iptables=false', '--dns=127.0.0.1'];
      const engine = await DockerEngine.start({ directory: folder, undo, flags });
      const state = ['--state-dir', join(directory, 'state')];
      const common = [...state, '--engine-addr', `unix://${engine.socketPath}`, '--timeout', '90s'];
      const hello = join(import.meta.dirname, '..', '..', 'examples', 'hello.yaml');
      const { stdout, stderr } = await run(['up', hello, '--detach', ...common]);
      assert.match(stderr, /tasks run as containers: a Docker Engine answers at /);
      assert.match(stdout, /hello +replicated +3\/3 +busybox:latest/);
      const containers = await engine.docker('ps', '-q');
      assert.equal(containers.split('\n').length, 3);
      assert.match(
        await engine.docker('logs', containers.split('\n')[0] ?? ''),
        /^Hello from Skein from task \d on worker-\d$/m,
      );
      await run(['down', hello, ...state, '--purge']);
      assert.equal(await engine.docker('ps', '-q'), '');
      await writeFile(
        file,
        'name: e2e\nservices: { gone: { image: "localhost:1/not/there:1", restart: { condition: any, delay: 0s } } }\n',
      );
      const failed = await run(['up', file, ...common], true);
      assert.equal(failed.code, 1, failed.stderr);
      assert.match(failed.stderr, /service gone keeps failing, 0 of 1 tasks are ready: gone\.1: /);
      assert.match(failed.stderr, /skein up --executor process/);
    },
  );
});
