/**
 * The orchestrator of the leader: keeps each replicated and global service at what its spec says.
 *
 * Commits only mark what to look at. Ended tasks are replaced as their restart policy says, services
 * are reconciled, and replacements start when their delay is over and the task before them is gone.
 */
import { durationMs } from '../../shared/model/time.ts';
import type { Node, Service } from '../../shared/wire/gen/objects.ts';
import { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import {
  NodeStatusState,
  TaskState,
  UpdateStatusUpdateState,
} from '../../shared/wire/gen/types.ts';
import type { Work } from '../kit/bites.ts';
import type { Change, Commit, TaskChange, Transaction } from '../store/transaction.ts';
import type { TaskRow, View } from '../store/view.ts';
import { type Delayed, RESTART, restartDelayMs } from './core/restart.ts';
import { isInvalidNode, isWanted, lastHeardMs } from './core/task-template.ts';
import { isOrchestrated, Reconciler, type ReconcilerOptions } from './reconciler.ts';

/** Tasks looked at between two looks at the clock. */
const TASKS_PER_STEP = 50;

/** Whether it is a change of a node, and one that can move tasks or make room for global ones. */
function concernsTasks(change: Change): boolean {
  if (change.kind !== 'node') return false;
  if (change.action !== 'update') return true;
  const { old, object: node } = change;
  return (
    old.status.state !== node.status.state ||
    old.spec !== node.spec ||
    old.role !== node.role ||
    old.description !== node.description
  );
}

export class Orchestrator {
  readonly #options: ReconcilerOptions;
  readonly #reconciler: Reconciler;
  readonly #ended = new Set<string>();
  /** Replacements of tasks that have stopped with the commit being looked at. */
  readonly #following: Delayed[] = [];
  #unwatch: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Infinity;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#reconciler = new Reconciler(options);
    this.#reconciler.onDelayed = () => this.#startDelayed();
  }

  /** Begins to lead: takes up what an earlier leader left, and looks at everything once. */
  start(): void {
    const { store } = this.#options;
    const { bites } = this.#reconciler;
    this.#unwatch = store.watch((commit) => this.#commit(commit));
    const services = store.head((view) => [...view.services.all()]).filter(isOrchestrated);
    // Work is done in order: whatever is decided knows the history of the service.
    for (const service of services) bites.add(this.#takeUp(service));
    for (const { id } of services) this.#reconciler.mark(id);
    bites.add(this.#forgetStrays());
  }

  stop(): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
    clearTimeout(this.#timer);
    this.#reconciler.stop();
  }

  /** Rebuilds the restart history and delayed starts of one service from its tasks. */
  *#takeUp(service: Service): Work {
    const { store } = this.#options;
    for (let from: string | undefined; ;) {
      const next = store.head((view) => {
        const piece = view.tasks.pieceOfService(service.id, from, TASKS_PER_STEP);
        for (const row of piece.rows) this.#takeUpTask(view, service, row);
        return piece.next;
      });
      if (this.#ended.size > 0) this.#reconciler.bites.add(this.#replaceEnded());
      if (next === undefined) break;
      from = next;
      yield;
    }
    if (this.#reconciler.delayed.size > 0) this.#startDelayed();
  }

  #takeUpTask(view: View, service: Service, row: TaskRow): void {
    const { history, delayed } = this.#reconciler;
    if (history.isKept(row)) history.rebuild(siblings(view, service, row));
    if (row.desiredState === TaskState.READY && row.state <= TaskState.COMPLETE) {
      const nowMs = this.#options.env.nowMs();
      const delayMs = durationMs(row.shared().spec.restart?.delay, RESTART.delayMs);
      const startAtMs = Math.min(nowMs + delayMs, lastHeardMs(row) + delayMs);
      delayed.add({ taskId: row.id, oldTaskId: '', serviceId: service.id, startAtMs });
    }
    if (isWanted(row) && this.#mustReplace(view, row)) this.#ended.add(row.id);
  }

  /** Deletes tasks whose service was removed while nobody led. */
  *#forgetStrays(): Work {
    const { store } = this.#options;
    for (const beginning of store.head((view) => view.tasks.idBeginnings())) {
      const strays = store.head((view) =>
        view.tasks
          .byIdPrefix(beginning)
          .filter((row) => row.serviceId !== '' && view.services.get(row.serviceId) === undefined)
          .filter((row) => row.desiredState < TaskState.REMOVE)
          .map((row) => row.id),
      );
      if (strays.length > 0) {
        this.#write((tx) => {
          for (const id of strays) tx.tasks.patch(id, { desiredState: TaskState.REMOVE });
        });
      }
      yield;
    }
  }

  #write(fn: (tx: Transaction) => void): void {
    this.#follow(this.#options.store.update(fn));
  }

  #follow(written: Promise<void>): void {
    const { log } = this.#options;
    written.catch((error: unknown) => log.warn({ error }, 'a restart was not written'));
  }

  #commit(commit: Commit): void {
    for (const change of commit.changes) this.#change(change);
    this.#start(this.#following.splice(0));
    if (commit.changes.some(concernsTasks)) this.#nodesChanged();
    if (this.#ended.size > 0) this.#reconciler.bites.add(this.#replaceEnded());
  }

  #change(change: Change): void {
    if (change.kind === 'task') this.#taskChange(change);
    if (change.kind === 'service') {
      if (change.action === 'remove') this.#reconciler.removed(change.object.id);
      else if (change.action === 'create' || change.old.spec !== change.object.spec) {
        this.#reconciler.mark(change.object.id);
      } else if (change.old.updateStatus !== change.object.updateStatus) {
        this.#reconciler.mark(change.object.id);
      }
    }
    if (change.kind === 'node' && concernsTasks(change)) {
      this.#nodeChange(change.object, change.action === 'remove');
    }
  }

  #taskChange(change: TaskChange): void {
    const row = change.object;
    if (row.serviceId === '') return;
    if (change.action === 'remove') {
      this.#reconciler.delayed.cancel(row.id);
      this.#stopped(row);
      if (isWanted(row)) this.#reconciler.mark(row.serviceId);
      return;
    }
    if (change.action === 'create') return;
    const { old } = change;
    if (row.state > TaskState.RUNNING && old.state <= TaskState.RUNNING) {
      this.#stopped(row);
      if (!isWanted(row)) return;
      this.#ended.add(row.id);
      this.#reconciler.failed(row, old.state === TaskState.RUNNING ? lastHeardMs(old) : undefined);
    } else if (row.state === TaskState.RUNNING && old.state < TaskState.RUNNING) {
      if (this.#updating(row.serviceId)) this.#reconciler.mark(row.serviceId);
    }
  }

  /** Nothing of this task runs any more: what waits for it may start. */
  #stopped(row: TaskRow): void {
    const next = this.#reconciler.delayed.after(row.id, this.#options.env.nowMs());
    if (next !== undefined) this.#following.push(next);
  }

  #updating(serviceId: string): boolean {
    const { UPDATING, ROLLBACK_STARTED } = UpdateStatusUpdateState;
    const service = this.#options.store.head((view) => view.services.get(serviceId));
    const state = service?.updateStatus?.state;
    return state === UPDATING || state === ROLLBACK_STARTED;
  }

  #nodeChange(node: Node, removed: boolean): void {
    if (!removed && !isInvalidNode(node)) return;
    this.#options.store.head((view) => {
      for (const row of view.tasks.byNode(node.id)) {
        if (row.serviceId !== '' && isWanted(row)) this.#ended.add(row.id);
      }
    });
  }

  /** Once a commit, which may bring thousands of nodes back. */
  #nodesChanged(): void {
    this.#options.store.head((view) => {
      for (const service of view.services.all()) {
        if (service.spec.mode?.case === 'global') this.#reconciler.mark(service.id);
      }
    });
    if (this.#reconciler.delayed.size > 0) this.#startDelayed();
  }

  #mustReplace(view: View, row: TaskRow): boolean {
    if (row.state > TaskState.RUNNING) return true;
    return row.nodeId !== '' && isInvalidNode(view.nodes.get(row.nodeId));
  }

  *#replaceEnded(): Work {
    const ids = [...this.#ended];
    this.#ended.clear();
    for (let from = 0; from < ids.length; from += TASKS_PER_STEP) {
      const part = ids.slice(from, from + TASKS_PER_STEP);
      this.#follow(this.#options.store.batch(part, (tx, id) => this.#restart(tx, id)));
      yield;
    }
    if (this.#reconciler.delayed.size > 0) this.#startDelayed();
  }

  /** Gives up one task and, if its policy allows, puts another in its place. */
  #restart(tx: Transaction, taskId: string): void {
    const row = tx.tasks.get(taskId);
    if (row === undefined || !isWanted(row) || !this.#mustReplace(tx, row)) return;
    const service = tx.services.get(row.serviceId);
    const { delayed, history } = this.#reconciler;
    const waiting = delayed.has(taskId);
    delayed.cancel(taskId);
    tx.tasks.patch(taskId, { desiredState: TaskState.SHUTDOWN });
    if (service === undefined || !isOrchestrated(service)) return;
    const node = tx.nodes.get(row.nodeId);
    const global = service.spec.mode?.case === 'global';
    const { ACTIVE, DRAIN } = NodeSpecAvailability;
    if (global && (isInvalidNode(node) || node?.spec.availability !== ACTIVE)) return;
    if (row.state > TaskState.RUNNING && !history.allows(row)) {
      this.#reconciler.mark(service.id);
      return;
    }
    const nowMs = this.#options.env.nowMs();
    history.note(row, nowMs);
    const creation = { slot: row.slot, nodeId: global ? row.nodeId : '' };
    const [newId = ''] = this.#reconciler.create(tx, service, [creation], TaskState.READY);
    const drained = node?.spec.availability === DRAIN;
    const startAtMs = nowMs + (waiting ? 0 : restartDelayMs(row, drained));
    delayed.add({ taskId: newId, oldTaskId: row.id, serviceId: service.id, startAtMs });
    // When turns are full this is written after `#replaceEnded` has looked for what may start.
    this.#setTimer(startAtMs, nowMs);
  }

  /** Starts the replacements whose time has come, and sets the timer for the next. */
  #startDelayed(): void {
    const { store, env } = this.#options;
    const { delayed } = this.#reconciler;
    const nowMs = env.nowMs();
    this.#start(store.head((view) => delayed.due(nowMs, (oldId) => this.#isStopped(view, oldId))));
    this.#setTimer(delayed.nextMs(nowMs), nowMs);
  }

  /** Thousands at a time, when the order of an update allows it. */
  #start(due: readonly Delayed[]): void {
    const ids = due.map(({ taskId }) => taskId);
    if (ids.length > 0) this.#follow(this.#options.store.batch(ids, startNow));
  }

  #setTimer(atMs: number | undefined, nowMs: number): void {
    if (this.#unwatch === undefined || atMs === undefined) return;
    if (this.#timer !== undefined && this.#timerAtMs <= atMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#startDelayed();
      },
      Math.max(0, atMs - nowMs),
    );
  }

  #isStopped(view: View, taskId: string): boolean {
    const row = view.tasks.get(taskId);
    if (row === undefined || row.state > TaskState.RUNNING || row.nodeId === '') return true;
    const node = view.nodes.get(row.nodeId);
    return node === undefined || node.status.state === NodeStatusState.DOWN;
  }
}

/** The tasks of a slot, or of a node's share of a global service. */
function siblings(view: View, service: Service, row: TaskRow): readonly TaskRow[] {
  if (row.slot !== 0) return view.tasks.bySlot(service.id, row.slot);
  return view.tasks.byNode(row.nodeId).filter((other) => other.serviceId === service.id);
}

/** A delayed start whose time has come. */
function startNow(tx: Transaction, taskId: string): void {
  const row = tx.tasks.get(taskId);
  if (row?.desiredState !== TaskState.READY) return;
  tx.tasks.patch(taskId, { desiredState: TaskState.RUNNING });
}
