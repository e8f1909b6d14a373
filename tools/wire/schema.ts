/** What the generator needs to know of the parsed proto files, in a shape that is easy to print. */
import assert from 'node:assert/strict';
import protobuf from 'protobufjs';

export type FieldSchema = {
  readonly protoName: string;
  readonly key: string;
  readonly number: number;
  /** Scalar name, full name of a message or enum, or `map<string,V>`. */
  readonly type: string;
  /** `optional`, `repeated`, `map` or `oneof:NAME`. */
  readonly label: string;
  readonly kind: 'scalar' | 'enum' | 'message';
  /** TypeScript name of the message or enum; of the map's values for a map. */
  readonly typeName: string;
  readonly valueType: string;
  readonly always: boolean;
  readonly wide: boolean;
  readonly oneofKey: string | undefined;
};

export type MessageSchema = {
  readonly name: string;
  readonly fullName: string;
  readonly file: string;
  readonly fields: readonly FieldSchema[];
  readonly proto2: boolean;
};

export type EnumSchema = {
  readonly name: string;
  readonly fullName: string;
  readonly file: string;
  readonly values: readonly (readonly [string, number])[];
};

export type ServiceSchema = {
  readonly name: string;
  readonly fullName: string;
  readonly methods: readonly {
    readonly name: string;
    readonly request: string;
    readonly response: string;
    readonly requestStream: boolean;
    readonly responseStream: boolean;
    readonly roles: readonly string[];
  }[];
};

export type Schema = {
  readonly messages: readonly MessageSchema[];
  readonly enums: readonly EnumSchema[];
  /** Each TypeScript name with its generated file; raftpb repeats names of others. */
  readonly homes: readonly (readonly [name: string, home: string])[];
};

/** Names that would shadow a global or read badly in camel case. */
const TYPE_NAMES: Readonly<Record<string, string>> = { Object: 'StoreObject' };
const KEYS: Readonly<Record<string, string>> = { RootCA: 'rootCa', VXLANUDPPort: 'vxlanUdpPort' };

export function keyOf(protoName: string): string {
  const camel = protoName.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());
  return KEYS[protoName] ?? camel[0]?.toLowerCase() + camel.slice(1);
}

function nameOf(fullName: string): string {
  const inner = fullName.replace(/^(docker\.swarmkit\.v1|skein\.v1|google\.protobuf|raftpb)\./, '');
  return TYPE_NAMES[inner] ?? inner.replaceAll('.', '');
}

export const enumsOf = (schema: Schema, file: string): EnumSchema[] =>
  schema.enums.filter((e) => e.file === file);

/** protobufjs gives custom options as parsed name/value pairs; order and spelling vary. */
function option(field: protobuf.ReflectionObject, name: string): unknown {
  return field.options?.[`(skein.${name})`];
}

function fieldSchema(field: protobuf.Field): FieldSchema {
  field.resolve();
  const resolved = field.resolvedType;
  const base = resolved === null ? field.type : resolved.fullName.slice(1);
  const map = field instanceof protobuf.MapField;
  if (map) assert.equal(field.keyType, 'string', `${field.fullName}: maps have string keys`);
  const oneof = field.partOf?.name;
  return {
    protoName: field.name,
    key: keyOf(field.name),
    number: field.id,
    type: map ? `map<string,${base}>` : base,
    label: map
      ? 'map'
      : oneof !== undefined
        ? `oneof:${oneof}`
        : field.repeated
          ? 'repeated'
          : 'optional',
    kind: resolved === null ? 'scalar' : resolved instanceof protobuf.Enum ? 'enum' : 'message',
    typeName: resolved === null ? base : nameOf(base),
    valueType: base,
    always: option(field, 'always') === true,
    wide: option(field, 'wide') === true,
    oneofKey: oneof === undefined ? undefined : keyOf(oneof),
  };
}

/** `docker/swarmkit/v1/types.proto` becomes `types`; `raftpb/raft.proto` becomes `raftpb`. */
function moduleOf(path: string): string {
  const inner = path.replace(/^proto\//, '').replace(/\.proto$/, '');
  if (inner.startsWith('raftpb/')) return 'raftpb';
  if (inner.startsWith('google/')) return 'well-known';
  return inner.split('/').at(-1) ?? inner;
}

/** Names defined at the top level of each file: protobufjs forgets the file once files share a root. */
function homesOf(paths: readonly string[], read: (path: string) => string): Map<string, string> {
  const homes = new Map<string, string>();
  for (const path of paths) {
    const text = read(path);
    const pkg = /^package ([\w.]+);/m.exec(text)?.[1];
    for (const match of text.matchAll(/^(?:message|enum) (\w+)/gm)) {
      homes.set(`${pkg}.${match[1]}`, moduleOf(path));
    }
  }
  return homes;
}

function topLevel(fullName: string): string {
  const parts = fullName.split('.');
  return parts.slice(0, parts.findIndex((p) => /^[A-Z]/.test(p)) + 1).join('.');
}

export function loadSchema(
  root: protobuf.Root,
  paths: readonly string[],
  read: (path: string) => string,
): { schema: Schema; services: ServiceSchema[] } {
  root.resolveAll();
  const files = homesOf(paths, read);
  const messages: MessageSchema[] = [];
  const enums: EnumSchema[] = [];
  const services: ServiceSchema[] = [];
  const visit = (object: protobuf.ReflectionObject): void => {
    const fullName = object.fullName.slice(1);
    const base = { name: nameOf(fullName), fullName, file: files.get(topLevel(fullName)) ?? '' };
    if (object instanceof protobuf.Type) {
      const fields = object.fieldsArray.map(fieldSchema);
      messages.push({ ...base, fields, proto2: fullName.startsWith('raftpb.') });
    }
    if (object instanceof protobuf.Enum)
      enums.push({ ...base, values: Object.entries(object.values) });
    if (object instanceof protobuf.Service) services.push(serviceSchema(object));
    if (object instanceof protobuf.Namespace) object.nestedArray.forEach(visit);
  };
  root.nestedArray.forEach(visit);
  const homes = [...messages, ...enums].map((t) => [unique(t), t.file] as const);
  return { schema: { messages, enums, homes }, services };
}

const seen = new Map<string, string>();
function unique(type: {
  readonly name: string;
  readonly fullName: string;
  readonly file: string;
}): string {
  const key = `${type.file}/${type.name}`;
  assert.ok(!seen.has(key), `${type.fullName} and ${seen.get(key)} share the name ${type.name}`);
  seen.set(key, type.fullName);
  return type.name;
}

function serviceSchema(service: protobuf.Service): ServiceSchema {
  const methods = service.methodsArray.map((m) => ({
    name: m.name,
    request: nameOf(m.resolvedRequestType?.fullName.slice(1) ?? ''),
    response: nameOf(m.resolvedResponseType?.fullName.slice(1) ?? ''),
    requestStream: m.requestStream === true,
    responseStream: m.responseStream === true,
    roles: String(option(m, 'roles'))
      .split(',')
      .filter((r) => r !== 'insecure'),
  }));
  return { name: service.name, fullName: service.fullName.slice(1), methods };
}
