/**
 * Lists of tasks, of which there may be a million.
 *
 * The ids are taken at once, by the index that finds the fewest; then the tasks are filtered and
 * written in pieces, with the event loop free in between. So the answer is no snapshot: a task is as
 * it was when its turn came, whole, and one that is gone by then is left out. The answer is built from
 * each task's stored bytes, and a task is decoded only when a filter must look inside.
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

/** `ListTasksResponse`, encoded, with the tasks in the order of their ids. */
export async function listTasks(
  context: ControlContext,
  filters: ListTasksRequestFilters | undefined,
  signal?: AbortSignal,
): Promise<Encoded> {
  const wished = filters ?? ListTasksRequestFilters.create();
  const parts: Uint8Array[] = [];
  const groups = inGroups(context.store.view((view) => candidateIds(view.tasks, wished)));
  for (const group of groups) {
    const ids = group.toSorted((a, b) => (a < b ? -1 : 1));
    let next = 0;
    while (next < ids.length) {
      next = context.store.view((view) => writePiece(view, wished, { ids, from: next, parts }));
      if (next < ids.length) await context.nextTurn();
      signal?.throwIfAborted();
    }
    await context.nextTurn();
  }
  return new Encoded(Buffer.concat(parts));
}

type Piece = {
  readonly ids: readonly string[];
  readonly from: number;
  readonly parts: Uint8Array[];
};

/** Writes tasks from `from` on until the time is up; returns the first that is left. */
function writePiece(view: View, filters: ListTasksRequestFilters, piece: Piece): number {
  const untilMs = performance.now() + PIECE_MS;
  let at = piece.from;
  for (const id of piece.ids.slice(at)) {
    at += 1;
    const row = view.tasks.get(id);
    if (row !== undefined && passes(view, row, filters)) {
      const bytes = row.toBytes();
      piece.parts.push(fieldHeader(bytes.length), bytes);
    }
    if (at % TASKS_PER_LOOK === 0 && performance.now() >= untilMs) break;
  }
  return at;
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

const idsOf = (rows: Iterable<TaskRow>): string[] => Array.from(rows, (row) => row.id);

/** Ids of the tasks that may pass, by the index that gives the fewest; some may come twice. */
function candidateIds(tasks: TaskTable, filters: ListTasksRequestFilters): string[] {
  const { serviceIds, nodeIds, idPrefixes, desiredStates } = filters;
  if (idPrefixes.length > 0) return idPrefixes.flatMap((p) => idsOf(tasks.byIdPrefix(p)));
  const byService = total(serviceIds, (id) => tasks.countByService(id));
  const byNode = total(nodeIds, (id) => tasks.countByNode(id));
  if (byService < Infinity && byService <= byNode) {
    return serviceIds.flatMap((id) => idsOf(tasks.byService(id)));
  }
  if (byNode < Infinity) return nodeIds.flatMap((id) => idsOf(tasks.byNode(id)));
  if (desiredStates.length > 0) {
    return [...new Set(desiredStates)].flatMap((state) => idsOf(tasks.byDesiredState(state)));
  }
  return idsOf(tasks.all());
}

/** Sum over the filter's values; without any, the filter narrows nothing. */
function total(ids: readonly string[], count: (id: string) => number): number {
  return ids.length === 0 ? Infinity : ids.reduce((sum, id) => sum + count(id), 0);
}

/** Distinct ids by their first two characters, in order, so that none is long to sort. */
function inGroups(ids: readonly string[]): readonly (readonly string[])[] {
  const groups = new Map<string, string[]>();
  for (const id of new Set(ids)) {
    const key = id.slice(0, 2);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [id]);
    else group.push(id);
  }
  return [...groups].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group);
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
