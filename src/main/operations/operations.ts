/**
 * The `Operations` service: what a manager tells of itself and of its group.
 *
 * It is answered by the manager that was asked, out of its own memory, so it answers also when there is
 * no leader, no quorum, and no other manager.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { timestampOf } from '../../shared/model/time.ts';
import {
  BackupHeader,
  type BackupPart,
  type ManagerReport,
  type PeerReport,
} from '../../shared/wire/gen/operations.ts';
import type { RaftMember } from '../../shared/wire/gen/raft.ts';
import type { StoredSnapshot } from '../raft/log/durable-log.ts';
import type { Caller } from '../rpc/authorise.ts';
import type { Channel } from '../rpc/client.ts';
import { type Handlers, implement, type Implementation, type Sink } from '../rpc/service.ts';
import { unreached } from './unreached.ts';

/** What another manager gets to answer; all are asked at once. */
const PEER_TIMEOUT_MS = 1500;

export type OperationsOptions = {
  /** This manager as it sees itself now. */
  readonly report: () => Omit<ManagerReport, 'hostname'>;
  /** The name of a node's machine, when it is known. */
  readonly hostname: (nodeId: string) => string;
  readonly connect: (address: string) => Channel;
  /** Another manager asks, and may have said where it is reached. */
  readonly heard: (caller: Caller) => void;
  /** Replaces the key of this manager's log; resolves when the old one is gone. */
  readonly rotateDataKey: () => Promise<void>;
  /** A snapshot of all that this manager has applied when it is called. */
  readonly takeSnapshot: () => Promise<StoredSnapshot>;
  readonly nowMs: () => number;
  /** Makes the node leave the cluster, in the background. @throws RpcError when it may not */
  readonly leave: (force: boolean) => void;
};

export class Operations {
  readonly #options: OperationsOptions;

  constructor(options: OperationsOptions) {
    this.#options = options;
  }

  /** What other managers may ask. */
  get forManagers(): Implementation {
    return implement('Operations', this.#handlers());
  }

  /** What may be asked on the control socket. */
  get forOperator(): Implementation {
    const Backup: Handlers<'Operations'>['Backup'] = (_request, _caller, sink) =>
      this.#backup(sink);
    const Leave: Handlers<'Operations'>['Leave'] = ({ force }) => {
      this.#options.leave(force);
      return {};
    };
    return implement('Operations', { ...this.#handlers(), Backup, Leave });
  }

  #handlers(): Omit<Handlers<'Operations'>, 'Backup' | 'Leave'> {
    return {
      Status: async ({ withPeers }, caller) => {
        if (!caller.local) this.#options.heard(caller);
        const manager = this.#own();
        const others = manager.members.filter(({ raftId }) => raftId !== manager.raftId);
        const asked = withPeers ? others.map((member) => this.#ask(member)) : [];
        return { manager, peers: await Promise.all(asked) };
      },
      RotateDataKey: async () => {
        await this.#options.rotateDataKey();
        return {};
      },
    };
  }

  /** Reads the log's own snapshot, at its reader's pace: the store goes on meanwhile. */
  async #backup(sink: Sink<BackupPart>): Promise<void> {
    const { takeSnapshot, report, nowMs } = this.#options;
    const time = timestampOf(nowMs());
    const { clusterId, leader } = report();
    using snapshot = await takeSnapshot();
    const { index, term, members, removed } = snapshot.meta;
    const group = { members, removedMembers: removed, led: leader !== 0n };
    const header = BackupHeader.create({ clusterId, index, term, time, ...group });
    await sink.write({ part: { case: 'header', value: header } });
    for (const piece of snapshot.chunks) {
      await sink.write({ part: { case: 'piece', value: piece } });
      await nextTurn();
    }
  }

  #own(): ManagerReport {
    const report = this.#options.report();
    return { ...report, hostname: this.#options.hostname(report.nodeId) };
  }

  /** Never rejects: what goes wrong is the answer. */
  async #ask(member: RaftMember): Promise<PeerReport> {
    const { connect, hostname } = this.#options;
    const about = { member, hostname: hostname(member.nodeId) };
    try {
      using channel = connect(member.addr);
      const call = { timeoutMs: PEER_TIMEOUT_MS };
      const { manager } = await channel.service('Operations').Status({}, call);
      return { ...about, manager, error: '' };
    } catch (error) {
      return { ...about, manager: undefined, error: unreached(member.addr, error) };
    }
  }
}
