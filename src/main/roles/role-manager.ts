/**
 * The role manager of the leader: carries out what `core/plan.ts` says, one step after the other.
 *
 * Events only mark; one loop works. What fails or has to wait is looked at again after a pause, so a
 * step needs no other care than to be harmless when it is done twice.
 */
import { NodeRole } from '../../shared/wire/gen/types.ts';
import type { Log } from '../log.ts';
import type { Commit, Store } from '../store/transaction.ts';
import { type Member, type Plan, plan, type Step } from './core/plan.ts';

export const ROLES = {
  retryMs: 5000,
  /** For a member to be removed. */
  removalMs: 5000,
} as const;

/** What the role manager does with the raft group. */
export type RoleGroup = {
  readonly members: () => readonly Member[];
  /** This member. */
  readonly self: () => bigint;
  readonly canRemove: (raftId: bigint) => boolean;
  /** Which managers a removal waits for, in words; empty for none. */
  readonly missing: (raftId: bigint) => string;
  readonly remove: (raftId: bigint) => Promise<void>;
  /** Resolves when this member leads no more. */
  readonly handOver: (signal: AbortSignal) => Promise<void>;
};

export type RoleManagerOptions = {
  readonly store: Store;
  readonly group: RoleGroup;
  readonly log: Log;
  /** Only tests wait otherwise. */
  readonly retryMs?: number;
};

export class RoleManager {
  readonly #options: RoleManagerOptions;
  /** Nodes that may have to become managers. */
  readonly #suspects = new Set<string>();
  #stopping = new AbortController();
  #unwatch: (() => void) | undefined;
  #working = false;
  /** Something happened since the loop last looked. */
  #marked = false;
  #retry: NodeJS.Timeout | undefined;
  /** What was said last of those who wait, so that it is not said every five seconds. */
  #said = '';

  constructor(options: RoleManagerOptions) {
    this.#options = options;
  }

  /** Looks at every node once, then at what changes. */
  start(): void {
    const { store } = this.#options;
    this.#stopping = new AbortController();
    this.#unwatch = store.watch((commit) => this.#onCommit(commit));
    store.head((view) => {
      for (const { id, spec, role } of view.nodes.all()) {
        if (spec.desiredRole !== role) this.#suspects.add(id);
      }
    });
    this.#wake();
  }

  /** Does not wait for a step under way: its outcome is the next leader's to see. */
  stop(): void {
    this.#stopping.abort(new Error('this manager leads no more'));
    this.#unwatch?.();
    clearTimeout(this.#retry);
    this.#suspects.clear();
  }

  #onCommit({ changes }: Commit): void {
    for (const change of changes) {
      if (change.kind !== 'node') continue;
      const { id, spec, role } = change.object;
      if (change.action !== 'remove' && spec.desiredRole === role) continue;
      this.#suspects.add(id);
      this.#wake();
    }
  }

  #wake(): void {
    this.#marked = true;
    if (this.#working || this.#stopping.signal.aborted) return;
    this.#working = true;
    clearTimeout(this.#retry);
    void this.#work(this.#stopping.signal).finally(() => {
      this.#working = false;
      if (this.#marked) this.#wake();
    });
  }

  /** Never rejects. */
  async #work(signal: AbortSignal): Promise<void> {
    const { log, retryMs = ROLES.retryMs } = this.#options;
    let failed = false;
    while (!failed && !signal.aborted) {
      this.#marked = false;
      const { steps, waiting } = this.#plan();
      this.#tellWaiting(waiting);
      try {
        for (const step of steps) await this.#do(step, signal);
      } catch (error) {
        failed = true;
        if (!signal.aborted) log.warn({ error }, 'a role was not changed; trying again');
      }
      if (steps.length > 0) continue;
      this.#forgetDone();
      if (this.#marked) continue;
      failed = waiting.length > 0;
      if (!failed) return;
    }
    if (!signal.aborted) this.#retry = setTimeout(() => this.#wake(), retryMs);
  }

  #plan(): Plan {
    const { store, group } = this.#options;
    const now = { members: group.members(), self: group.self(), canRemove: group.canRemove };
    return store.head((view) => plan(view, now, this.#suspects));
  }

  async #do(step: Step, signal: AbortSignal): Promise<void> {
    const { group, log } = this.#options;
    switch (step.do) {
      case 'set-role':
        return this.#setRole(step.nodeId, step.role);
      case 'remove':
        await within(group.remove(step.member.raftId), ROLES.removalMs);
        log.info({ node: step.member.nodeId }, 'a manager was removed from the group');
        return undefined;
      case 'hand-over':
        log.info({}, 'this manager is to be a worker: another has to lead');
        return group.handOver(signal);
    }
  }

  async #setRole(nodeId: string, role: NodeRole): Promise<void> {
    const { store, log } = this.#options;
    await store.update((tx) => {
      const node = tx.nodes.get(nodeId);
      if (node !== undefined && node.spec.desiredRole === role) tx.nodes.update({ ...node, role });
    });
    const what = role === NodeRole.MANAGER ? 'manager' : 'worker';
    log.info({ node: nodeId, role: what }, 'a node has another role');
  }

  #forgetDone(): void {
    this.#options.store.head((view) => {
      for (const id of this.#suspects) {
        const node = view.nodes.get(id);
        if (node === undefined || node.spec.desiredRole === node.role) this.#suspects.delete(id);
      }
    });
  }

  #tellWaiting(waiting: readonly Member[]): void {
    const { group, log } = this.#options;
    const lines = waiting.map(({ nodeId, raftId }) => `${nodeId}${group.missing(raftId)}`);
    const text = lines.join('; ');
    if (text !== '' && text !== this.#said) {
      log.warn({ managers: lines }, 'managers stay members for now, or the quorum would be lost');
    }
    this.#said = text;
  }
}

/** @throws Error when it takes longer; what is under way goes on */
async function within(work: Promise<void>, timeoutMs: number): Promise<void> {
  const late = Promise.withResolvers<never>();
  const error = new Error(`it took more than ${timeoutMs} ms`);
  const timer = setTimeout(() => late.reject(error), timeoutMs);
  try {
    await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
