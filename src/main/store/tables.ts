/** All tables of a store, with the views of both states and the transaction that writes the head. */
import type { Init } from '../../shared/wire/runtime.ts';
import type { Extension, Resource, Task } from '../../shared/wire/gen/objects.ts';
import type { TaskState } from '../../shared/wire/gen/types.ts';
import { ObjectCore } from './object-table.ts';
import { CommittedReader, HeadReader } from './readers.ts';
import { refusal } from './refusals.ts';
import { SCHEMAS, WIRE_FIELDS, type Stored } from './schema.ts';
import type { Session } from './session.ts';
import type { TaskEngine } from './task-engine.ts';
import type {
  NewTask,
  TaskPatch,
  Transaction,
  WritableTable,
  WritableTaskTable,
} from './transaction.ts';
import type { ObjectKind, ObjectTypes, TaskPiece, TaskRow, View } from './view.ts';

export type Cores = { readonly [K in ObjectKind]: ObjectCore<ObjectTypes[K]> };

/** All that a store holds, with the ways to read and write it. */
export type Tables = {
  readonly cores: Cores;
  readonly tasks: TaskEngine;
  readonly committed: View;
  readonly head: View;
  readonly transaction: Transaction;
};

/** Empty tables. `seal` sees every object before it is stored; what `session` is open for is written. */
export function makeTables(
  seal: <T extends object>(object: T) => T,
  tasks: TaskEngine,
  session: Session,
): Tables {
  const cores = makeCores(seal);
  return {
    cores,
    tasks,
    committed: committedView(cores, tasks),
    head: headView(cores, tasks),
    transaction: transactionOn(cores, tasks, session),
  };
}

function makeCores(seal: <T extends object>(object: T) => T): Cores {
  return {
    node: new ObjectCore(SCHEMAS.node, seal),
    service: new ObjectCore(SCHEMAS.service, seal),
    network: new ObjectCore(SCHEMAS.network, seal),
    cluster: new ObjectCore(SCHEMAS.cluster, seal),
    secret: new ObjectCore(SCHEMAS.secret, seal),
    resource: new ObjectCore(SCHEMAS.resource, seal),
    extension: new ObjectCore(SCHEMAS.extension, seal),
    config: new ObjectCore(SCHEMAS.config, seal),
    volume: new ObjectCore(SCHEMAS.volume, seal),
  };
}

function committedView(cores: Cores, tasks: TaskEngine): View {
  return {
    nodes: new CommittedReader(cores.node),
    services: new CommittedReader(cores.service),
    networks: new CommittedReader(cores.network),
    clusters: new CommittedReader(cores.cluster),
    secrets: new CommittedReader(cores.secret),
    configs: new CommittedReader(cores.config),
    resources: new CommittedReader(cores.resource),
    extensions: new CommittedReader(cores.extension),
    volumes: new CommittedReader(cores.volume),
    tasks: tasks.committed,
  };
}

function headView(cores: Cores, tasks: TaskEngine): View {
  return {
    nodes: new HeadReader(cores.node),
    services: new HeadReader(cores.service),
    networks: new HeadReader(cores.network),
    clusters: new HeadReader(cores.cluster),
    secrets: new HeadReader(cores.secret),
    configs: new HeadReader(cores.config),
    resources: new HeadReader(cores.resource),
    extensions: new HeadReader(cores.extension),
    volumes: new HeadReader(cores.volume),
    tasks: tasks.head,
  };
}

/** The head, writable through `session`. */
function transactionOn(cores: Cores, tasks: TaskEngine, session: Session): Transaction {
  return {
    nodes: new HeadWriter(cores.node, session),
    services: new HeadWriter(cores.service, session),
    networks: new HeadWriter(cores.network, session),
    clusters: new HeadWriter(cores.cluster, session),
    secrets: new HeadWriter(cores.secret, session),
    configs: new HeadWriter(cores.config, session),
    resources: new ResourceWriter(cores, session),
    extensions: new ExtensionWriter(cores, session),
    volumes: new HeadWriter(cores.volume, session),
    tasks: new TaskWriter(tasks, session),
  };
}

class HeadWriter<T extends Stored> extends HeadReader<T> {
  readonly #core: ObjectCore<T>;
  readonly #session: Session;

  constructor(core: ObjectCore<T>, session: Session) {
    super(core);
    this.#core = core;
    this.#session = session;
  }

  create(object: T): void {
    this.#session.checkOpen();
    this.#core.create(object, this.#session);
  }

  update(object: T): void {
    this.#session.checkOpen();
    this.#core.update(object, this.#session);
  }

  remove(id: string): void {
    this.#session.checkOpen();
    this.#core.remove(id, this.#session);
  }
}

/** A resource's kind is the name of an extension. */
class ResourceWriter extends HeadWriter<Resource> implements WritableTable<'resource'> {
  readonly #extensions: HeadReader<Extension>;

  constructor(cores: Cores, session: Session) {
    super(cores.resource, session);
    this.#extensions = new HeadReader(cores.extension);
  }

  override create(resource: Resource): void {
    this.#checkKind(resource);
    super.create(resource);
  }

  override update(resource: Resource): void {
    this.#checkKind(resource);
    super.update(resource);
  }

  #checkKind(resource: Resource): void {
    if (this.#extensions.byName(resource.kind) === undefined) throw refusal('KIND_UNREGISTERED');
  }
}

/** An extension never changes, and stays as long as resources of its kind do. */
class ExtensionWriter extends HeadWriter<Extension> implements WritableTable<'extension'> {
  readonly #resources: HeadReader<Resource>;

  constructor(cores: Cores, session: Session) {
    super(cores.extension, session);
    this.#resources = new HeadReader(cores.resource);
  }

  override create(extension: Extension): void {
    if (Object.hasOwn(WIRE_FIELDS, extension.annotations.name.toLowerCase())) {
      throw refusal('NAME_CONFLICT');
    }
    super.create(extension);
  }

  override update(): void {
    throw refusal('EXTENSION_IMMUTABLE');
  }

  override remove(id: string): void {
    const extension = this.get(id);
    if (extension === undefined) throw refusal('NOT_EXIST');
    if (this.#resources.find('kind', extension.annotations.name).length > 0) {
      throw refusal('EXTENSION_IN_USE');
    }
    super.remove(id);
  }
}

class TaskWriter implements WritableTaskTable {
  readonly #tasks: TaskEngine;
  readonly #session: Session;

  constructor(tasks: TaskEngine, session: Session) {
    this.#tasks = tasks;
    this.#session = session;
  }

  create(task: Task): void {
    this.#session.checkOpen();
    this.#tasks.create(task, this.#session);
  }
  createMany(template: Init<Task>, rows: readonly NewTask[]): void {
    this.#session.checkOpen();
    this.#tasks.createMany(template, rows, this.#session);
  }
  patch(id: string, patch: TaskPatch, place?: number): void {
    this.#session.checkOpen();
    this.#tasks.patch(id, patch, this.#session, place);
  }
  update(task: Task): void {
    this.#session.checkOpen();
    this.#tasks.update(task, this.#session);
  }
  remove(id: string): void {
    this.#session.checkOpen();
    this.#tasks.remove(id, this.#session);
  }

  get size(): number {
    return this.#tasks.head.size;
  }
  get(id: string, place?: number): TaskRow | undefined {
    return this.#tasks.head.get(id, place);
  }
  byService(serviceId: string): readonly TaskRow[] {
    return this.#tasks.head.byService(serviceId);
  }
  pieceOfService(serviceId: string, from: string | undefined, max: number): TaskPiece {
    return this.#tasks.head.pieceOfService(serviceId, from, max);
  }
  byNode(nodeId: string): readonly TaskRow[] {
    return this.#tasks.head.byNode(nodeId);
  }
  bySlot(serviceId: string, slot: number): readonly TaskRow[] {
    return this.#tasks.head.bySlot(serviceId, slot);
  }
  byState(state: TaskState): readonly TaskRow[] {
    return this.#tasks.head.byState(state);
  }
  byDesiredState(state: TaskState): readonly TaskRow[] {
    return this.#tasks.head.byDesiredState(state);
  }
  byReference(kind: 'network' | 'secret' | 'config', id: string): readonly TaskRow[] {
    return this.#tasks.head.byReference(kind, id);
  }
  byIdPrefix(prefix: string): readonly TaskRow[] {
    return this.#tasks.head.byIdPrefix(prefix);
  }
  countByService(serviceId: string): number {
    return this.#tasks.head.countByService(serviceId);
  }
  countByNode(nodeId: string): number {
    return this.#tasks.head.countByNode(nodeId);
  }
  countByDesiredState(state: TaskState): number {
    return this.#tasks.head.countByDesiredState(state);
  }
  idBeginnings(): readonly string[] {
    return this.#tasks.head.idBeginnings();
  }
  byPlace(from: number, end: number): readonly TaskRow[] {
    return this.#tasks.head.byPlace(from, end);
  }
  get placesEnd(): number {
    return this.#tasks.head.placesEnd;
  }
  all(): Iterable<TaskRow> {
    return this.#tasks.head.all();
  }
}
