import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TaskState, TaskStatus } from '../../../shared/wire/gen/types.ts';
import { NOTHING_ATTACHED, RETRY_AFTER_MS, type Outcome } from './decide.ts';
import { TaskMachine, type Effect } from './task-machine.ts';

const S = TaskState;
const DONE: Outcome = { kind: 'done' };
const CANCELLED: Outcome = { kind: 'cancelled' };
const TEMPORARY: Outcome = { kind: 'temporary', text: 'busy' };
const FATAL: Outcome = { kind: 'fatal', text: 'broken', exitCode: undefined };

const machine = (desired: TaskState, state: TaskState = S.ASSIGNED): TaskMachine =>
  new TaskMachine({ status: TaskStatus.create({ state }), desired, digest: 1 });

/** Effects as short words: states reported, operations, and the rest by name. */
const words = (effects: readonly Effect[]): string[] =>
  effects.map((effect) => {
    if (effect.do === 'report') return `report ${effect.status.state}`;
    return effect.do === 'perform' ? effect.operation : effect.do;
  });

const finish = (task: TaskMachine, outcome: Outcome): string[] =>
  words(task.finished(outcome, NOTHING_ATTACHED, 1));

test('[TSK9] a task runs through: each result is reported before the next operation', () => {
  const task = machine(S.COMPLETE);
  assert.deepEqual(words(task.begin(1)), ['report 256', 'report 320', 'prepare']);
  assert.deepEqual(finish(task, DONE), ['report 384', 'report 448', 'start']);
  assert.deepEqual(finish(task, DONE), ['report 512', 'wait']);
  assert.deepEqual(finish(task, DONE), ['report 576']);
});

test('[TSK4] [TSK11] READY holds until RUNNING is wished', () => {
  const task = machine(S.READY);
  task.begin(1);
  assert.deepEqual(finish(task, DONE), ['report 384']);
  assert.deepEqual(words(task.assign(2, S.RUNNING)), ['update']);
  assert.deepEqual(words(task.updated(2)), ['report 448', 'start']);
});

test('[TSK10] what says nothing new, or wants less, is ignored', () => {
  const task = machine(S.RUNNING);
  task.begin(1);
  assert.equal(task.accepts(1, S.RUNNING), false);
  assert.equal(task.accepts(2, S.READY), false);
  assert.equal(task.accepts(2, S.RUNNING), true);
});

test('[TSK11] an assignment cancels the running operation, updates, and goes on', () => {
  const task = machine(S.RUNNING, S.RUNNING);
  assert.deepEqual(words(task.begin(1)), ['wait']);
  assert.deepEqual(words(task.assign(2, S.SHUTDOWN)), ['cancel']);
  assert.deepEqual(words(task.assign(3, S.REMOVE)), []);
  assert.deepEqual(finish(task, CANCELLED), ['update']);
  assert.deepEqual(words(task.updated(1)), ['shutdown']);
  assert.deepEqual(finish(task, DONE), ['report 640']);
});

test('[TSK11] an assignment that arrives during an update is taken up after it', () => {
  const task = machine(S.RUNNING, S.RUNNING);
  task.begin(1);
  task.assign(2, S.RUNNING);
  finish(task, CANCELLED);
  assert.deepEqual(words(task.assign(3, S.SHUTDOWN)), []);
  assert.deepEqual(words(task.updated(1)), ['update']);
  assert.deepEqual(words(task.updated(1)), ['shutdown']);
});

test('[TSK12] a result that comes in spite of the cancellation counts', () => {
  const task = machine(S.RUNNING, S.RUNNING);
  task.begin(1);
  task.assign(2, S.SHUTDOWN);
  assert.deepEqual(finish(task, DONE), ['report 576', 'update']);
  assert.deepEqual(words(task.updated(1)), []);
});

test('[TSK7] a temporary error is tried again after a second, and a cancelled operation too', () => {
  for (const outcome of [TEMPORARY, CANCELLED]) {
    const task = machine(S.RUNNING, S.PREPARING);
    task.begin(1);
    const effects = task.finished(outcome, NOTHING_ATTACHED, 1);
    const retry = effects.at(-1);
    assert.ok(retry?.do === 'retry' && retry.afterMs === RETRY_AFTER_MS);
    assert.deepEqual(words(task.retryDue(retry.ticket, 2)), ['prepare']);
    assert.deepEqual(words(task.retryDue(retry.ticket, 3)), [], 'a retry is used once');
  }
});

test('[TSK7] an assignment overtakes a retry', () => {
  const task = machine(S.RUNNING, S.PREPARING);
  task.begin(1);
  const retry = task.finished(TEMPORARY, NOTHING_ATTACHED, 1).at(-1);
  assert.deepEqual(words(task.assign(2, S.SHUTDOWN)), ['update']);
  assert.deepEqual(words(task.updated(1)), ['shutdown']);
  assert.ok(retry?.do === 'retry');
  assert.deepEqual(words(task.retryDue(retry.ticket, 2)), []);
});

test('[TSK13] a removal waits for the running operation, and is tried again while it fails for now', () => {
  const task = machine(S.RUNNING, S.RUNNING);
  task.begin(1);
  assert.deepEqual(words(task.remove()), ['cancel']);
  assert.deepEqual(words(task.remove()), []);
  assert.equal(task.accepts(9, S.REMOVE), false);
  assert.deepEqual(finish(task, CANCELLED), ['remove']);
  const retry = task.removed(TEMPORARY)[0];
  assert.ok(retry?.do === 'retry');
  assert.deepEqual(words(task.retryDue(retry.ticket, 2)), ['remove']);
  assert.deepEqual(words(task.removed(FATAL)), ['forget']);
});

test('[TSK14] a stored status is gone on from', () => {
  assert.deepEqual(words(machine(S.RUNNING, S.STARTING).begin(1)), ['start']);
  assert.deepEqual(words(machine(S.RUNNING, S.READY).begin(1)), ['report 448', 'start']);
});

test('[TSK15] what failed, or was over when adopted, is ended', () => {
  const task = machine(S.RUNNING, S.STARTING);
  task.begin(1);
  assert.deepEqual(finish(task, FATAL), ['report 704', 'terminate']);
  assert.deepEqual(words(machine(S.RUNNING, S.FAILED).begin(1)), ['terminate']);
  assert.deepEqual(words(machine(S.RUNNING, S.COMPLETE).begin(1)), ['terminate']);
});

test('[TSK9] [TSK13] whatever happens, one call runs at a time and the state never goes back', () => {
  const event = fc.oneof(
    fc.constantFrom(DONE, CANCELLED, TEMPORARY, FATAL),
    fc.constantFrom<TaskState>(S.READY, S.RUNNING, S.COMPLETE, S.SHUTDOWN, S.REMOVE),
    fc.constant('remove' as const),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30 }), (events) => {
      const task = machine(S.READY);
      let digest = 1;
      let state: number = S.ASSIGNED;
      let running: Effect | undefined;
      const obey = (effects: readonly Effect[]): void => {
        for (const effect of effects) {
          if (effect.do === 'report') {
            assert.ok(effect.status.state >= state, 'states never go back');
            state = effect.status.state;
          } else if (effect.do === 'perform' || effect.do === 'update' || effect.do === 'remove') {
            assert.equal(running, undefined, 'one call at a time');
            running = effect;
          } else if (effect.do === 'retry') {
            assert.equal(running, undefined, 'a retry waits alone');
            obey(task.retryDue(effect.ticket, 1));
          }
        }
      };
      const settle = (outcome: Outcome): void => {
        const call = running;
        running = undefined;
        if (call?.do === 'perform') obey(task.finished(outcome, NOTHING_ATTACHED, 1));
        else if (call?.do === 'update') obey(task.updated(1));
        else if (call?.do === 'remove') obey(task.removed(outcome));
      };
      obey(task.begin(1));
      for (const next of events) {
        if (next === 'remove') obey(task.remove());
        else if (typeof next === 'object') settle(next);
        else if (task.accepts((digest += 1), next)) obey(task.assign(digest, next));
      }
      obey(task.remove());
      for (let tries = 0; tries < 10; tries += 1) settle(DONE);
      assert.equal(running, undefined, 'a removed task comes to rest');
    }),
  );
});
