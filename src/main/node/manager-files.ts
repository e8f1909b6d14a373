/**
 * What a node keeps for its manager: the raft log, and the key of that log among the headers of the
 * node's own key. One without the other is of no use, so each step leaves something from which the
 * next start finds its way.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Env } from '../../shared/kit/env.ts';
import { foundCluster } from '../ca/bootstrap.ts';
import type { KeyFiles, Headers } from '../ca/key-files.ts';
import type { RootCa } from '../ca/root.ts';
import type { SecurityContext } from '../ca/security-context.ts';
import type { Log } from '../log.ts';
import type { LmdbLog } from '../raft/log/lmdb-log.ts';
import { Role } from '../rpc/authorise.ts';
import {
  DataKeyRotation,
  dataKeysOf,
  foundedHeaders,
  hasDataKey,
  isFounded,
  isJoining,
  isWiping,
  newDataKeyHeaders,
  newJoiningHeaders,
  openRaftLog,
  raftIdsHeld,
  wipingHeaders,
  withoutDataKey,
} from './data-key.ts';

/** The raft log of a manager is gone, and with it the cluster as this manager knew it. */
export class LogLostError extends Error {
  override readonly name = 'LogLostError';

  constructor(directory: string) {
    super(
      `${directory} held the log of this manager and is empty now: put it back from a copy, ` +
        'or start with a new --state-dir to found another cluster',
    );
  }
}

/** What a manager starts with. */
export type OpenLog = {
  readonly log: LmdbLog;
  /** Other managers have to let this one in first. */
  readonly joins: boolean;
  /** The root with its key when the cluster is to be founded in the log. */
  readonly founded?: RootCa;
};

export class ManagerFiles {
  readonly #directory: string;
  readonly #stateDir: string;
  readonly #keys: KeyFiles;

  constructor(stateDir: string, keys: KeyFiles) {
    this.#stateDir = stateDir;
    this.#directory = join(stateDir, 'raft');
    this.#keys = keys;
  }

  /**
   * The log that is there, or an empty one of a manager that joins. Undefined when a cluster is to be
   * founded.
   * @throws LogLostError; Error when the log's key is missing
   */
  async open(): Promise<OpenLog | undefined> {
    const stored = await this.#keys.load();
    const dataKeys = dataKeysOf(stored?.headers ?? {});
    if (dataKeys === undefined) {
      if (stored === undefined) return undefined;
      throw new Error(`the node key in ${this.#stateDir} lacks the key of the raft log`);
    }
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const log = openRaftLog(this.#directory, dataKeys);
    if (log.member() !== undefined) return { log, joins: false };
    if (isJoining(stored?.headers ?? {})) return { log, joins: true };
    await log[Symbol.asyncDispose]();
    if (isFounded(stored?.headers ?? {})) throw new LogLostError(this.#directory);
    return undefined;
  }

  /**
   * Makes the identity and the empty log of a new cluster. It exists once the log knows its member;
   * whatever an earlier attempt has left was acknowledged to nobody, and an old certificate would not
   * fit beside the new root.
   */
  async found(env: Env): Promise<OpenLog & { readonly security: SecurityContext }> {
    for (const leftover of [this.#directory, join(this.#stateDir, 'certificates')]) {
      await rm(leftover, { recursive: true, force: true });
    }
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    // The log's key comes with the identity: one without the other would be of no use.
    const headers = newDataKeyHeaders();
    const { security, root } = await foundCluster(this.#keys, env, headers);
    const dataKeys = dataKeysOf(headers);
    assert(dataKeys !== undefined, 'a new identity comes with a data key');
    const log = openRaftLog(this.#directory, dataKeys);
    return { log, joins: false, founded: root, security };
  }

  /**
   * From now on an empty log is a lost one, and no reason to found a cluster anew; and this node may
   * have promised something as this member.
   */
  async markFounded(raftId: bigint): Promise<void> {
    const stored = await this.#keys.load();
    if (stored === undefined) return;
    if (isFounded(stored.headers) && raftIdsHeld(stored.headers).has(raftId)) return;
    await this.#keys.updateHeaders((headers) => foundedHeaders(headers, raftId));
  }

  /** The members that this node has ever been. */
  async raftIdsHeld(): Promise<ReadonlySet<bigint>> {
    return raftIdsHeld((await this.#keys.load())?.headers ?? {});
  }

  /** Replaces the key of an open log. */
  rotation(raftLog: LmdbLog, log: Log): DataKeyRotation {
    return new DataKeyRotation({ keys: this.#keys, raftLog, log });
  }

  /** Goes on with a wiping that a crash broke off; a worker keeps nothing of a manager. */
  async settle(role: Role): Promise<void> {
    const headers = (await this.#keys.load())?.headers ?? {};
    const leftover = hasDataKey(headers) || existsSync(this.#directory);
    if (isWiping(headers) || (role === Role.WORKER && leftover)) await this.wipe(role);
  }

  /** Takes away a log that a node without an identity has left: no key opens it any more. */
  async removeLeftover(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }

  /**
   * Takes away the log, which must be closed, and its key. A node that is a manager all the same has a
   * new key then, and joins as somebody new.
   */
  async wipe(role: Role): Promise<void> {
    await this.#keys.updateHeaders(wipingHeaders);
    await rm(this.#directory, { recursive: true, force: true });
    await this.#keys.updateHeaders((kept) => {
      if (role === Role.MANAGER || isJoining(kept)) return joiningHeaders(kept);
      return withoutDataKey(kept);
    });
  }
}

const joiningHeaders = (kept: Headers): Headers => ({
  ...withoutDataKey(kept),
  ...newJoiningHeaders(),
});

/**
 * What the key file carries with a new certificate: a worker that becomes a manager has the key of its
 * log from the same moment on.
 */
export function headersOnRenewal(before: Role, next: Role, kept: Headers): Headers {
  if (next !== Role.MANAGER || before === Role.MANAGER) return kept;
  if (!isWiping(kept)) return joiningHeaders(kept);
  // The old log has still to go.
  return { ...wipingHeaders(kept), ...newJoiningHeaders() };
}
