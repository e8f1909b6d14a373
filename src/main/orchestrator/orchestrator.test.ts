import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Config } from '../../shared/wire/gen/objects.ts';
import { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import {
  NodeStatusState,
  RestartPolicyRestartCondition,
  TaskState,
  UpdateConfigFailureAction,
  UpdateConfigUpdateOrder,
  UpdateStatusUpdateState,
} from '../../shared/wire/gen/types.ts';
import type { ServiceSpec } from '../../shared/wire/gen/specs.ts';
import { durationOf } from '../../shared/model/time.ts';
import { World, type Fact } from './testing/world.ts';

const replicated = (replicas: bigint) => ({ case: 'replicated', value: { replicas } }) as const;
const global = { case: 'global', value: {} } as const;
const { NONE, ON_FAILURE, ANY } = RestartPolicyRestartCondition;

const scale =
  (replicas: bigint) =>
  (spec: ServiceSpec): ServiceSpec => ({ ...spec, mode: replicated(replicas) });
const image =
  (name: string) =>
  (spec: ServiceSpec): ServiceSpec => {
    const { runtime } = spec.task;
    if (runtime?.case !== 'container') return spec;
    const value = { ...runtime.value, image: name };
    return { ...spec, task: { ...spec.task, runtime: { case: 'container', value } } };
  };

const slots = (facts: readonly Fact[]): number[] => facts.map((fact) => fact.slot);

async function world(): Promise<World> {
  const made = new World();
  await made.cluster();
  await made.node();
  made.lead();
  return made;
}

function noErrors(w: World): void {
  assert.deepEqual(w.errors, []);
}

test('[ORC1] slots are filled from the lowest number up', async () => {
  using w = await world();
  const service = await w.service({ mode: replicated(3n) });
  await w.run();
  assert.deepEqual(slots(w.running()), [1, 2, 3]);
  await w.update(service.id, scale(5n));
  await w.run();
  assert.deepEqual(slots(w.running()), [1, 2, 3, 4, 5]);
  noErrors(w);
});

test('[ORC1] many tasks come in many short turns', async () => {
  using w = await world();
  await w.service({ mode: replicated(1000n) });
  for (let i = 0; i < 20; i += 1) await w.settle();
  assert.equal(w.wanted().length, 1000);
  assert.equal(new Set(slots(w.wanted())).size, 1000);
  noErrors(w);
});

test('[ORC1] a service of many tasks is looked at in many turns, restarts in between', async () => {
  using w = await world();
  const restart = { condition: ANY, maxAttempts: 3, delay: durationOf(0) };
  const service = await w.service({ mode: replicated(1200n), task: { restart } });
  for (let i = 0; i < 4; i += 1) await w.run();
  assert.equal(w.running().length, 1200);
  w.stop();
  w.lead();
  const ends = w.running().filter((_, i) => i % 100 === 0);
  await Promise.all(ends.map((fact) => w.end(fact.id)));
  await w.update(service.id, scale(1210n));
  await w.pass(500);
  for (let i = 0; i < 3; i += 1) await w.run();
  assert.deepEqual(
    slots(w.running()),
    Array.from({ length: 1210 }, (_, i) => i + 1),
  );
  noErrors(w);
});

test('[ORC2] scaling down keeps the spread and what runs', async () => {
  using w = await world();
  await w.node();
  const service = await w.service({ mode: replicated(4n) });
  // Slots 1, 2 and 3 stand on node1, slot 4 on node2.
  await w.run((fact) => (fact.slot < 4 ? 'node1' : 'node2'));
  await w.update(service.id, scale(2n));
  assert.deepEqual(slots(w.wanted()), [1, 4]);
  const going = w.tasks().filter((task) => task.desired === TaskState.REMOVE);
  assert.deepEqual(slots(going), [2, 3]);
  await w.run();
  await w.pass(500);
  assert.deepEqual(slots(w.tasks()), [1, 4]);
  await w.update(service.id, scale(3n));
  assert.deepEqual(slots(w.wanted()), [1, 2, 4]);
  noErrors(w);
});

test('[ORC3] tasks of a deleted service end and vanish', async () => {
  using w = await world();
  const service = await w.service({ mode: replicated(3n) });
  await w.run();
  await w.store.update((tx) => tx.services.remove(service.id));
  await w.settle();
  assert.deepEqual(new Set(w.tasks().map((t) => t.desired)), new Set([TaskState.REMOVE]));
  assert.equal(w.tasks().length, 3);
  await w.run();
  await w.pass(500);
  assert.deepEqual(w.tasks(), []);
  noErrors(w);
});

test('[ORC4] a deleted task is replaced', async () => {
  using w = await world();
  await w.service({ mode: replicated(2n) });
  await w.run();
  const [first] = w.running();
  await w.store.update((tx) => tx.tasks.remove(first?.id ?? ''));
  await w.settle();
  assert.deepEqual(slots(w.wanted()), [1, 2]);
  assert.notEqual(w.wanted()[0]?.id, first?.id);
});

test('[ORC5] a replacement waits for its delay and for the old task', async () => {
  using w = await world();
  await w.service({ mode: replicated(1n) });
  await w.run();
  const [first] = w.running();
  await w.end(first?.id ?? '');
  const fresh = w.wanted();
  assert.deepEqual(
    fresh.map((t) => [t.slot, t.desired]),
    [[1, TaskState.READY]],
  );
  assert.equal(w.tasks().find((t) => t.id === first?.id)?.desired, TaskState.SHUTDOWN);
  await w.run();
  await w.pass(4500);
  assert.equal(w.wanted()[0]?.desired, TaskState.READY);
  await w.pass(750);
  assert.equal(w.wanted()[0]?.desired, TaskState.RUNNING);
  await w.run();
  assert.equal(w.running().length, 1);
  noErrors(w);
});

test('[ORC5] replacements start that were written late, for the turns were full of other writes', async () => {
  using w = await world();
  const restart = { condition: ANY, delay: durationOf(0) };
  await w.service({ task: { restart }, mode: replicated(200n) });
  await w.run();
  const before = w.running().map(({ id }) => id);
  assert.equal(before.length, 200);
  const ended = w.endAll(before);
  const others = Array.from({ length: 5000 }, (_, i) =>
    Config.create({ id: `config${i}`, spec: { annotations: { name: `config${i}` } } }),
  );
  const written = w.store.batch(others, (tx, config) => tx.configs.create(config));
  await Promise.all([ended, written]);
  await w.pass(1000);
  const wanted = w.wanted();
  assert.equal(wanted.length, 200);
  assert.deepEqual(
    wanted.filter(({ desired }) => desired !== TaskState.RUNNING),
    [],
  );
  noErrors(w);
});

test('[ORC5] a replacement starts when the task that it waits for is deleted', async () => {
  using w = await world();
  const service = await w.service({ mode: replicated(1n) });
  await w.run();
  await w.update(service.id, image('another'));
  const old = w.tasks().find(({ desired }) => desired === TaskState.SHUTDOWN);
  assert.deepEqual(
    w.wanted().map(({ desired }) => desired),
    [TaskState.READY],
  );
  await w.store.update((tx) => tx.tasks.remove(old?.id ?? ''));
  await w.settle();
  assert.deepEqual(
    w.wanted().map(({ desired }) => desired),
    [TaskState.RUNNING],
  );
  noErrors(w);
});

test('[ORC6] the restart condition decides, and a task that ended for good keeps its slot', async () => {
  for (const [condition, end, restarts] of [
    [NONE, TaskState.FAILED, false],
    [NONE, TaskState.COMPLETE, false],
    [ON_FAILURE, TaskState.FAILED, true],
    [ON_FAILURE, TaskState.COMPLETE, false],
    [ANY, TaskState.COMPLETE, true],
  ] as const) {
    using w = await world();
    await w.service({ mode: replicated(1n), task: { restart: { condition } } });
    await w.run();
    await w.end(w.running()[0]?.id ?? '', end);
    await w.pass(6000);
    await w.run();
    assert.equal(w.running().length === 1, restarts, `${condition} after ${end}`);
    assert.equal(w.tasks().length, restarts ? 2 : 1);
    noErrors(w);
  }
});

test('[ORC7] two attempts give two replacements and none after, for a new leader too', async () => {
  using w = await world();
  const restart = { condition: ANY, maxAttempts: 2, delay: durationOf(0) };
  await w.service({ mode: replicated(1n), task: { restart } });
  for (let i = 0; i < 2; i += 1) {
    await w.run();
    await w.end(w.running()[0]?.id ?? '');
    await w.pass(250);
  }
  w.stop();
  w.lead();
  await w.run();
  assert.equal(w.running().length, 1);
  await w.end(w.running()[0]?.id ?? '');
  await w.pass(5000);
  await w.run();
  assert.equal(w.wanted().length, 0);
  assert.equal(w.tasks().length, 3);
  noErrors(w);
});

test('[ORC7] within a window old attempts are forgotten', async () => {
  using w = await world();
  const restart = {
    condition: ANY,
    maxAttempts: 1,
    delay: durationOf(0),
    window: durationOf(10_000),
  };
  await w.service({ mode: replicated(1n), task: { restart } });
  for (let i = 0; i < 3; i += 1) {
    await w.run();
    await w.pass(11_000);
    await w.end(w.running()[0]?.id ?? '');
    await w.pass(250);
    await w.run();
    assert.equal(w.running().length, 1, `restart ${i}`);
  }
  await w.end(w.running()[0]?.id ?? '');
  await w.pass(2000);
  assert.equal(w.wanted().length, 0);
});

test('[ORC8] a lost node’s tasks are replaced, a drained one’s without delay', async () => {
  using w = await world();
  await w.node();
  await w.service({ mode: replicated(2n) });
  await w.run((fact) => `node${fact.slot}`);
  await w.patchNode('node1', (n) => ({
    ...n,
    status: { ...n.status, state: NodeStatusState.DOWN },
  }));
  assert.deepEqual(
    w.wanted().map((t) => [t.slot, t.desired]),
    [
      [1, TaskState.READY],
      [2, TaskState.RUNNING],
    ],
  );
  await w.pass(5250);
  await w.run(() => 'node2');
  assert.deepEqual(
    w.running().map((t) => t.nodeId),
    ['node2', 'node2'],
  );
  await w.patchNode('node2', (n) => ({
    ...n,
    spec: { ...n.spec, availability: NodeSpecAvailability.DRAIN },
  }));
  const fresh = w.wanted().filter((t) => t.nodeId === '');
  assert.equal(fresh.length, 2);
  await w.run(() => 'node3');
  await w.pass(250);
  assert.ok(w.wanted().every((t) => t.desired === TaskState.RUNNING));
  noErrors(w);
});

test('[ORC8] an unknown node keeps its tasks', async () => {
  using w = await world();
  await w.service({ mode: replicated(1n) });
  await w.run();
  const before = w.running();
  await w.patchNode('node1', (n) => ({
    ...n,
    status: { ...n.status, state: NodeStatusState.UNKNOWN },
  }));
  await w.pass(10_000);
  assert.deepEqual(w.running(), before);
});

test('[ORC9] a new leader goes on with delayed starts', async () => {
  using w = await world();
  await w.service({ mode: replicated(1n) });
  await w.run();
  await w.end(w.running()[0]?.id ?? '');
  await w.run();
  w.stop();
  w.lead();
  await w.pass(4000);
  assert.equal(w.wanted()[0]?.desired, TaskState.READY);
  await w.pass(1500);
  assert.equal(w.wanted()[0]?.desired, TaskState.RUNNING);
});

test('[ORC10] every eligible node that matches has one task', async () => {
  using w = await world();
  await w.node({ spec: { annotations: { labels: { disk: 'ssd' } } } });
  await w.node({ spec: { availability: NodeSpecAvailability.DRAIN } });
  await w.service({
    mode: global,
    task: { placement: { constraints: ['node.labels.disk==ssd'] } },
  });
  assert.deepEqual(
    w.wanted().map((t) => t.nodeId),
    ['node2'],
  );
  await w.node({ spec: { annotations: { labels: { disk: 'ssd' } } } });
  await w.settle();
  assert.deepEqual(
    w
      .wanted()
      .map((t) => t.nodeId)
      .toSorted(),
    ['node2', 'node4'],
  );
  noErrors(w);
});

test('[ORC11] a node that may no longer have the task loses it; a paused one keeps it', async () => {
  using w = await world();
  await w.node();
  await w.node();
  await w.service({ mode: global });
  await w.run();
  const on = (): string[] =>
    w
      .wanted()
      .map((t) => t.nodeId)
      .toSorted();
  assert.deepEqual(on(), ['node1', 'node2', 'node3']);
  const { DRAIN, PAUSE } = NodeSpecAvailability;
  await w.patchNode('node1', (n) => ({ ...n, spec: { ...n.spec, availability: DRAIN } }));
  await w.patchNode('node2', (n) => ({ ...n, spec: { ...n.spec, availability: PAUSE } }));
  assert.deepEqual(on(), ['node2', 'node3']);
  const ended = w.wanted().find((t) => t.nodeId === 'node2');
  await w.end(ended?.id ?? '');
  await w.pass(6000);
  assert.deepEqual(on(), ['node3']);
  noErrors(w);
});

test('[ORC12] an update replaces one slot after the other and completes', async () => {
  using w = await world();
  const service = await w.service({ mode: replicated(3n) });
  await w.run();
  const old = new Set(w.running().map((t) => t.id));
  await w.update(service.id, image('busybox:2'));
  const status = () => w.store.view((v) => v.services.get(service.id)?.updateStatus);
  assert.equal(status()?.state, UpdateStatusUpdateState.UPDATING);
  assert.equal(status()?.message, 'update in progress');
  assert.equal(w.wanted().filter((t) => !old.has(t.id)).length, 1);
  let inFlightMax = 0;
  const unwatch = w.store.watch(() => {
    const inFlight = w.wanted().filter((t) => t.state < TaskState.RUNNING).length;
    inFlightMax = Math.max(inFlightMax, inFlight);
  });
  for (let i = 0; i < 4; i += 1) {
    await w.run();
    await w.pass(250);
  }
  unwatch();
  assert.equal(inFlightMax, 1);
  assert.equal(w.running().filter((t) => !old.has(t.id)).length, 3);
  assert.equal(status()?.state, UpdateStatusUpdateState.UPDATING);
  await w.pass(6000);
  assert.equal(status()?.state, UpdateStatusUpdateState.COMPLETED);
  assert.equal(status()?.message, 'update completed');
  noErrors(w);
});

test('[ORC12] an update of tasks that no node has yet replaces them at once', async () => {
  using w = await world();
  const service = await w.service({ mode: replicated(1n) });
  const [old] = w.wanted();
  await w.update(service.id, image('busybox:2'));
  const [task, ...more] = w.wanted();
  assert.deepEqual(more, []);
  assert.notEqual(task?.id, old?.id);
  assert.equal(task?.desired, TaskState.RUNNING);
  noErrors(w);
});

test('[ORC12] an update of all at once replaces more tasks than one entry of the log can hold', async () => {
  using w = await world();
  const count = 1200;
  const container = { image: 'busybox', env: [`TEXT=${'x'.repeat(4000)}`] };
  const service = await w.service({
    mode: replicated(BigInt(count)),
    task: { runtime: { case: 'container', value: container } },
    update: { parallelism: 0, monitor: durationOf(1000) },
  });
  for (let i = 0; i < 4; i += 1) await w.run();
  const old = new Set(w.running().map((t) => t.id));
  assert.equal(old.size, count);
  await w.update(service.id, image('busybox:2'));
  for (let i = 0; i < 8; i += 1) {
    await w.run();
    await w.pass(250);
  }
  const fresh = w.running().filter((t) => !old.has(t.id));
  assert.equal(new Set(slots(fresh)).size, count);
  assert.equal(w.wanted().length, count);
  await w.pass(2000);
  const { updateStatus } = w.store.view((v) => v.services.get(service.id)) ?? {};
  assert.equal(updateStatus?.state, UpdateStatusUpdateState.COMPLETED);
  noErrors(w);
});

test('[ORC13] start-first never has less than one running', async () => {
  using w = await world();
  const service = await w.service({
    mode: replicated(1n),
    update: { parallelism: 1, order: UpdateConfigUpdateOrder.START_FIRST },
  });
  await w.run();
  const [old] = w.running();
  await w.update(service.id, image('busybox:2'));
  assert.equal(w.wanted().length, 2);
  assert.ok(w.wanted().some((t) => t.id === old?.id));
  await w.run();
  await w.run();
  assert.equal(w.running().length, 1);
  assert.notEqual(w.running()[0]?.id, old?.id);
  noErrors(w);
});

test('[ORC14] a failing update pauses or rolls back', async () => {
  for (const [failureAction, state, message] of [
    [UpdateConfigFailureAction.PAUSE, UpdateStatusUpdateState.PAUSED, 'update paused'],
    [
      UpdateConfigFailureAction.ROLLBACK,
      UpdateStatusUpdateState.ROLLBACK_STARTED,
      'update rolled back',
    ],
  ] as const) {
    using w = await world();
    const service = await w.service({
      mode: replicated(2n),
      update: { parallelism: 1, failureAction },
    });
    await w.run();
    const old = new Set(w.running().map((t) => t.id));
    await w.update(service.id, image('missing'));
    const fresh = w.wanted().find((t) => !old.has(t.id));
    await w.run();
    await w.end(fresh?.id ?? '', TaskState.REJECTED);
    const now = w.store.view((v) => v.services.get(service.id));
    assert.equal(now?.updateStatus?.state, state);
    assert.equal(
      now?.updateStatus?.message,
      `${message} due to failure or early termination of task ${fresh?.id}`,
    );
    noErrors(w);
  }
});

test('[ORC15] each slot keeps its history limit, and a new limit holds at once', async () => {
  using w = await world();
  const restart = { condition: ANY, delay: durationOf(0) };
  await w.service({ mode: replicated(1n), task: { restart } });
  for (let i = 0; i < 8; i += 1) {
    await w.run();
    await w.end(w.running()[0]?.id ?? '');
    await w.pass(500);
  }
  await w.run();
  await w.pass(500);
  assert.equal(w.tasks().length, 5);
  assert.equal(w.running().length, 1);
  await w.store.update((tx) => {
    const cluster = tx.clusters.get('cluster');
    if (cluster === undefined) return;
    const spec = { ...cluster.spec, orchestration: { taskHistoryRetentionLimit: 0 } };
    tx.clusters.update({ ...cluster, spec });
  });
  await w.pass(500);
  assert.equal(w.tasks().length, 1);
  assert.equal(w.running().length, 1);
  noErrors(w);
});

test('[ORC16] a label that goes takes the task with it, and it runs elsewhere', async () => {
  using w = await world();
  const labels = { annotations: { labels: { disk: 'ssd' } } };
  await w.node({ spec: labels });
  await w.service({
    mode: replicated(1n),
    task: { placement: { constraints: ['node.labels.disk==ssd'] } },
  });
  await w.run(() => 'node2');
  await w.patchNode('node2', (n) => ({
    ...n,
    spec: { ...n.spec, annotations: { ...n.spec.annotations, labels: {} } },
  }));
  const rejected = w.tasks().find((t) => t.state === TaskState.REJECTED);
  assert.equal(rejected?.err, 'assigned node no longer meets constraints');
  const message = w.store.view((v) => v.tasks.get(rejected?.id ?? '')?.message);
  assert.equal(message, 'task rejected by constraint enforcer');
  assert.equal(w.wanted().length, 1);
  noErrors(w);
});
