/**
 * Tasks kept the simple way, as whole objects in maps: slow and large, and easily seen to be right.
 * The rows are held against it.
 */
import { StoreSnapshot } from '../../../shared/wire/gen/snapshot.ts';
import { Task } from '../../../shared/wire/gen/objects.ts';
import type { TaskState, TaskStatus } from '../../../shared/wire/gen/types.ts';
import type { Init } from '../../../shared/wire/runtime.ts';
import type { Entry } from '../indexed-set.ts';
import { ObjectCore } from '../object-table.ts';
import { CommittedReader, HeadReader } from '../readers.ts';
import { refusal } from '../refusals.ts';
import type { TableSchema } from '../schema.ts';
import type { TaskEngine } from '../task-engine.ts';
import type { Change, NewTask, TaskChange, TaskPatch } from '../transaction.ts';
import type { TaskRow, TaskShared, TaskTable } from '../view.ts';
import type { Action, PendingWrite, WriteContext } from '../writes.ts';

const millisOf = (time: Task['meta']['createdAt']): number =>
  time === undefined ? 0 : time.seconds * 1000 + Math.floor(time.nanos / 1e6);

class PlainRow implements TaskRow {
  readonly #task: Task;

  constructor(task: Task) {
    this.#task = task;
  }

  get id(): string {
    return this.#task.id;
  }
  get serviceId(): string {
    return this.#task.serviceId;
  }
  get nodeId(): string {
    return this.#task.nodeId;
  }
  get slot(): number {
    return this.#task.slot;
  }
  get state(): TaskState {
    return this.#task.status.state;
  }
  get desiredState(): TaskState {
    return this.#task.desiredState;
  }
  get version(): number {
    return this.#task.meta.version.index;
  }
  get specVersion(): number {
    return this.#task.specVersion?.index ?? -1;
  }
  get jobIteration(): number {
    return this.#task.jobIteration?.index ?? -1;
  }
  get createdAtMs(): number {
    return millisOf(this.#task.meta.createdAt);
  }
  get statusAtMs(): number {
    return millisOf(this.#task.status.timestamp);
  }
  get appliedAtMs(): number {
    return millisOf(this.#task.status.appliedAt);
  }
  get message(): string {
    return this.#task.status.message;
  }
  get err(): string {
    return this.#task.status.err;
  }
  get allocated(): boolean {
    return this.#task.networks.length > 0 || this.#task.endpoint !== undefined;
  }
  sameBody(other: TaskRow): boolean {
    return Buffer.compare(body(this.#task), body(other.toTask())) === 0;
  }
  status(): TaskStatus {
    return this.#task.status;
  }
  shared(): TaskShared {
    const { spec, serviceAnnotations, specVersion, logDriver } = this.#task;
    return { spec, serviceAnnotations, specVersion, logDriver };
  }
  toTask(): Task {
    return this.#task;
  }
  toBytes(): Uint8Array {
    return Task.encode(this.#task);
  }
}

function body(task: Task): Uint8Array {
  const { meta, status, desiredState } = Task.create();
  return Task.encode({ ...task, meta, status, desiredState });
}

const containerOf = (task: Task) =>
  task.spec.runtime?.case === 'container' ? task.spec.runtime.value : undefined;
const slotKey = (serviceId: string, slot: number): string => `${serviceId} ${slot}`;

const SCHEMA: TableSchema<Task> = {
  kind: 'task',
  codec: Task,
  name: () => undefined,
  uniqueName: false,
  custom: () => [],
  indices: {
    service: { keys: (task) => [task.serviceId] },
    node: { keys: (task) => [task.nodeId] },
    slot: { keys: (task) => [slotKey(task.serviceId, task.slot)] },
    state: { keys: (task) => [String(task.status.state)] },
    desired: { keys: (task) => [String(task.desiredState)] },
    network: { keys: (task) => task.spec.networks.map((network) => network.target) },
    secret: { keys: (task) => (containerOf(task)?.secrets ?? []).map((s) => s.secretId) },
    config: { keys: (task) => (containerOf(task)?.configs ?? []).map((c) => c.configId) },
  },
};

class PlainTable implements TaskTable {
  readonly #reader: CommittedReader<Task> | HeadReader<Task>;

  constructor(reader: CommittedReader<Task> | HeadReader<Task>) {
    this.#reader = reader;
  }

  get size(): number {
    return this.#reader.size;
  }
  get(id: string): TaskRow | undefined {
    const task = this.#reader.get(id);
    return task === undefined ? undefined : new PlainRow(task);
  }
  byService(serviceId: string): readonly TaskRow[] {
    return this.#find('service', serviceId);
  }
  byNode(nodeId: string): readonly TaskRow[] {
    return this.#find('node', nodeId);
  }
  bySlot(serviceId: string, slot: number): readonly TaskRow[] {
    return this.#find('slot', slotKey(serviceId, slot));
  }
  byState(state: TaskState): readonly TaskRow[] {
    return this.#find('state', String(state));
  }
  byDesiredState(state: TaskState): readonly TaskRow[] {
    return this.#find('desired', String(state));
  }
  byReference(kind: 'network' | 'secret' | 'config', id: string): readonly TaskRow[] {
    return this.#find(kind, id);
  }
  byIdPrefix(prefix: string): readonly TaskRow[] {
    return this.#reader.byIdPrefix(prefix).map((task) => new PlainRow(task));
  }
  countByService(serviceId: string): number {
    return this.#find('service', serviceId).length;
  }
  countByNode(nodeId: string): number {
    return this.#find('node', nodeId).length;
  }
  all(): Iterable<TaskRow> {
    return this.#reader.all().map((task) => new PlainRow(task));
  }
  #find(index: string, key: string): readonly TaskRow[] {
    return this.#reader.find(index, key).map((task) => new PlainRow(task));
  }
}

type WholeChange =
  | { readonly action: 'create' | 'remove'; readonly object: Task }
  | { readonly action: 'update'; readonly object: Task; readonly old: Task };

function toRows(change: Change): TaskChange {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the core above holds tasks
  const whole = change as unknown as WholeChange;
  const { action } = whole;
  const object = new PlainRow(whole.object);
  if (action !== 'update') return { kind: 'task', action, object };
  return { kind: 'task', action, object, old: new PlainRow(whole.old) };
}

/** A context whose writes tell of rows instead of objects. */
function rowContext(context: WriteContext): WriteContext {
  return {
    version: context.version,
    now: context.now,
    add: (write: PendingWrite) => context.add({ ...write, commit: () => toRows(write.commit()) }),
  };
}

function patched(task: Task, patch: TaskPatch): Task {
  const status = patch.status ?? task.status;
  return {
    ...task,
    nodeId: patch.nodeId ?? task.nodeId,
    desiredState: patch.desiredState ?? task.desiredState,
    networks: patch.networks ?? task.networks,
    endpoint: 'endpoint' in patch ? patch.endpoint : task.endpoint,
    assignedGenericResources: patch.assignedGenericResources ?? task.assignedGenericResources,
    status: {
      ...status,
      state: patch.state ?? status.state,
      message: patch.message ?? status.message,
      err: patch.err ?? status.err,
    },
  };
}

export class PlainTasks implements TaskEngine {
  readonly #core: ObjectCore<Task>;
  readonly committed: TaskTable;
  readonly head: TaskTable;

  constructor(seal: (task: Task) => Task = (task) => task) {
    this.#core = new ObjectCore(SCHEMA, seal);
    this.committed = new PlainTable(new CommittedReader(this.#core));
    this.head = new PlainTable(new HeadReader(this.#core));
  }

  create(task: Task, context: WriteContext): void {
    this.#core.create(task, rowContext(context));
  }

  createMany(template: Init<Task>, rows: readonly NewTask[], context: WriteContext): void {
    const whole = Task.create(template);
    for (const { name, ...row } of rows) {
      this.create({ ...whole, ...row, annotations: { ...whole.annotations, name } }, context);
    }
  }

  patch(id: string, patch: TaskPatch, context: WriteContext): void {
    const stored: Entry<Task> | undefined = this.#core.headGet(id);
    if (stored === undefined) throw refusal('NOT_EXIST');
    this.#core.update(patched(stored.object, patch), rowContext(context));
  }

  update(task: Task, context: WriteContext): void {
    this.#core.update(task, rowContext(context));
  }

  remove(id: string, context: WriteContext): void {
    this.#core.remove(id, rowContext(context));
  }

  apply(action: Action, bytes: Uint8Array): TaskChange | undefined {
    const change = this.#core.apply(action, bytes);
    return change === undefined ? undefined : toRows(change);
  }

  settle(): void {
    // Objects that nobody holds are the collector's.
  }

  dropOverlay(): void {
    this.#core.dropOverlay();
  }

  *snapshot(): Generator<Uint8Array> {
    const tasks = [...this.#core.committed.values()].map((entry) => entry.object);
    for (let at = 0; at < tasks.length; at += 1000) {
      yield StoreSnapshot.encode(StoreSnapshot.create({ tasks: tasks.slice(at, at + 1000) }));
    }
  }
}
