/** What a crowd's process and whoever started it say to each other. */
import type { Credentials } from '../../src/main/rpc/listener.ts';

/**
 * `each`: the five states of a container on its way up, a call for each, as a stock engine does it;
 * `last`: only the state that a task reaches, and all that have gathered in one call.
 */
export type ReportMode = 'each' | 'last';

/** How a worker becomes a member: by a join token, or with an identity that is made for it. */
export type Membership =
  | { readonly by: 'token'; readonly token: string }
  | { readonly by: 'credentials'; readonly credentials: Credentials };

export type ToCrowd =
  | {
      readonly t: 'join';
      readonly address: string;
      readonly membership: Membership;
      /** Host names are this and a number. */
      readonly prefix: string;
      readonly count: number;
      readonly report: ReportMode;
      /** What a worker does when its session ends, which otherwise is a failure: opens another. */
      readonly returns: boolean;
    }
  /** Counts from zero. */
  | { readonly t: 'reset' }
  /** Asks how long the heartbeats since the reset took. */
  | { readonly t: 'beats' }
  | { readonly t: 'report'; readonly report: ReportMode }
  /** So many workers vanish: their connections are cut, and they do not come back. */
  | { readonly t: 'lose'; readonly count: number }
  /** So many running tasks exit with an error. */
  | { readonly t: 'fail'; readonly count: number }
  | { readonly t: 'leave' };

export type Counts = {
  /** Tasks heard of since the reset. */
  readonly assigned: number;
  /** Reports of RUNNING that the manager acknowledged. */
  readonly running: number;
  /** Reports of SHUTDOWN or FAILED that the manager acknowledged. */
  readonly ended: number;
  /** Tasks that the manager took away. */
  readonly removed: number;
  /** Calls of UpdateTaskStatus that were answered. */
  readonly calls: number;
  /** Attempts to open a session since the reset. */
  readonly tried: number;
  /** Sessions opened since the reset: registered, and told of the worker's tasks. */
  readonly opened: number;
  /** Sessions that stand now. */
  readonly sessions: number;
  /** Tasks held now. */
  readonly held: number;
};

export type FromCrowd =
  | { readonly t: 'joined' }
  | { readonly t: 'done' }
  | { readonly t: 'counts'; readonly counts: Counts }
  /** Milliseconds of each heartbeat, from the call to its answer. */
  | { readonly t: 'beats'; readonly ms: Float64Array }
  | { readonly t: 'failed'; readonly text: string };

/** A clock that all processes of this machine share, in milliseconds. */
export const clockMs = (): number => Number(process.hrtime.bigint()) / 1e6;
