/** How long reports wait for others, by a clock of the test's own. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { TaskState, TaskStatus } from '../../shared/wire/gen/types.ts';
import type { Store } from '../store/transaction.ts';
import { type Report, STATUS_WRITER, StatusWriter } from './status-writer.ts';

const { windowMs, busyCalls, enoughReports, windowsMax } = STATUS_WRITER;
const STATUS = TaskStatus.create({ state: TaskState.RUNNING });

const onError = (error: unknown): void => assert.fail(String(error));

/** A writer whose store only counts what comes in each batch. */
function open(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const batches: number[] = [];
  const batch: Store['batch'] = (items) => {
    batches.push([...items].length);
    return Promise.resolve();
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a writer needs nothing else
  const store = { batch } as Store;
  const writer = new StatusWriter({ store, nowMs: () => 0, nodeId: 'm', onError });
  let made = 0;
  const next = (): Report => ({
    taskId: `t${(made += 1)}`,
    place: 0,
    nodeId: 'n',
    status: STATUS,
  });
  /** Of one task each. */
  const calls = (count: number): void => {
    for (let i = 0; i < count; i += 1) writer.report([next()]);
  };
  const call = (reports: number): void => writer.report(Array.from({ length: reports }, next));
  return { writer, batches, calls, call, pass: () => t.mock.timers.tick(windowMs) };
}

test('few reports are written after one window', (t) => {
  const { batches, calls, pass } = open(t);
  calls(busyCalls - 1);
  assert.deepEqual(batches, []);
  pass();
  assert.deepEqual(batches, [busyCalls - 1]);
});

test('a stream of reports gathers for some windows, and no longer', (t) => {
  const { batches, calls, pass } = open(t);
  for (let i = 0; i < 2 * windowsMax; i += 1) {
    calls(busyCalls);
    pass();
  }
  assert.deepEqual(batches, [windowsMax * busyCalls, windowsMax * busyCalls]);
});

test('a stream that ends is written a window later', (t) => {
  const { batches, calls, pass } = open(t);
  calls(busyCalls);
  pass();
  assert.deepEqual(batches, []);
  calls(1);
  pass();
  assert.deepEqual(batches, [busyCalls + 1]);
});

test('what is enough for a commit does not wait for more than its window', (t) => {
  const { batches, calls, pass } = open(t);
  calls(enoughReports);
  pass();
  assert.deepEqual(batches, [enoughReports]);
});

test('few calls of many reports each are no stream', (t) => {
  const { batches, call, pass } = open(t);
  call(busyCalls);
  call(busyCalls);
  pass();
  assert.deepEqual(batches, [2 * busyCalls]);
});

test('a window that was cut short by a drain begins anew', async (t) => {
  const { writer, batches, calls, pass } = open(t);
  calls(busyCalls);
  pass();
  await writer.drain();
  calls(busyCalls);
  for (let i = 1; i < windowsMax; i += 1) {
    pass();
    calls(busyCalls);
  }
  assert.deepEqual(batches, [busyCalls]);
  pass();
  assert.deepEqual(batches, [busyCalls, windowsMax * busyCalls]);
});
