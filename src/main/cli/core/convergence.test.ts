import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Service, Task } from '../../../shared/wire/gen/objects.ts';
import {
  RestartPolicyRestartCondition,
  TaskState,
  UpdateStatusUpdateState,
} from '../../../shared/wire/gen/types.ts';
import type { Init } from '../../../shared/wire/runtime.ts';
import { Convergence, type Judgement, type Observation } from './convergence.ts';

const { NEW, PENDING, RUNNING, COMPLETE, FAILED, REJECTED, SHUTDOWN } = TaskState;
const { NONE, ON_FAILURE, ANY } = RestartPolicyRestartCondition;

type Seen = {
  readonly id: string;
  readonly slot?: number;
  readonly state: TaskState;
  readonly desired?: TaskState;
  readonly err?: string;
  readonly old?: boolean;
};

type Look = {
  readonly replicas?: number;
  readonly condition?: RestartPolicyRestartCondition;
  readonly update?: UpdateStatusUpdateState;
  readonly spec?: Init<Service>['spec'];
  readonly desiredTasks?: number;
  readonly completedTasks?: number;
};

function look(tasks: readonly Seen[], options: Look = {}): Observation {
  const { replicas = 2, condition = ANY, update, spec } = options;
  return {
    service: Service.create({
      spec: spec ?? {
        mode: { case: 'replicated', value: { replicas: BigInt(replicas) } },
        task: { restart: { condition } },
      },
      updateStatus: update === undefined ? undefined : { state: update, message: 'because' },
    }),
    desiredTasks: options.desiredTasks ?? replicas,
    completedTasks: options.completedTasks ?? 0,
    tasks: tasks.map(({ id, slot = 1, state, desired = RUNNING, err = '' }) =>
      Task.create({
        id,
        slot,
        nodeId: `node${slot}`,
        serviceAnnotations: { name: 'web' },
        status: { state, err },
        desiredState: desired,
      }),
    ),
    upToDate: new Set(tasks.filter(({ old }) => old !== true).map(({ id }) => id)),
  };
}

const two: readonly Seen[] = [
  { id: 'a', slot: 1, state: RUNNING },
  { id: 'b', slot: 2, state: RUNNING },
];

const job = (total: bigint): Init<Service>['spec'] => ({
  mode: { case: 'replicatedJob', value: { totalCompletions: total, maxConcurrent: 1n } },
});

const failed = (id: string): Seen => ({
  id,
  state: REJECTED,
  desired: SHUTDOWN,
  err: `no image ${id}`,
});

const next = (id: string): Seen => ({ id, state: PENDING });

/** Judged at 0 ms and again much later. */
function judged(seen: Observation): Judgement {
  const convergence = new Convergence({ stableMs: 1000, failuresMax: 3 });
  convergence.observe(seen, 0);
  return convergence.observe(seen, 60_000);
}

describe('convergence', () => {
  test('holds for a while before it counts, and starts over when it is broken', () => {
    const convergence = new Convergence({ stableMs: 1000, failuresMax: 3 });
    assert.equal(convergence.observe(look(two), 0).outcome, 'waiting');
    assert.equal(convergence.observe(look(two), 999).outcome, 'waiting');
    assert.equal(convergence.observe(look(two.slice(0, 1)), 1000).outcome, 'waiting');
    assert.equal(convergence.observe(look(two), 1001).outcome, 'waiting');
    assert.equal(convergence.observe(look(two), 2001).outcome, 'converged');
  });

  test('what counts as ready, and how it ends', () => {
    const everywhere = { mode: { case: 'global', value: {} } } as const;
    for (const [why, seen, outcome, ready, wanted] of [
      ['all run', look(two), 'converged', 2, 2],
      ['one is missing', look(two.slice(1)), 'waiting', 1, 2],
      ['none is wanted', look([], { replicas: 0 }), 'converged', 0, 0],
      ['one too many', look([...two, { id: 'c', slot: 3, state: RUNNING }]), 'waiting', 3, 2],
      [
        'an old one is still to run',
        look([...two, { id: 'o', slot: 1, state: RUNNING, old: true }]),
        'waiting',
        2,
        2,
      ],
      [
        'an old one ends',
        look([...two, { id: 'o', state: RUNNING, desired: SHUTDOWN, old: true }]),
        'converged',
        2,
        2,
      ],
      [
        'an update is under way',
        look(two, { update: UpdateStatusUpdateState.UPDATING }),
        'waiting',
        2,
        2,
      ],
      [
        'an update is paused',
        look(two, { update: UpdateStatusUpdateState.PAUSED }),
        'paused',
        2,
        2,
      ],
      [
        'a rollback is paused',
        look(two, { update: UpdateStatusUpdateState.ROLLBACK_PAUSED }),
        'paused',
        2,
        2,
      ],
      [
        'rolled back',
        look(two, { update: UpdateStatusUpdateState.ROLLBACK_COMPLETED }),
        'rolled-back',
        2,
        2,
      ],
      [
        'one-shots have completed',
        look(
          [
            { id: 'a', state: COMPLETE },
            { id: 'b', slot: 2, state: COMPLETE },
          ],
          { condition: NONE },
        ),
        'converged',
        2,
        2,
      ],
      [
        'one has completed, one runs',
        look(
          [
            { id: 'a', state: COMPLETE, desired: SHUTDOWN },
            { id: 'b', slot: 2, state: RUNNING },
          ],
          { condition: ON_FAILURE },
        ),
        'converged',
        2,
        2,
      ],
      [
        'completion is no end of a service',
        look([
          { id: 'a', state: COMPLETE, desired: SHUTDOWN },
          { id: 'b', slot: 2, state: RUNNING },
        ]),
        'waiting',
        1,
        2,
      ],
      [
        'a one-shot has failed',
        look([{ id: 'a', state: FAILED, desired: SHUTDOWN }], { condition: NONE }),
        'waiting',
        0,
        2,
      ],
      ['a job is half done', look([], { spec: job(4n), completedTasks: 2 }), 'waiting', 2, 4],
      ['a job is done', look([], { spec: job(4n), completedTasks: 4 }), 'converged', 4, 4],
      [
        'a global service on two nodes',
        look(two, { spec: everywhere, desiredTasks: 2 }),
        'converged',
        2,
        2,
      ],
      [
        'a global service is short of one',
        look(two, { spec: everywhere, desiredTasks: 3 }),
        'waiting',
        2,
        3,
      ],
    ] as const) {
      const judgement = judged(seen);
      assert.deepEqual(
        [judgement.outcome, judgement.ready, judgement.wanted],
        [outcome, ready, wanted],
        why,
      );
    }
  });

  test('a slot that fails again and again is hopeless; failures from before do not count', () => {
    const convergence = new Convergence({ stableMs: 1000, failuresMax: 2 });
    convergence.observe(look([failed('before'), next('a')]), 0);
    convergence.observe(look([failed('before'), failed('a'), next('b')]), 1);
    const once = convergence.observe(look([failed('before'), failed('a'), next('b')]), 2);
    assert.equal(once.outcome, 'waiting');
    const twice = convergence.observe(
      look([failed('before'), failed('a'), failed('b'), next('c')]),
      3,
    );
    assert.equal(twice.outcome, 'failed');
    assert.equal(twice.problem, 'web.1: no image b');
  });

  test('a slot that recovers is not hopeless, however often it failed', () => {
    const convergence = new Convergence({ stableMs: 0, failuresMax: 1 });
    convergence.observe(look([{ id: 'a', state: NEW }], { replicas: 1 }), 0);
    const tasks: readonly Seen[] = [
      { id: 'a', state: FAILED, desired: SHUTDOWN, err: 'exit 1' },
      { id: 'b', state: RUNNING },
    ];
    assert.equal(convergence.observe(look(tasks, { replicas: 1 }), 1).outcome, 'converged');
  });

  test('a task that is never restarted fails its service at once', () => {
    const convergence = new Convergence({ stableMs: 0, failuresMax: 3 });
    const options = { condition: NONE, replicas: 1 };
    convergence.observe(look([{ id: 'a', state: NEW }], options), 0);
    const ended: Seen = { id: 'a', state: FAILED, desired: SHUTDOWN, err: 'exit 1' };
    assert.equal(convergence.observe(look([ended], options), 1).outcome, 'failed');
  });

  test('why a task waits is told, and every change of state is told once', () => {
    const convergence = new Convergence();
    const waiting: Seen = { id: 'a', state: PENDING, err: 'no suitable node' };
    const first = convergence.observe(look([waiting]), 0);
    assert.equal(first.problem, 'web.1: no suitable node');
    assert.deepEqual(first.transitions, [
      { task: 'web.1', state: PENDING, error: 'no suitable node' },
    ]);
    assert.deepEqual(convergence.observe(look([waiting]), 1).transitions, []);
    const running = convergence.observe(look([{ ...waiting, state: RUNNING, err: '' }]), 2);
    assert.deepEqual(running.transitions, [{ task: 'web.1', state: RUNNING, error: '' }]);
    assert.equal(running.problem, '');
  });
});
