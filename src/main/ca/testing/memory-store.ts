/** A store in memory with what the CA uses: nodes and clusters, committed at once. */
import type { Cluster, Node } from '../../../shared/wire/gen/objects.ts';
import { type Change, type Commit, StoreError } from '../../store/transaction.ts';
import type { CaStore, CaTransaction } from '../store.ts';

export class MemoryStore implements CaStore {
  readonly nodes = new Map<string, Node>();
  readonly clusters = new Map<string, Cluster>();
  readonly #listeners = new Set<(commit: Commit) => void>();
  #index = 0;
  /** Set to make the next updates fail so. */
  failure: StoreError | undefined;

  view<T>(fn: (view: CaTransaction & { nodes: { all(): Iterable<Node> } }) => T): T {
    return fn(this.#transaction([]));
  }

  head<T>(fn: (view: CaTransaction & { nodes: { all(): Iterable<Node> } }) => T): T {
    return this.view(fn);
  }

  async update<T>(fn: (tx: CaTransaction) => T): Promise<T> {
    if (this.failure !== undefined) throw this.failure;
    const changes: Change[] = [];
    const result = fn(this.#transaction(changes));
    this.#commit(changes);
    return result;
  }

  watch(listener: (commit: Commit) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  remove(id: string): void {
    const object = this.nodes.get(id);
    if (object === undefined) return;
    this.nodes.delete(id);
    this.#commit([{ kind: 'node', action: 'remove', object }]);
  }

  #commit(changes: readonly Change[]): void {
    this.#index += 1;
    for (const listener of this.#listeners) listener({ index: this.#index, changes });
  }

  #transaction(changes: Change[]) {
    const { nodes, clusters } = this;
    return {
      clusters: { get: (id: string) => clusters.get(id) },
      nodes: {
        get: (id: string) => nodes.get(id),
        all: () => nodes.values(),
        create: (object: Node): void => {
          if (nodes.has(object.id)) throw new StoreError('EXISTS', 'object already exists');
          nodes.set(object.id, object);
          changes.push({ kind: 'node', action: 'create', object });
        },
        update: (object: Node): void => {
          const old = nodes.get(object.id);
          if (old === undefined) throw new StoreError('NOT_EXIST', 'object does not exist');
          nodes.set(object.id, object);
          changes.push({ kind: 'node', action: 'update', object, old });
        },
      },
    };
  }
}
