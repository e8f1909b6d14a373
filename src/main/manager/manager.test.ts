/** A manager that cannot begin to lead says so and ends, instead of waiting for ever. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import { realEnv } from '../env.ts';
import { type Log, silentLog } from '../log.ts';
import { Node } from '../node/node.ts';

test('what goes wrong before the first lead ends the start', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'skein-manager-'));
  t.after(() => rm(directory, { recursive: true }));
  const controlSocket = join(directory, 'control.sock');
  const broken = new Error('a part does not start');
  const fatal: unknown[] = [];
  // The last thing on the way to the first lead is a line in the log.
  const log: Log = {
    ...silentLog,
    info: () => {
      throw broken;
    },
  };
  const loopback = { host: '127.0.0.1', port: 0 };
  const start = Node.start({
    stateDir: join(directory, 'state'),
    hostname: 'manager',
    join: undefined,
    availability: NodeSpecAvailability.DRAIN,
    executor: undefined,
    taskThreads: 1,
    manager: { listen: loopback, advertise: loopback, controlSocket, tickMs: 20 },
    env: realEnv,
    log,
    onFatal: (error) => fatal.push(error),
  });
  await assert.rejects(start, broken);
  assert.deepEqual(fatal, [broken]);
});
