/**
 * The two encoded parts that a row has for itself. The *body* is what changes rarely: name, networks,
 * endpoint, generic resources, volumes, as fields of a `Task`. The *runtime* is what an agent adds to
 * a status: container and ports, as fields of a `TaskStatus`.
 */
import { Endpoint, NetworkAttachment, type Task } from '../../../shared/wire/gen/objects.ts';
import {
  Annotations,
  ContainerStatus,
  GenericResource,
  PortStatus,
  type TaskStatus,
  VolumeAttachment,
} from '../../../shared/wire/gen/types.ts';
import { EMPTY_BYTES, Reader, Writer } from '../../../shared/wire/runtime.ts';
import { FLAG } from './row-pages.ts';

export type Body = Pick<
  Task,
  'annotations' | 'networks' | 'endpoint' | 'assignedGenericResources' | 'volumes'
>;
/** What of the body may be replaced; a key that is there counts, even when undefined. */
export type BodyPatch = Partial<Pick<Task, 'networks' | 'endpoint' | 'assignedGenericResources'>>;

/** Tags of the body's fields. */
export const BODY_TAG = {
  annotations: 58,
  networks: 90,
  endpoint: 98,
  genericResources: 122,
  volumes: 138,
} as const;
/** Tags of the runtime's fields. */
export const RUNTIME_TAG = { container: 42, ports: 50 } as const;

const ANNOTATIONS_NAME_TAG = 10;
const NO_FIELDS: ReadonlySet<number> = new Set<number>();
const writer = new Writer(16_384);

/** What `write` writes, until something else is written: the slab takes a copy at once. */
function written(write: (w: Writer) => void): Uint8Array {
  try {
    write(writer);
    return writer.take();
  } catch (error) {
    writer.reset();
    throw error;
  }
}

/** To be copied before another part is encoded, as all that is encoded here. */
export function encodeBody(body: Body): Uint8Array {
  return written((w) => {
    writeAfterName(w, body);
    const mark = w.length;
    Annotations.write(w, body.annotations);
    w.close(mark);
    w.varint(BODY_TAG.annotations);
  });
}

function writeAfterName(w: Writer, body: Omit<Body, 'annotations'>): void {
  for (const volume of body.volumes.toReversed()) {
    const mark = w.length;
    VolumeAttachment.write(w, volume);
    w.close(mark);
    w.varint(BODY_TAG.volumes);
  }
  writeAllocated(w, body);
}

function writeAllocated(w: Writer, patch: BodyPatch): void {
  for (const resource of (patch.assignedGenericResources ?? []).toReversed()) {
    const mark = w.length;
    GenericResource.write(w, resource);
    w.close(mark);
    w.varint(BODY_TAG.genericResources);
  }
  if (patch.endpoint !== undefined) {
    const mark = w.length;
    Endpoint.write(w, patch.endpoint);
    w.close(mark);
    w.varint(BODY_TAG.endpoint);
  }
  for (const network of (patch.networks ?? []).toReversed()) {
    const mark = w.length;
    NetworkAttachment.write(w, network);
    w.close(mark);
    w.varint(BODY_TAG.networks);
  }
}

/** Bodies that differ in nothing but the name. */
export function bodyTemplate(body: Body): (name: string) => Uint8Array {
  const rest = new Uint8Array(written((w) => writeAfterName(w, body)));
  const annotations = Annotations.encode({ ...body.annotations, name: '' });
  return (name) =>
    written((w) => {
      w.raw(rest);
      const mark = w.length;
      w.raw(annotations);
      if (name !== '') {
        w.string(name);
        w.varint(ANNOTATIONS_NAME_TAG);
      }
      w.close(mark);
      w.varint(BODY_TAG.annotations);
    });
}

/** The body with some of its fields replaced; the others are copied as they stand. */
export function patchBody(body: Uint8Array, patch: BodyPatch): Uint8Array {
  const replaced = new Set<number>();
  if ('networks' in patch) replaced.add(BODY_TAG.networks);
  if ('endpoint' in patch) replaced.add(BODY_TAG.endpoint);
  if ('assignedGenericResources' in patch) replaced.add(BODY_TAG.genericResources);
  const kept = fieldsOf(body).filter(({ tag }) => !replaced.has(tag));
  return written((w) => {
    writeAllocated(w, patch);
    for (const { bytes } of kept.toReversed()) w.raw(bytes);
  });
}

/** `attached` when networks are attached, `allocated` when they are or an endpoint was copied. */
export function bodyFlags(body: Uint8Array): number {
  let flags = 0;
  for (const { tag } of fieldsOf(body)) {
    if (tag === BODY_TAG.networks) return FLAG.allocated | FLAG.attached;
    if (tag === BODY_TAG.endpoint) flags = FLAG.allocated;
  }
  return flags;
}

type Field = { readonly tag: number; readonly bytes: Uint8Array };

function fieldsOf(message: Uint8Array): Field[] {
  const reader = new Reader(message);
  const fields: Field[] = [];
  while (reader.position < reader.end) {
    const start = reader.position;
    const tag = reader.tag();
    reader.skip(tag, NO_FIELDS);
    fields.push({ tag, bytes: message.subarray(start, reader.position) });
  }
  return fields;
}

export function encodeRuntime(status: TaskStatus): Uint8Array {
  const { runtimeStatus, portStatus } = status;
  if (runtimeStatus === undefined && portStatus === undefined) return EMPTY_BYTES;
  return written((w) => {
    if (portStatus !== undefined) {
      const mark = w.length;
      PortStatus.write(w, portStatus);
      w.close(mark);
      w.varint(RUNTIME_TAG.ports);
    }
    if (runtimeStatus !== undefined) {
      const mark = w.length;
      ContainerStatus.write(w, runtimeStatus.value);
      w.close(mark);
      w.varint(RUNTIME_TAG.container);
    }
  });
}
