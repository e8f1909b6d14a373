/**
 * The border between the store and the log.
 *
 * The store proposes entries, each the bytes of one `InternalRaftRequest`. The log tells back, in log
 * order, which entries a quorum has stored; the store then applies them. Several entries are in flight
 * at a time. When this manager stops leading, all that is in flight is given up at once: such an entry
 * may still be committed by the next leader, and then comes back as a stranger's, in bytes.
 */

/** Bytes of the largest entry (behaviour rule 2.4). */
export const ENTRY_BYTES_MAX = 1_572_864;
/** Changes after which a batch starts its next transaction. */
export const BATCH_CHANGES_MAX = 200;
/** Bytes after which a batch starts its next transaction. */
export const BATCH_BYTES_MAX = (ENTRY_BYTES_MAX * 3) / 4;

/** What the store needs of the log. */
export interface Log {
  /** Index of the last entry in the log here, committed or not. */
  readonly lastIndex: number;
  /** Whether this manager leads and the store has applied all that was in the log when it began to. */
  readonly leading: boolean;
  /**
   * Appends an entry behind all others and begins to replicate it. Never calls the store back before
   * it has returned. `bytes` belong to the log from now on and are never written again.
   * @throws StoreError NOT_LEADER
   */
  propose(bytes: Uint8Array): { readonly index: number };
}

/** What the log calls, in log order, never from within `propose`. */
export interface LogFollower {
  /**
   * Entry `index` is committed. Entries without content for the store (membership, empty ones of a
   * new term) are told with no bytes. An entry that was proposed here and not given up is recognised
   * by its index and not decoded again.
   */
  committed(index: number, bytes: Uint8Array | undefined): void;
  /** This manager leads no more: whatever is in flight fails with LEADERSHIP_LOST. */
  abort(): void;
}
