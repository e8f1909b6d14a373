/** The dispatcher's writes to node objects: status and description (behaviour rule 5.3). */
import type { Node } from '../../shared/wire/gen/objects.ts';
import {
  NodeDescription,
  NodeStatusState,
  TaskState,
  type NodeStatus,
} from '../../shared/wire/gen/types.ts';
import type { Store } from '../store/transaction.ts';

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

export class NodeStates {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /**
   * A node registered: READY at `addr`, with the description it gave. An old agent may give none.
   * Resolves when committed.
   */
  register(nodeId: string, addr: string, given: NodeDescription | undefined): Promise<void> {
    return this.#store.update((tx) => {
      const node = tx.nodes.get(nodeId);
      if (node === undefined) return;
      const status: NodeStatus = { state: NodeStatusState.READY, message: '', addr };
      const description = given ?? node.description;
      const known = node.status.state === status.state && node.status.message === '';
      if (known && node.status.addr === addr && sameDescription(node.description, description)) {
        return;
      }
      tx.nodes.update({ ...node, status, description });
    });
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
