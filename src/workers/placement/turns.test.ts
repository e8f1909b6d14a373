/** When the thread decides, and what it answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FromPlacement, ToPlacement } from '../../shared/lanes/placement.ts';
import { nodeFacts, profile } from './core/testing/fixtures.ts';
import { Turns } from './turns.ts';

const CLUSTER: readonly ToPlacement[] = [
  { t: 'node', node: 0, facts: nodeFacts({ nanoCpus: 1e9 }) },
  { t: 'profile', profile: 0, facts: profile({ nanoCpus: 1e9 }) },
  {
    t: 'shapes',
    shapes: Int32Array.of(0),
    services: Int32Array.of(0),
    profiles: Int32Array.of(0),
  },
];

class Thread {
  readonly turns = new Turns();
  #answers: FromPlacement[] = [];
  wakeAtMs: number | undefined;

  /** Hands over messages at a time; the answers to them. */
  hear(nowMs: number, ...messages: readonly ToPlacement[]): readonly FromPlacement[] {
    this.#answers = [];
    const send = (answer: FromPlacement): boolean => this.#answers.push(answer) > 0;
    this.wakeAtMs = this.turns.handle(messages, { send }, nowMs);
    return this.#answers;
  }
}

const place = (...tasks: number[]): ToPlacement => ({
  t: 'place',
  tasks: Int32Array.from(tasks),
  shapes: new Int32Array(tasks.length),
});

test('[PL40] nothing is decided before the batch is complete', () => {
  const thread = new Thread();
  assert.deepEqual(thread.hear(0, ...CLUSTER, place(0)), []);
  const tasks = Int32Array.of(0);
  assert.deepEqual(thread.hear(1, { t: 'turn', turn: 7 }), [
    { t: 'placed', tasks, nodes: Int32Array.of(0), claims: [] },
    { t: 'turned', turn: 7 },
  ]);
  assert.equal(thread.wakeAtMs, undefined);
});

test('[PL40] several batches at once are one turn, answered with the last number', () => {
  const thread = new Thread();
  const [placed, waiting, turned, ...rest] = thread.hear(
    0,
    ...CLUSTER,
    place(0),
    { t: 'turn', turn: 1 },
    place(1),
    { t: 'turn', turn: 2 },
  );
  assert.equal(placed?.t, 'placed');
  assert.equal(waiting?.t, 'waiting');
  assert.deepEqual(turned, { t: 'turned', turn: 2 });
  assert.deepEqual(rest, []);
});

test('[PL40] the thread calls itself when the engine asked for it', () => {
  const thread = new Thread();
  thread.hear(0, ...CLUSTER, place(0, 1), { t: 'turn', turn: 1 });
  const other: ToPlacement = { t: 'node', node: 1, facts: nodeFacts({ nanoCpus: 0 }) };
  assert.deepEqual(thread.hear(10, other, { t: 'turn', turn: 2 }), [{ t: 'turned', turn: 2 }]);
  assert.equal(thread.wakeAtMs, 1_000, 'a second after the first text');
  assert.deepEqual(thread.hear(999), []);
  const [said, ...rest] = thread.hear(1_000);
  assert.equal(said?.t, 'waiting');
  assert.deepEqual(rest, []);
  assert.equal(thread.wakeAtMs, undefined);
});
