/**
 * The key that seals a manager's raft log. It is kept with the node's TLS key, in headers of the key
 * file (behaviour rule 3.11), and with it stands how far a rotation has come:
 *
 * 1. `raft-dek-needs-rotation` and the new key in `raft-dek-pending` stand in the key file before
 *    anything is sealed with that key;
 * 2. all that is written from then on, and bit by bit all that was written before, is sealed with it;
 * 3. when nothing needs the old key any more, the pending key becomes `raft-dek`, and the marks go.
 *
 * Each step is one write. Whatever a crash comes between, the next start has the keys to read all of
 * the log, and goes on with the rotation.
 */
import {
  MaybeEncryptedRecord,
  MaybeEncryptedRecordAlgorithm,
} from '../../shared/wire/gen/types.ts';
import type { Headers, KeyFiles } from '../ca/key-files.ts';
import type { Log } from '../log.ts';
import { newDataKey } from '../raft/log/cipher.ts';
import { LmdbLog } from '../raft/log/lmdb-log.ts';

const HEADER = {
  current: 'raft-dek',
  pending: 'raft-dek-pending',
  needsRotation: 'raft-dek-needs-rotation',
} as const;

/** Set once the log that the key seals holds a cluster: without that log the key is of no use. */
const FOUNDED = 'skein-founded';

/** Set while a manager that joins has not been let in by the others. */
const JOINING = 'skein-joining';

/** Set while the log is being wiped, so that a start after a crash goes on with that. */
const WIPING = 'skein-wiping';

/** The raft ids under which the node has taken part, in hexadecimal. */
const HELD = 'skein-raft-ids';

export type DataKeys = {
  readonly current: Uint8Array;
  /** What is to take its place: it seals all that is written. */
  readonly pending: Uint8Array | undefined;
  /** Whether a rotation was begun or asked for, and is not done. */
  readonly needsRotation: boolean;
};

function encodeKey(data: Uint8Array): string {
  const algorithm = MaybeEncryptedRecordAlgorithm.NONE;
  const record = MaybeEncryptedRecord.create({ algorithm, data });
  return Buffer.from(MaybeEncryptedRecord.encode(record)).toString('base64');
}

function decodeKey(header: string | undefined): Uint8Array | undefined {
  if (header === undefined) return undefined;
  return MaybeEncryptedRecord.decode(Buffer.from(header, 'base64')).data;
}

/** Headers of a fresh data key. */
export const newDataKeyHeaders = (): Headers => ({ [HEADER.current]: encodeKey(newDataKey()) });

/** The data keys in the headers of a key file; undefined when there are none. */
export function dataKeysOf(headers: Headers): DataKeys | undefined {
  const current = decodeKey(headers[HEADER.current]);
  const pending = decodeKey(headers[HEADER.pending]);
  if (current === undefined) {
    if (pending === undefined) return undefined;
    throw new Error('there is a pending DEK, but no current DEK');
  }
  const asked = headers[HEADER.needsRotation] === 'true';
  return { current, pending, needsRotation: asked || pending !== undefined };
}

/** The log in `directory`. A pending key seals from the moment it stands in the key file. */
export const openRaftLog = (directory: string, { current, pending }: DataKeys): LmdbLog =>
  pending === undefined
    ? new LmdbLog(directory, current)
    : new LmdbLog(directory, pending, current);

/** Asks for a rotation, and makes the key that it is for, unless there is one. */
function rotationBegun(headers: Headers): Headers {
  const keys = dataKeysOf(headers);
  if (keys === undefined) throw new Error('the key file holds no key of the raft log');
  const pending = encodeKey(keys.pending ?? newDataKey(keys.current));
  return { ...headers, [HEADER.pending]: pending, [HEADER.needsRotation]: 'true' };
}

/** The pending key is the only one. */
function rotationDone(headers: Headers): Headers {
  const { [HEADER.pending]: pending, [HEADER.needsRotation]: _, ...others } = headers;
  if (pending === undefined) throw new Error('the pending key of the raft log is gone');
  return { ...others, [HEADER.current]: pending };
}

/** Headers of a fresh data key of a manager that joins: its log is empty until it was let in. */
export const newJoiningHeaders = (): Headers => ({ ...newDataKeyHeaders(), [JOINING]: 'true' });

/** Whether the manager with this key is to be let in by others, and never founds a cluster. */
export const isJoining = (headers: Headers): boolean => headers[JOINING] === 'true';

/** Whether the log of this key has held a cluster. */
export const isFounded = (headers: Headers): boolean => headers[FOUNDED] === 'true';

/** The members that a node with this key has ever been: that outlives their logs. */
export const raftIdsHeld = (headers: Headers): ReadonlySet<bigint> =>
  new Set((headers[HELD]?.split(' ') ?? []).map((hex) => BigInt(`0x${hex}`)));

/** The headers of a key whose log holds a cluster, of which the node is this member. */
export function foundedHeaders(headers: Headers, raftId: bigint): Headers {
  const { [JOINING]: _, ...others } = headers;
  const held = [...new Set([...raftIdsHeld(headers), raftId])].map((id) => id.toString(16));
  return { ...others, [FOUNDED]: 'true', [HELD]: held.join(' ') };
}

/** Whether nothing of the log that the key sealed may be used again. */
export const isWiping = (headers: Headers): boolean => headers[WIPING] === 'true';

/** The headers while the log is being wiped: nobody who had that log joins any more. */
export function wipingHeaders(headers: Headers): Headers {
  const { [JOINING]: _, ...others } = headers;
  return { ...others, [WIPING]: 'true' };
}

/** The headers of a node that keeps no log: everything about its key is gone. */
export function withoutDataKey(headers: Headers): Headers {
  const ours: ReadonlySet<string> = new Set([...Object.values(HEADER), FOUNDED, JOINING, WIPING]);
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !ours.has(name)));
}

/** Whether a log may be there. */
export const hasDataKey = (headers: Headers): boolean => headers[HEADER.current] !== undefined;

/** The part of the raft log that rotation needs. */
export type SealedLog = {
  readonly rekey: (key: Uint8Array) => AsyncIterable<void>;
};

export type DataKeyRotationOptions = {
  readonly keys: Pick<KeyFiles, 'load' | 'updateHeaders'>;
  readonly raftLog: SealedLog;
  readonly log: Log;
};

/** Replaces the data key of a log that is in use. */
export class DataKeyRotation {
  readonly #options: DataKeyRotationOptions;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(options: DataKeyRotationOptions) {
    this.#options = options;
  }

  /**
   * Makes a new key, seals the whole log with it, in the background of all else, and resolves when
   * the old key is gone. A call while one runs waits for that one.
   * @throws when a write fails, or the node stops: the next start goes on
   */
  rotate(): Promise<void> {
    return (this.#running ??= this.#rotate().finally(() => {
      this.#running = undefined;
    }));
  }

  /** Goes on with a rotation that a crash or a stop has cut short. */
  async resume(): Promise<void> {
    const stored = await this.#options.keys.load();
    if (dataKeysOf(stored?.headers ?? {})?.needsRotation !== true || this.#stopped) return;
    await this.rotate().catch((error: unknown) => {
      this.#options.log.error({ error }, 'the key of the raft log was not replaced yet');
    });
  }

  /** Resolves when nothing is being written; the log may be closed then. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running?.catch(() => undefined); // its caller hears of it
  }

  async #rotate(): Promise<void> {
    const { keys, raftLog, log } = this.#options;
    this.#checkRunning();
    let pending: Uint8Array | undefined;
    await keys.updateHeaders((headers) => {
      const begun = rotationBegun(headers);
      pending = dataKeysOf(begun)?.pending;
      return begun;
    });
    if (pending === undefined) throw new Error('there is no pending key');
    log.debug({}, 'seals the raft log with a new key');
    for await (const _ of raftLog.rekey(pending)) this.#checkRunning();
    await keys.updateHeaders(rotationDone);
    log.info({}, 'the key of the raft log was replaced');
  }

  #checkRunning(): void {
    if (this.#stopped) throw new Error('the node stops; its next start goes on with the new key');
  }
}
