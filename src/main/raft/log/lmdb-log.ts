/**
 * The durable log: a database on LMDB, and before it a journal.
 *
 * A commit of LMDB syncs twice, and writes the path to each page that it changes. So a save adds one
 * synced record to the journal, and that is all that raft waits for; now and then what the journal has
 * gathered goes into the database as one transaction. A start reads the database, then the journal.
 *
 * Terms of all entries and the newest entries themselves are also kept in memory, so that the core's
 * reads seldom touch the disk; what is not in the database yet always is there. What is long, as
 * removing many entries or storing a snapshot, goes in short transactions.
 */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { RaftMember } from '../../../shared/wire/gen/raft.ts';
import { ClusterSnapshot } from '../../../shared/wire/gen/snapshot.ts';
import { Entry, HardState, Snapshot, SnapshotMetadata } from '../../../shared/wire/gen/raftpb.ts';
import { limitBytes } from '../core/entry-size.ts';
import type { Persist } from '../core/ready.ts';
import type { InitialState } from '../core/storage.ts';
import { Cipher } from './cipher.ts';
import type { DurableLog, ReceivedSnapshot, SnapshotMeta, StoredSnapshot } from './durable-log.ts';
import { CACHE_BYTES_MIN, EntryCache } from './entry-cache.ts';
import { Journal, JOURNAL_BYTES, JOURNAL_START } from './journal.ts';
import {
  decodeJournalMark,
  decodeMark,
  decodeMeta,
  decodeSaved,
  encodeJournalMark,
  encodeMark,
  encodeMeta,
  encodeSaved,
  type Description,
  type Saved,
} from './records.ts';
import { SealedDatabase, type SealedTable } from './sealed-database.ts';
import { SnapshotPieces } from './snapshot-pieces.ts';
import { TermRuns } from './term-runs.ts';
import { UnflushedRecords } from './unflushed.ts';

const KEY = {
  hardState: 'hard-state',
  snapshot: 'snapshot',
  compacted: 'compacted',
  member: 'member',
  peers: 'peers',
  journal: 'journal',
} as const;

/** What the journal gathers before it goes into the database, about. */
const FLUSH_BYTES = 1024 * 1024;

// Twice the journal: what is being written into the database, and what comes meanwhile.
assert(2 * JOURNAL_BYTES <= CACHE_BYTES_MIN, 'what is not in the database is in memory');

export class LmdbLog implements DurableLog {
  readonly #directory: string;
  readonly #database: SealedDatabase;
  readonly #journal: Journal;
  /** As stored, once somebody has asked: every call that comes to a manager does. */
  #member: RaftMember | undefined;
  #peers: readonly RaftMember[] | undefined;
  readonly #state: SealedTable<string>;
  readonly #entries: SealedTable<number>;
  readonly #pieces: SnapshotPieces;
  readonly #cipher: Cipher;
  #hardState: HardState = HardState.create();
  #snapshot: Description | undefined;
  /** The last entry that is gone, and its term. */
  #compacted = { index: 0, term: 0 };
  #terms = new TermRuns(1);
  readonly #cache = new EntryCache();
  readonly #unflushed = new UnflushedRecords();
  /** The last entry in the database. */
  #stored = 0;
  /** The database is written by one after the other. */
  #flushing: Promise<void> = Promise.resolve();
  /** Why a save failed: what is in memory was never written. */
  #failure: Error | undefined;

  /**
   * Opens the log in `directory`, which must exist, or makes a new one.
   *
   * @param dataKey seals; `old`, if it is given, only opens what it sealed before: see `rekey`.
   * @throws SealError when these are not the keys it was written with; LogInUseError when another
   * process has it open
   */
  constructor(directory: string, dataKey: Uint8Array, old?: Uint8Array) {
    this.#directory = directory;
    this.#cipher = new Cipher(old ?? dataKey);
    if (old !== undefined) this.#cipher.use(dataKey);
    this.#database = new SealedDatabase(this.#path, this.#cipher);
    this.#state = this.#database.table('state', (key) => key);
    this.#entries = this.#database.table('entries', (index) => `entry/${index}`);
    this.#pieces = new SnapshotPieces(this.#database);
    this.#journal = new Journal(join(directory, 'journal'));
    this.#load();
  }

  #load(): void {
    const hardState = this.#state.get(KEY.hardState);
    if (hardState !== undefined) this.#hardState = HardState.decode(hardState);
    const snapshot = this.#state.get(KEY.snapshot);
    if (snapshot !== undefined) this.#snapshot = decodeMeta(snapshot);
    const compacted = this.#state.get(KEY.compacted);
    if (compacted !== undefined) this.#compacted = decodeMark(compacted);
    this.#terms = new TermRuns(this.firstIndex());
    for (const { key, value } of this.#entries.range(this.firstIndex())) {
      assert.equal(key, this.lastIndex() + 1, 'the stored log has a gap');
      this.#remember(decodeEntry(key, value));
    }
    this.#stored = this.lastIndex();
    // Before anything is written.
    this.#database.assertOurs(this.#directory);
    this.#replay();
  }

  /** What was saved after the database was last written. */
  #replay(): void {
    const stored = this.#state.get(KEY.journal);
    const mark = stored === undefined ? JOURNAL_START : decodeJournalMark(stored);
    if (stored === undefined) {
      this.#journal.create();
      // From now on the journal has to be there, and another data key is found out.
      this.#database.writeNow(() => this.#state.put(KEY.journal, encodeJournalMark(mark)));
    }
    for (const record of this.#journal.open(mark)) {
      const saved = decodeSaved(record);
      const entries = saved.entries.map(({ index, sealed }) =>
        decodeEntry(index, this.#entries.unseal(index, sealed)),
      );
      const { hardState } = saved;
      if (hardState !== undefined) {
        this.#hardState = HardState.decode(this.#state.unseal(KEY.hardState, hardState));
      }
      this.#show(entries, saved);
    }
  }

  get #path(): string {
    return join(this.#directory, 'log.mdb');
  }

  #remember(entry: Entry): void {
    this.#terms.push(entry.term);
    this.#cache.push(entry);
  }

  initialState(): InitialState {
    const confState = this.#snapshot?.meta.confState ?? SnapshotMetadata.create().confState;
    return { hardState: this.#hardState, confState };
  }

  firstIndex(): number {
    return this.#compacted.index + 1;
  }

  lastIndex(): number {
    return this.#terms.last;
  }

  term(index: number): number | null {
    return index === this.#compacted.index ? this.#compacted.term : this.#terms.at(index);
  }

  entries(from: number, end: number, bytesMax: number): readonly Entry[] | null {
    if (from < this.firstIndex()) return null;
    assert(end <= this.lastIndex() + 1, `entries up to ${end} of ${this.lastIndex()}`);
    const cached = this.#cache.slice(from, end);
    if (cached !== undefined) return limitBytes(cached, bytesMax);
    const read: Entry[] = [];
    let bytes = 0;
    // What is in memory may not be in the database yet.
    const until = Math.min(end, this.#cache.first);
    for (const { key, value, sealedBytes } of this.#entries.range(from, until)) {
      bytes += sealedBytes;
      if (bytes > bytesMax && read.length > 0) break;
      read.push(decodeEntry(key, value));
    }
    return limitBytes(read, bytesMax);
  }

  snapshot(): Snapshot | null {
    if (this.#snapshot === undefined) return Snapshot.create();
    const { index, term, confState } = this.#snapshot.meta;
    return { data: undefined, metadata: { index, term, confState } };
  }

  member(): RaftMember | undefined {
    if (this.#member !== undefined) return this.#member;
    const stored = this.#state.get(KEY.member);
    return (this.#member = stored && RaftMember.decode(stored));
  }

  peers(): readonly RaftMember[] {
    if (this.#peers !== undefined) return this.#peers;
    const stored = this.#state.get(KEY.peers);
    return (this.#peers = stored === undefined ? [] : ClusterSnapshot.decode(stored).members);
  }

  async saveMember(member: RaftMember, peers: readonly RaftMember[] = []): Promise<void> {
    const group = ClusterSnapshot.encode({ members: peers, removed: [] });
    await this.#database.write(() => {
      this.#state.put(KEY.member, RaftMember.encode(member));
      this.#state.put(KEY.peers, group);
    });
    this.#member = member;
    this.#peers = peers;
  }

  async save(persist: Persist, received?: ReceivedSnapshot): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    assert.equal(persist.snapshot?.metadata.index, received?.meta.index, 'another snapshot came');
    try {
      if (received !== undefined) await this.#saveReceived(persist, received);
      else await this.#saveNext(persist);
    } catch (error) {
      throw this.#fail(error);
    }
  }

  #fail(cause: unknown): Error {
    return (this.#failure ??= new Error('the raft log could not be written', { cause }));
  }

  async #saveNext(persist: Persist): Promise<void> {
    const saved = this.#take(persist);
    const record = encodeSaved(saved);
    const bytes = record.reduce((sum, part) => sum + part.length, 0);
    const written = this.#journal.fits(bytes) ? this.#journal.append(record) : this.#flush(true);
    setImmediate(() => this.#cipher.prepare()); // while the disk works, and behind what is sent
    await written;
    // The next save fails when this does.
    if (this.#unflushed.bytes >= FLUSH_BYTES) this.#flush().catch(() => undefined);
  }

  /** A leader's snapshot and what comes with it: all of that is in the database at once. */
  async #saveReceived(persist: Persist, received: ReceivedSnapshot): Promise<void> {
    await this.#flush();
    const described = await this.#writePieces(received.meta, received.chunks);
    const { index, term } = described.meta;
    // What stands after it would be taken for entries that follow it.
    this.#truncate(index + 1);
    this.#snapshot = described;
    this.#compactTo({ index, term });
    this.#setState(KEY.snapshot, encodeMeta(described));
    this.#take(persist);
    await this.#flush();
    await this.#removeGone();
  }

  /** Shows at once in memory what is being saved. */
  #take({ entries, hardState }: Persist): Saved {
    const [first] = entries;
    assert((first?.index ?? 0) <= this.lastIndex() + 1, `gap before ${first?.index}`);
    if (hardState !== null) this.#hardState = hardState;
    const saved = {
      hardState:
        hardState === null
          ? undefined
          : this.#state.seal(KEY.hardState, HardState.encode(hardState)),
      entries: entries.map((entry) => ({
        index: entry.index,
        sealed: this.#entries.seal(entry.index, Entry.encode(entry)),
      })),
    };
    this.#show(entries, saved);
    return saved;
  }

  #show(entries: readonly Entry[], { hardState, entries: sealedEntries }: Saved): void {
    const [first] = entries;
    if (first !== undefined) this.#truncate(first.index);
    for (const entry of entries) this.#remember(entry);
    for (const { index, sealed } of sealedEntries) this.#unflushed.addEntry(index, sealed);
    if (hardState !== undefined) this.#unflushed.setState(KEY.hardState, hardState);
  }

  /** Forgets entries from `index` on, which a new leader has overruled. */
  #truncate(index: number): void {
    for (let i = this.lastIndex(); i >= index; i -= 1) this.#unflushed.removeEntry(i);
    this.#cache.truncate(index);
    this.#terms.truncate(index);
  }

  /** Goes into the database with the next flush. */
  #setState(key: string, plain: Uint8Array): void {
    this.#unflushed.setState(key, this.#state.seal(key, plain));
  }

  /**
   * Brings the database up to date with all that was shown so far, in one transaction. Resolves when
   * that is durable.
   *
   * @param rewinds the journal starts anew: no record of it may be on its way
   */
  #flush(rewinds = false): Promise<void> {
    const flushed = this.#flushing.then(() => this.#flushNow(rewinds));
    this.#flushing = flushed.catch(() => undefined); // told to who waits for it
    return flushed;
  }

  async #flushNow(rewinds: boolean): Promise<void> {
    // What an earlier one could not write would be missing.
    if (this.#failure !== undefined) throw this.#failure;
    const mark = rewinds ? this.#journal.rewind() : this.#journal.mark;
    this.#setState(KEY.journal, encodeJournalMark(mark));
    const { entries, state } = this.#unflushed.take();
    const last = this.lastIndex();
    const stored = this.#stored;
    this.#stored = last;
    const puts = (): void => {
      for (let i = stored; i > last; i -= 1) this.#entries.remove(i);
      for (const [index, sealed] of entries) this.#entries.putSealed(index, sealed);
      for (const [key, sealed] of state) this.#state.putSealed(key, sealed);
    };
    await this.#database.write(puts).catch((error: unknown) => {
      throw this.#fail(error);
    });
  }

  #compactTo(mark: { readonly index: number; readonly term: number }): void {
    this.#compacted = mark;
    this.#terms.compact(mark.index);
    this.#cache.compact(mark.index);
    this.#setState(KEY.compacted, encodeMark(mark));
  }

  async saveSnapshot(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const described = await this.#writePieces(meta, chunks);
    // Only this makes it the newest snapshot; a crash before leaves the old one in force.
    await this.#database.write(() => this.#state.put(KEY.snapshot, encodeMeta(described)));
    this.#snapshot = described;
    await this.#removeGone();
  }

  /** Stores the content of a snapshot that is not in force yet, in short transactions. */
  async #writePieces(
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<Description> {
    assert(
      meta.index > (this.#snapshot?.meta.index ?? 0),
      'a snapshot is newer than the one before',
    );
    // A write that failed may have left pieces of the same index.
    await this.#removeGone();
    return this.#pieces.write(meta, chunks);
  }

  removeLeftovers(): Promise<void> {
    return this.#removeGone();
  }

  /** Removes entries before the first one, and pieces of snapshots that are not in force. */
  async #removeGone(): Promise<void> {
    const first = this.firstIndex();
    await this.#entries.removeAll(
      () => true,
      (index) => index >= first,
    );
    await this.#pieces.removeOthers(this.#snapshot?.meta.index);
  }

  readSnapshot(): StoredSnapshot | undefined {
    return this.#snapshot && this.#pieces.read(this.#snapshot);
  }

  async compact(index: number): Promise<void> {
    const term = this.term(index);
    if (term === null || index <= this.#compacted.index) return;
    assert(index <= (this.#snapshot?.meta.index ?? 0), 'only what a snapshot covers is compacted');
    // The mark first: whatever a crash leaves of what stands before it is no part of the log. What the
    // journal has of it goes into the database too, and never comes back.
    this.#compactTo({ index, term });
    await this.#flush();
    await this.#removeGone();
  }

  /**
   * Seals with `key` from now on, and seals anew all that another key sealed. Yields when another
   * short transaction is durable, and may be left at any of them; when it ends, no other key is of
   * use any more.
   */
  async *rekey(key: Uint8Array): AsyncGenerator<void, void> {
    this.#cipher.use(key);
    await this.#flush(); // the journal is of no use then, with whatever key it is sealed
    yield* this.#state.reseal();
    yield* this.#entries.reseal();
    yield* this.#pieces.reseal();
    this.#cipher.forgetOthers();
  }

  snapshotBytes(): number {
    return this.#snapshot?.bytes ?? 0;
  }

  sizeBytes(): number {
    return statSync(this.#path).size + JOURNAL_BYTES;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#flushing;
    this.#journal.close();
    await this.#database[Symbol.asyncDispose]();
  }
}

function decodeEntry(index: number, bytes: Uint8Array): Entry {
  const entry = Entry.decode(bytes);
  assert.equal(entry.index, index, 'a stored entry has another index');
  return entry;
}
