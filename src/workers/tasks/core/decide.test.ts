import assert from 'node:assert/strict';
import { test } from 'node:test';
import { millisOf } from '../../../shared/model/time.ts';
import { TaskState, TaskStatus } from '../../../shared/wire/gen/types.ts';
import {
  nextAction,
  NOTHING_ATTACHED,
  observe,
  unresolved,
  type Action,
  type Outcome,
} from './decide.ts';

const S = TaskState;
const result = (outcome: Outcome) => ({ outcome, attached: NOTHING_ATTACHED });
const done = { outcome: { kind: 'done' }, attached: NOTHING_ATTACHED } as const;
const status = (state: TaskState, message = 'before'): TaskStatus =>
  TaskStatus.create({ state, message, timestamp: { seconds: 1 } });

test('[TSK1] [TSK2] [TSK3] [TSK4] [TSK5] the next action for every state and wish', () => {
  for (const [state, desired, want] of [
    [S.NEW, S.SHUTDOWN, 'shutdown'],
    [S.PREPARING, S.SHUTDOWN, 'shutdown'],
    [S.RUNNING, S.REMOVE, 'shutdown'],
    [S.COMPLETE, S.SHUTDOWN, undefined],
    [S.FAILED, S.REMOVE, undefined],
    [S.ORPHANED, S.REMOVE, undefined],
    [S.RUNNING, S.READY, undefined],
    [S.FAILED, S.RUNNING, undefined],
    [S.PREPARING, S.READY, 'prepare'],
    [S.STARTING, S.RUNNING, 'start'],
    [S.RUNNING, S.RUNNING, 'wait'],
    [S.RUNNING, S.COMPLETE, 'wait'],
    [S.COMPLETE, S.COMPLETE, undefined],
    [S.READY, S.READY, undefined],
    [S.NEW, S.READY, 'accept'],
    [S.PENDING, S.RUNNING, 'accept'],
    [S.ASSIGNED, S.RUNNING, 'accept'],
    [S.ACCEPTED, S.RUNNING, 'preparing'],
    [S.READY, S.RUNNING, 'starting'],
  ] as const) {
    assert.equal(nextAction(state, desired), want, `${state} towards ${desired}`);
  }
});

test('[TSK5] each success has its state and message, and clears the error', () => {
  for (const [from, action, state, message] of [
    [S.ASSIGNED, 'accept', S.ACCEPTED, 'accepted'],
    [S.ACCEPTED, 'preparing', S.PREPARING, 'preparing'],
    [S.PREPARING, 'prepare', S.READY, 'prepared'],
    [S.READY, 'starting', S.STARTING, 'starting'],
    [S.STARTING, 'start', S.RUNNING, 'started'],
    [S.RUNNING, 'wait', S.COMPLETE, 'finished'],
    [S.RUNNING, 'shutdown', S.SHUTDOWN, 'shutdown'],
  ] as const) {
    const after = observe({ ...status(from), err: 'earlier' }, action, done, 5_000);
    assert.deepEqual([after.state, after.message, after.err], [state, message, '']);
    assert.equal(millisOf(after.timestamp), 5_000);
  }
});

test('[TSK6] a fatal error rejects below STARTING and fails from there on', () => {
  const fatal = { kind: 'fatal', text: 'no luck', exitCode: undefined } as const;
  for (const [state, action, want] of [
    [S.PREPARING, 'prepare', S.REJECTED],
    [S.STARTING, 'start', S.FAILED],
    [S.RUNNING, 'wait', S.FAILED],
    [S.RUNNING, 'shutdown', S.FAILED],
  ] as const) {
    const after = observe(status(state), action, result(fatal), 1);
    assert.deepEqual([after.state, after.message, after.err], [want, 'before', 'no luck']);
  }
  const exited = observe(status(S.RUNNING), 'wait', result({ ...fatal, exitCode: 3 }), 1);
  assert.equal(exited.runtimeStatus?.value.exitCode, 3);
});

test('[TSK7] [TSK8] a cancelled action changes nothing, a temporary error only the error', () => {
  const before = status(S.RUNNING);
  assert.equal(observe(before, 'wait', result({ kind: 'cancelled' }), 9), before);
  const once = observe(before, 'wait', result({ kind: 'temporary', text: 'busy' }), 9_000);
  assert.deepEqual([once.state, once.err, millisOf(once.timestamp)], [S.RUNNING, 'busy', 9_000]);
  const again = observe(once, 'wait', result({ kind: 'temporary', text: 'busy' }), 10_000);
  assert.equal(again, once);
});

test('[TSK8] the container and its ports are told of from STARTING on', () => {
  const container = { containerId: 'c1', pid: 7, exitCode: 0 };
  const ports = { ports: [] };
  const after = (from: TaskState, action: Action): TaskStatus =>
    observe(status(from), action, { ...done, attached: { container, ports } }, 1);
  assert.equal(after(S.PREPARING, 'prepare').runtimeStatus, undefined);
  assert.deepEqual(after(S.READY, 'starting').runtimeStatus?.value, container);
  assert.deepEqual(after(S.STARTING, 'start').portStatus, ports);
});

test('[TSK16] a task without a controller is rejected or failed, unless it is over', () => {
  const text = 'expanding env failed';
  const rejected = unresolved(status(S.ASSIGNED), text, 1);
  assert.deepEqual(
    [rejected.state, rejected.message, rejected.err],
    [S.REJECTED, 'resolving controller failed', text],
  );
  assert.equal(unresolved(status(S.RUNNING), text, 1).state, S.FAILED);
  const over = status(S.COMPLETE);
  assert.equal(unresolved(over, text, 1), over);
});
