/** What the journal has and the database lacks, sealed. */

export type Unflushed = {
  readonly entries: ReadonlyMap<number, Buffer>;
  readonly state: ReadonlyMap<string, Buffer>;
};

export class UnflushedRecords {
  #entries = new Map<number, Buffer>();
  #state = new Map<string, Buffer>();
  #entryBytes = 0;

  /** Of entries; the state is small. */
  get bytes(): number {
    return this.#entryBytes;
  }

  addEntry(index: number, sealed: Buffer): void {
    this.#entries.set(index, sealed);
    this.#entryBytes += sealed.length;
  }

  removeEntry(index: number): void {
    this.#entryBytes -= this.#entries.get(index)?.length ?? 0;
    this.#entries.delete(index);
  }

  setState(key: string, sealed: Buffer): void {
    this.#state.set(key, sealed);
  }

  /** Everything, to be written into the database; what comes from now on goes with the next flush. */
  take(): Unflushed {
    const taken = { entries: this.#entries, state: this.#state };
    this.#entries = new Map();
    this.#state = new Map();
    this.#entryBytes = 0;
    return taken;
  }
}
