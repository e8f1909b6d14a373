/**
 * The two messages that a simulated worker handles by the thousand, read and written by hand: of an
 * assigned task only what the worker acts on, of a status what a stock engine says.
 */
import { TaskState } from '../../src/shared/wire/gen/types.ts';
import { Reader, Writer } from '../../src/shared/wire/runtime.ts';

const LENGTH_DELIMITED = 2;
const field = (number: number): number => number * 8 + LENGTH_DELIMITED;
const NO_FIELDS: ReadonlySet<number> = new Set<number>();

/** A change of one task: `desired` 0 for one that is taken away. */
export type TaskAssignment = { readonly id: string; readonly desired: TaskState };

/** The changes of tasks in an `AssignmentsMessage`, and whether it names all that the node has. */
export function readAssignments(bytes: Uint8Array): {
  readonly complete: boolean;
  readonly tasks: readonly TaskAssignment[];
} {
  const reader = new Reader(bytes);
  const tasks: TaskAssignment[] = [];
  let complete = true;
  while (reader.position < reader.end) {
    const tag = reader.tag();
    if (tag === 8) complete = reader.int32() === 0;
    else if (tag === field(4)) readChange(new Reader(reader.view()), tasks);
    else reader.skip(tag, NO_FIELDS);
  }
  return { complete, tasks };
}

function readChange(reader: Reader, tasks: TaskAssignment[]): void {
  let task: TaskAssignment | undefined;
  let removed = false;
  while (reader.position < reader.end) {
    const tag = reader.tag();
    if (tag === field(1)) task = readItem(new Reader(reader.view()));
    else if (tag === 16) removed = reader.int32() === 1;
    else reader.skip(tag, NO_FIELDS);
  }
  if (task !== undefined) tasks.push(removed ? { id: task.id, desired: TaskState.NEW } : task);
}

/** Undefined for a secret, a config or a volume. */
function readItem(reader: Reader): TaskAssignment | undefined {
  const tag = reader.tag();
  return tag === field(1) ? readTask(new Reader(reader.view())) : undefined;
}

const STATES: readonly TaskState[] = Object.values(TaskState);

/** The state of this number; whatever a worker does not know is none of its business. */
const stateOf = (number: number): TaskState =>
  STATES.find((state) => state === number) ?? TaskState.NEW;

function readTask(reader: Reader): TaskAssignment {
  let id = '';
  let desired: TaskState = TaskState.NEW;
  while (reader.position < reader.end) {
    const tag = reader.tag();
    if (tag === field(1)) id = reader.string();
    else if (tag === 80) desired = stateOf(reader.int32());
    else reader.skip(tag, NO_FIELDS);
  }
  return { id, desired };
}

/** What a container's task says on its way, in a stock engine's words. */
const MESSAGES: ReadonlyMap<TaskState, string> = new Map([
  [TaskState.ACCEPTED, 'accepted'],
  [TaskState.PREPARING, 'preparing'],
  [TaskState.READY, 'prepared'],
  [TaskState.STARTING, 'starting'],
  [TaskState.RUNNING, 'started'],
  [TaskState.SHUTDOWN, 'shutdown'],
  [TaskState.FAILED, 'started'],
]);

export type Report = { readonly id: string; readonly state: TaskState };

const writer = new Writer();

/** An `UpdateTaskStatusRequest`. */
export function writeReports(sessionId: string, reports: readonly Report[]): Uint8Array {
  const seconds = Math.floor(Date.now() / 1000);
  for (let i = reports.length - 1; i >= 0; i -= 1) writeReport(reports[i]!, seconds, i);
  writer.string(sessionId);
  writer.varint(field(1));
  return writer.finish();
}

function writeReport({ id, state }: Report, seconds: number, nanos: number): void {
  const update = writer.length;
  const status = writer.length;
  if (state >= TaskState.STARTING) writeContainer(id, state);
  if (state === TaskState.FAILED) {
    writer.string('task: non-zero exit (1)');
    writer.varint(field(4));
  }
  writer.string(MESSAGES.get(state) ?? '');
  writer.varint(field(3));
  writer.varint(state);
  writer.varint(16);
  const timestamp = writer.length;
  writer.varint(1 + nanos);
  writer.varint(16);
  writer.varint(seconds);
  writer.varint(8);
  writer.close(timestamp);
  writer.varint(field(1));
  writer.close(status);
  writer.varint(field(2));
  writer.string(id);
  writer.varint(field(1));
  writer.close(update);
  writer.varint(field(3));
}

/** A container of its own for each task: an id of 64 digits, and a process once it runs. */
function writeContainer(id: string, state: TaskState): void {
  const container = writer.length;
  if (state === TaskState.FAILED) {
    writer.varint(1);
    writer.varint(24);
  }
  if (state === TaskState.RUNNING) {
    writer.varint(12_345);
    writer.varint(16);
  }
  writer.string((id + id + id).slice(0, 64));
  writer.varint(field(1));
  writer.close(container);
  writer.varint(field(5));
}
