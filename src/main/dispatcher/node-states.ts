/** The dispatcher's writes to node objects: status and description (behaviour rule 5.3). */
import type { Node } from '../../shared/wire/gen/objects.ts';
import {
  NodeDescription,
  NodeStatusState,
  TaskState,
  type NodeStatus,
} from '../../shared/wire/gen/types.ts';
import type { Store, Transaction } from '../store/transaction.ts';

export const NODE_MESSAGE = {
  leaderChange: 'Node moved to "unknown" state due to leadership change in cluster',
  missing: 'heartbeat failure for node in "unknown" state',
  lost: 'heartbeat failure',
  leaving: 'node is currently trying to find new manager',
} as const;

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Whether two descriptions say the same. */
function sameDescription(a: NodeDescription | undefined, b: NodeDescription | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return same(NodeDescription.encode(a), NodeDescription.encode(b));
}

/** How long registrations gather at least, from one write to the next. */
const REGISTRATION_PERIOD_MS = 50;

type Registration = {
  readonly nodeId: string;
  readonly addr: string;
  readonly description: NodeDescription | undefined;
  readonly committed: PromiseWithResolvers<void>;
};

/** A node registered: READY at its address, with the description it gave. An old agent may give none. */
function writeReady(tx: Transaction, { nodeId, addr, description: given }: Registration): void {
  const node = tx.nodes.get(nodeId);
  if (node === undefined) return;
  const status: NodeStatus = { state: NodeStatusState.READY, message: '', addr };
  const description = given ?? node.description;
  const known = node.status.state === status.state && node.status.message === '';
  if (known && node.status.addr === addr && sameDescription(node.description, description)) return;
  tx.nodes.update({ ...node, status, description });
}

function refuse({ committed }: Registration, error: unknown): void {
  committed.reject(error);
}

export class NodeStates {
  readonly #store: Store;
  #registrations: Registration[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writtenMs = -Infinity;

  constructor(store: Store) {
    this.#store = store;
  }

  /**
   * A node registered. Resolves when that is committed: a lone registration is written at once, and of
   * thousands that come back many together, since all who watch the store hear of each commit.
   */
  register(nodeId: string, addr: string, description: NodeDescription | undefined): Promise<void> {
    const committed = Promise.withResolvers<void>();
    this.#registrations.push({ nodeId, addr, description, committed });
    if (this.#timer === undefined) {
      const delayMs = this.#writtenMs + REGISTRATION_PERIOD_MS - performance.now();
      if (delayMs <= 0) this.#writeRegistrations();
      else this.#timer = setTimeout(() => this.#writeRegistrations(), delayMs);
    }
    return committed.promise;
  }

  /** Writes what has gathered at once: what is written after this shall come after it. */
  flush(): void {
    if (this.#registrations.length > 0) this.#writeRegistrations();
  }

  #writeRegistrations(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writtenMs = performance.now();
    const registrations = this.#registrations.splice(0);
    this.#store.batch(registrations, writeReady, refuse).then(
      () => registrations.forEach(({ committed }) => committed.resolve()),
      (error: unknown) => registrations.forEach(({ committed }) => committed.reject(error)),
    );
  }

  /** A node with a session described itself anew. */
  describe(nodeId: string, description: NodeDescription): Promise<void> {
    return this.#store.update((tx) => {
      const node = tx.nodes.get(nodeId);
      if (node === undefined || sameDescription(node.description, description)) return;
      tx.nodes.update({ ...node, description });
    });
  }

  /** Gives nodes a state and the reason for it; `unless` skips those to be left alone. */
  set(
    nodeIds: readonly string[],
    state: NodeStatusState,
    message: string,
    unless: (node: Node) => boolean = () => false,
  ): Promise<void> {
    return this.#store.batch(nodeIds, (tx, nodeId) => {
      const node = tx.nodes.get(nodeId);
      if (node === undefined || unless(node)) return;
      if (node.status.state === state && node.status.message === message) return;
      tx.nodes.update({ ...node, status: { ...node.status, state, message } });
    });
  }

  /** Gives up the tasks of nodes that were down for a day. */
  orphan(nodeIds: readonly string[]): Promise<void> {
    const lost = this.#store.head((view) =>
      nodeIds.flatMap((nodeId) =>
        view.tasks
          .byNode(nodeId)
          .filter((row) => row.state >= TaskState.ASSIGNED && row.state <= TaskState.RUNNING)
          .map((row) => row.id),
      ),
    );
    return this.#store.batch(lost, (tx, id) => {
      if (tx.tasks.get(id) !== undefined) tx.tasks.patch(id, { state: TaskState.ORPHANED });
    });
  }
}
