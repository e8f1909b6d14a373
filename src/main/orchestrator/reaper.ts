/**
 * The task reaper of the leader: deletes tasks that were to be removed and have ended, and trims each
 * slot's history (behaviour rule 8.7).
 */
import { NodeStatusState, TaskState } from '../../shared/wire/gen/types.ts';
import type { Work } from '../kit/bites.ts';
import { Bites } from '../kit/bites.ts';
import type { Commit, TaskChange } from '../store/transaction.ts';
import type { TaskRow, View } from '../store/view.ts';
import { isRemovable, retention, surplus } from './core/reaper.ts';
import type { ReconcilerOptions } from './reconciler.ts';

export const REAPER = {
  /** How long work is gathered. */
  delayMs: 250,
  /** So much work goes at once. */
  queuedMax: 1000,
  /** Retention where the cluster says nothing. */
  historyDefault: 5,
} as const;

const DELETES_PER_STEP = 100;

/** One slot, or one node's share of a global service. */
type SlotKey = { readonly serviceId: string; readonly slot: number; readonly nodeId: string };

export class TaskReaper {
  readonly #options: ReconcilerOptions;
  readonly #bites: Bites;
  readonly #slots = new Map<string, SlotKey>();
  readonly #candidates = new Set<string>();
  #unwatch: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#bites = new Bites((error) => options.log.error({ error }, 'the task reaper failed'));
  }

  start(): void {
    const { store } = this.#options;
    this.#unwatch = store.watch((commit) => this.#commit(commit));
    this.#bites.add(this.#readAll());
  }

  stop(): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
    clearTimeout(this.#timer);
    this.#bites.stop();
  }

  /** What an earlier leader left: everything is looked at once. */
  *#readAll(): Work {
    const { store } = this.#options;
    for (const beginning of store.head((view) => view.tasks.idBeginnings())) {
      store.head((view) => {
        for (const row of view.tasks.byIdPrefix(beginning)) {
          this.#markSlot(row);
          this.#candidates.add(row.id);
        }
      });
      yield;
    }
    this.#schedule();
  }

  #commit(commit: Commit): void {
    for (const change of commit.changes) {
      if (change.kind === 'task') this.#taskChange(change);
      else if (change.kind === 'node') {
        const down = change.object.status.state === NodeStatusState.DOWN;
        if (change.action === 'remove' || down) this.#markNode(change.object.id);
      } else if (change.kind === 'cluster' && change.action === 'update') {
        const limit = change.object.spec.orchestration.taskHistoryRetentionLimit;
        if (change.old.spec.orchestration.taskHistoryRetentionLimit !== limit) this.#markAll();
      }
    }
    this.#schedule();
  }

  #taskChange(change: TaskChange): void {
    const row = change.object;
    if (change.action === 'create' && this.#hasOthers(row)) this.#markSlot(row);
    if (change.action !== 'update') return;
    const { old } = change;
    const over = row.state >= TaskState.COMPLETE || row.state < TaskState.ASSIGNED;
    if (row.desiredState === TaskState.REMOVE && over) this.#candidates.add(row.id);
    if (row.state === TaskState.ORPHANED && row.serviceId === '') this.#candidates.add(row.id);
    if (row.state > TaskState.RUNNING && old.state <= TaskState.RUNNING) this.#markSlot(row);
  }

  /** Whether a new task may be one too many: most slots have no history. */
  #hasOthers({ serviceId, slot }: TaskRow): boolean {
    if (slot === 0) return true;
    return this.#options.store.head((view) => view.tasks.bySlot(serviceId, slot).length > 1);
  }

  #markSlot(row: TaskRow): void {
    if (row.serviceId === '' || row.jobIteration >= 0) return;
    const nodeId = row.slot === 0 ? row.nodeId : '';
    const key = `${row.serviceId}.${row.slot}@${nodeId}`;
    this.#slots.set(key, { serviceId: row.serviceId, slot: row.slot, nodeId });
  }

  #markNode(nodeId: string): void {
    this.#options.store.head((view) => {
      for (const row of view.tasks.byNode(nodeId)) {
        if (row.desiredState === TaskState.REMOVE) this.#candidates.add(row.id);
      }
    });
  }

  #markAll(): void {
    this.#options.store.head((view) => {
      for (const row of view.tasks.all()) this.#markSlot(row);
    });
  }

  #schedule(): void {
    const queued = this.#slots.size + this.#candidates.size;
    if (queued === 0) return;
    if (queued > REAPER.queuedMax) this.#tick();
    else this.#timer ??= setTimeout(() => this.#tick(), REAPER.delayMs);
  }

  #tick(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const candidates = [...this.#candidates];
    const slots = [...this.#slots.values()];
    this.#candidates.clear();
    this.#slots.clear();
    this.#bites.add(this.#reap(candidates, slots));
  }

  *#reap(candidates: readonly string[], slots: readonly SlotKey[]): Work {
    let doomed: string[] = [];
    const { store } = this.#options;
    for (const [i, id] of candidates.entries()) {
      store.head((view) => {
        const row = view.tasks.get(id);
        if (row !== undefined && isRemovable(row, nodeGone(view, row))) doomed.push(id);
      });
      if (doomed.length < DELETES_PER_STEP && i % 500 !== 499) continue;
      this.#delete(doomed);
      doomed = [];
      yield;
    }
    for (const [i, slot] of slots.entries()) {
      doomed.push(...store.head((view) => this.#surplus(view, slot)));
      if (doomed.length < DELETES_PER_STEP && i % 200 !== 199) continue;
      this.#delete(doomed);
      doomed = [];
      yield;
    }
    this.#delete(doomed);
  }

  #surplus(view: View, { serviceId, slot, nodeId }: SlotKey): string[] {
    const inSlot = view.tasks.bySlot(serviceId, slot);
    const rows = slot === 0 ? inSlot.filter((row) => row.nodeId === nodeId) : inSlot;
    const [newest] = rows;
    if (newest === undefined) return [];
    const [cluster] = view.clusters.all();
    const limit = cluster?.spec.orchestration.taskHistoryRetentionLimit ?? REAPER.historyDefault;
    const service = view.services.get(serviceId);
    const restart = service?.spec.task.restart ?? newest.shared().spec.restart;
    return surplus(rows, retention(limit, restart?.maxAttempts ?? 0));
  }

  #delete(ids: readonly string[]): void {
    if (ids.length === 0) return;
    const { store, log } = this.#options;
    store
      .update((tx) => {
        for (const id of ids) if (tx.tasks.get(id) !== undefined) tx.tasks.remove(id);
      })
      .catch((error: unknown) => log.warn({ error }, 'old tasks were not deleted'));
  }
}

function nodeGone(view: View, row: TaskRow): boolean {
  if (row.nodeId === '') return true;
  const node = view.nodes.get(row.nodeId);
  return node === undefined || node.status.state === NodeStatusState.DOWN;
}
