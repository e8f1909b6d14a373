/**
 * Whoever runs the group: lets managers in, removes them, replaces those that are lost, and moves them
 * to other addresses, one thing after the other, while everything goes wrong.
 */
import type { RaftMember } from '../../src/shared/wire/gen/raft.ts';
import { EntryType, MessageType } from '../../src/shared/wire/gen/raftpb.ts';
import type { Checks } from './checks.ts';
import type { SimulatedManager } from './manager.ts';
import type { MembershipAnswer, MembershipCall } from './membership.ts';
import type { SimulatedNetwork } from './network.ts';
import type { World } from './world.ts';

const NAME = 'operator';
const TIMEOUT_MS = 1_200;
/** An operation that does not succeed so often is given up. */
const ATTEMPTS_MAX = 8;
/** After this time nothing that was sent is on its way any more. */
const QUIET_MS = 2_500;

export type OperatorOptions = {
  readonly world: World;
  readonly network: SimulatedNetwork;
  readonly checks: Checks;
  readonly managers: () => readonly SimulatedManager[];
  /** Another machine, which begins to ask to be let in. */
  readonly addManager: () => SimulatedManager;
  readonly onDefect: (error: unknown) => void;
};

export type OperatorCounts = Record<'joins' | 'removals' | 'moves' | 'losses', number>;

export class Operator {
  readonly counts: OperatorCounts = { joins: 0, removals: 0, moves: 0, losses: 0 };
  readonly #options: OperatorOptions;
  /** Members that it wants. */
  #sizeMin = 1;
  #sizeMax = 1;
  #over = false;
  #busy = false;
  #lastDoubtMs = -Infinity;

  constructor(options: OperatorOptions) {
    this.#options = options;
  }

  /** Whether nothing is under way. */
  get idle(): boolean {
    return !this.#busy;
  }

  /** Begins to work. */
  begin(): void {
    const { world, managers, onDefect } = this.#options;
    const meanMs = world.pick([100, 300, 1_000]);
    const size = managers().length;
    this.#sizeMin = world.pick([1, 2, 3].filter((min) => min <= size));
    this.#sizeMax = Math.max(this.#sizeMin + 1, world.pick([3, 4, 5]));
    this.#work(meanMs).catch(onDefect);
  }

  /** Begins nothing more. */
  end(): void {
    this.#over = true;
  }

  get #members(): readonly RaftMember[] {
    return this.#options.checks.configurations.members;
  }

  async #work(meanMs: number): Promise<void> {
    const { world } = this.#options;
    for (;;) {
      await world.pause(world.upTo(2 * meanMs));
      if (this.#over) return;
      if (this.#members.length === 0) continue;
      this.#busy = true;
      await this.#operate();
      this.#busy = false;
    }
  }

  async #operate(): Promise<void> {
    const { world } = this.#options;
    const size = this.#members.length;
    const lost = size >= 3 && world.chance(30) && this.#nothingIsPending() ? this.#pickUp() : null;
    if (lost !== null) return await this.#replaceLost(lost);
    if (world.chance(15)) return await this.#move();
    if (size <= this.#sizeMin || (size < this.#sizeMax && world.chance(50)))
      return await this.#join();
    const leader = this.#options.managers().find(({ leading }) => leading)?.name;
    const leads = this.#members.find(({ nodeId }) => nodeId === leader);
    const member = world.pick(this.#members);
    await this.#remove(world.chance(45) ? (leads ?? member) : member);
  }

  /** A machine is lost with its disk, another takes its place. */
  async #replaceLost(lost: SimulatedManager): Promise<void> {
    const { world } = this.#options;
    const member = this.#members.find(({ nodeId }) => nodeId === lost.name);
    lost.ruin();
    this.counts.losses += 1;
    const first = world.chance(50);
    if (first) await this.#join();
    if (member !== undefined) await this.#remove(member, Infinity);
    if (!first) await this.#join();
  }

  async #join(): Promise<void> {
    const { world, addManager } = this.#options;
    const { name } = addManager();
    const isMember = (): boolean => this.#members.some(({ nodeId }) => nodeId === name);
    for (let looks = 0; looks < 60 && !isMember(); looks += 1) await world.pause(100);
    if (isMember()) this.counts.joins += 1;
  }

  async #remove(member: RaftMember, attemptsMax = ATTEMPTS_MAX): Promise<void> {
    const { world, managers } = this.#options;
    // One that does not know yet that it was let in would ask again, and be let in again.
    if (!managers().some(({ name, joined, gone }) => name === member.nodeId && (joined || gone))) {
      return;
    }
    world.note(`${NAME} removes ${member.nodeId}`);
    const leads = managers().find(({ name, leading }) => leading && name === member.nodeId);
    // A careful operator lets another lead first.
    if (leads !== undefined && world.chance(35)) {
      leads.meddle(MessageType.MsgTransferLeader, world.pick(this.#members).raftId);
      await world.pause(world.upTo(400));
    }
    const call: MembershipCall = { name: 'Leave', node: member, nodeId: NAME };
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      const answer = await this.#call(call);
      const gone = answer?.kind === 'done' || answer?.text === 'raft: member unknown';
      if (gone) {
        this.counts.removals += 1;
        return;
      }
      await world.pause(world.upTo(300));
    }
  }

  /** A manager is reached at another address from now on. */
  async #move(): Promise<void> {
    const { world } = this.#options;
    const moved = this.#pickUp();
    // One that was let in and does not know it yet has to be where it said.
    if (moved?.joined !== true) return;
    moved.move();
    world.note(`${NAME} moves ${moved.name} to ${moved.address}`);
    const call: MembershipCall = { name: 'Join', addr: moved.address, nodeId: moved.name };
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      // One that was removed meanwhile would join again.
      if (!this.#members.some(({ nodeId }) => nodeId === moved.name)) return;
      const answer = await this.#call(call);
      if (answer?.kind === 'done') {
        this.counts.moves += 1;
        return;
      }
      await world.pause(world.upTo(300));
    }
  }

  /** A member that runs. */
  #pickUp(): SimulatedManager | null {
    const { world, managers } = this.#options;
    const members = new Set(this.#members.map(({ nodeId }) => nodeId));
    const up = managers().filter((manager) => manager.up && members.has(manager.name));
    return up.length === 0 ? null : world.pick(up);
  }

  /**
   * Whether no change of the membership can come to pass that is not known yet, and none of the members
   * is lost: then a group of three can lose one.
   */
  #nothingIsPending(): boolean {
    const { world, managers, checks } = this.#options;
    if (world.nowMs < this.#lastDoubtMs + QUIET_MS) return false;
    const members = new Set(this.#members.map(({ nodeId }) => nodeId));
    const { committedIndex, configurations } = checks;
    return managers().every((manager) => {
      if (manager.gone) return !members.has(manager.name);
      const { log, store } = manager;
      // What is stored there cannot be seen.
      if (log === undefined || store === undefined || manager.busy > 0) return false;
      // Who has not applied the newest change needs a majority of those before it.
      if (members.has(manager.name) && store.appliedIndex < configurations.lastIndex) return false;
      const from = Math.max(committedIndex + 1, log.firstIndex());
      const open = from > log.lastIndex() ? [] : log.entries(from, log.lastIndex() + 1, Infinity);
      return (open ?? []).every(({ type }) => type === EntryType.EntryNormal);
    });
  }

  /** Asks any manager. @returns undefined when no answer came */
  #call(call: MembershipCall): Promise<MembershipAnswer | undefined> {
    const { world, network, managers } = this.#options;
    const { promise, resolve } = Promise.withResolvers<MembershipAnswer | undefined>();
    const to = world.pick(managers().filter(({ gone }) => !gone));
    let asked = false;
    const deliver = (): void => {
      if (asked) return;
      asked = true;
      to.serveMembership(call, (answer) => {
        network.send({ from: to.name, to: NAME, deliver: () => resolve(answer) });
      });
    };
    network.send({ from: NAME, to: to.name, deliver });
    world.after(TIMEOUT_MS, () => {
      this.#lastDoubtMs = world.nowMs;
      resolve(undefined);
    });
    return promise;
  }
}
