/**
 * What each table of whole objects is: its codec, its place in log entries and snapshots, and what it
 * is looked up by. An index is declared here once; the sets keep it.
 */
import type { Codec } from '../../shared/wire/runtime.ts';
import {
  Cluster,
  Config,
  Extension,
  type Meta,
  Network,
  Node,
  Resource,
  Secret,
  Service,
  Volume,
} from '../../shared/wire/gen/objects.ts';
import type { IndexEntry } from '../../shared/wire/gen/types.ts';
import type { IndexNames, Kind, ObjectKind, ObjectTypes } from './view.ts';

/** Where a table's objects stand on the wire. */
export type WireFields = {
  /** Field of `StoreAction`'s target. */
  readonly action: number;
  /** Field of `StoreSnapshot`. */
  readonly snapshot: number;
};

/** The fields of every table (behaviour rule 2.1). */
export const WIRE_FIELDS: Readonly<Record<Kind, WireFields>> = {
  node: { action: 2, snapshot: 1 },
  service: { action: 3, snapshot: 2 },
  network: { action: 5, snapshot: 3 },
  task: { action: 4, snapshot: 4 },
  cluster: { action: 6, snapshot: 5 },
  secret: { action: 7, snapshot: 6 },
  resource: { action: 8, snapshot: 7 },
  extension: { action: 9, snapshot: 8 },
  config: { action: 10, snapshot: 9 },
  volume: { action: 11, snapshot: 10 },
};

/** Every table of whole objects, in the order of a snapshot. */
export const OBJECT_KINDS = [
  'node',
  'service',
  'network',
  'cluster',
  'secret',
  'resource',
  'extension',
  'config',
  'volume',
] as const satisfies readonly ObjectKind[];

/** Every table. */
export const KINDS: readonly Kind[] = [...OBJECT_KINDS, 'task'];

/** One declared index: the keys that an object stands under. */
export type IndexSchema<T> = {
  readonly keys: (object: T) => readonly string[];
  /** Keys compare upper and lower case alike: `keys` gives them in lower case. */
  readonly caseless?: true;
};

/** What every stored object has. */
export type Stored = { readonly id: string; readonly meta: Meta };

export type TableSchema<T extends Stored, I extends string = string> = {
  readonly kind: Kind;
  readonly codec: Codec<T>;
  /** The name, as written; undefined for an object without one. */
  readonly name: (object: T) => string | undefined;
  readonly uniqueName: boolean;
  /** Whether an update checks the name as well (rule 2.2: resources do not). Left out: yes. */
  readonly recheckName?: false;
  /** Custom index entries. */
  readonly custom: (object: T) => readonly IndexEntry[];
  readonly indices: Readonly<Record<I, IndexSchema<T>>>;
};

type SchemaOf<K extends ObjectKind> = TableSchema<ObjectTypes[K], IndexNames[K]>;

/** An object whose name and custom indices stand in its spec, as most do. */
type Annotated = {
  readonly spec: {
    readonly annotations: { readonly name: string; readonly indices: readonly IndexEntry[] };
  };
};
const byAnnotations = {
  name: (object: Annotated) => object.spec.annotations.name,
  uniqueName: true,
  custom: (object: Annotated) => object.spec.annotations.indices,
} as const;

const NODE: SchemaOf<'node'> = {
  kind: 'node',
  codec: Node,
  name: (node) => node.description?.hostname,
  uniqueName: false,
  custom: (node) => node.spec.annotations.indices,
  indices: {
    role: { keys: (node) => [String(node.role)] },
    membership: { keys: (node) => [String(node.spec.membership)] },
  },
};

function runtimeOf(service: Service): string {
  const runtime = service.spec.task.runtime;
  if (runtime === undefined) return '';
  return runtime.case === 'generic' ? runtime.value.kind : runtime.case;
}

function networksOf(service: Service): readonly string[] {
  const { task, networks } = service.spec;
  return (task.networks.length > 0 ? task.networks : networks).map((network) => network.target);
}

function containerOf(service: Service) {
  const runtime = service.spec.task.runtime;
  return runtime?.case === 'container' ? runtime.value : undefined;
}

const SERVICE: SchemaOf<'service'> = {
  ...byAnnotations,
  kind: 'service',
  codec: Service,
  indices: {
    runtime: { keys: (service) => [runtimeOf(service)] },
    network: { keys: networksOf },
    secret: { keys: (service) => (containerOf(service)?.secrets ?? []).map((s) => s.secretId) },
    config: { keys: (service) => (containerOf(service)?.configs ?? []).map((c) => c.configId) },
  },
};

const RESOURCE: SchemaOf<'resource'> = {
  kind: 'resource',
  codec: Resource,
  name: (resource) => resource.annotations.name,
  uniqueName: true,
  recheckName: false,
  custom: (resource) => resource.annotations.indices,
  indices: { kind: { keys: (resource) => [resource.kind.toLowerCase()], caseless: true } },
};

const EXTENSION: SchemaOf<'extension'> = {
  kind: 'extension',
  codec: Extension,
  name: (extension) => extension.annotations.name,
  uniqueName: true,
  custom: (extension) => extension.annotations.indices,
  indices: {},
};

const VOLUME: SchemaOf<'volume'> = {
  ...byAnnotations,
  kind: 'volume',
  codec: Volume,
  indices: {
    group: { keys: (volume) => [volume.spec.group] },
    driver: { keys: (volume) => [volume.spec.driver?.name ?? ''] },
  },
};

/** The schema of each table of whole objects. */
export const SCHEMAS: { readonly [K in ObjectKind]: SchemaOf<K> } = {
  node: NODE,
  service: SERVICE,
  network: { ...byAnnotations, kind: 'network', codec: Network, indices: {} },
  cluster: { ...byAnnotations, kind: 'cluster', codec: Cluster, indices: {} },
  secret: { ...byAnnotations, kind: 'secret', codec: Secret, indices: {} },
  resource: RESOURCE,
  extension: EXTENSION,
  config: { ...byAnnotations, kind: 'config', codec: Config, indices: {} },
  volume: VOLUME,
};
