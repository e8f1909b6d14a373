import type { RaftMember } from '../../shared/wire/gen/raft.ts';

/** What a log that is being replayed tells of the group. */
export type Told = {
  readonly members: () => readonly RaftMember[];
  readonly isRemoved: (raftId: bigint) => boolean;
};

/** A member that said itself where it is reached. */
export type Met = {
  readonly member: RaftMember;
  /** Where the log said so when it was met; undefined when the log did not know it. */
  readonly insteadOf: string | undefined;
};

/**
 * Whom a member sends to and votes for: the members, and while its log does not tell of them, those
 * that were there when it joined. Without them a group whose second member has no log yet could not
 * elect anybody. A log that does not tell of `self` yet is older than that time, and so are its
 * addresses: whoever was stopped with such a log would look for the others where they are no more. A
 * member that said that it is elsewhere than its log tells is sent to there: of two members neither
 * could lead otherwise, and put the new address into the log.
 */
export function knownMembers(
  told: Told,
  self: bigint,
  atJoin: readonly RaftMember[],
  met: ReadonlyMap<bigint, Met> = new Map(),
): readonly RaftMember[] {
  const log = told.members();
  const isOlder = log.every(({ raftId }) => raftId !== self);
  const newer = new Map(isOlder ? atJoin.map((member) => [member.raftId, member]) : []);
  const members = log.map(
    (member) => met.get(member.raftId)?.member ?? newer.get(member.raftId) ?? member,
  );
  const ids = new Set(members.map(({ raftId }) => raftId));
  const others = [...atJoin, ...[...met.values()].map(({ member }) => member)];
  const hints = others.filter(({ raftId }) => !ids.has(raftId) && !told.isRemoved(raftId));
  return [...members, ...hints];
}

/** The members met of which the log has said nothing since: it counts from when it tells of them. */
export function stillMet(told: Told, met: ReadonlyMap<bigint, Met>): ReadonlyMap<bigint, Met> {
  const addresses = new Map(told.members().map(({ raftId, addr }) => [raftId, addr]));
  return new Map(
    [...met].filter(
      ([raftId, { insteadOf }]) => !told.isRemoved(raftId) && addresses.get(raftId) === insteadOf,
    ),
  );
}
