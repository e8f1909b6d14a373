/** A store with the orchestrator's parts on it, and a clock that the test moves. */
import { mock } from 'node:test';
import { Random } from '../../../shared/kit/random.ts';
import { idFrom } from '../../../shared/kit/base36.ts';
import type { Env } from '../../../shared/kit/env.ts';
import { Cluster, Node, Service } from '../../../shared/wire/gen/objects.ts';
import { NodeStatusState, TaskState } from '../../../shared/wire/gen/types.ts';
import type { ServiceSpec } from '../../../shared/wire/gen/specs.ts';
import type { Init } from '../../../shared/wire/runtime.ts';
import { timestampOf } from '../../../shared/model/time.ts';
import { silentLog, type Log } from '../../log.ts';
import { openMemoryStore } from '../../store/testing/memory-log.ts';
import type { Store } from '../../store/transaction.ts';
import type { TaskRow } from '../../store/view.ts';
import { ConstraintEnforcer } from '../enforcer.ts';
import { Orchestrator } from '../orchestrator.ts';
import { TaskReaper } from '../reaper.ts';

/** Plain facts of a task, kept after its row is gone. */
export type Fact = {
  readonly id: string;
  readonly slot: number;
  readonly nodeId: string;
  readonly state: TaskState;
  readonly desired: TaskState;
  readonly err: string;
};

const factOf = (row: TaskRow): Fact => ({
  id: row.id,
  slot: row.slot,
  nodeId: row.nodeId,
  state: row.state,
  desired: row.desiredState,
  err: row.err,
});

/** Turns are those of the event loop, as on a manager: what is written late there is late here too. */
const defer = (run: () => void): void => void setImmediate(run);

const START_MS = 1_700_000_000_000;

export class World implements Disposable {
  readonly store: Store;
  readonly env: Env;
  readonly errors: unknown[] = [];
  #parts: { start(): void; stop(): void }[] = [];
  #nodes = 0;

  constructor(seed = 1n) {
    mock.timers.enable({ apis: ['setTimeout', 'Date'], now: START_MS });
    const random = new Random(seed);
    this.env = {
      nowMs: () => Date.now(),
      randBelow: (limit) => random.below(limit),
      newId: () => idFrom(Uint8Array.from({ length: 17 }, () => random.below(256))),
    };
    this.store = openMemoryStore(this.env, { defer }).store;
  }

  /** Begins to lead with all parts, as a new leader would. */
  lead(): void {
    const warn: Log['warn'] = (fields) => void this.errors.push(fields['error']);
    const options = { store: this.store, env: this.env, log: { ...silentLog, warn, error: warn } };
    this.#parts = [
      new Orchestrator(options),
      new TaskReaper(options),
      new ConstraintEnforcer(options),
    ];
    for (const part of this.#parts) part.start();
  }

  stop(): void {
    for (const part of this.#parts.splice(0)) part.stop();
  }

  [Symbol.dispose](): void {
    this.stop();
    mock.timers.reset();
  }

  /** Lets everything that is due happen. */
  async settle(): Promise<void> {
    for (let i = 0; i < 30; i += 1) await new Promise<void>((r) => void setImmediate(r));
  }

  /** Moves the clock, in steps small enough for every timer's work to be done. */
  async pass(ms: number): Promise<void> {
    await this.settle();
    for (let left = ms; left > 0; left -= 250) {
      mock.timers.tick(Math.min(250, left));
      await this.settle();
    }
  }

  async cluster(taskHistoryRetentionLimit = 5): Promise<void> {
    const spec = { orchestration: { taskHistoryRetentionLimit } };
    await this.store.update((tx) => tx.clusters.create(Cluster.create({ id: 'cluster', spec })));
  }

  async node(init: Init<Node> = {}): Promise<string> {
    this.#nodes += 1;
    const id = init.id ?? `node${this.#nodes}`;
    const ready = { status: { state: NodeStatusState.READY }, description: { hostname: id } };
    await this.store.update((tx) => tx.nodes.create(Node.create({ ...ready, ...init, id })));
    return id;
  }

  async patchNode(id: string, change: (node: Node) => Node): Promise<void> {
    await this.store.update((tx) => {
      const node = tx.nodes.get(id);
      if (node !== undefined) tx.nodes.update(change(node));
    });
    await this.settle();
  }

  async service(spec: Init<ServiceSpec>): Promise<Service> {
    const annotations = { name: 'web' };
    const container = { case: 'container', value: { image: 'busybox' } } as const;
    const task = { runtime: container, ...spec.task };
    const service = Service.create({
      id: this.env.newId(),
      spec: { annotations, ...spec, task },
      specVersion: {},
    });
    await this.store.update((tx) => tx.services.create(service));
    await this.settle();
    return service;
  }

  /** What the control service does on an update. */
  async update(id: string, change: (spec: ServiceSpec) => ServiceSpec): Promise<void> {
    await this.store.update((tx) => {
      const service = tx.services.get(id);
      if (service === undefined) return;
      tx.services.update({
        ...service,
        spec: change(service.spec),
        specVersion: service.meta.version,
        previousSpec: service.spec,
        previousSpecVersion: service.specVersion,
        updateStatus: undefined,
      });
    });
    await this.settle();
  }

  /** Stands in for scheduler and agents: places what is NEW, and does what tasks are told. */
  async run(placeOn: (fact: Fact) => string = () => 'node1'): Promise<void> {
    for (let round = 0; round < 6; round += 1) {
      await this.settle();
      const now = timestampOf(this.env.nowMs());
      const ids = this.store.head((view) => Array.from(view.tasks.all(), (row) => row.id));
      await this.store.batch(ids, (tx, id) => {
        const row = tx.tasks.get(id);
        const state = row === undefined ? undefined : this.#nextState(row);
        if (row === undefined || state === undefined) return;
        const nodeId = row.nodeId === '' ? placeOn(factOf(row)) : row.nodeId;
        const status = { ...row.status(), state, timestamp: now, appliedAt: now };
        tx.tasks.patch(id, { nodeId, status });
      });
    }
    await this.settle();
  }

  #nextState(row: TaskRow): TaskState | undefined {
    if (row.state > TaskState.RUNNING) return undefined;
    if (row.desiredState >= TaskState.SHUTDOWN) {
      return row.state >= TaskState.ASSIGNED ? TaskState.SHUTDOWN : undefined;
    }
    if (row.desiredState === TaskState.READY)
      return row.state < TaskState.READY ? TaskState.READY : undefined;
    return row.state < TaskState.RUNNING ? TaskState.RUNNING : undefined;
  }

  /** A task ends by itself. */
  end(id: string, state: TaskState = TaskState.FAILED): Promise<void> {
    return this.endAll([id], state);
  }

  /** Tasks end by themselves, all in one transaction. */
  async endAll(ids: readonly string[], state: TaskState = TaskState.FAILED): Promise<void> {
    const now = timestampOf(this.env.nowMs());
    await this.store.update((tx) => {
      for (const id of ids) {
        const row = tx.tasks.get(id);
        if (row === undefined) continue;
        tx.tasks.patch(id, { status: { ...row.status(), state, timestamp: now, appliedAt: now } });
      }
    });
    await this.settle();
  }

  tasks(): Fact[] {
    return this.store
      .view((view) => [...view.tasks.all()].map(factOf))
      .toSorted((a, b) => a.slot - b.slot);
  }

  /** Tasks that are meant to run. */
  wanted(): Fact[] {
    return this.tasks().filter((task) => task.desired <= TaskState.RUNNING);
  }

  running(): Fact[] {
    return this.wanted().filter((task) => task.state === TaskState.RUNNING);
  }
}
