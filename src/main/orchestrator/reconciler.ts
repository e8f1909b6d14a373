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
import { reconcileGlobal } from './core/global.ts';
import type { Creation, Plan } from './core/plan.ts';
import { bySlot, classify, reconcileReplicated } from './core/replicated.ts';
import { DelayedStarts, RestartHistory } from './core/restart.ts';
import { isWanted, taskTemplate } from './core/task-template.ts';
import {
  emptyMemory,
  monitorMs,
  planUpdate,
  startsFirst,
  type UpdateMemory,
  type UpdateSlot,
} from './core/update.ts';
import { isDirtyTask, matchesService, taskName } from './rules.ts';

/** Changes written between two looks at the clock. */
const CHANGES_PER_STEP = 100;

export type ReconcilerOptions = { readonly store: Store; readonly env: Env; readonly log: Log };

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
  readonly #dirty = new Set<string>();
  readonly #updates = new Map<string, UpdateMemory>();
  readonly #wakeUps = new Map<string, NodeJS.Timeout>();
  /** Called when delayed starts were added, outside of any transaction. */
  onDelayed: () => void = () => undefined;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.bites = new Bites((error) => options.log.error({ error }, 'orchestrator work failed'));
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

  #write(fn: (tx: Transaction) => void): void {
    const { store, log } = this.#options;
    store.update(fn).catch((error: unknown) => log.warn({ error }, 'a plan was not written'));
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
    const made = store.head((view) => {
      const service = view.services.get(serviceId);
      if (service === undefined || !isOrchestrated(service)) return undefined;
      return { service, plan: this.#plan(view, service) };
    });
    if (made === undefined) return;
    yield* this.#apply(made.service, made.plan);
    this.#update(serviceId);
  }

  #isOver(view: View): (row: TaskRow) => boolean {
    return (row) =>
      row.state > TaskState.RUNNING ||
      row.state < TaskState.ASSIGNED ||
      isDown(view.nodes.get(row.nodeId));
  }

  #plan(view: View, service: Service): Plan {
    const rows = view.tasks.byService(service.id);
    const mayRestart = (row: TaskRow): boolean => this.history.allows(row);
    const { mode } = service.spec;
    if (mode?.case === 'global') {
      const matches = matchesService(service);
      return reconcileGlobal({ nodes: view.nodes.all(), tasks: rows, matches, mayRestart });
    }
    const replicas = mode?.case === 'replicated' ? Number(mode.value.replicas) : 0;
    return reconcileReplicated(replicas, classify(service, rows, mayRestart), this.#isOver(view));
  }

  /** True while the service is as it was when the plan was made. */
  #current(service: Service): boolean {
    const now = this.#options.store.head((view) => view.services.get(service.id));
    return now?.meta.version.index === service.meta.version.index || now?.spec === service.spec;
  }

  *#apply(service: Service, plan: Plan): Work {
    const steps = [
      ...chunks(plan.desire, (tx, { taskId, state }) => this.#desire(tx, taskId, state)),
      ...chunks(plan.remove, (tx, taskId) => this.#remove(tx, taskId)),
    ];
    for (const step of steps) {
      this.#write(step);
      yield;
    }
    for (let from = 0; from < plan.create.length; from += CHANGES_PER_STEP) {
      if (!this.#current(service)) return;
      const chunk = plan.create.slice(from, from + CHANGES_PER_STEP);
      this.#write((tx) => this.create(tx, service, chunk, TaskState.RUNNING));
      yield;
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
    const { store } = this.#options;
    const ids = store.head((view) => view.tasks.byService(serviceId).map((row) => row.id));
    for (const step of chunks(ids, (tx, id) => this.#desire(tx, id, TaskState.REMOVE))) {
      this.#write(step);
      yield;
    }
  }

  /** Does the next step of a rolling update, if there is one to do. */
  #update(serviceId: string): void {
    this.#write((tx) => {
      const service = tx.services.get(serviceId);
      if (service === undefined) return;
      const slots = this.#updateSlots(tx, service);
      const memory = this.#updates.get(serviceId) ?? emptyMemory();
      const nowMs = this.#options.env.nowMs();
      const isDirty = isDirtyTask(tx, service);
      const plan = planUpdate({ service, slots, isDirty, memory, nowMs });
      this.#wakeAt(serviceId, plan.wakeAtMs);
      const active = plan.replace.length > 0 || plan.end.length > 0 || plan.wakeAtMs !== undefined;
      if (active || slots.some((slot) => slot.tasks.length > 1))
        this.#updates.set(serviceId, memory);
      for (const row of plan.end) this.#desire(tx, row.id, TaskState.SHUTDOWN);
      for (const slot of plan.replace) this.#replace(tx, service, slot);
      if (plan.status !== undefined) this.#setStatus(tx, service, plan.status);
    });
    // Some may start at once, which is a transaction of its own.
    if (this.delayed.size > 0) this.onDelayed();
  }

  #updateSlots(view: View, service: Service): UpdateSlot[] {
    const rows = view.tasks.byService(service.id).filter(isWanted);
    if (!isGlobal(service)) {
      return [...bySlot(rows)].map(([slot, tasks]) => ({ key: String(slot), tasks }));
    }
    const nodes = Map.groupBy(rows, (row) => row.nodeId);
    return [...nodes].map(([key, tasks]) => ({ key, tasks }));
  }

  #replace(tx: Transaction, service: Service, slot: UpdateSlot): void {
    const [old] = slot.tasks;
    if (old === undefined) return;
    const creation = { slot: old.slot, nodeId: isGlobal(service) ? old.nodeId : '' };
    if (startsFirst(service)) {
      this.create(tx, service, [creation], TaskState.RUNNING);
      return;
    }
    const [taskId = ''] = this.create(tx, service, [creation], TaskState.READY);
    for (const row of slot.tasks) this.#desire(tx, row.id, TaskState.SHUTDOWN);
    const startAtMs = this.#options.env.nowMs();
    this.delayed.add({ taskId, oldTaskId: old.id, serviceId: service.id, startAtMs });
  }

  #setStatus(
    tx: Transaction,
    service: Service,
    status: { readonly state: UpdateStatusUpdateState; readonly message: string },
  ): void {
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

/** Splits writes so that no step, and no transaction, is large. */
function chunks<T>(
  items: readonly T[],
  write: (tx: Transaction, item: T) => void,
): ((tx: Transaction) => void)[] {
  const out: ((tx: Transaction) => void)[] = [];
  for (let from = 0; from < items.length; from += CHANGES_PER_STEP) {
    const part = items.slice(from, from + CHANGES_PER_STEP);
    out.push((tx) => part.forEach((item) => write(tx, item)));
  }
  return out;
}
