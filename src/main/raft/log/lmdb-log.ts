/**
 * The durable log on LMDB. Keys are ascending numbers, values are sealed; each save is one
 * transaction that LMDB syncs before its promise resolves (`overlappingSync` off).
 *
 * Terms of all entries and the newest entries themselves are also kept in memory, so that the core's
 * reads seldom touch the disk.
 */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import { RaftMember } from '../../../shared/wire/gen/raft.ts';
import { ClusterSnapshot } from '../../../shared/wire/gen/snapshot.ts';
import { Entry, HardState, Snapshot, SnapshotMetadata } from '../../../shared/wire/gen/raftpb.ts';
import { limitBytes } from '../core/entry-size.ts';
import type { Persist } from '../core/ready.ts';
import type { InitialState } from '../core/storage.ts';
import { Cipher } from './cipher.ts';
import type { DurableLog, ReceivedSnapshot, SnapshotMeta } from './durable-log.ts';

/** Payload bytes of entries that are kept in memory too. */
const CACHE_BYTES_MAX = 32 * 1024 * 1024;
/** Snapshot pieces written by one transaction. */
const PIECES_PER_WRITE = 16;

const KEY = {
  hardState: 'hard-state',
  snapshot: 'snapshot',
  compacted: 'compacted',
  member: 'member',
  peers: 'peers',
} as const;

type Mark = { readonly index: number; readonly term: number };

/** The stored description of a snapshot: sizes of its parts, then raft's and the cluster's own. */
function encodeMeta(meta: SnapshotMeta, pieces: number): Buffer {
  const { index, term, confState, members, removed } = meta;
  const raft = SnapshotMetadata.encode({ index, term, confState });
  const cluster = ClusterSnapshot.encode({ members, removed });
  const head = Buffer.alloc(8);
  head.writeUInt32LE(pieces, 0);
  head.writeUInt32LE(raft.length, 4);
  return Buffer.concat([head, raft, cluster]);
}

function decodeMeta(bytes: Buffer): { meta: SnapshotMeta; pieces: number } {
  const pieces = bytes.readUInt32LE(0);
  const split = 8 + bytes.readUInt32LE(4);
  const raft = SnapshotMetadata.decode(bytes.subarray(8, split));
  return { pieces, meta: { ...raft, ...ClusterSnapshot.decode(bytes.subarray(split)) } };
}

export class LmdbLog implements DurableLog {
  readonly #path: string;
  readonly #root: RootDatabase<Buffer, string>;
  readonly #entries: Database<Buffer, number>;
  readonly #pieces: Database<Buffer, [snapshot: number, piece: number]>;
  readonly #cipher: Cipher;
  #hardState: HardState = HardState.create();
  #snapshot: SnapshotMeta | undefined;
  /** The last entry that is gone. */
  #compacted: Mark = { index: 0, term: 0 };
  /** Term of each entry, from the first one on. */
  #terms: number[] = [];
  /** The newest entries. */
  #cache: Entry[] = [];
  #cacheBytes = 0;

  /**
   * Opens the log in `directory`, which must exist, or makes a new one.
   * @throws SealError when the data key is not the one it was written with
   */
  constructor(directory: string, dataKey: Uint8Array) {
    this.#path = join(directory, 'log.mdb');
    this.#cipher = new Cipher(dataKey);
    this.#root = open<Buffer, string>({
      path: this.#path,
      encoding: 'binary',
      overlappingSync: false,
      maxDbs: 4,
    });
    this.#entries = this.#root.openDB<Buffer, number>({ name: 'entries', encoding: 'binary' });
    this.#pieces = this.#root.openDB({ name: 'pieces', encoding: 'binary' });
    this.#load();
  }

  #load(): void {
    const hardState = this.#get(KEY.hardState);
    if (hardState !== undefined) this.#hardState = HardState.decode(hardState);
    const snapshot = this.#get(KEY.snapshot);
    if (snapshot !== undefined) this.#snapshot = decodeMeta(snapshot).meta;
    const compacted = this.#get(KEY.compacted);
    if (compacted !== undefined) {
      this.#compacted = { index: compacted.readDoubleLE(0), term: compacted.readDoubleLE(8) };
    }
    for (const { key, value } of this.#entries.getRange({})) {
      assert.equal(key, this.lastIndex() + 1, 'the stored log has a gap');
      this.#remember(this.#openEntry(key, value));
    }
  }

  #get(key: string): Buffer | undefined {
    const sealed = this.#root.get(key);
    return sealed === undefined ? undefined : this.#cipher.open(key, sealed);
  }

  #put(key: string, plain: Uint8Array): Promise<boolean> {
    return this.#root.put(key, this.#cipher.seal(key, plain));
  }

  #openEntry(index: number, sealed: Uint8Array): Entry {
    const entry = Entry.decode(this.#cipher.open(`entry/${index}`, sealed));
    assert.equal(entry.index, index, 'a stored entry has another index');
    return entry;
  }

  #remember(entry: Entry): void {
    this.#terms.push(entry.term);
    this.#cache.push(entry);
    this.#cacheBytes += entry.data?.length ?? 0;
    if (this.#cacheBytes <= CACHE_BYTES_MAX) return;
    // Halve it at once, so that the cost of moving the rest is spread.
    let drop = 0;
    while (this.#cacheBytes > CACHE_BYTES_MAX / 2) {
      this.#cacheBytes -= this.#cache[drop]?.data?.length ?? 0;
      drop += 1;
    }
    this.#cache.splice(0, drop);
  }

  /** Forgets entries from `index` on, which a new leader has overruled. */
  #truncate(index: number): void {
    if (index > this.lastIndex()) return;
    for (let i = this.lastIndex(); i >= index; i -= 1) void this.#entries.remove(i);
    const cacheFrom = this.lastIndex() - this.#cache.length + 1;
    const gone = this.#cache.splice(Math.max(0, index - cacheFrom));
    for (const entry of gone) this.#cacheBytes -= entry.data?.length ?? 0;
    this.#terms.length = index - this.firstIndex();
  }

  initialState(): InitialState {
    const confState = this.#snapshot?.confState ?? SnapshotMetadata.create().confState;
    return { hardState: this.#hardState, confState };
  }

  firstIndex(): number {
    return this.#compacted.index + 1;
  }

  lastIndex(): number {
    return this.#compacted.index + this.#terms.length;
  }

  term(index: number): number | null {
    if (index === this.#compacted.index) return this.#compacted.term;
    return this.#terms[index - this.firstIndex()] ?? null;
  }

  entries(from: number, end: number, bytesMax: number): readonly Entry[] | null {
    if (from < this.firstIndex()) return null;
    assert(end <= this.lastIndex() + 1, `entries up to ${end} of ${this.lastIndex()}`);
    const cacheFrom = this.lastIndex() - this.#cache.length + 1;
    if (from >= cacheFrom) {
      return limitBytes(this.#cache.slice(from - cacheFrom, end - cacheFrom), bytesMax);
    }
    const read: Entry[] = [];
    let bytes = 0;
    for (const { key, value } of this.#entries.getRange({ start: from, end })) {
      bytes += value.length;
      if (bytes > bytesMax && read.length > 0) break;
      read.push(this.#openEntry(key, value));
    }
    return limitBytes(read, bytesMax);
  }

  snapshot(): Snapshot | null {
    if (this.#snapshot === undefined) return Snapshot.create();
    const { index, term, confState } = this.#snapshot;
    return { data: undefined, metadata: { index, term, confState } };
  }

  member(): RaftMember | undefined {
    const stored = this.#get(KEY.member);
    return stored === undefined ? undefined : RaftMember.decode(stored);
  }

  peers(): readonly RaftMember[] {
    const stored = this.#get(KEY.peers);
    return stored === undefined ? [] : ClusterSnapshot.decode(stored).members;
  }

  async saveMember(member: RaftMember, peers: readonly RaftMember[] = []): Promise<void> {
    const group = ClusterSnapshot.encode({ members: peers, removed: [] });
    await Promise.all([
      this.#put(KEY.member, RaftMember.encode(member)),
      this.#put(KEY.peers, group),
    ]);
  }

  async save(persist: Persist, received?: ReceivedSnapshot): Promise<void> {
    assert.equal(persist.snapshot?.metadata.index, received?.meta.index, 'another snapshot came');
    const writes = received === undefined ? [] : this.#replaceBy(received);
    const [first] = persist.entries;
    if (first !== undefined) {
      assert(first.index <= this.lastIndex() + 1, `gap before ${first.index}`);
      this.#truncate(first.index);
    }
    for (const entry of persist.entries) {
      const sealed = this.#cipher.seal(`entry/${entry.index}`, Entry.encode(entry));
      writes.push(this.#entries.put(entry.index, sealed));
      this.#remember(entry);
    }
    if (persist.hardState !== null) {
      this.#hardState = persist.hardState;
      writes.push(this.#put(KEY.hardState, HardState.encode(persist.hardState)));
    }
    // Writes of one turn are one LMDB transaction.
    await Promise.all(writes);
  }

  /** The writes that leave nothing but a leader's snapshot; they belong to the transaction of this turn. */
  #replaceBy({ meta, chunks }: ReceivedSnapshot): Promise<boolean>[] {
    const writes: Promise<boolean>[] = [];
    for (let i = this.firstIndex(); i <= this.lastIndex(); i += 1) {
      writes.push(this.#entries.remove(i));
    }
    const old = this.#snapshot?.index;
    if (old !== undefined) writes.push(...this.#pieceRemovals(old));
    for (const [piece, chunk] of chunks.entries()) {
      const sealed = this.#cipher.seal(`snapshot/${meta.index}/${piece}`, chunk);
      writes.push(this.#pieces.put([meta.index, piece], sealed));
    }
    writes.push(this.#put(KEY.snapshot, encodeMeta(meta, chunks.length)));
    this.#terms = [];
    this.#cache = [];
    this.#cacheBytes = 0;
    this.#snapshot = meta;
    this.#compacted = { index: meta.index, term: meta.term };
    writes.push(this.#putCompacted());
    return writes;
  }

  #putCompacted(): Promise<boolean> {
    const mark = Buffer.alloc(16);
    mark.writeDoubleLE(this.#compacted.index, 0);
    mark.writeDoubleLE(this.#compacted.term, 8);
    return this.#put(KEY.compacted, mark);
  }

  async saveSnapshot(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const old = this.#snapshot?.index;
    let pieces = 0;
    let writes: Promise<boolean>[] = [];
    for await (const chunk of chunks) {
      const sealed = this.#cipher.seal(`snapshot/${meta.index}/${pieces}`, chunk);
      writes.push(this.#pieces.put([meta.index, pieces], sealed));
      pieces += 1;
      if (pieces % PIECES_PER_WRITE === 0) {
        await Promise.all(writes);
        writes = [];
      }
    }
    await Promise.all(writes);
    // Only this makes it the newest snapshot; a crash before leaves the old one in force.
    await this.#put(KEY.snapshot, encodeMeta(meta, pieces));
    this.#snapshot = meta;
    if (old !== undefined) await this.#removePieces(old);
  }

  async #removePieces(index: number): Promise<void> {
    await Promise.all(this.#pieceRemovals(index));
  }

  #pieceRemovals(index: number): Promise<boolean>[] {
    const keys = [...this.#pieces.getKeys({ start: [index, 0], end: [index, Infinity] })];
    return keys.map((key) => this.#pieces.remove(key));
  }

  readSnapshot(): { meta: SnapshotMeta; chunks: Iterable<Uint8Array> } | undefined {
    const stored = this.#get(KEY.snapshot);
    if (stored === undefined) return undefined;
    const { meta, pieces } = decodeMeta(stored);
    return { meta, chunks: this.#readPieces(meta.index, pieces) };
  }

  *#readPieces(index: number, pieces: number): Iterable<Uint8Array> {
    for (let piece = 0; piece < pieces; piece += 1) {
      const sealed = this.#pieces.get([index, piece]);
      assert(sealed !== undefined, `piece ${piece} of snapshot ${index} is missing`);
      yield this.#cipher.open(`snapshot/${index}/${piece}`, sealed);
    }
  }

  async compact(index: number): Promise<void> {
    const term = this.term(index);
    if (term === null || index <= this.#compacted.index) return;
    assert(index <= (this.#snapshot?.index ?? 0), 'only what a snapshot covers is compacted');
    const writes: Promise<boolean>[] = [];
    for (let i = this.firstIndex(); i <= index; i += 1) writes.push(this.#entries.remove(i));
    const cacheFrom = this.lastIndex() - this.#cache.length + 1;
    for (const entry of this.#cache.splice(0, Math.max(0, index + 1 - cacheFrom))) {
      this.#cacheBytes -= entry.data?.length ?? 0;
    }
    this.#terms.splice(0, index - this.#compacted.index);
    this.#compacted = { index, term };
    writes.push(this.#putCompacted());
    await Promise.all(writes);
  }

  sizeBytes(): number {
    return statSync(this.#path).size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#root.close();
  }
}
