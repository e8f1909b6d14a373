/**
 * Notable steps of a node, for logs and for the checkers of a simulation.
 */
import type { Message } from '../../../shared/wire/gen/raftpb.ts';

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader';

export type TraceEvent =
  | {
      readonly kind: 'role';
      readonly role: Role;
      readonly term: number;
      readonly leader: bigint;
    }
  | { readonly kind: 'ignored'; readonly message: Message; readonly why: string }
  | { readonly kind: 'voted'; readonly message: Message; readonly granted: boolean }
  | { readonly kind: 'campaign-refused'; readonly why: string }
  | { readonly kind: 'conf-change-ignored'; readonly why: string }
  | { readonly kind: 'configuration'; readonly voters: readonly bigint[] }
  | { readonly kind: 'snapshot-restored'; readonly index: number; readonly term: number };

export type Trace = (event: TraceEvent) => void;
