/**
 * Placement under random loads: services, tasks and nodes that come, change, fail and go, and threads
 * that die, from a printed seed. After every commit no node holds more than it has and no task has
 * moved; at the end whoever still waits fits nowhere.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../shared/kit/random.ts';
import { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import { NodeStatusState, TaskState } from '../../shared/wire/gen/types.ts';
import type { TaskRow, View } from '../store/view.ts';
import { isAvailable } from './placement-facts.ts';
import { PlacementCluster } from './testing/placement-cluster.ts';

const NODES = 5;
const CAPACITY = 8e9;
const STEPS = 250;

const holds = (row: TaskRow): boolean =>
  row.nodeId !== '' && row.state >= TaskState.ASSIGNED && row.state <= TaskState.RUNNING;

const reservation = (row: TaskRow): number =>
  row.shared().spec.resources?.reservations?.nanoCpus ?? 0;

const waits = (row: TaskRow): boolean =>
  row.state === TaskState.PENDING && row.desiredState <= TaskState.COMPLETE;

/** What each node's tasks reserve. */
function reserved(view: View): Map<string, number> {
  const sums = new Map<string, number>();
  for (const row of view.tasks.all()) {
    if (!holds(row)) continue;
    sums.set(row.nodeId, (sums.get(row.nodeId) ?? 0) + reservation(row));
  }
  return sums;
}

class Chaos {
  readonly cluster = new PlacementCluster();
  readonly #random: Random;
  readonly #nodeOf = new Map<string, string>();
  #services: string[] = [];

  constructor(seed: bigint) {
    this.#random = new Random(seed);
  }

  async start(): Promise<void> {
    for (let n = 0; n < NODES; n++) await this.cluster.node(`n${n}`, {}, { nanoCpus: CAPACITY });
    await this.cluster.lead();
    this.cluster.store.watch(({ changes }) => {
      for (const change of changes) {
        if (change.kind === 'task' && change.action !== 'remove') this.#checkMoved(change.object);
      }
      this.cluster.store.view((view) => this.#checkFull(view));
    });
  }

  async step(): Promise<void> {
    const roll = this.#random.below(100);
    if (roll < 10) this.#services.push(await this.#addService());
    else if (roll < 40) await this.#addTasks();
    else if (roll < 65) await this.#changeTask();
    else if (roll < 75) await this.#removeTask();
    else if (roll < 80) await this.#removeService();
    else if (roll < 95) await this.#changeNode();
    else if (roll < 98) await this.cluster.turn();
    else await this.cluster.pool?.kill();
  }

  /** Waits until nobody waits who need not. */
  async settle(): Promise<void> {
    await this.cluster.until((view) => {
      const sums = reserved(view);
      const frees = [...view.nodes.all()].filter(isAvailable).map((node) => ({
        id: node.id,
        free: CAPACITY - (sums.get(node.id) ?? 0),
      }));
      return [...view.tasks.all()].filter(waits).every((row) => {
        const isOrphan = row.serviceId !== '' && view.services.get(row.serviceId) === undefined;
        const fit = frees.filter(({ free }) => free >= reservation(row)).map(({ id }) => id);
        return isOrphan || !fit.some((id) => row.nodeId === '' || row.nodeId === id);
      });
    });
  }

  #checkMoved(row: TaskRow): void {
    const before = this.#nodeOf.get(row.id) ?? '';
    if (before !== '') assert.equal(row.nodeId, before, `${row.id} was moved`);
    this.#nodeOf.set(row.id, row.nodeId);
  }

  #checkFull(view: View): void {
    for (const [node, sum] of reserved(view)) {
      assert.ok(sum <= CAPACITY, `${node} holds ${sum}`);
    }
  }

  #pick<T>(items: readonly T[]): T | undefined {
    return items[this.#random.below(Math.max(1, items.length))];
  }

  async #addService(): Promise<string> {
    const nanoCpus = this.#random.below(4) * 1e9;
    return await this.cluster.service({ task: { resources: { reservations: { nanoCpus } } } });
  }

  async #addTasks(): Promise<void> {
    const service = this.#pick(this.#services);
    if (service === undefined) return;
    const isGiven = this.#random.below(4) === 0;
    const nodeId = isGiven ? `n${this.#random.below(NODES)}` : '';
    await this.cluster.tasks(service, 1 + this.#random.below(6), { nodeId });
  }

  async #changeTask(): Promise<void> {
    const id = this.#pick(this.#ids());
    if (id === undefined) return;
    const { state, desiredState } = this.cluster.row(id, (row) => ({
      state: row.state,
      desiredState: row.desiredState,
    }));
    if (this.#random.below(2) === 0) {
      if (desiredState < TaskState.SHUTDOWN) {
        await this.cluster.patch([id], { desiredState: TaskState.SHUTDOWN });
      }
      return;
    }
    const next = { [TaskState.ASSIGNED]: TaskState.RUNNING, [TaskState.RUNNING]: TaskState.FAILED };
    const to = (next as Partial<Record<TaskState, TaskState>>)[state];
    if (to !== undefined) await this.cluster.patch([id], { state: to });
  }

  async #removeTask(): Promise<void> {
    const id = this.#pick(this.#ids());
    if (id !== undefined) await this.cluster.store.update((tx) => tx.tasks.remove(id));
  }

  async #removeService(): Promise<void> {
    const service = this.#pick(this.#services);
    if (service === undefined) return;
    this.#services = this.#services.filter((other) => other !== service);
    await this.cluster.store.update((tx) => tx.services.remove(service));
  }

  async #changeNode(): Promise<void> {
    const id = `n${this.#random.below(NODES)}`;
    const isUp = this.#random.below(3) > 0;
    await this.cluster.changeNode(id, (node) => ({
      ...node,
      status: { ...node.status, state: isUp ? NodeStatusState.READY : NodeStatusState.DOWN },
      spec: {
        ...node.spec,
        availability:
          this.#random.below(4) === 0 ? NodeSpecAvailability.DRAIN : NodeSpecAvailability.ACTIVE,
      },
    }));
  }

  #ids(): string[] {
    return this.cluster.store.view((view) => Array.from(view.tasks.all(), (row) => row.id));
  }
}

for (const seed of [1n, 2n, 3n]) {
  test(`[PL73] random loads and deaths from seed ${seed} lose, double and overfill nothing`, async () => {
    const chaos = new Chaos(seed);
    await using cluster = chaos.cluster;
    await chaos.start();
    for (let step = 0; step < STEPS; step++) {
      await chaos.step();
      if (step % 50 === 49) await chaos.settle();
    }
    await chaos.settle();
    await cluster.store.batch(
      cluster.store.view((view) => Array.from(view.tasks.all(), (row) => row.id)),
      (tx, id) => tx.tasks.remove(id),
    );
    // A thread that was just killed has to be replaced before anything can be told.
    while ((cluster.pool?.stats().tasks ?? 0) > 0) await cluster.turn();
  });
}
