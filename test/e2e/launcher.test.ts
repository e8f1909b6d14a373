/** `bin/skein`: the shell script that a user types, and what it becomes. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { processesOf } from '../support/processes.ts';
import { until } from '../support/until.ts';

const SKEIN = join(import.meta.dirname, '..', '..', 'bin', 'skein');

type Ended = { readonly code: unknown; readonly stdout: string; readonly stderr: string };

async function run(command: string, words: readonly string[], path: string): Promise<Ended> {
  const child = spawn(command, words, { env: { ...process.env, PATH: path } });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { code, stdout, stderr };
}

describe('bin/skein', { timeout: 60_000 }, () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'skein-launcher-'));
  });
  afterEach(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  /** A Skein without packages, and a PATH whose `node` says that it is `version`. */
  async function installed(version: string): Promise<{ entry: string; path: string }> {
    const bin = join(directory, 'lib', 'bin');
    await mkdir(bin, { recursive: true });
    await copyFile(SKEIN, join(bin, 'skein'));
    const node = join(directory, 'node');
    await writeFile(
      node,
      `#!/bin/sh\nif [ "$1" = --version ]; then echo ${version}; else echo ran "$@"; fi\n`,
    );
    await chmod(node, 0o755);
    return { entry: join(bin, 'skein'), path: `${directory}:/usr/bin:/bin` };
  }

  test('runs from elsewhere, by a link, with no Node on the PATH that it could use', async () => {
    const link = join(directory, 'a link');
    await symlink(SKEIN, link);
    const { code, stdout } = await run(link, ['--version'], '/usr/bin:/bin');
    assert.match(stdout, /^skein\/\d/);
    assert.equal(code, 0);
  });

  test('is the process that it starts: what kills it kills the manager', async () => {
    const socket = join(directory, 'control.sock');
    const words = [
      'manager',
      `--state-dir=${join(directory, 'state')}`,
      `--listen-control-api=${socket}`,
      '--listen-remote-api=127.0.0.1:0',
    ];
    // Whatever Node the machine has, it is not the one that the manager runs on.
    const env = { ...process.env, PATH: '/usr/bin:/bin' };
    const child = spawn(SKEIN, words, { env, stdio: 'ignore' });
    try {
      await until('the manager serves', 30_000, () => existsSync(socket));
      child.kill('SIGKILL');
      await once(child, 'exit');
      assert.deepEqual(processesOf(directory), []);
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('passes on what it was told, word by word', async () => {
    const { entry, path } = await installed('v26.3.1');
    const { stdout, code } = await run(
      entry,
      ['service', 'create', '', 'two words', '$HOME'],
      path,
    );
    assert.equal(
      stdout,
      `ran ${join(directory, 'lib', 'bin', 'skein.ts')} service create  two words $HOME\n`,
    );
    assert.equal(code, 0);
  });

  for (const version of ['v20.19.2', 'nonsense', '']) {
    test(`refuses a Node that says "${version}", and says what to do`, async () => {
      const { entry, path } = await installed(version);
      const { code, stdout, stderr } = await run(entry, ['node', 'ls'], path);
      assert.equal(stdout, '');
      assert.match(
        stderr,
        /^skein needs Node 26 or newer, found (v20\.19\.2|nonsense|none): put one on the PATH/,
      );
      assert.equal(code, 1);
    });
  }
});
