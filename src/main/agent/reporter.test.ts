import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { test } from 'node:test';
import { TaskState, TaskStatus } from '../../shared/wire/gen/types.ts';
import type { StatusUpdate } from '../pools/tasks.ts';
import { Code, RpcError } from '../rpc/errors.ts';
import { Reporter, type Send } from './reporter.ts';

const { PREPARING, STARTING, RUNNING } = TaskState;
const status = (state: TaskState): TaskStatus => TaskStatus.create({ state });
const brief = (updates: readonly StatusUpdate[]): string =>
  updates.map((u) => `${u.taskId}=${u.status.state}`).join(' ');

/** A manager that answers each call when the test says so. */
class Calls {
  readonly calls: { readonly text: string; readonly answer: PromiseWithResolvers<void> }[] = [];
  readonly send: Send = (updates) => {
    const answer = Promise.withResolvers<void>();
    this.calls.push({ text: brief(updates), answer });
    return answer.promise;
  };

  async settle(): Promise<void> {
    for (let i = 0; i < 5; i += 1) await nextTurn();
  }

  get texts(): string[] {
    return this.calls.map(({ text }) => text);
  }
}

test('[AGT7] what gathers goes in one call, one call at a time, the newest of each task', async () => {
  const calls = new Calls();
  const reporter = new Reporter(assert.ifError);
  reporter.report('a', status(PREPARING));
  reporter.open(calls.send);
  reporter.report('a', status(STARTING));
  reporter.report('b', status(STARTING));
  reporter.report('a', status(PREPARING));
  await calls.settle();
  assert.deepEqual(calls.texts, [`a=${STARTING} b=${STARTING}`]);
  reporter.report('b', status(RUNNING));
  reporter.report('c', status(RUNNING));
  reporter.forget('c');
  await calls.settle();
  assert.equal(calls.calls.length, 1, 'the first call is still under way');
  calls.calls[0]?.answer.resolve();
  await calls.settle();
  assert.deepEqual(calls.texts.slice(1), [`b=${RUNNING}`]);
});

test('[AGT7] what failed is sent in the next session, with what is newer', async () => {
  const first = new Calls();
  const failures: unknown[] = [];
  const reporter = new Reporter((error) => void failures.push(error));
  reporter.open(first.send);
  reporter.report('a', status(STARTING));
  reporter.report('b', status(STARTING));
  await first.settle();
  reporter.report('a', status(RUNNING));
  first.calls[0]?.answer.reject(new RpcError(Code.UNAVAILABLE, 'gone'));
  await first.settle();
  assert.equal(failures.length, 1);
  assert.equal(first.calls.length, 1, 'nothing more in a session that failed');
  const second = new Calls();
  reporter.open(second.send);
  await second.settle();
  assert.deepEqual(second.texts, [`a=${RUNNING} b=${STARTING}`]);
});

test('[AGT7] a call of an old session that fails late does not harm the new one', async () => {
  const old = new Calls();
  const fresh = new Calls();
  const reporter = new Reporter(assert.ifError);
  reporter.open(old.send);
  reporter.report('a', status(RUNNING));
  await old.settle();
  reporter.close();
  reporter.open(fresh.send);
  await old.settle();
  old.calls[0]?.answer.reject(new RpcError(Code.CANCELLED, 'the connection was closed'));
  await fresh.settle();
  assert.deepEqual(fresh.texts, [`a=${RUNNING}`]);
});

test('[AGT7] a manager that knows none of it ends the matter', async () => {
  const calls = new Calls();
  const reporter = new Reporter(assert.ifError);
  reporter.open(calls.send);
  reporter.report('a', status(RUNNING));
  await calls.settle();
  calls.calls[0]?.answer.reject(new RpcError(Code.NOT_FOUND, 'node not registered'));
  await calls.settle();
  assert.equal(calls.calls.length, 1);
});

test('[AGT7] very many statuses go in several calls', async () => {
  const calls = new Calls();
  const reporter = new Reporter(assert.ifError);
  for (let i = 0; i < 4500; i += 1) reporter.report(`t${i}`, status(RUNNING));
  reporter.open(calls.send);
  for (let i = 0; i < 3; i += 1) {
    await calls.settle();
    calls.calls[i]?.answer.resolve();
  }
  await calls.settle();
  assert.deepEqual(
    calls.texts.map((text) => text.split(' ').length),
    [2000, 2000, 500],
  );
});
