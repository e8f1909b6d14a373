/**
 * Reconciles services: reads the head, asks the cores for a plan, and writes it in bites. A plan that
 * takes many turns is dropped as soon as its service has changed, and made again.
 */
import { timestampOf } from '../../shared/model/time.ts';
import type { Env } from '../../shared/kit/env.ts';
import type { Node, Service } from '../../shared/wire/gen/objects.ts';
import {
  NodeStatusState,
  TaskState,
  UpdateStatusUpdateState,
} from '../../shared/wire/gen/types.ts';
import { Bites, type Work } from '../kit/bites.ts';
import type { Log } from '../log.ts';
import type { NewTask, Store, Transaction } from '../store/transaction.ts';
import type { TaskRow, View } from '../store/view.ts';
import { BulkWrites, pieces, tasksPerStep } from './bulk-writes.ts';
import { reconcileGlobal } from './core/global.ts';
import type { Creation, Plan } from './core/plan.ts';
import { bySlot, reconcileReplicated, SlotSurvey } from './core/replicated.ts';
import { DelayedStarts, RestartHistory } from './core/restart.ts';
import { isWanted, taskTemplate } from './core/task-template.ts';
import {
  emptyMemory,
  isUpdating,
  monitorMs,
  planUpdate,
  startsFirst,
  type UpdateMemory,
  type UpdatePlan,
  type UpdateSlot,
} from './core/update.ts';
import { isDirtyTask, matchesService, taskName } from './rules.ts';

/** Tasks looked at between two looks at the clock. */
const TASKS_PER_STEP = 500;

export type ReconcilerOptions = { readonly store: Store; readonly env: Env; readonly log: Log };

/** What the next step of a rolling update changes, in ids of tasks. */
type UpdateStep = {
  readonly service: Service;
  readonly status: UpdatePlan['status'];
  readonly end: readonly string[];
  /** The tasks of each slot that gets a new one. */
  readonly replace: readonly (readonly string[])[];
};

const isGlobal = (service: Service): boolean => service.spec.mode?.case === 'global';

/** Services that this orchestrator runs; jobs have one of their own. */
export const isOrchestrated = (service: Service): boolean =>
  service.spec.mode?.case === 'global' || service.spec.mode?.case === 'replicated';

const isDown = (node: Node | undefined): boolean =>
  node === undefined || node.status.state === NodeStatusState.DOWN;

export class Reconciler {
  readonly history = new RestartHistory();
  readonly delayed = new DelayedStarts();
  readonly bites: Bites;
  readonly #options: ReconcilerOptions;
  readonly #bulk: BulkWrites;
  readonly #dirty = new Set<string>();
  readonly #updates = new Map<string, UpdateMemory>();
  readonly #wakeUps = new Map<string, NodeJS.Timeout>();
  /** Called when delayed starts were added, outside of any transaction. */
  onDelayed: () => void = () => undefined;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    const { store, log } = options;
    this.#bulk = new BulkWrites(store, (error) => log.warn({ error }, 'a plan was not written'));
    this.bites = new Bites((error) => log.error({ error }, 'orchestrator work failed'));
  }

  /** Looks at the service soon; many marks are one look. */
  mark(serviceId: string): void {
    if (this.#dirty.has(serviceId)) return;
    this.#dirty.add(serviceId);
    this.bites.add(this.#reconcile(serviceId));
  }

  /** Forgets what is remembered of a deleted service and gives up its tasks. */
  removed(serviceId: string): void {
    this.history.forget(serviceId);
    this.#updates.delete(serviceId);
    this.#wakeAt(serviceId, undefined);
    this.bites.add(this.#abandon(serviceId));
  }

  /** A task ended by itself; `sinceMs` is when it began to run, undefined if it never did. */
  failed(row: TaskRow, sinceMs: number | undefined): void {
    const memory = this.#updates.get(row.serviceId);
    const service = this.#options.store.head((view) => view.services.get(row.serviceId));
    if (memory === undefined || service === undefined) return;
    if (row.specVersion !== (service.specVersion?.index ?? -1)) return;
    const ranMs = sinceMs === undefined ? 0 : this.#options.env.nowMs() - sinceMs;
    if (ranMs > monitorMs(service)) return;
    memory.failed.add(row.id);
    this.mark(row.serviceId);
  }

  stop(): void {
    this.bites.stop();
    for (const timer of this.#wakeUps.values()) clearTimeout(timer);
    this.#wakeUps.clear();
  }

  #wakeAt(serviceId: string, atMs: number | undefined): void {
    clearTimeout(this.#wakeUps.get(serviceId));
    this.#wakeUps.delete(serviceId);
    if (atMs === undefined) return;
    const delayMs = Math.max(0, atMs - this.#options.env.nowMs());
    const timer = setTimeout(() => this.mark(serviceId), delayMs);
    this.#wakeUps.set(serviceId, timer);
  }

  *#reconcile(serviceId: string): Work {
    this.#dirty.delete(serviceId);
    const { store } = this.#options;
    const service = store.head((view) => view.services.get(serviceId));
    if (service === undefined || !isOrchestrated(service)) return;
    if (isGlobal(service)) {
      yield* this.#apply(
        service,
        store.head((view) => this.#planGlobal(view, service)),
      );
      yield* this.#update(serviceId);
      return;
    }
    const survey = new SlotSurvey();
    const isMixed = yield* this.#survey(service, survey);
    // It is looked at again then.
    if (!this.#current(service)) return;
    yield* this.#apply(
      service,
      store.head((view) => this.#planReplicated(view, service, survey)),
    );
    if (isMixed || isUpdating(service)) yield* this.#update(serviceId);
    else this.#wakeAt(serviceId, undefined);
  }

  /** Looks at all tasks in short turns. Returns whether any is of an old version, or one of two in a slot. */
  *#survey(service: Service, survey: SlotSurvey): Generator<void | Promise<void>, boolean, void> {
    const { store } = this.#options;
    let isMixed = false;
    let from: string | undefined;
    do {
      from = store.head((view) => {
        const { rows, next } = view.tasks.pieceOfService(service.id, from, TASKS_PER_STEP);
        const isDirty = isDirtyTask(view, service);
        const inSlot = (row: TaskRow): number =>
          view.tasks.bySlot(service.id, row.slot).filter(isWanted).length;
        for (const row of rows) {
          const again = survey.meet(row);
          isMixed ||= (again && inSlot(row) > 1) || (isWanted(row) && isDirty(row));
        }
        return next;
      });
      if (from !== undefined) yield;
    } while (from !== undefined);
    yield* this.#lookAtUnsure(service, survey);
    return isMixed;
  }

  *#lookAtUnsure(service: Service, survey: SlotSurvey): Work {
    const { store } = this.#options;
    const mayRestart = (row: TaskRow): boolean => this.history.allows(row);
    let looks = 0;
    for (const number of survey.unsure()) {
      store.head((view) => {
        const tasks = view.tasks.bySlot(service.id, number);
        survey.look(service, { number, tasks }, mayRestart);
      });
      looks += 1;
      if (looks % TASKS_PER_STEP === 0) yield;
    }
  }

  #isOver(view: View): (row: TaskRow) => boolean {
    return (row) =>
      row.state > TaskState.RUNNING ||
      row.state < TaskState.ASSIGNED ||
      isDown(view.nodes.get(row.nodeId));
  }

  #planGlobal(view: View, service: Service): Plan {
    return reconcileGlobal({
      nodes: view.nodes.all(),
      tasks: view.tasks.byService(service.id),
      matches: matchesService(service),
      mayRestart: (row) => this.history.allows(row),
    });
  }

  #planReplicated(view: View, service: Service, survey: SlotSurvey): Plan {
    const { mode } = service.spec;
    const replicas = mode?.case === 'replicated' ? Number(mode.value.replicas) : 0;
    return reconcileReplicated(replicas, survey, {
      ofSlot: (slot) => view.tasks.bySlot(service.id, slot),
      all: () => view.tasks.byService(service.id),
      isOver: this.#isOver(view),
    });
  }

  /** True while the service is as it was when the plan was made. */
  #current(service: Service): boolean {
    const now = this.#options.store.head((view) => view.services.get(service.id));
    return now?.meta.version.index === service.meta.version.index || now?.spec === service.spec;
  }

  *#apply(service: Service, plan: Plan): Work {
    for (const part of pieces(plan.desire)) {
      this.#bulk.each(part, (tx, { taskId, state }) => this.#desire(tx, taskId, state));
      yield this.#bulk.room();
    }
    for (const part of pieces(plan.remove)) {
      this.#bulk.each(part, (tx, taskId) => this.#remove(tx, taskId));
      yield this.#bulk.room();
    }
    for (const part of pieces(plan.create, tasksPerStep(service))) {
      if (!this.#current(service)) return;
      this.#bulk.write((tx) => this.create(tx, service, part, TaskState.RUNNING));
      yield this.#bulk.room();
    }
  }

  #desire(tx: Transaction, taskId: string, state: TaskState): void {
    const row = tx.tasks.get(taskId);
    if (row === undefined || row.desiredState >= state) return;
    this.delayed.cancel(taskId);
    tx.tasks.patch(taskId, { desiredState: state });
  }

  #remove(tx: Transaction, taskId: string): void {
    if (tx.tasks.get(taskId) === undefined) return;
    this.delayed.cancel(taskId);
    tx.tasks.remove(taskId);
  }

  /** Adds tasks of the service's stored version; gives their ids. */
  create(
    tx: Transaction,
    service: Service,
    creations: readonly Creation[],
    desired: TaskState,
  ): string[] {
    const { env } = this.#options;
    const [cluster] = tx.clusters.all();
    const template = taskTemplate(service, cluster, desired, timestampOf(env.nowMs()));
    const rows = creations.map(({ slot, nodeId }): NewTask => {
      const id = env.newId();
      return { id, slot, nodeId, name: taskName(service, slot, nodeId, id) };
    });
    tx.tasks.createMany(template, rows);
    return rows.map((row) => row.id);
  }

  /** Gives up every task of a service that is gone. */
  *#abandon(serviceId: string): Work {
    for (let from: string | undefined; ;) {
      const piece = this.#options.store.head((view) => {
        const { rows, next } = view.tasks.pieceOfService(serviceId, from, TASKS_PER_STEP);
        return { ids: rows.map((row) => row.id), next };
      });
      this.#bulk.each(piece.ids, (tx, id) => this.#desire(tx, id, TaskState.REMOVE));
      yield this.#bulk.room();
      if (piece.next === undefined) return;
      from = piece.next;
    }
  }

  /** Does the next step of a rolling update, if there is one to do. */
  *#update(serviceId: string): Work {
    const step = this.#options.store.head((view) => this.#planUpdate(view, serviceId));
    if (step === undefined) return;
    const { service, status } = step;
    if (status !== undefined) {
      this.#bulk.write((tx) => {
        if (this.#current(service)) this.#setStatus(tx, tx.services.get(serviceId), status);
      });
    }
    for (const part of pieces(step.end)) {
      this.#bulk.each(part, (tx, taskId) => this.#desire(tx, taskId, TaskState.SHUTDOWN));
      yield this.#bulk.room();
    }
    for (const part of pieces(step.replace, tasksPerStep(service))) {
      if (!this.#current(service)) return;
      this.#bulk.write((tx) => {
        for (const taskIds of part) this.#replace(tx, service, taskIds);
      });
      // Some may start at once, which is a transaction of its own.
      if (this.delayed.size > 0) this.onDelayed();
      yield this.#bulk.room();
    }
  }

  /** What an update's next step changes, by the ids of tasks: their rows may be others when it is written. */
  #planUpdate(view: View, serviceId: string): UpdateStep | undefined {
    const service = view.services.get(serviceId);
    if (service === undefined) return undefined;
    const slots = this.#updateSlots(view, service);
    const memory = this.#updates.get(serviceId) ?? emptyMemory();
    const nowMs = this.#options.env.nowMs();
    const isDirty = isDirtyTask(view, service);
    const { end, replace, status, wakeAtMs } = planUpdate({
      service,
      slots,
      isDirty,
      memory,
      nowMs,
    });
    this.#wakeAt(serviceId, wakeAtMs);
    const active = replace.length > 0 || end.length > 0 || wakeAtMs !== undefined;
    if (active || slots.some((slot) => slot.tasks.length > 1)) this.#updates.set(serviceId, memory);
    return {
      service,
      status,
      end: end.map((row) => row.id),
      replace: replace.map((slot) => slot.tasks.map((row) => row.id)),
    };
  }

  #updateSlots(view: View, service: Service): UpdateSlot[] {
    const rows = view.tasks.byService(service.id).filter(isWanted);
    if (!isGlobal(service)) {
      return [...bySlot(rows)].map(([slot, tasks]) => ({ key: String(slot), tasks }));
    }
    const nodes = Map.groupBy(rows, (row) => row.nodeId);
    return [...nodes].map(([key, tasks]) => ({ key, tasks }));
  }

  /** Gives a slot a new task in the place of these, if it still has them. */
  #replace(tx: Transaction, service: Service, taskIds: readonly string[]): void {
    const rows = taskIds.flatMap((taskId) => tx.tasks.get(taskId) ?? []).filter(isWanted);
    const [old] = rows;
    if (old === undefined || rows.length < taskIds.length) return;
    const { id: oldTaskId, slot } = old;
    const creation = { slot, nodeId: isGlobal(service) ? old.nodeId : '' };
    if (startsFirst(service)) {
      this.create(tx, service, [creation], TaskState.RUNNING);
      return;
    }
    const [taskId = ''] = this.create(tx, service, [creation], TaskState.READY);
    for (const id of taskIds) this.#desire(tx, id, TaskState.SHUTDOWN);
    const startAtMs = this.#options.env.nowMs();
    this.delayed.add({ taskId, oldTaskId, serviceId: service.id, startAtMs });
  }

  #setStatus(
    tx: Transaction,
    service: Service | undefined,
    status: NonNullable<UpdatePlan['status']>,
  ): void {
    if (service === undefined) return;
    const { UPDATING, COMPLETED, ROLLBACK_COMPLETED, ROLLBACK_STARTED } = UpdateStatusUpdateState;
    const now = timestampOf(this.#options.env.nowMs());
    const done = status.state === COMPLETED || status.state === ROLLBACK_COMPLETED;
    const startedAt = status.state === UPDATING ? now : service.updateStatus?.startedAt;
    const updateStatus = { ...status, startedAt, completedAt: done ? now : undefined };
    if (status.state !== UPDATING) this.#updates.delete(service.id);
    if (status.state !== ROLLBACK_STARTED) {
      tx.services.update({ ...service, updateStatus });
      return;
    }
    if (service.previousSpec === undefined) return;
    tx.services.update({
      ...service,
      updateStatus,
      spec: service.previousSpec,
      specVersion: service.previousSpecVersion,
      previousSpec: undefined,
      previousSpecVersion: undefined,
    });
  }
}
