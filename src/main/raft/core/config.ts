/**
 * What a node is told at its start, with SwarmKit's values as the defaults.
 */
import assert from 'node:assert/strict';
import { NONE } from './configuration.ts';
import type { LogStorage } from './storage.ts';
import type { Trace } from './trace.ts';

/** How reads are made linearizable: ask a majority each time, or trust the leader's lease. */
export type ReadOnlyOption = 'safe' | 'lease-based';

export type RaftSettings = {
  readonly id: bigint;
  /** Ticks without a word from the leader before an election; randomised up to twice that. */
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  /** A whole number in `[0, limit)`: the luck that spreads election timeouts. */
  readonly randBelow: (limit: number) => number;
  /** Encoded bytes of entries in one append; a larger entry travels alone. */
  readonly maxSizePerMsg: number;
  /** Encoded bytes of committed entries in one Ready. */
  readonly maxCommittedSizePerReady: number;
  /** Payload bytes of a leader's uncommitted tail; proposals beyond are dropped. */
  readonly maxUncommittedEntriesSize: number;
  readonly maxInflightMsgs: number;
  /** Payload bytes on their way to one follower; 0 is no limit. */
  readonly maxInflightBytes: number;
  /** A leader that hears no majority for an election timeout steps down. */
  readonly checkQuorum: boolean;
  /** Ask whether an election could be won before starting one (raft thesis section 9.6). */
  readonly preVote: boolean;
  readonly readOnlyOption: ReadOnlyOption;
  /** A leader that applies its own removal becomes a follower. */
  readonly stepDownOnRemoval: boolean;
  /** A follower passes proposals on to the leader; SwarmKit's receivers ignore them. */
  readonly forwardProposals: boolean;
  /** Let a configuration change be proposed while another is not applied yet. */
  readonly disableConfChangeValidation: boolean;
  /** Told of notable steps; costs nothing when absent. */
  readonly trace: Trace | undefined;
};

type Required = 'id' | 'randBelow';

export type RaftConfig = Pick<RaftSettings, Required> &
  Partial<Omit<RaftSettings, Required>> & {
    readonly storage: LogStorage;
    /** Last index the application has applied and stored; entries up to it are not given again. */
    readonly applied?: number;
  };

const DEFAULTS = {
  electionTicks: 10,
  heartbeatTicks: 1,
  maxSizePerMsg: 65_535,
  maxUncommittedEntriesSize: Infinity,
  maxInflightMsgs: 256,
  maxInflightBytes: 0,
  checkQuorum: true,
  preVote: false,
  readOnlyOption: 'safe',
  stepDownOnRemoval: false,
  forwardProposals: false,
  disableConfChangeValidation: false,
  trace: undefined,
} as const;

/** Fills in the defaults and checks that the settings fit each other. */
export function resolveSettings(config: RaftConfig): RaftSettings {
  const maxSizePerMsg = config.maxSizePerMsg ?? DEFAULTS.maxSizePerMsg;
  const settings = { ...DEFAULTS, maxCommittedSizePerReady: maxSizePerMsg, ...config };
  assert(settings.id !== NONE, 'a node needs an id');
  assert(settings.heartbeatTicks > 0, 'heartbeatTicks must be positive');
  assert(settings.electionTicks > settings.heartbeatTicks, 'elections must outlast heartbeats');
  assert(settings.maxInflightMsgs > 0, 'maxInflightMsgs must be positive');
  assert(
    settings.maxInflightBytes === 0 || settings.maxInflightBytes >= maxSizePerMsg,
    'maxInflightBytes must allow one full message',
  );
  assert(
    settings.readOnlyOption === 'safe' || settings.checkQuorum,
    'lease-based reads need checkQuorum',
  );
  return settings;
}
