/**
 * How the store is read.
 *
 * A view is the state at one moment: it is valid until the function it was given to returns, and
 * nothing of it may be kept across turns of the event loop except plain values and the immutable
 * objects (a `TaskRow` is a window onto a row and is refused once its row is gone).
 *
 * There are two states to look at. The *committed* one is what a quorum has stored: clients are shown
 * nothing else. The *head* is the committed state plus what has been proposed and not yet committed:
 * whoever decides reads the head, so that decisions need not wait for each other.
 */
import type {
  Cluster,
  Config,
  Extension,
  Network,
  Node,
  Resource,
  Secret,
  Service,
  Task,
  Volume,
} from '../../shared/wire/gen/objects.ts';
import type { TaskState, TaskStatus } from '../../shared/wire/gen/types.ts';
import type { Writer } from '../../shared/wire/runtime.ts';

/** The kinds of object, with the type of each. Tasks are rows and stand apart. */
export type ObjectTypes = {
  readonly node: Node;
  readonly service: Service;
  readonly network: Network;
  readonly cluster: Cluster;
  readonly secret: Secret;
  readonly config: Config;
  readonly resource: Resource;
  readonly extension: Extension;
  readonly volume: Volume;
};

/** Tables of whole objects. */
export type ObjectKind = keyof ObjectTypes;
/** Every table. */
export type Kind = ObjectKind | 'task';

/**
 * The declared indices of each table, besides id and name. Values are strings; enums are given as
 * decimal numbers.
 */
export type IndexNames = {
  readonly node: 'role' | 'membership';
  readonly service: 'runtime' | 'network' | 'secret' | 'config';
  readonly network: never;
  readonly cluster: never;
  readonly secret: never;
  readonly config: never;
  readonly resource: 'kind';
  readonly extension: never;
  readonly volume: 'group' | 'driver';
};

/** One table of whole objects. */
export interface ObjectTable<K extends ObjectKind> {
  readonly size: number;
  /** Stands for the content of now: another one as soon as an object was written, or a write taken back. */
  readonly edition: object;
  get(id: string): ObjectTypes[K] | undefined;
  /** By name, upper and lower case alike. Node names (host names) are not unique: the first. */
  byName(name: string): ObjectTypes[K] | undefined;
  /** All objects whose index `index` holds `key`. */
  find(index: IndexNames[K], key: string): readonly ObjectTypes[K][];
  /** Objects whose id begins with `prefix`. */
  byIdPrefix(prefix: string): readonly ObjectTypes[K][];
  /** Objects whose name begins with `prefix`, upper and lower case alike. */
  byNamePrefix(prefix: string): readonly ObjectTypes[K][];
  /** Objects by their custom index entries (`annotations.indices`). */
  byCustom(key: string, value: string): readonly ObjectTypes[K][];
  /** Every object, in no promised order. */
  all(): Iterable<ObjectTypes[K]>;
}

/**
 * A task as the store keeps it: hot fields in columns, the rest as encoded bytes. Getters are cheap;
 * `toTask` and `status` decode and are for the edge (an inspect, a watch, a log line).
 */
export interface TaskRow {
  readonly id: string;
  /**
   * Where a committed task stands: a small number, its own from its first commit to its removal, as long
   * as no snapshot replaces the state. With it the task is found without a look-up by id.
   */
  readonly place: number;
  /** Empty for a network attachment. */
  readonly serviceId: string;
  /** Empty until placed. */
  readonly nodeId: string;
  readonly slot: number;
  /** Observed state. */
  readonly state: TaskState;
  readonly desiredState: TaskState;
  /** `meta.version.index`. */
  readonly version: number;
  /** The service's spec version that this task was made from; -1 when it has none. */
  readonly specVersion: number;
  /** -1 for a task of no job. */
  readonly jobIteration: number;
  readonly createdAtMs: number;
  /** Agent's clock. */
  readonly statusAtMs: number;
  /** Manager's clock; 0 when never applied. */
  readonly appliedAtMs: number;
  /** Last successful step. */
  readonly message: string;
  /** Empty unless something went wrong or is in the way. */
  readonly err: string;
  /** Whether networks are attached or an endpoint was copied from the service. */
  readonly allocated: boolean;
  /** Whether networks are attached. */
  readonly attached: boolean;
  /** Whether `other`, a version of the same task, differs in nothing but meta, status and desired state. */
  sameBody(other: TaskRow): boolean;
  /** Full status, decoded. */
  status(): TaskStatus;
  /** What tasks of one service version share (spec, service annotations, log driver), decoded once for all. */
  shared(): TaskShared;
  /** The whole task, decoded. */
  toTask(): Task;
  /** The whole task's protobuf bytes, fresh; fields may stand in any order. */
  toBytes(): Uint8Array;
  /** Writes these bytes in front of what `writer` holds. */
  write(writer: Writer): void;
}

/** The part of a task that all tasks of one version of a service share. */
export type TaskShared = Pick<Task, 'spec' | 'serviceAnnotations' | 'specVersion' | 'logDriver'>;

/** Some of a service's tasks, and the id to go on with; none after the last. */
export type TaskPiece = { readonly rows: readonly TaskRow[]; readonly next: string | undefined };

/** The table of tasks. Lists are arrays made for the caller, safe to walk while writing. */
export interface TaskTable {
  readonly size: number;
  /** `place` is where the task stood when it was last seen, if that is known. */
  get(id: string, place?: number): TaskRow | undefined;
  byService(serviceId: string): readonly TaskRow[];
  /**
   * About `max` tasks of a service, from the one on that the piece before named: so a service of any size
   * is gone through in short turns. A task that is there from the first piece to the last is met at
   * least once, whatever is written in between; it may be met again.
   */
  pieceOfService(serviceId: string, from: string | undefined, max: number): TaskPiece;
  byNode(nodeId: string): readonly TaskRow[];
  /** Tasks of one slot of a replicated service, or of slot 0. */
  bySlot(serviceId: string, slot: number): readonly TaskRow[];
  byState(state: TaskState): readonly TaskRow[];
  byDesiredState(state: TaskState): readonly TaskRow[];
  /** Tasks whose spec names the network, secret or config. */
  byReference(kind: 'network' | 'secret' | 'config', id: string): readonly TaskRow[];
  byIdPrefix(prefix: string): readonly TaskRow[];
  countByService(serviceId: string): number;
  countByNode(nodeId: string): number;
  countByDesiredState(state: TaskState): number;
  /**
   * The different first two characters of ids, in no promised order: `byIdPrefix` of each in turn goes
   * through all tasks in pieces, which may be spread over several turns.
   */
  idBeginnings(): readonly string[];
  /**
   * The committed tasks with a place from `from` on and below `end`: all of them, in pieces that may be
   * spread over several turns, and in the order in which they lie in memory, which is by far the fastest.
   */
  byPlace(from: number, end: number): readonly TaskRow[];
  /** Above every place. */
  readonly placesEnd: number;
  all(): Iterable<TaskRow>;
}

/** All tables at one moment. */
export interface View {
  readonly nodes: ObjectTable<'node'>;
  readonly services: ObjectTable<'service'>;
  readonly networks: ObjectTable<'network'>;
  readonly clusters: ObjectTable<'cluster'>;
  readonly secrets: ObjectTable<'secret'>;
  readonly configs: ObjectTable<'config'>;
  readonly resources: ObjectTable<'resource'>;
  readonly extensions: ObjectTable<'extension'>;
  readonly volumes: ObjectTable<'volume'>;
  readonly tasks: TaskTable;
}
