/** What the control service needs of the manager it runs in. */
import type { Env } from '../../shared/kit/env.ts';
import type { ManagerStatus } from '../../shared/wire/gen/types.ts';
import type { Store } from '../store/transaction.ts';

/** What raft knows of the managers. */
export type Members = {
  /** The member that runs on a node; undefined when that node is no member. */
  readonly byNode: (nodeId: string) => ManagerStatus | undefined;
  /** Whether enough members stay reachable when this one leaves, and else who is missing, in words. */
  readonly judgeRemoval: (raftId: bigint) => {
    readonly allowed: boolean;
    readonly missing: string;
  };
};

/** Makes what only the certificate authority and the key encryption know the form of. */
export type KeyMaker = {
  /** A fresh join token for the cluster whose root certificates are given in PEM. */
  readonly newJoinToken: (rootPem: string, fips: boolean) => string;
  /** A fresh key for locked managers: 32 random bytes. */
  readonly newUnlockKey: () => Uint8Array;
};

export type ControlContext = {
  readonly store: Store;
  readonly env: Env;
  readonly members: Members;
  readonly keys: KeyMaker;
  /** Whether a plugin of this name provides secrets. */
  readonly hasSecretDriver: (name: string) => boolean;
  /** Lets the event loop turn; long lists wait for it between their pieces. */
  readonly nextTurn: () => Promise<void>;
};
