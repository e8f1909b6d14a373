/** The constraint enforcer of the leader: rejects tasks that their node may no longer run (rule 8.8). */
import type { Node } from '../../shared/wire/gen/objects.ts';
import { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import { TaskState } from '../../shared/wire/gen/types.ts';
import { timestampOf } from '../../shared/model/time.ts';
import { Bites, type Work } from '../kit/bites.ts';
import type { Transaction } from '../store/transaction.ts';
import type { TaskRow } from '../store/view.ts';
import { ENFORCER_ERR, ENFORCER_MESSAGE, violators } from './core/enforcer.ts';
import type { ReconcilerOptions } from './reconciler.ts';
import { matchesService } from './rules.ts';

export class ConstraintEnforcer {
  readonly #options: ReconcilerOptions;
  readonly #bites: Bites;
  #unwatch: (() => void) | undefined;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#bites = new Bites((error) => options.log.error({ error }, 'the enforcer failed'));
  }

  start(): void {
    const { store } = this.#options;
    this.#unwatch = store.watch((commit) => {
      for (const change of commit.changes) {
        if (change.kind !== 'node' || change.action === 'remove') continue;
        if (change.action === 'update' && !concernsPlacement(change.old, change.object)) continue;
        this.#enforce(change.object.id);
      }
    });
    this.#bites.add(this.#enforceAll());
  }

  stop(): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
    this.#bites.stop();
  }

  *#enforceAll(): Work {
    const { store } = this.#options;
    const nodes = store.head((view) => [...view.nodes.all()].map((node) => node.id));
    for (const nodeId of nodes) {
      this.#enforce(nodeId);
      yield;
    }
  }

  #enforce(nodeId: string): void {
    const { store, log } = this.#options;
    store
      .update((tx) => this.#reject(tx, nodeId))
      .catch((error: unknown) => log.warn({ error, nodeId }, 'constraints were not enforced'));
  }

  #reject(tx: Transaction, nodeId: string): void {
    const node = tx.nodes.get(nodeId);
    if (node === undefined || node.spec.availability !== NodeSpecAvailability.ACTIVE) return;
    const verdicts = new Map<string, boolean>();
    const matches = (row: TaskRow): boolean => {
      const known = verdicts.get(row.serviceId);
      if (known !== undefined) return known;
      const service = tx.services.get(row.serviceId);
      const verdict = service === undefined || matchesService(service)(node);
      verdicts.set(row.serviceId, verdict);
      return verdict;
    };
    const timestamp = timestampOf(this.#options.env.nowMs());
    for (const id of violators(node, tx.tasks.byNode(nodeId), matches)) {
      const status = tx.tasks.get(id)?.status();
      if (status === undefined) continue;
      const verdict = { state: TaskState.REJECTED, message: ENFORCER_MESSAGE, err: ENFORCER_ERR };
      tx.tasks.patch(id, { status: { ...status, ...verdict, timestamp } });
    }
  }
}

const concernsPlacement = (old: Node, node: Node): boolean =>
  old.spec !== node.spec || old.description !== node.description || old.role !== node.role;
