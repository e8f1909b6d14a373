/**
 * The shape of a role's step function: one handler for each message that concerns it.
 */
import type { Message, MessageType } from '../../../shared/wire/gen/raftpb.ts';
import type { RaftState } from './raft-state.ts';

export type Handler = (raft: RaftState, message: Message) => void;

/** Messages without a handler mean nothing to the role. */
export type Handlers = { readonly [type in MessageType]?: Handler };
