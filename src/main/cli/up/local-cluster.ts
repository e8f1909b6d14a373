/**
 * A cluster on this machine as its file wishes it: one manager and its workers, each a process of its
 * own, which outlive the command that started them until they are told to stop.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { NodeStatusState } from '../../../shared/wire/gen/types.ts';
import type { Node } from '../../../shared/wire/gen/objects.ts';
import type { ClusterWish, WorkerWish } from '../../config/cluster-file.ts';
import { CommandError } from '../command-error.ts';
import { type Control, withCluster } from '../connection.ts';
import { theCluster } from '../lookup.ts';
import { engineAnswers } from '../engine.ts';
import { engineSocket } from '../node-flags.ts';
import { freePort, lastWords, launch, poll, stopAll } from './processes.ts';
import {
  type ClusterRecord,
  isAlive,
  type ProcessRecord,
  readRecord,
  socketFor,
  withLock,
  writeRecord,
} from './state.ts';

const START_TIMEOUT_MS = 60_000;
const CALL_TIMEOUT_MS = 2000;
const LOOK_PERIOD_MS = 200;

export type LocalClusterOptions = {
  readonly stateDir: string;
  /** `bin/skein`. */
  readonly entry: string;
  readonly file: string;
  readonly wish: ClusterWish;
  /** Where a Docker Engine would be. */
  readonly engineAddress: string;
  /** Overrides what the file says of every worker. */
  readonly executor: string | undefined;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
};

export class LocalCluster {
  readonly #options: LocalClusterOptions;
  #record: ClusterRecord;
  /** The manager was running before. */
  readonly wasRunning: boolean;

  private constructor(options: LocalClusterOptions, record: ClusterRecord) {
    this.#options = options;
    this.#record = record;
    this.wasRunning = record.manager !== undefined;
  }

  /** What is there already; nothing is started yet. */
  static async open(options: LocalClusterOptions): Promise<LocalCluster> {
    const { stateDir, wish, file } = options;
    const found = await readRecord(stateDir);
    if (found === undefined) {
      const address = await addressOf(wish);
      const socket = socketFor(stateDir);
      return new LocalCluster(options, { name: wish.name, file, socket, address, workers: [] });
    }
    const { manager, workers, ...rest } = found;
    return new LocalCluster(options, {
      ...rest,
      workers: workers.filter(isAlive),
      ...(manager !== undefined && isAlive(manager) ? { manager } : {}),
    });
  }

  get socket(): string {
    return this.#record.socket;
  }

  /** The processes that should be there and are not any more. */
  get dead(): readonly ProcessRecord[] {
    const { manager, workers } = this.#record;
    return [...(manager === undefined ? [] : [manager]), ...workers].filter((one) => !isAlive(one));
  }

  logFileOf(name: string): string {
    return join(this.#options.stateDir, `${name}.log`);
  }

  /** Starts what is missing, ends workers that the file no longer has, and waits until all are ready. */
  async start(): Promise<void> {
    await withLock(this.#options.stateDir, () => this.#start());
  }

  async #start(): Promise<void> {
    const { stateDir, say } = this.#options;
    const executors = await this.#executors();
    if (this.#record.manager === undefined) {
      say(`starting a manager at ${this.#record.address}; state in ${stateDir}`);
      await this.#keep({ ...this.#record, manager: this.#launchManager() });
    }
    const token = await this.#managerAnswers();
    await this.#endSurplus();
    for (const worker of this.#options.wish.workers) {
      if (this.#record.workers.some(({ name }) => name === worker.name)) continue;
      const executor = executors.get(worker.name) ?? 'process';
      say(`starting ${worker.name} (${executor.replace(/:.*/, '')})`);
      const launched = this.#launchWorker(worker, executor, token);
      await this.#keep({ ...this.#record, workers: [...this.#record.workers, launched] });
    }
    await this.#workersReady();
  }

  /** Ends every process; what they keep on disk stays. */
  async stop(hurry: AbortSignal): Promise<void> {
    await withLock(this.#options.stateDir, async () => {
      await stopAll(this.#record, hurry);
      const { manager: _, ...rest } = this.#record;
      await this.#keep({ ...rest, workers: [] });
    });
  }

  async #keep(record: ClusterRecord): Promise<void> {
    this.#record = record;
    await writeRecord(this.#options.stateDir, record);
  }

  /** Which executor each worker gets, said once with the reason. */
  async #executors(): Promise<ReadonlyMap<string, string>> {
    const { wish, executor, engineAddress, say } = this.#options;
    const wished = wish.workers.map((worker) => executor ?? worker.executor);
    let meant = 'process';
    if (wished.includes('auto')) {
      const socketPath = engineSocket(engineAddress);
      const answers = await engineAnswers(socketPath);
      meant = answers ? 'docker' : 'process';
      say(
        answers
          ? `tasks run as containers: a Docker Engine answers at ${socketPath}`
          : `tasks run as processes: no Docker Engine answers at ${socketPath}`,
      );
    } else if (wished.length > 0) {
      const by = executor === undefined ? 'the file says so' : '--executor says so';
      say(`tasks run on: ${[...new Set(wished)].join(', ')} (${by})`);
    }
    return new Map(
      wish.workers.map(({ name }, at) => {
        const kind = wished[at] === 'auto' ? meant : (wished[at] ?? meant);
        return [name, kind === 'simulated' ? `simulated:${at + 1}` : kind];
      }),
    );
  }

  #launchManager(): ProcessRecord {
    const { stateDir, wish, entry, engineAddress } = this.#options;
    const { availability, executor, advertise } = wish.manager;
    const words = wordsOf('manager', {
      'state-dir': join(stateDir, 'manager'),
      hostname: 'manager',
      'listen-control-api': this.#record.socket,
      'listen-remote-api': wish.manager.listen ?? this.#record.address,
      'advertise-remote-api': advertise,
      availability,
      executor,
      'engine-addr': engineAddress,
    });
    return launch(entry, { name: 'manager', words, logFile: this.logFileOf('manager') });
  }

  #launchWorker(worker: WorkerWish, executor: string, token: string): ProcessRecord {
    const { stateDir, entry, engineAddress } = this.#options;
    const { name, cpus, memory, generic, engineLabels } = worker;
    const labels = Object.entries(engineLabels).flatMap(([key, value]) => [
      '--label',
      `${key}=${value}`,
    ]);
    const flags = wordsOf('worker', {
      cpus,
      memory,
      'generic-node-resources': generic,
      'state-dir': join(stateDir, name),
      hostname: name,
      'join-addr': this.#record.address,
      // For the day that it is promoted.
      'listen-remote-api': '127.0.0.1:0',
      'listen-control-api': socketFor(join(stateDir, name)),
      executor,
      'engine-addr': engineAddress,
    });
    // Not among the words, which every user of the machine can read.
    const environment = { SKEIN_JOIN_TOKEN: token };
    const words = [...flags, ...labels];
    return launch(entry, { name, words, environment, logFile: this.logFileOf(name) });
  }

  /** The worker token, once the manager serves. */
  async #managerAnswers(): Promise<string> {
    const { signal } = this.#options;
    const token = await poll(() => this.#tryToken(), {
      timeoutMs: START_TIMEOUT_MS,
      periodMs: LOOK_PERIOD_MS,
      signal,
    });
    return token ?? this.#failed('the manager does not answer', 'manager');
  }

  async #tryToken(): Promise<string | undefined> {
    await this.#refuseDead();
    try {
      return await withCluster(this.socket, async ({ control }) => {
        const { rootCa } = await theCluster(patient(control));
        return rootCa.joinTokens.worker;
      });
    } catch (error) {
      // Not yet: the process is alive, or the check above would have said so.
      if (error instanceof Error) return undefined;
      throw error;
    }
  }

  async #workersReady(): Promise<void> {
    const { signal, wish } = this.#options;
    const names = new Set(wish.workers.map(({ name }) => name));
    const isReady = async (): Promise<true | undefined> => {
      await this.#refuseDead();
      const nodes = await withCluster(this.socket, async ({ control }) => readyNodes(control));
      for (const node of nodes) names.delete(node.description?.hostname ?? '');
      return names.size === 0 ? true : undefined;
    };
    const ready = await poll(isReady, {
      timeoutMs: START_TIMEOUT_MS,
      periodMs: LOOK_PERIOD_MS,
      signal,
    });
    const [missing] = names;
    if (ready === undefined) await this.#failed(`${missing} does not become ready`, missing ?? '');
  }

  async #refuseDead(): Promise<void> {
    const [dead] = this.dead;
    if (dead !== undefined) await this.#failed(`${dead.name} has ended`, dead.name);
  }

  async #failed(what: string, name: string): Promise<never> {
    const logFile = this.logFileOf(name);
    throw new CommandError(`${what}; its last words in ${logFile}:\n${await lastWords(logFile)}`);
  }

  /** Their nodes leave the cluster, and with them the identities in their folders. */
  async #forgetNodes(names: ReadonlySet<string>): Promise<void> {
    await withCluster(this.socket, async ({ control }) => {
      const { nodes } = await control.ListNodes({});
      for (const { id, description } of nodes) {
        if (names.has(description?.hostname ?? '')) {
          await control.RemoveNode({ nodeId: id, force: true });
        }
      }
    });
    for (const name of names) {
      await rm(join(this.#options.stateDir, name), { recursive: true, force: true });
    }
  }

  async #endSurplus(): Promise<void> {
    const wished = new Set(this.#options.wish.workers.map(({ name }) => name));
    const surplus = this.#record.workers.filter(({ name }) => !wished.has(name));
    if (surplus.length === 0) return;
    this.#options.say(
      `stopping ${surplus.map(({ name }) => name).join(', ')}: no longer in the file`,
    );
    await stopAll({ workers: surplus }, this.#options.signal);
    await this.#forgetNodes(new Set(surplus.map(({ name }) => name)));
    const workers = this.#record.workers.filter(({ name }) => wished.has(name));
    await this.#keep({ ...this.#record, workers });
  }
}

/** A command and its flags, without those that have no value. */
function wordsOf(command: string, flags: Readonly<Record<string, string | undefined>>): string[] {
  return [
    command,
    ...Object.entries(flags).flatMap(([flag, value]) =>
      value === undefined ? [] : [`--${flag}`, value],
    ),
  ];
}

const patient = (control: Control): Control => ({
  ...control,
  ListClusters: (request, options) =>
    control.ListClusters(request, { timeoutMs: CALL_TIMEOUT_MS, ...options }),
});

async function readyNodes(control: Control): Promise<readonly Node[]> {
  const { nodes } = await control.ListNodes({});
  return nodes.filter(({ status }) => status.state === NodeStatusState.READY);
}

/** Where the manager is reached: as the file says, or a free port of the loopback address. */
async function addressOf({ manager }: ClusterWish): Promise<string> {
  return manager.advertise ?? manager.listen ?? `127.0.0.1:${await freePort()}`;
}
