/**
 * Whatever happens between a leader and a node, in the end the node holds the tasks that the store
 * gives it, and the store knows what became of them: real agent, dispatcher, disk and network, with
 * sessions that break and leaders that come and go.
 */
import { before, test } from 'node:test';
import fc from 'fast-check';
import type { Task } from '../../shared/wire/gen/objects.ts';
import { TaskState, TaskStatus } from '../../shared/wire/gen/types.ts';
import { testCluster, type TestCluster } from '../ca/testing/identities.ts';
import { Leader } from './testing/leader.ts';
import { NodeBench } from './testing/node-bench.ts';

const { RUNNING, SHUTDOWN } = TaskState;
/** More than lets a node register again, less than the heartbeats that may be missed. */
const LEAP_MS = 9000;
/**
 * Time in which they must agree, less than a node that says nothing is given. It is counted in short
 * steps of this process, so that time in which others have the processor does not count.
 */
const CONVERGENCE_MS = 10_000;
const COUNT_MS = 10;

const STEPS = [
  'create',
  'create',
  'shutdown',
  'remove',
  'lead',
  'leave',
  'describe',
  'turn',
] as const;
type Step = { readonly what: (typeof STEPS)[number]; readonly pick: number };

let cluster: TestCluster;
before(async () => {
  cluster = await testCluster();
});

const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

class Run {
  readonly #leader: Leader;
  readonly #node: NodeBench;
  #tasks: string[] = [];
  #made = 0;
  #over = false;

  constructor(leader: Leader, node: NodeBench) {
    this.#leader = leader;
    this.#node = node;
    node.controllers.onTaken = (tasks) => this.#obey(tasks);
  }

  /** A task is at once as it should be; nothing is said twice, and nothing that has ended begins again. */
  async #obey(tasks: readonly Task[]): Promise<void> {
    const updates = tasks.flatMap(({ id, desiredState, status }) => {
      const state = desiredState > RUNNING || status.state > RUNNING ? SHUTDOWN : RUNNING;
      return status.state === state ? [] : [{ taskId: id, status: TaskStatus.create({ state }) }];
    });
    await this.#node.agent.statuses(updates);
  }

  #picked(pick: number): string | undefined {
    return this.#tasks[pick % Math.max(1, this.#tasks.length)];
  }

  async take({ what, pick }: Step): Promise<void> {
    const { store, dispatcher, clock } = this.#leader;
    const id = this.#picked(pick);
    switch (what) {
      case 'create':
        this.#tasks.push(`t${(this.#made += 1)}`);
        await this.#leader.createTask(`t${this.#made}`, 'n1');
        break;
      case 'shutdown':
        if (id !== undefined) {
          await store.update((tx) => tx.tasks.patch(id, { desiredState: SHUTDOWN }));
        }
        break;
      case 'remove':
        await this.#remove(id);
        break;
      case 'lead':
      case 'leave':
        clock.aheadMs += LEAP_MS;
        await dispatcher.stop(what === 'leave');
        await this.#remove(id); // nobody tells the node
        await dispatcher.start();
        break;
      case 'describe':
        clock.aheadMs += LEAP_MS;
        this.#node.controllers.description = { hostname: `host${pick}` };
        this.#node.agent.refresh();
        break;
      case 'turn':
        for (let i = 0; i < pick; i += 1) await nextTurn();
        break;
    }
  }

  async #remove(id: string | undefined): Promise<void> {
    if (id === undefined) return;
    this.#tasks = this.#tasks.filter((each) => each !== id);
    await this.#leader.store.update((tx) => tx.tasks.remove(id));
  }

  /** Fails, with the steps that led there, when node and store do not come to agree. */
  async converge(): Promise<void> {
    const late = Promise.withResolvers<never>();
    let waitedMs = 0;
    const timer = setInterval(() => {
      waitedMs += COUNT_MS;
      if (waitedMs >= CONVERGENCE_MS) late.reject(new Error('node and store do not come to agree'));
    }, COUNT_MS);
    try {
      await Promise.race([this.#agreed(), late.promise]);
    } finally {
      clearInterval(timer);
      this.#over = true;
    }
  }

  async #agreed(): Promise<void> {
    const { store, clock } = this.#leader;
    clock.aheadMs += LEAP_MS;
    await this.#leader.until((view) =>
      [...view.tasks.all()].every((row) =>
        row.desiredState === SHUTDOWN ? row.state === SHUTDOWN : row.state === RUNNING,
      ),
    );
    const expected = store.view((view) => [...view.tasks.all()].map(({ id }) => id)).toSorted();
    // A task leaves the database first and its controller in a later turn.
    while (!this.#over && !this.#holds(expected)) await nextTurn();
  }

  /** Whether the database and the controllers have just these tasks. */
  #holds(expected: readonly string[]): boolean {
    const controlled = [...this.#node.controllers.tasks.keys()].toSorted();
    return [this.#node.database.ids(), controlled].every((ids) => ids.join() === expected.join());
  }
}

test('a node and its leader agree in the end', { timeout: 300_000 }, async () => {
  const step = fc.record({ what: fc.constantFrom(...STEPS), pick: fc.nat({ max: 20 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      await using leader = await Leader.start(cluster, ['n1']);
      const managers = [leader.listener.address];
      await using node = await NodeBench.start({ cluster, nodeId: 'n1', managers });
      const run = new Run(leader, node);
      for (const each of steps) await run.take(each);
      await run.converge();
    }),
    { numRuns: 12, endOnFailure: true },
  );
});
