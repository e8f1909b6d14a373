/**
 * A manager's `RaftMembership` service, called without gRPC: by a manager that asks to be let in, and
 * by the operator. A manager that does not lead passes the call on once, as its listener would.
 */
import assert from 'node:assert/strict';
import { JoinResponse } from '../../src/shared/wire/gen/raft.ts';
import type { RaftMember } from '../../src/shared/wire/gen/raft.ts';
import { Membership } from '../../src/main/raft/membership.ts';
import { Code, RpcError } from '../../src/main/rpc/errors.ts';
import { StoreError } from '../../src/main/store/transaction.ts';
import type { Group, Life, SimulatedManager } from './manager.ts';

const CALL_TIMEOUT_MS = 1_500;
const DIAL_BACK_MS = 800;

export type MembershipCall = { readonly passedOn?: boolean; readonly nodeId: string } & (
  | { readonly name: 'Join'; readonly addr: string }
  | { readonly name: 'Leave'; readonly node: RaftMember }
);

export type MembershipAnswer =
  | { readonly kind: 'done'; readonly joined: JoinResponse }
  | { readonly kind: 'refused'; readonly text: string };

export function membershipOf(
  manager: SimulatedManager,
  life: () => Life,
  group: Group,
): Membership {
  const { world } = group;
  return new Membership({
    leading: () => life().driver.leading,
    members: () => life().driver.members(),
    isRemoved: (raftId) => life().driver.isRemoved(raftId),
    self: () => life().log.member()?.raftId ?? 0n,
    address: () => manager.address,
    isActive: (raftId) => life().ways.isActive(raftId),
    change: (change) => life().driver.changeMembership(change),
    mayJoin: (nodeId) => !group.managers().some(({ name, joined }) => joined && name === nodeId),
    nameOf: (nodeId) => nodeId,
    newId: () => BigInt(100 + world.random.below(1_000_000)),
    dialBack: async (address) => {
      const answer = await life().ways.call(address, askWhetherUp, DIAL_BACK_MS);
      if (answer === undefined) throw new RpcError(Code.UNKNOWN, `nobody answers at ${address}`);
    },
  });
}

const askWhetherUp = (to: SimulatedManager, reply: (up: true) => void): void => to.answer(reply);

/** Answers a call, or has the leader answer it. */
export async function serveMembership(life: Life, call: MembershipCall): Promise<MembershipAnswer> {
  const { driver, ways } = life;
  const leader = driver.status()?.leader ?? 0n;
  const there = driver.members().find(({ raftId }) => raftId === leader);
  if (driver.leading || there === undefined || call.passedOn === true) return serveHere(life, call);
  const ask = (to: SimulatedManager, reply: (answer: MembershipAnswer) => void): void =>
    to.serveMembership({ ...call, passedOn: true }, reply);
  const answer = await ways.call(there.addr, ask, CALL_TIMEOUT_MS);
  return answer ?? { kind: 'refused', text: 'the leader did not answer' };
}

async function serveHere(life: Life, call: MembershipCall): Promise<MembershipAnswer> {
  const { methods } = life.membership.service;
  const found = methods.find(({ method }) => method.path.endsWith(`/${call.name}`));
  assert(found !== undefined, `no method ${call.name}`);
  const caller = {
    nodeId: call.nodeId,
    organization: 'simulated',
    roles: ['swarm-manager'],
    remoteAddress: '10.0.0.1:1000',
    local: false,
    forwardedBy: undefined,
  };
  const request = call.name === 'Join' ? { addr: call.addr } : { node: call.node };
  try {
    const response = await found.handler(request, caller, new AbortController().signal);
    return { kind: 'done', joined: JoinResponse.create(response ?? {}) };
  } catch (error) {
    if (error instanceof RpcError || error instanceof StoreError) {
      return { kind: 'refused', text: error.message };
    }
    throw error;
  }
}

/** Asks one manager after the other to be let in, and keeps the answer. */
export async function join(manager: SimulatedManager, life: Life, group: Group): Promise<void> {
  const { world } = group;
  const { address, name } = manager;
  const call: MembershipCall = { name: 'Join', addr: address, nodeId: name };
  const ask = (to: SimulatedManager, reply: (answer: MembershipAnswer) => void): void =>
    to.serveMembership(call, reply);
  for (;;) {
    const via = world.pick(group.managers().filter((other) => other !== manager && !other.gone));
    const answer = await life.ways.call(via.address, ask, CALL_TIMEOUT_MS);
    if (answer?.kind === 'done') {
      const { raftId, members } = answer.joined;
      world.note(`${name} joins as ${raftId}`);
      const own = members.find((member) => member.raftId === raftId);
      assert(own !== undefined, `${name} joined a group that does not have it`);
      await life.log.saveMember(own, members);
      return;
    }
    await world.pause(world.upTo(600));
  }
}
