/** The contents of snapshots in the log's database, piece by piece, written in short transactions. */
import assert from 'node:assert/strict';
import type { SnapshotMeta, StoredSnapshot } from './durable-log.ts';
import type { Description } from './records.ts';
import { SHORT, type SealedDatabase, type SealedTable } from './sealed-database.ts';

type PieceKey = [snapshot: number, piece: number];

export class SnapshotPieces {
  readonly #database: SealedDatabase;
  readonly #table: SealedTable<PieceKey>;
  /** Snapshots that somebody reads: their pieces stay, and how many read them. */
  readonly #readers = new Map<number, number>();

  constructor(database: SealedDatabase) {
    this.#database = database;
    this.#table = database.table('pieces', ([index, piece]) => `snapshot/${index}/${piece}`);
  }

  /** Stores the content of a snapshot that is not in force yet. */
  async write(
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<Description> {
    let pieces = 0;
    let bytes = 0;
    let written = 0;
    let gathered: Uint8Array[] = [];
    const write = async (): Promise<void> => {
      const from = pieces - gathered.length;
      await this.#database.write(() => {
        for (const [i, chunk] of gathered.entries()) this.#table.put([meta.index, from + i], chunk);
      });
      gathered = [];
      written = bytes;
    };
    for await (const chunk of chunks) {
      gathered.push(chunk);
      pieces += 1;
      bytes += chunk.length;
      if (bytes - written >= SHORT.bytes || gathered.length === SHORT.records) await write();
    }
    if (gathered.length > 0) await write();
    return { meta, pieces, bytes };
  }

  /** Can be read until it is disposed of. */
  read({ meta, pieces, bytes }: Description): StoredSnapshot {
    const { index } = meta;
    this.#readers.set(index, (this.#readers.get(index) ?? 0) + 1);
    let reading = true;
    const release = (): void => {
      if (!reading) return;
      reading = false;
      const others = (this.#readers.get(index) ?? 1) - 1;
      // Pieces that are of no use any more go with the next snapshot.
      if (others === 0) this.#readers.delete(index);
      else this.#readers.set(index, others);
    };
    return { meta, bytes, chunks: this.#chunks(index, pieces), [Symbol.dispose]: release };
  }

  /** Removes all but those of the snapshot at `index`, and those that somebody reads. */
  async removeOthers(index: number | undefined): Promise<void> {
    await this.#table.removeAll(
      ([other]) => other !== index && !this.#readers.has(other),
      () => false,
    );
  }

  /** Seals anew what another key sealed; yields when another short transaction is durable. */
  reseal(): AsyncGenerator<void, void> {
    return this.#table.reseal();
  }

  *#chunks(index: number, pieces: number): Generator<Uint8Array, void> {
    for (let piece = 0; piece < pieces; piece += 1) {
      const content = this.#table.get([index, piece]);
      assert(content !== undefined, `piece ${piece} of snapshot ${index} is missing`);
      yield content;
    }
  }
}
