/** The log's database: tables whose values are sealed, written in synced transactions. */
import { open, type Database as Table, type Key, type RootDatabase } from 'lmdb';
import type { Cipher } from './cipher.ts';

/** What one short transaction reads and writes, about. */
export const SHORT = { records: 512, bytes: 512 * 1024 } as const;

/** Another process has the log open; two that write it would each overwrite what the other promised. */
export class LogInUseError extends Error {
  override readonly name = 'LogInUseError';

  constructor(directory: string, pid: number) {
    super(`${directory} is in use by process ${pid}: stop that one first`);
  }
}

/** How many tables there may be. */
const TABLES_MAX = 4;

export class SealedDatabase implements AsyncDisposable {
  readonly #root: RootDatabase<Buffer, string>;
  readonly #cipher: Cipher;

  constructor(path: string, cipher: Cipher) {
    this.#cipher = cipher;
    this.#root = open<Buffer, string>({
      path,
      encoding: 'binary',
      maxDbs: TABLES_MAX,
      overlappingSync: false, // a promise resolves when its transaction is synced
      eventTurnBatching: false, // it leaves rejections to nobody when a commit fails
    });
  }

  /** @param place names the record of a key, so that records can't be swapped. */
  table<K extends Key>(name: string, place: (key: K) => string): SealedTable<K> {
    const table = this.#root.openDB<Buffer, K>({ name, encoding: 'binary' });
    return new SealedTable<K>(this, { table, cipher: this.#cipher, place });
  }

  /**
   * That no other process has it open, to be asked after a first read. Whoever has read stands in the
   * list of readers as long as its process lives, and both of two that open it at once find each other there.
   * @throws LogInUseError
   */
  assertOurs(directory: string): void {
    this.#root.readerCheck(); // takes the dead off the list
    for (const [, pid] of this.#root.readerList().matchAll(/^\s*(\d+)\s/gm)) {
      if (Number(pid) === process.pid) continue;
      void this.#root.close();
      throw new LogInUseError(directory, Number(pid));
    }
  }

  /** What `puts` puts and removes is one transaction; resolves when it is durable. */
  async write(puts: () => void): Promise<void> {
    await this.#root.batch(puts).catch(failed);
  }

  /** Runs in a transaction of its own, and reads all that was written before. Resolves when it is durable. */
  transaction<T>(run: () => T): Promise<T> {
    return this.#root.transaction(run).catch(failed);
  }

  /** As `write`, but before it returns. */
  writeNow(puts: () => void): void {
    this.#root.transactionSync(puts);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#root.close();
  }
}

/** The error of a commit that failed: lmdb tells the reason by a promise of its own. */
async function failed(error: unknown): Promise<never> {
  if (error instanceof Error && 'commitError' in error) await error.commitError;
  throw error;
}

type TableOptions<K extends Key> = {
  readonly table: Table<Buffer, K>;
  readonly cipher: Cipher;
  readonly place: (key: K) => string;
};

export class SealedTable<K extends Key> {
  readonly #database: SealedDatabase;
  readonly #table: Table<Buffer, K>;
  readonly #cipher: Cipher;
  readonly #place: (key: K) => string;

  constructor(database: SealedDatabase, { table, cipher, place }: TableOptions<K>) {
    this.#database = database;
    this.#table = table;
    this.#cipher = cipher;
    this.#place = place;
  }

  /** @throws SealError */
  get(key: K): Buffer | undefined {
    const sealed = this.#table.get(key);
    return sealed === undefined ? undefined : this.#cipher.open(this.#place(key), sealed);
  }

  seal(key: K, plain: Uint8Array): Buffer {
    return this.#cipher.seal(this.#place(key), plain);
  }

  /** @throws SealError */
  unseal(key: K, sealed: Uint8Array): Buffer {
    return this.#cipher.open(this.#place(key), sealed);
  }

  /** Within a `Database.write`. */
  put(key: K, plain: Uint8Array): void {
    this.putSealed(key, this.seal(key, plain));
  }

  /** Within a `Database.write`. */
  putSealed(key: K, sealed: Buffer): void {
    void this.#table.put(key, sealed);
  }

  /** Within a `Database.write`. */
  remove(key: K): void {
    void this.#table.remove(key);
  }

  /** In order; `sealedBytes` is what the record takes. @throws SealError */
  *range(start: K, end?: K): Generator<{ key: K; value: Buffer; sealedBytes: number }, void> {
    for (const { key, value } of this.#table.getRange({
      start,
      ...(end !== undefined && { end }),
    })) {
      const opened = this.#cipher.open(this.#place(key), value);
      yield { key, value: opened, sealedBytes: value.length };
    }
  }

  keys(): Iterable<K> {
    return this.#table.getKeys({});
  }

  /** Removes what `isGone` picks of the first keys, up to the first that `isEnd`; in short transactions. */
  async removeAll(isGone: (key: K) => boolean, isEnd: (key: K) => boolean): Promise<void> {
    for (;;) {
      const gone: K[] = [];
      for (const key of this.#table.getKeys({})) {
        if (isEnd(key) || gone.length === SHORT.records) break;
        if (isGone(key)) gone.push(key);
      }
      if (gone.length === 0) return;
      await this.#database.write(() => {
        for (const key of gone) this.remove(key);
      });
    }
  }

  /** Seals anew what another key sealed; yields when another short transaction is durable. */
  async *reseal(): AsyncGenerator<void, void> {
    let from: K | undefined;
    do {
      // Read and written within one transaction: whatever else is written comes before or after.
      from = await this.#database.transaction(() => this.#resealSome(from));
      yield;
    } while (from !== undefined);
  }

  /** Where to go on. */
  #resealSome(start: K | undefined): K | undefined {
    const again: { readonly key: K; readonly plain: Buffer }[] = [];
    let records = 0;
    let bytes = 0;
    let next: K | undefined;
    for (const { key, value } of this.#table.getRange(start === undefined ? {} : { start })) {
      if (records === SHORT.records || bytes >= SHORT.bytes) {
        next = key;
        break;
      }
      records += 1;
      bytes += value.length;
      if (this.#cipher.isCurrent(value)) continue;
      again.push({ key, plain: this.#cipher.open(this.#place(key), value) });
    }
    for (const { key, plain } of again) this.put(key, plain);
    return next;
  }
}
