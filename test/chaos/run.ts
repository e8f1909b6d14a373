/**
 * The chaos run: three managers as processes, a fleet of simulated workers, clients that ask any
 * manager, and a leader that is killed again and again, or cut off. What was acknowledged, read,
 * placed and held is judged at the end, and what took how long is told.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '../../src/shared/kit/random.ts';
import { NodeStatusState } from '../../src/shared/wire/gen/types.ts';
import { type Gauges, gaugesOf } from '../support/gauges.ts';
import { LabNetwork } from '../support/lab-network.ts';
import { Managers } from '../support/managers.ts';
import type { Undo } from '../support/undo.ts';
import { CUTS, faultOf } from './faults.ts';
import { type Counts, History } from './history.ts';
import { Load } from './load.ts';
import { Probes } from './probes.ts';
import { judge } from './verdict.ts';
import { Workload } from './workload.ts';

const MANAGERS = 3;
/** Before the first fault and after the last, load only. */
const CALM_MS = 5000;
/** From a kill to the restart. */
const DEAD_MS = { min: 3000, max: 5000 } as const;

export type ChaosOptions = {
  readonly undo: Undo;
  readonly seed: bigint;
  readonly workers: number;
  readonly kills: number;
  readonly killEveryMs: number;
  /** What else is done, by name and in this order; cuts need root and network namespaces. */
  readonly faults: readonly string[];
  readonly faultMs: { readonly min: number; readonly max: number };
  /** Hears of each kill and fault once it is over. */
  readonly onTold?: (told: Told) => void;
};

/** A kill or another fault, and what took how long, in milliseconds from its beginning. */
export type Told = {
  readonly what: string;
  /** Until the first write was accepted that was asked for after the fault began. */
  readonly firstWriteMs: number;
  /** How long it lasted: the process was gone, or the cut was there. */
  readonly lastedMs: number;
  /** Until every worker was READY, after the first write. */
  readonly readyMs: number;
};

export type Report = {
  readonly seed: string;
  readonly workers: number;
  readonly kills: readonly Told[];
  readonly faults: readonly Told[];
  readonly phases: Readonly<Record<string, Phase>>;
  readonly operations: number;
  readonly cells: number;
  readonly taskLooks: number;
  readonly serviceChanges: number;
  readonly failures: Readonly<Record<string, number>>;
  /** What must never be. */
  readonly wrong: readonly string[];
};

export type Phase = Counts & {
  readonly seconds: number;
  /** What all managers together hold at its end. */
  readonly gauges: Gauges;
};

export async function chaosRun(options: ChaosOptions): Promise<Report> {
  const run = await Run.start(options);
  return run.play();
}

/** How much more than before the faults all managers may hold after them, under the same load. */
const MORE = { openFiles: 15, threads: 3 } as const;
/** For connections to end whose other end was cut off. */
const SETTLE_MS = 30_000;

const isLab = ({ faults }: ChaosOptions): boolean => faults.some((name) => name in CUTS);

class Run {
  readonly #options: ChaosOptions;
  readonly #managers: Managers;
  readonly #random: Random;
  readonly #history = new History();
  readonly #workload: Workload;
  readonly #probes: Probes;
  readonly #phases: Record<string, Phase> = {};
  readonly #wrong: string[] = [];
  #isOver = false;

  private constructor(options: ChaosOptions, managers: Managers, workload: Workload) {
    this.#options = options;
    this.#managers = managers;
    this.#workload = workload;
    this.#random = new Random(options.seed);
    this.#probes = new Probes(this.#history);
  }

  static async start(options: ChaosOptions): Promise<Run> {
    const { undo, seed, workers } = options;
    const managers = new Managers(undo, isLab(options) ? { network: new LabNetwork(undo) } : {});
    await managers.start(MANAGERS);
    await managers.fleet(workers);
    const workload = await Workload.start(managers, new Random(seed + 1n), workers);
    return new Run(options, managers, workload);
  }

  async play(): Promise<Report> {
    const load = this.#load();
    try {
      const before = await this.#phase('calm before', () => sleep(CALM_MS));
      const kills: Told[] = [];
      if (this.#options.kills > 0) await this.#phase('kills', () => this.#kills(kills));
      const faults: Told[] = [];
      if (this.#options.faults.length > 0) await this.#phase('faults', () => this.#faults(faults));
      await this.#phase('calm after', () => sleep(CALM_MS));
      await this.#settled(before);
      this.#isOver = true;
      await load;
      return await this.#report(kills, faults);
    } finally {
      this.#isOver = true;
    }
  }

  async #kills(told: Told[]): Promise<void> {
    const { kills, killEveryMs, onTold } = this.#options;
    for (let i = 0; i < kills; i += 1) {
      const rest = sleep(killEveryMs);
      const one = await this.#kill();
      told.push(one);
      onTold?.(one);
      await rest;
    }
  }

  async #faults(told: Told[]): Promise<void> {
    for (const name of this.#options.faults) {
      const one = await this.#fault(name);
      told.push(one);
      this.#options.onTold?.(one);
    }
  }

  /** Resolves when the run is over and the last call has been answered. */
  async #load(): Promise<void> {
    const load = new Load(this.#managers.all, this.#history, this.#random);
    const isOver = (): boolean => this.#isOver;
    await Promise.all([this.#workload.change(isOver), this.#workload.watch(isOver)]);
    await load.stop();
  }

  async #phase(name: string, play: () => Promise<void>): Promise<Gauges> {
    const startedMs = performance.now();
    const counts = this.#history.count();
    await play();
    this.#history.count();
    const gauges = this.#gauges();
    this.#phases[name] = { ...counts, seconds: (performance.now() - startedMs) / 1000, gauges };
    return gauges;
  }

  /** Sees that the managers hold what they held before, in the end. */
  async #settled(before: Gauges): Promise<void> {
    const deadlineMs = performance.now() + SETTLE_MS;
    for (;;) {
      const now = this.#gauges();
      const files = now.openFiles - before.openFiles;
      const threads = now.threads - before.threads;
      if (files <= MORE.openFiles && threads <= MORE.threads) return;
      if (performance.now() > deadlineMs) {
        this.#wrong.push(`the managers hold ${files} more files and ${threads} more threads`);
        return;
      }
      await sleep(500);
    }
  }

  /** Kills the leader, and starts it again after a while. */
  async #kill(): Promise<Told> {
    const leader = await this.#managers.leader();
    const others = this.#managers.all.filter((manager) => manager !== leader);
    const startedMs = performance.now();
    await leader.daemon.kill();
    const dead = sleep(this.#between(DEAD_MS)).then(() => {
      leader.daemon.start();
      return performance.now() - startedMs;
    });
    const firstWriteMs = (await this.#probes.firstWrite(others, startedMs)) - startedMs;
    const readyMs = (await this.#allReady()) - startedMs;
    const lastedMs = await dead;
    await this.#recovered(`the kill of ${leader.name}`);
    return { what: `kill of ${leader.name}`, firstWriteMs, lastedMs, readyMs };
  }

  async #fault(what: string): Promise<Told> {
    const { all } = this.#managers;
    const leader = await this.#managers.leader();
    const [a, b] = all.filter((manager) => manager !== leader);
    if (a === undefined || b === undefined) throw new Error('there are too few managers');
    const [follower, other] = this.#random.below(2) === 0 ? [a, b] : [b, a];
    const startedMs = performance.now();
    const end = faultOf(what)({ leader, follower, other });
    try {
      const over = sleep(this.#between(this.#options.faultMs));
      const firstWriteMs = (await this.#probes.firstWrite(all, startedMs)) - startedMs;
      await over;
      end();
      const lastedMs = performance.now() - startedMs;
      const readyMs = (await this.#allReady()) - startedMs;
      await this.#recovered(what);
      return { what, firstWriteMs, lastedMs, readyMs };
    } finally {
      end();
    }
  }

  /** Every manager answers again, and no task that was to stay has moved. */
  async #recovered(what: string): Promise<void> {
    await this.#probes.allAccept(this.#managers.all);
    let moved: readonly string[] = [];
    await this.#managers
      .until('the tasks run where they ran', async () => {
        moved = await this.#workload.moved(this.#managers.anyRunning().control);
        return moved.length === 0;
      })
      .catch((error: unknown) => {
        if (moved.length === 0) throw error;
        this.#wrong.push(...moved.slice(0, 5).map((text) => `after ${what}: ${text}`));
      });
  }

  /** Resolves with the moment at which all nodes were READY. */
  async #allReady(): Promise<number> {
    const nodesMax = this.#options.workers + MANAGERS;
    // The managers' own nodes come back with their processes.
    return this.#managers.until('all workers are READY', async () => {
      const nodes = await this.#managers.nodes();
      const workers = nodes.filter(({ managerStatus }) => managerStatus === undefined);
      const ready = workers.filter(({ status }) => status.state === NodeStatusState.READY);
      if (nodes.length > nodesMax) this.#wrong.push(`there are ${nodes.length} nodes`);
      return ready.length === this.#options.workers && performance.now();
    });
  }

  #gauges(): Gauges {
    const all = this.#managers.all.map(({ daemon }) => gaugesOf(daemon.pid));
    const sum = (pick: (gauges: Gauges) => number): number =>
      all.reduce((total, gauges) => total + pick(gauges), 0);
    return {
      rssMiB: sum(({ rssMiB }) => rssMiB),
      openFiles: sum(({ openFiles }) => openFiles),
      threads: sum(({ threads }) => threads),
    };
  }

  async #report(kills: readonly Told[], faults: readonly Told[]): Promise<Report> {
    await this.#workload.settles();
    const { operations, cells, wrong } = await judge(this.#history, this.#managers);
    return {
      seed: String(this.#options.seed),
      workers: this.#options.workers,
      kills,
      faults,
      phases: this.#phases,
      operations,
      cells,
      taskLooks: this.#workload.looks,
      serviceChanges: this.#workload.changes,
      failures: Object.fromEntries(this.#history.failures),
      wrong: [...this.#wrong, ...wrong, ...this.#workload.wrong],
    };
  }

  #between({ min, max }: { readonly min: number; readonly max: number }): number {
    return min + this.#random.below(max - min + 1);
  }
}
