/**
 * Writes an `AssignmentsMessage` around bytes that exist already: a task's own encoding is copied in
 * as it stands, never built from an object again (architecture: encode once, forward bytes).
 */
import { Config, Secret } from '../../shared/wire/gen/objects.ts';
import {
  AssignmentChangeAssignmentAction,
  AssignmentsMessageType,
} from '../../shared/wire/gen/dispatcher.ts';
import { Writer } from '../../shared/wire/runtime.ts';
import type { Delta, Dependency } from './core/assignments.ts';
import type { View } from '../store/view.ts';

/** Field numbers, as tags of length-delimited fields. */
const TAG = {
  changes: (4 << 3) | 2,
  resultsIn: (3 << 3) | 2,
  appliesTo: (2 << 3) | 2,
  type: 1 << 3,
  assignment: (1 << 3) | 2,
  action: 2 << 3,
  task: (1 << 3) | 2,
  secret: (2 << 3) | 2,
  config: (3 << 3) | 2,
} as const;

const { UPDATE, REMOVE } = AssignmentChangeAssignmentAction;

const writer = new Writer();

/** One change: action, then the assignment with its one item. Written back to front. */
function writeChange(itemTag: number, item: Uint8Array, action: number): void {
  writeChangeOf(itemTag, () => writer.raw(item), action);
}

function writeChangeOf(itemTag: number, writeItem: () => void, action: number): void {
  const change = writer.length;
  if (action !== 0) {
    writer.varint(action);
    writer.varint(TAG.action);
  }
  const assignment = writer.length;
  const item = writer.length;
  writeItem();
  writer.close(item);
  writer.varint(itemTag);
  writer.close(assignment);
  writer.varint(TAG.assignment);
  writer.close(change);
  writer.varint(TAG.changes);
}

/** `{ id }` alone: what a removal carries. The id is field 1 of every object. */
function idOnly(id: string): Uint8Array {
  const text = Buffer.from(id);
  return Buffer.concat([Buffer.of((1 << 3) | 2, text.length), text]);
}

/** Undefined when the object was removed meanwhile: the task will then fail on the node, and say so. */
function dependencyBytes(view: View, dependency: Dependency): Uint8Array | undefined {
  if (dependency.kind === 'secret') {
    const secret = view.secrets.get(dependency.id);
    return secret === undefined ? undefined : Secret.encode(secret);
  }
  const config = view.configs.get(dependency.id);
  return config === undefined ? undefined : Config.encode(config);
}

/**
 * The bytes of the message that tells a node `delta`. Secrets and configs stand before the tasks that
 * need them.
 *
 * @param sequence number of the stream's message before this one; 0 for the first.
 */
export function assignmentsMessage(view: View, delta: Delta, sequence: number): Uint8Array {
  for (const { kind, id } of delta.releasedDependencies.toReversed()) {
    writeChange(kind === 'secret' ? TAG.secret : TAG.config, idOnly(id), REMOVE);
  }
  for (const id of delta.removedTasks.toReversed()) writeChange(TAG.task, idOnly(id), REMOVE);
  for (const id of delta.tasks.toReversed()) {
    const row = view.tasks.get(id);
    if (row !== undefined) writeChangeOf(TAG.task, () => row.write(writer), UPDATE);
  }
  for (const dependency of delta.dependencies.toReversed()) {
    const bytes = dependencyBytes(view, dependency);
    if (bytes === undefined) continue;
    writeChange(dependency.kind === 'secret' ? TAG.secret : TAG.config, bytes, UPDATE);
  }
  writer.string(String(sequence + 1));
  writer.varint(TAG.resultsIn);
  if (sequence > 0) {
    writer.string(String(sequence));
    writer.varint(TAG.appliesTo);
  }
  if (!delta.complete) {
    writer.varint(AssignmentsMessageType.INCREMENTAL);
    writer.varint(TAG.type);
  }
  return writer.finish();
}
