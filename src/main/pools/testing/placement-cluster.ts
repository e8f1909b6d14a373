/** A small cluster in a real store, placed by the real thread: for tests of the main side. */
import assert from 'node:assert/strict';
import type { Env } from '../../../shared/kit/env.ts';
import { Random } from '../../../shared/kit/random.ts';
import { Node, Service, type Task } from '../../../shared/wire/gen/objects.ts';
import type { ServiceSpec } from '../../../shared/wire/gen/specs.ts';
import { NodeStatusState, TaskState, type Resources } from '../../../shared/wire/gen/types.ts';
import type { Init } from '../../../shared/wire/runtime.ts';
import { silentLog, type Log } from '../../log.ts';
import { openMemoryStore } from '../../store/testing/memory-log.ts';
import type { TaskRow, View } from '../../store/view.ts';
import { PlacementPool } from '../placement.ts';

export class PlacementCluster implements AsyncDisposable {
  readonly store;
  readonly memory;
  readonly errors: unknown[] = [];
  pool: PlacementPool | undefined;
  readonly #env: Env;
  #ids = 0;
  #versions = 0;

  constructor(options: { readonly manual?: boolean } = {}) {
    const random = new Random(1n);
    this.#env = {
      nowMs: () => Date.now(),
      randBelow: (limit) => random.below(limit),
      newId: () => `id${this.#ids++}`,
    };
    const { store, log } = openMemoryStore(this.#env, options);
    this.store = store;
    this.memory = log;
  }

  async lead(): Promise<void> {
    const note = (fields: object): void => void this.errors.push(fields);
    const log: Log = { ...silentLog, warn: note, error: note };
    this.pool = new PlacementPool({ store: this.store, env: this.#env, log });
    await this.pool.start();
  }

  async unlead(): Promise<void> {
    await this.pool?.stop();
    this.pool = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unlead();
  }

  async node(id: string, init: Init<Node> = {}, resources: Init<Resources> = {}): Promise<void> {
    const node = Node.create({
      id,
      status: { state: NodeStatusState.READY },
      description: {
        hostname: id,
        resources: { nanoCpus: 4e9, memoryBytes: 2 ** 33, ...resources },
      },
      ...init,
    });
    await this.store.update((tx) => tx.nodes.create(node));
  }

  async changeNode(id: string, change: (node: Node) => Node): Promise<void> {
    await this.store.update((tx) => {
      const node = tx.nodes.get(id);
      assert.ok(node !== undefined);
      tx.nodes.update(change(node));
    });
  }

  /** Creates a service and gives its id; or, with `id`, a new version of it. */
  async service(spec: Init<ServiceSpec>, id = `s${this.#ids++}`): Promise<string> {
    const specVersion = { index: ++this.#versions };
    await this.store.update((tx) => {
      const annotations = { name: id, ...spec.annotations };
      const made = Service.create({ id, spec: { ...spec, annotations }, specVersion });
      const known = tx.services.get(id);
      if (known === undefined) tx.services.create(made);
      else tx.services.update({ ...made, meta: known.meta });
    });
    return id;
  }

  /** Tasks of a service's current version, PENDING, on no node or the given one; their ids. */
  async tasks(serviceId: string, count: number, init: Init<Task> = {}): Promise<string[]> {
    const service = this.store.view((view) => view.services.get(serviceId));
    assert.ok(service !== undefined);
    const template: Init<Task> = {
      serviceId,
      spec: service.spec.task,
      serviceAnnotations: service.spec.annotations,
      ...(service.specVersion === undefined ? {} : { specVersion: service.specVersion }),
      status: { state: TaskState.PENDING, message: 'pending task scheduling' },
      desiredState: TaskState.RUNNING,
      ...init,
    };
    const rows = Array.from({ length: count }, (_, slot) => {
      const id = `t${this.#ids++}`;
      return { id, slot: slot + 1, nodeId: init.nodeId ?? '', name: id };
    });
    for (let from = 0; from < count; from += 1000) {
      const chunk = rows.slice(from, from + 1000);
      await this.store.update((tx) => tx.tasks.createMany(template, chunk));
    }
    return rows.map(({ id }) => id);
  }

  async patch(ids: readonly string[], patch: { state?: TaskState; desiredState?: TaskState }) {
    await this.store.batch(ids, (tx, id) => tx.tasks.patch(id, patch));
  }

  row<T>(id: string, read: (row: TaskRow) => T): T {
    return this.store.view((view) => {
      const row = view.tasks.get(id);
      assert.ok(row !== undefined, `${id} is not stored`);
      return read(row);
    });
  }

  nodeOf(id: string): string {
    return this.row(id, (row) => row.nodeId);
  }

  /** Tasks with an id of the given, by node; '' for those on none. */
  spread(ids: readonly string[]): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const id of ids) counts[this.nodeOf(id)] = (counts[this.nodeOf(id)] ?? 0) + 1;
    return counts;
  }

  /** Lets what was put off to the end of this turn, and of the next, happen. */
  async turn(): Promise<void> {
    for (let turns = 0; turns < 2; turns++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Waits until the committed state is as wished; it is looked at after each commit. */
  async until(isSo: (view: View) => boolean): Promise<void> {
    if (this.store.view(isSo)) return;
    const so = Promise.withResolvers<void>();
    const stop = this.store.watch(() => {
      if (this.store.view(isSo)) so.resolve();
    });
    await so.promise;
    stop();
  }

  async assigned(ids: readonly string[]): Promise<void> {
    await this.until((view) =>
      ids.every((id) => (view.tasks.get(id)?.state ?? 0) >= TaskState.ASSIGNED),
    );
  }

  async told(id: string, text: string): Promise<void> {
    await this.until((view) => view.tasks.get(id)?.err === text);
  }
}
