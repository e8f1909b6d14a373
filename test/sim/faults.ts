/**
 * What goes wrong, how often and for how long: another climate for every seed, so that what is rare
 * in any one mixture is common in some.
 */
import type { SimulatedManager } from './manager.ts';
import type { SimulatedNetwork } from './network.ts';
import type { World } from './world.ts';

const HOUR_MS = 3_600_000;

export type FaultCounts = Record<
  'crashes' | 'partitions' | 'oneWayCuts' | 'slowDisks' | 'fullDisks' | 'stalls' | 'clockJumps',
  number
>;

export class Faults {
  readonly counts: FaultCounts = {
    crashes: 0,
    partitions: 0,
    oneWayCuts: 0,
    slowDisks: 0,
    fullDisks: 0,
    stalls: 0,
    clockJumps: 0,
  };
  readonly #world: World;
  readonly #network: SimulatedNetwork;
  readonly #managers: readonly SimulatedManager[];
  /** How often a leader ends just after its election. */
  #leaderCrashPercent = 0;
  /** How often a voter ends while it stores its vote. */
  #voterCrashPercent = 0;
  /** How many more messages of a manager arrive before it ends. */
  readonly #lastMessages = new Map<SimulatedManager, number>();
  #over = false;

  constructor(world: World, network: SimulatedNetwork, managers: readonly SimulatedManager[]) {
    this.#world = world;
    this.#network = network;
    this.#managers = managers;
  }

  begin(): void {
    const world = this.#world;
    this.#voterCrashPercent = world.pick([0, 0, 30, 60]);
    this.#leaderCrashPercent = world.pick([0, 30, 95, 95]);
    this.#network.lossPercent = world.upTo(12);
    this.#network.repeatPercent = world.upTo(12);
    this.#network.delayMsMax = world.pick([2, 10, 60]);
    for (const manager of this.#managers) manager.clockRate = 0.7 + world.upTo(0.7);
    this.#every([400, 1_500, 6_000], () => this.#crash(world.pick(this.#managers)));
    this.#every([500, 2_000, 8_000], () => this.#partition());
    this.#every([500, 2_000, 8_000], () => this.#cutOneWay());
    this.#every([1_000, 4_000], () => this.#slowDisk(world.pick(this.#managers)));
    this.#every([3_000, 12_000], () => this.#fillDisk(world.pick(this.#managers)));
    this.#every([1_000, 4_000], () => this.#stall(world.pick(this.#managers)));
    this.#every([1_000, 4_000], () => this.#jump(world.pick(this.#managers)));
  }

  /** Everything is whole again from now on. */
  end(): void {
    this.#over = true;
    this.#world.note('faults end');
    const network = this.#network;
    network.mend();
    Object.assign(network, { lossPercent: 0, repeatPercent: 0, delayMsMax: 2 });
    for (const manager of this.#managers) {
      manager.clockRate = 1;
      manager.disk.full = false;
      manager.disk.syncMsMax = 5;
      if (!manager.up) manager.start();
    }
  }

  /** A manager is elected: the time when most is undecided. */
  elected(manager: SimulatedManager): void {
    const world = this.#world;
    if (this.#over || !world.chance(this.#leaderCrashPercent)) return;
    this.#lastMessages.set(manager, world.random.below(world.pick([1, 3, 6])));
  }

  /** A manager votes: what it must not forget. It is back before the next candidate asks. */
  voted(manager: SimulatedManager): void {
    const world = this.#world;
    if (this.#over || !world.chance(this.#voterCrashPercent)) return;
    world.after(world.upTo(manager.disk.syncMsMax), () => {
      if (this.#over || !manager.up) return;
      this.counts.crashes += 1;
      manager.crash();
      world.after(world.upTo(10), () => {
        if (!manager.up) manager.start();
      });
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
    world.after(world.upTo(world.pick([5, 300, 1_500])), () => {
      if (!manager.up) manager.start();
    });
  }

  /** Cuts some managers, and the clients that ask them, off from the others. */
  #partition(): void {
    this.#network.mend();
    const world = this.#world;
    if (world.chance(40)) return;
    this.counts.partitions += 1;
    const inside = this.#managers.filter(() => world.chance(40));
    const outside = this.#managers.filter((manager) => !inside.includes(manager));
    for (const one of inside) {
      for (const other of outside) {
        this.#network.cut(one.name, other.name);
        this.#network.cut(other.name, one.name);
      }
    }
    world.note(`only among themselves: ${inside.map(({ name }) => name).join(' ')}`);
  }

  #cutOneWay(): void {
    const from = this.#world.pick(this.#managers).name;
    const to = this.#world.pick(this.#managers).name;
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

  #jump(manager: SimulatedManager): void {
    this.counts.clockJumps += 1;
    manager.clockOffsetMs += this.#world.upTo(2 * HOUR_MS) - HOUR_MS;
    manager.clockRate = 0.7 + this.#world.upTo(0.7);
    this.#world.note(`${manager.name}'s clock jumps`);
  }
}
