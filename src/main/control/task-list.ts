/**
 * Lists of tasks, of which there may be a million.
 *
 * The index that finds the fewest tasks is asked, or all are gone through, beginning by beginning of
 * their ids; they are filtered and written in pieces, with the event loop free in between. So the
 * answer is no snapshot: a task is as it was when its turn came, whole, and one that is gone by then
 * is left out. The answer is built from each task's stored bytes, and a task is decoded only when a
 * filter must look inside.
 */
import { isDirty } from '../../shared/model/dirty.ts';
import { runtimeName, taskName } from '../../shared/model/names.ts';
import { ListTasksRequestFilters } from '../../shared/wire/gen/control.ts';
import { Encoded } from '../rpc/service.ts';
import type { TaskRow, TaskTable, View } from '../store/view.ts';
import type { ControlContext } from './context.ts';
import { isOneOf, matchesLabels, startsWithOneOf } from './filters.ts';

/** Time that one piece may take. */
const PIECE_MS = 4;
/** Tasks between two looks at the clock. */
const TASKS_PER_LOOK = 64;

export type ListOptions = {
  /** Ends the list, with its reason, when nobody waits for it any more. */
  readonly signal?: AbortSignal;
  readonly pieceMs?: number;
};

/** `ListTasksResponse`, encoded, with the tasks in the order of their ids. */
export async function listTasks(
  context: ControlContext,
  filters: ListTasksRequestFilters | undefined,
  { signal, pieceMs = PIECE_MS }: ListOptions = {},
): Promise<Encoded> {
  const wished = filters ?? ListTasksRequestFilters.create();
  const answer = new Answer(
    wished,
    context.store.view((view) => batchesOf(view.tasks, wished)),
  );
  while (context.store.view((view) => answer.grow(view, pieceMs))) {
    await context.nextTurn();
    signal?.throwIfAborted();
  }
  return new Encoded(answer.bytes());
}

/** The answer while it grows. Between two pieces it holds ids and bytes, never a row. */
class Answer {
  readonly #filters: ListTasksRequestFilters;
  readonly #batches: Iterator<Batch>;
  /** What the pieces have written, one part each. */
  readonly #parts: Uint8Array[] = [];
  #ids: Iterator<string> = [].values();

  constructor(filters: ListTasksRequestFilters, batches: readonly Batch[]) {
    this.#filters = filters;
    this.#batches = batches.values();
  }

  /** Goes on until the time is up; false when no task is left. */
  grow(view: View, pieceMs: number): boolean {
    const untilMs = performance.now() + pieceMs;
    const written: Uint8Array[] = [];
    let id = this.#nextId(view);
    for (let seen = 1; id !== undefined; seen += 1) {
      const row = view.tasks.get(id);
      if (row !== undefined && passes(view, row, this.#filters)) {
        const bytes = row.toBytes();
        written.push(fieldHeader(bytes.length), bytes);
      }
      if (seen % TASKS_PER_LOOK === 0 && performance.now() >= untilMs) break;
      id = this.#nextId(view);
    }
    this.#parts.push(Buffer.concat(written));
    return id !== undefined;
  }

  #nextId(view: View): string | undefined {
    for (;;) {
      const { done, value } = this.#ids.next();
      if (done !== true) return value;
      const batch = this.#batches.next();
      if (batch.done === true) return undefined;
      this.#ids = inOrder(batch.value(view.tasks)).values();
    }
  }

  bytes(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}

/** Tag and length of one entry of `ListTasksResponse.tasks`. */
function fieldHeader(length: number): Uint8Array {
  const bytes = [TASKS_TAG];
  let rest = length;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

/** Field 1, length-delimited. */
const TASKS_TAG = 0x0a;

/** Ids of tasks that may pass. All ids of one batch stand before those of the next. */
type Batch = (tasks: TaskTable) => readonly string[];

/** What an index finds is taken at once up to this many; beyond it, all tasks are gone through. */
const INDEXED_MAX = 10_000;

function batchesOf(tasks: TaskTable, filters: ListTasksRequestFilters): readonly Batch[] {
  const byIndex = indexed(tasks, filters);
  if (byIndex !== undefined) {
    const ids = byIndex();
    return [() => ids];
  }
  const mayBegin = (beginning: string): boolean =>
    filters.idPrefixes.length === 0 ||
    filters.idPrefixes.some(
      (prefix) => prefix.startsWith(beginning) || beginning.startsWith(prefix),
    );
  return inOrder(tasks.idBeginnings())
    .filter(mayBegin)
    .map((beginning) => (table) => beginningWith(table, beginning));
}

/** A beginning may be a whole short id, and then begins other beginnings too. */
function beginningWith(tasks: TaskTable, beginning: string): readonly string[] {
  const ids = idsOf(tasks.byIdPrefix(beginning));
  return ids.filter((id) => id.slice(0, 2) === beginning);
}

/** The index that finds the fewest; undefined when none has few enough, or no filter has one. */
function indexed(
  tasks: TaskTable,
  { serviceIds, nodeIds, desiredStates }: ListTasksRequestFilters,
): (() => readonly string[]) | undefined {
  const choices = [
    {
      count: total(serviceIds, (id) => tasks.countByService(id)),
      ids: () => serviceIds.flatMap((id) => idsOf(tasks.byService(id))),
    },
    {
      count: total(nodeIds, (id) => tasks.countByNode(id)),
      ids: () => nodeIds.flatMap((id) => idsOf(tasks.byNode(id))),
    },
    {
      count: total(desiredStates, (state) => tasks.countByDesiredState(state)),
      ids: () => desiredStates.flatMap((state) => idsOf(tasks.byDesiredState(state))),
    },
  ];
  const best = choices.toSorted((a, b) => a.count - b.count).at(0);
  return best !== undefined && best.count <= INDEXED_MAX ? best.ids : undefined;
}

/** Sum over the filter's values; a filter without any narrows nothing. */
function total<T>(values: readonly T[], count: (value: T) => number): number {
  return values.length === 0 ? Infinity : values.reduce((sum, value) => sum + count(value), 0);
}

const idsOf = (rows: readonly TaskRow[]): readonly string[] => rows.map((row) => row.id);

/** Each once, in order. */
function inOrder(ids: readonly string[]): readonly string[] {
  return [...new Set(ids)].toSorted((a, b) => (a < b ? -1 : 1));
}

/** What is cheap to look at comes first. */
function passes(view: View, row: TaskRow, filters: ListTasksRequestFilters): boolean {
  return (
    isOneOf(filters.serviceIds, row.serviceId) &&
    isOneOf(filters.nodeIds, row.nodeId) &&
    isOneOf(filters.desiredStates, row.desiredState) &&
    startsWithOneOf(filters.idPrefixes, row.id) &&
    passesShared(row, filters) &&
    passesName(row, filters) &&
    (!filters.upToDate || isUpToDate(view, row))
  );
}

function passesShared(row: TaskRow, { labels, runtimes }: ListTasksRequestFilters): boolean {
  if (runtimes.length === 0 && Object.keys(labels).length === 0) return true;
  const { spec, serviceAnnotations } = row.shared();
  return isOneOf(runtimes, runtimeName(spec)) && matchesLabels(serviceAnnotations.labels, labels);
}

function passesName(row: TaskRow, { names, namePrefixes }: ListTasksRequestFilters): boolean {
  if (names.length === 0 && namePrefixes.length === 0) return true;
  const name = taskName(row.toTask());
  return isOneOf(names, name) && startsWithOneOf(namePrefixes, name);
}

function isUpToDate(view: View, row: TaskRow): boolean {
  const service = view.services.get(row.serviceId);
  return service !== undefined && !isDirty(service, row, view.nodes.get(row.nodeId));
}
