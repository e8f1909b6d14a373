/** What other members send: by SwarmKit's `Raft` (behaviour rule 3.5), and many in one call by `Replication`. */
import { RaftMember } from '../../../shared/wire/gen/raft.ts';
import { type Message, MessageType } from '../../../shared/wire/gen/raftpb.ts';
import { WireError } from '../../../shared/wire/runtime.ts';
import type { Log } from '../../log.ts';
import type { Caller } from '../../rpc/authorise.ts';
import { Code, RpcError } from '../../rpc/errors.ts';
import { implement, type Implementation } from '../../rpc/service.ts';
import { reachableAddress } from '../membership.ts';
import { join } from './chunks.ts';
import { REMOVED_TEXT } from './peer.ts';

/** The member that receives. */
export type Receiver = {
  /** 0 until this node is a member. */
  readonly raftId: () => bigint;
  readonly members: () => readonly RaftMember[];
  readonly isRemoved: (raftId: bigint) => boolean;
  /** A member that this one does not know of yet, or knows elsewhere, says where it is reached. */
  readonly meet: (member: RaftMember) => void;
  /** Asks the member itself whether it takes part. */
  readonly isHealthy: (raftId: bigint) => Promise<boolean>;
  /** @throws WireError */
  readonly receive: (message: Message) => void;
};

const isVote = ({ type }: Message): boolean =>
  type === MessageType.MsgVote || type === MessageType.MsgPreVote;

/** Whether a message is for this member, and is not one that must not come from outside. */
async function isWelcome(receiver: Receiver, message: Message): Promise<boolean> {
  if (message.to !== receiver.raftId()) return false;
  // Only the leader proposes.
  if (message.type === MessageType.MsgProp) return false;
  if (!isVote(message)) return true;
  // Who cannot be reached would be a leader of no use.
  const known = receiver.members().some(({ raftId }) => raftId === message.from);
  return known && (await receiver.isHealthy(message.from));
}

/** Who sent a message, as far as the connection tells. */
export type Sender = Pick<Caller, 'nodeId' | 'remoteAddress' | 'listensAt'>;

/**
 * A member that joined while this one was away may lead by now. Its entries would tell of it, but it
 * sends none until it is answered. The same is true of one that has another address since.
 */
function meetSender(receiver: Receiver, message: Message, sender: Sender): void {
  const { nodeId, remoteAddress, listensAt } = sender;
  if (listensAt === undefined || message.to !== receiver.raftId()) return;
  const known = receiver.members().find(({ raftId }) => raftId === message.from);
  if (known?.addr === listensAt || (known !== undefined && known.nodeId !== nodeId)) return;
  const addr = reachableAddress(listensAt, remoteAddress);
  if (known?.addr === addr) return;
  receiver.meet(RaftMember.create({ raftId: message.from, nodeId, addr }));
}

/**
 * Gives a message to the member, or ignores it.
 * @throws RpcError NotFound when its sender was removed
 */
export async function take(
  receiver: Receiver,
  message: Message | undefined,
  sender: Sender,
  log: Log,
): Promise<void> {
  if (message === undefined) return;
  if (receiver.isRemoved(message.from)) throw new RpcError(Code.NOT_FOUND, REMOVED_TEXT);
  meetSender(receiver, message, sender);
  if (!(await isWelcome(receiver, message))) {
    const { type, from, to } = message;
    log.debug({ type, from: from.toString(16), to: to.toString(16) }, 'ignored a raft message');
    return;
  }
  try {
    receiver.receive(message);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new RpcError(Code.INVALID_ARGUMENT, error.message);
  }
}

export function raftService(receiver: Receiver, log: Log): Implementation {
  return implement('Raft', {
    ProcessRaftMessage: async ({ message }, caller) => {
      await take(receiver, message, caller, log);
      return {};
    },
    StreamRaftMessage: async (pieces, caller) => {
      await take(receiver, await join(pieces), caller, log);
      return {};
    },
    ResolveAddress: ({ raftId }) => {
      const member = receiver.members().find((known) => known.raftId === raftId);
      if (member !== undefined) return { addr: member.addr };
      throw new RpcError(Code.NOT_FOUND, `member ${raftId.toString(16)} not found`);
    },
  });
}

export function replicationService(receiver: Receiver, log: Log): Implementation {
  return implement('Replication', {
    Carry: async (messages, caller) => {
      for await (const { message } of messages) await take(receiver, message, caller, log);
      return {};
    },
  });
}
