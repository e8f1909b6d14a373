/**
 * What goes wrong, how often and for how long: another climate for every seed, so that what is rare
 * in any one mixture is common in some.
 */
import { MessageType } from '../../src/shared/wire/gen/raftpb.ts';
import type { SimulatedManager } from './manager.ts';
import type { SimulatedNetwork } from './network.ts';
import type { World } from './world.ts';

/**
 * - `moving`: everything; the members come and go, and leadership moves for reasons that are none.
 * - `still`: the members stay who they are, and nobody meddles with raft.
 * - `elections`: besides, little happens but that leaders end: what needs a long row of them shows here.
 * - `deposed`: besides, little happens but that leaders are cut off and do not know it: what they should
 *   not answer any more shows here.
 */
export type Climate = 'moving' | 'still' | 'elections' | 'deposed';

const HOUR_MS = 3_600_000;

export type FaultCounts = Record<
  | 'crashes'
  | 'snapshotCrashes'
  | 'partitions'
  | 'oneWayCuts'
  | 'slowDisks'
  | 'fullDisks'
  | 'stalls'
  | 'clockJumps'
  | 'transfers'
  | 'campaigns'
  | 'forgottenLeaders',
  number
>;

export class Faults {
  readonly counts: FaultCounts = {
    crashes: 0,
    snapshotCrashes: 0,
    partitions: 0,
    oneWayCuts: 0,
    slowDisks: 0,
    fullDisks: 0,
    stalls: 0,
    clockJumps: 0,
    transfers: 0,
    campaigns: 0,
    forgottenLeaders: 0,
  };
  readonly #world: World;
  readonly #network: SimulatedNetwork;
  readonly #managers: () => readonly SimulatedManager[];
  /** How often a leader ends just after its election. */
  #leaderCrashPercent = 0;
  /** How often a voter ends while it stores its vote. */
  #voterCrashPercent = 0;
  /** How many messages of such a leader arrive, less than one of these. */
  #leaderMessages: readonly number[] = [1, 3, 6];
  /** How many times faster, or slower, than time clocks may run. */
  #skew = 1;
  /** How often a manager ends with a snapshot half stored, or just stored and nothing compacted. */
  #snapshotCrashPercent = 0;
  /** How many more messages of a manager arrive before it ends. */
  readonly #lastMessages = new Map<SimulatedManager, number>();
  #over = false;

  constructor(
    world: World,
    network: SimulatedNetwork,
    managers: () => readonly SimulatedManager[],
  ) {
    this.#world = world;
    this.#network = network;
    this.#managers = managers;
  }

  begin(climate: Climate): void {
    if (climate === 'elections') this.#beginElections();
    else if (climate === 'deposed') this.#beginDeposing();
    else this.#beginAll(climate);
  }

  /** Leaders end as soon as they have told somebody something, and are back soon. */
  #beginElections(): void {
    const world = this.#world;
    this.#skew = 1.2;
    this.#leaderCrashPercent = 95;
    this.#leaderMessages = [2, 6, 12];
    this.#network.lossPercent = world.upTo(8);
    this.#network.delayMsMax = world.pick([2, 10]);
    for (const manager of this.#managers()) this.met(manager);
  }

  /** Leaders are cut off, with slow clocks, and come back. */
  #beginDeposing(): void {
    const world = this.#world;
    this.#skew = world.pick([1.2, 2]);
    this.#network.lossPercent = world.upTo(4);
    for (const manager of this.#managers()) this.met(manager);
    // What waited meanwhile is then done in one turn.
    this.#repeat(60, () => {
      for (const leader of this.#leaders()) leader.stall(world.upTo(30));
    });
    this.#repeat(world.pick([600, 1_200]), () => {
      this.#network.mend();
      const leaders = this.#leaders();
      if (leaders.length > 0) this.#cutOff(leaders);
    });
  }

  #beginAll(climate: Climate): void {
    const world = this.#world;
    this.#skew = world.pick([1.1, 1.5, 3]);
    this.#voterCrashPercent = world.pick([0, 0, 30, 60]);
    this.#leaderCrashPercent = world.pick([0, 30, 95]);
    this.#snapshotCrashPercent = world.pick([0, 0, 20, 60]);
    this.#network.lossPercent = world.upTo(12);
    this.#network.repeatPercent = world.upTo(12);
    this.#network.delayMsMax = world.pick([2, 10, 60]);
    for (const manager of this.#managers()) this.met(manager);
    this.#every([400, 1_500, 6_000], () => this.#crash(this.#pick()));
    this.#every([500, 2_000, 8_000], () => this.#partition());
    this.#every([500, 2_000, 8_000], () => this.#cutOneWay());
    this.#every([1_000, 4_000], () => this.#slowDisk(this.#pick()));
    this.#every([3_000, 12_000], () => this.#fillDisk(this.#pick()));
    this.#every([1_000, 4_000], () => this.#stall(this.#pick()));
    this.#every([80, 1_000], () => this.#pick().stall(world.upTo(30)));
    this.#every([1_000, 4_000], () => this.#jump(this.#pick()));
    if (climate === 'still') return;
    this.#every([300, 1_500], () => this.#meddle('transfers', MessageType.MsgTransferLeader));
    this.#every([600, 3_000], () => this.#meddle('campaigns', MessageType.MsgTimeoutNow));
    this.#every([600, 3_000], () => this.#meddle('forgottenLeaders', MessageType.MsgForgetLeader));
  }

  /** A manager is there from now on. */
  met(manager: SimulatedManager): void {
    if (!this.#over) manager.clockRate = this.#luckyRate();
  }

  /** Everything is whole again from now on. */
  end(): void {
    this.#over = true;
    this.#world.note('faults end');
    const network = this.#network;
    network.mend();
    Object.assign(network, { lossPercent: 0, repeatPercent: 0, delayMsMax: 2 });
    for (const manager of this.#managers()) {
      manager.clockRate = 1;
      manager.disk.full = false;
      manager.disk.syncMsMax = 5;
      manager.start();
    }
  }

  /** A manager is elected: the time when most is undecided. */
  elected(manager: SimulatedManager): void {
    const world = this.#world;
    if (this.#over || !world.chance(this.#leaderCrashPercent)) return;
    this.#lastMessages.set(manager, world.random.below(world.pick(this.#leaderMessages)));
  }

  /** A manager votes: what it must not forget. It is back before the next candidate asks. */
  voted(manager: SimulatedManager): void {
    if (this.#over || !this.#world.chance(this.#voterCrashPercent)) return;
    this.#crashSoon(manager, 'crashes');
  }

  /** A manager gets a snapshot, or has stored one. */
  snapshot(manager: SimulatedManager): void {
    if (this.#over || !this.#world.chance(this.#snapshotCrashPercent)) return;
    this.#crashSoon(manager, 'snapshotCrashes');
  }

  /** A manager knows that it was removed, and perhaps nobody gets to hear that. */
  removed(manager: SimulatedManager): void {
    const world = this.#world;
    if (this.#over || !world.chance(50)) return;
    this.#network.loseFrom(manager.name);
    world.after(0, () => {
      if (!this.#over && world.chance(50)) this.#crash(manager);
      this.#network.loseFrom(manager.name);
    });
  }

  /** A message of `manager` is about to arrive. @returns whether it does. */
  passes(manager: SimulatedManager): boolean {
    const left = this.#lastMessages.get(manager);
    if (left === undefined || this.#over) return true;
    this.#lastMessages.set(manager, left - 1);
    if (left > 0) return true;
    this.#crash(manager);
    this.#network.loseFrom(manager.name);
    return false;
  }

  /** Does `fault` about as often as one of `meansMs` says, or never. */
  #every(meansMs: readonly number[], fault: () => void): void {
    const meanMs = this.#world.pick([...meansMs, Infinity]);
    if (meanMs !== Infinity) this.#repeat(meanMs, fault);
  }

  #repeat(meanMs: number, fault: () => void): void {
    this.#world.after(this.#world.upTo(2 * meanMs), () => {
      if (this.#over) return;
      fault();
      this.#repeat(meanMs, fault);
    });
  }

  #luckyRate(): number {
    return this.#skew ** (this.#world.upTo(2) - 1);
  }

  #pick(): SimulatedManager {
    return this.#world.pick(this.#managers().filter(({ gone }) => !gone));
  }

  /** While it writes, and back at once. */
  #crashSoon(manager: SimulatedManager, what: 'crashes' | 'snapshotCrashes'): void {
    const world = this.#world;
    world.after(world.upTo(manager.disk.syncMsMax), () => {
      if (this.#over || !manager.up) return;
      this.counts[what] += 1;
      manager.crash();
      world.after(world.upTo(10), () => manager.start());
    });
  }

  #crash(manager: SimulatedManager): void {
    if (!manager.up) return;
    this.counts.crashes += 1;
    manager.crash();
    this.#lastMessages.delete(manager);
    if (this.#world.chance(50)) this.#network.loseFrom(manager.name);
    this.#restart(manager);
  }

  #restart(manager: SimulatedManager): void {
    const world = this.#world;
    world.after(world.upTo(world.pick([5, 300, 1_500])), () => manager.start());
  }

  /** Cuts some managers, and the clients that ask them, off from the others. */
  #partition(): void {
    this.#network.mend();
    const world = this.#world;
    if (world.chance(40)) return;
    const leaders = this.#leaders();
    const alone = leaders.length > 0 && world.chance(40);
    this.#cutOff(alone ? leaders : this.#managers().filter(() => world.chance(40)));
  }

  #leaders(): readonly SimulatedManager[] {
    return this.#managers().filter(({ leading }) => leading);
  }

  #cutOff(inside: readonly SimulatedManager[]): void {
    this.counts.partitions += 1;
    const outside = this.#managers().filter((manager) => !inside.includes(manager));
    // A leader that is cut off leads on for a while, and the slower its clock, the longer.
    for (const manager of inside) if (manager.leading) manager.clockRate = 1 / this.#skew / 2;
    for (const one of inside) {
      for (const other of outside) {
        this.#network.cut(one.name, other.name);
        this.#network.cut(other.name, one.name);
      }
    }
    this.#world.note(`only among themselves: ${inside.map(({ name }) => name).join(' ')}`);
  }

  #cutOneWay(): void {
    const from = this.#pick().name;
    const to = this.#pick().name;
    this.counts.oneWayCuts += 1;
    this.#network.cut(from, to);
    this.#world.note(`${to} does not hear ${from}`);
  }

  #slowDisk({ disk, name }: SimulatedManager): void {
    const world = this.#world;
    this.counts.slowDisks += 1;
    disk.syncMsMax = world.pick([50, 400, 2_000]);
    world.note(`${name} syncs slowly`);
    world.after(world.upTo(3_000), () => {
      disk.syncMsMax = 5;
    });
  }

  /** The next write ends the process; it tries again until there is room. */
  #fillDisk(manager: SimulatedManager): void {
    const world = this.#world;
    this.counts.fullDisks += 1;
    manager.disk.full = true;
    world.note(`${manager.name} has no space left`);
    world.after(world.upTo(2_000), () => {
      manager.disk.full = false;
      if (!manager.up) this.#restart(manager);
    });
  }

  #stall(manager: SimulatedManager): void {
    this.counts.stalls += 1;
    manager.stall(this.#world.upTo(this.#world.pick([50, 500, 3_000])));
    this.#world.note(`${manager.name} stands still`);
  }

  /** Leadership moves for no good reason, or nearly. */
  #meddle(what: 'transfers' | 'campaigns' | 'forgottenLeaders', type: MessageType): void {
    const { driver } = this.#pick();
    const from = driver?.status()?.id ?? 0n;
    this.counts[what] += 1;
    this.#pick().meddle(type, from);
  }

  #jump(manager: SimulatedManager): void {
    this.counts.clockJumps += 1;
    manager.clockOffsetMs += this.#world.upTo(2 * HOUR_MS) - HOUR_MS;
    manager.clockRate = this.#luckyRate();
    this.#world.note(`${manager.name}'s clock jumps`);
  }
}
