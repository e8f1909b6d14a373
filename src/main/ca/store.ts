/** The part of the store that the CA uses. */
import type { Commit, WritableTable } from '../store/transaction.ts';
import type { ObjectTable } from '../store/view.ts';

type CaView = {
  readonly nodes: Pick<ObjectTable<'node'>, 'get' | 'all'>;
  readonly clusters: Pick<ObjectTable<'cluster'>, 'get'>;
};

export type CaTransaction = {
  readonly nodes: Pick<WritableTable<'node'>, 'get' | 'create' | 'update'>;
  readonly clusters: Pick<ObjectTable<'cluster'>, 'get'>;
};

export type CaStore = {
  view<T>(fn: (view: CaView) => T): T;
  head<T>(fn: (view: CaView) => T): T;
  update<T>(fn: (tx: CaTransaction) => T): Promise<T>;
  watch(listener: (commit: Commit) => void): () => void;
};
