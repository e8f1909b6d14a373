/**
 * The options of `add-nodes`: what the nodes start from, and how they are set.
 */
import type { ReadOnlyOption } from '../../src/main/raft/core/config.ts';
import { toConfState } from '../../src/main/raft/core/configuration.ts';
import type { Snapshot } from '../../src/shared/wire/gen/raftpb.ts';
import type { NodeOptions } from './cluster.ts';
import { ScriptError } from './script.ts';
import type { Argument } from './script.ts';

type Start = { readonly snapshot: Snapshot; readonly options: NodeOptions };

export function addNodesOptions(args: readonly Argument[]): Start {
  const values = new Map(args.map((arg) => [arg.key, arg.values]));
  const start = { voters: values.get('voters') ?? [], index: values.get('index')?.[0] ?? '0' };
  const content = values.get('content')?.[0];
  for (const key of ['voters', 'index', 'content']) values.delete(key);
  let options: NodeOptions = {};
  for (const [key, [value = '']] of values) options = { ...options, ...option(key, value) };
  return {
    options,
    snapshot: {
      data: content === undefined ? undefined : Buffer.from(content),
      metadata: {
        confState: toConfState(start.voters.map(BigInt)),
        index: Number(start.index),
        term: start.index === '0' ? 0 : 1,
      },
    },
  };
}

function option(key: string, value: string): NodeOptions {
  const read = OPTIONS[key];
  if (read === undefined) throw new ScriptError(`add-nodes: option ${key} is not supported`);
  return read(value);
}

const OPTIONS: { readonly [key: string]: ((value: string) => NodeOptions) | undefined } = {
  'election-tick': (value) => ({ electionTicks: count(value) }),
  'heartbeat-tick': (value) => ({ heartbeatTicks: count(value) }),
  inflight: (value) => ({ maxInflightMsgs: count(value) }),
  'max-inflight-bytes': (value) => ({ maxInflightBytes: count(value) }),
  'max-size-per-msg': (value) => ({ maxSizePerMsg: count(value) }),
  'max-committed-size-per-ready': (value) => ({ maxCommittedSizePerReady: count(value) }),
  'max-uncommitted-size': (value) => ({ maxUncommittedEntriesSize: count(value) }),
  prevote: (value) => ({ preVote: flag(value) }),
  checkquorum: (value) => ({ checkQuorum: flag(value) }),
  'step-down-on-removal': (value) => ({ stepDownOnRemoval: flag(value) }),
  'disable-conf-change-validation': (value) => ({ disableConfChangeValidation: flag(value) }),
  'disable-proposal-forwarding': (value) => ({ forwardProposals: !flag(value) }),
  'read-only': (value) => ({ readOnlyOption: readOnlyOption(value) }),
  'async-storage-writes': (value) => {
    if (flag(value)) throw new ScriptError('async storage writes are not supported');
    return {};
  },
};

function count(value: string): number {
  const number = Number(value);
  if (!(number >= 0)) throw new ScriptError(`not a size: ${value}`);
  return number;
}

function flag(value: string): boolean {
  if (value !== 'true' && value !== 'false') throw new ScriptError(`not true or false: ${value}`);
  return value === 'true';
}

function readOnlyOption(value: string): ReadOnlyOption {
  if (value === 'safe' || value === 'lease-based') return value;
  throw new ScriptError(`invalid read-only option ${value}`);
}
