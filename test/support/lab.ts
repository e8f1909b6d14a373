/**
 * A cluster of real parts on one machine: a manager and a Skein worker in processes of their own, and
 * a Docker Engine in a network namespace. Everything is gone after `undo`, whatever happened.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { realEnv } from '../../src/main/env.ts';
import { silentLog } from '../../src/main/log.ts';
import { Node } from '../../src/main/node/node.ts';
import { NodeSpecAvailability } from '../../src/shared/wire/gen/specs.ts';
import { Daemon } from './daemon.ts';
import { DockerEngine } from './dockerd.ts';
import { LabNetwork, type Namespace } from './lab-network.ts';
import { type Finished, tryRun } from './run.ts';
import { Swarm } from './swarm.ts';
import { Undo } from './undo.ts';
import { until } from './until.ts';

const SKEIN = fileURLToPath(new URL('../../bin/skein.ts', import.meta.url));
const PORT = 2377;

export class Lab implements Disposable {
  readonly #undo = new Undo();
  readonly #directory: string;
  readonly network: LabNetwork;
  readonly swarm: Swarm;
  readonly #manager: Daemon;

  constructor() {
    this.#directory = mkdtempSync(join(tmpdir(), 'skein-e2e-'));
    this.#undo.add('remove the files', () => rmSync(this.#directory, { recursive: true }));
    try {
      this.network = new LabNetwork(this.#undo);
    } catch (error) {
      this.#undo[Symbol.dispose]();
      throw error;
    }
    this.swarm = new Swarm(this.#controlSocket);
    this.#manager = this.#daemon('manager', [
      `--state-dir=${this.folder('manager')}`,
      `--listen-remote-api=${this.address}`,
      `--listen-control-api=${this.#controlSocket}`,
      '--executor=none',
      '--availability=drain',
    ]);
  }

  #daemon(command: 'manager' | 'worker', args: readonly string[]): Daemon {
    return new Daemon({
      name: `skein ${command}`,
      args: [command, ...args, '--log-level=debug'],
      logFile: join(this.#directory, `${command}.log`),
      undo: this.#undo,
    });
  }

  [Symbol.dispose](): void {
    this.swarm[Symbol.dispose]();
    this.#undo[Symbol.dispose]();
  }

  get #controlSocket(): string {
    return join(this.#directory, 'control.sock');
  }

  /** `host:port` of the manager. */
  get address(): string {
    return `${this.network.address}:${PORT}`;
  }

  /** An empty folder of this name, for whoever needs one. */
  folder(name: string): string {
    const path = join(this.#directory, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** Starts the manager, or starts it again; resolves when it leads. */
  async startManager(): Promise<void> {
    this.#manager.start();
    await until('the manager leads', 30_000, () => this.swarm.leads());
  }

  /** Ends the manager by this signal. */
  async endManager(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    await (signal === 'SIGKILL' ? this.#manager.kill() : this.#manager.stop());
  }

  /** The same manager in this process, for what no RPC can do. It must be stopped by `stop`. */
  async managerHere(): Promise<Node> {
    return await Node.start({
      stateDir: this.folder('manager'),
      hostname: '',
      join: undefined,
      availability: NodeSpecAvailability.ACTIVE,
      executor: undefined,
      taskThreads: 1,
      manager: {
        listen: { host: this.network.address, port: PORT },
        advertise: { host: this.network.address, port: PORT },
        controlSocket: this.#controlSocket,
        tickMs: 1000,
      },
      env: realEnv,
      log: silentLog,
      onFatal: (error) => {
        throw error;
      },
    });
  }

  /** Runs `skein …` on this cluster. */
  skein(...args: readonly string[]): Promise<Finished> {
    return tryRun(process.execPath, SKEIN, ...args, `--socket=${this.#controlSocket}`);
  }

  /** Starts a Skein worker of this name; `flags` say where its tasks run. */
  async startWorker(hostname: string, ...flags: readonly string[]): Promise<void> {
    const { worker } = (await this.swarm.cluster()).rootCa.joinTokens;
    const daemon = this.#daemon('worker', [
      `--state-dir=${this.folder(hostname)}`,
      `--hostname=${hostname}`,
      `--join-addr=${this.address}`,
      `--join-token=${worker}`,
      ...flags,
    ]);
    daemon.start();
  }

  /** A Docker Engine in a network namespace of its own. */
  async startEngine(name: string): Promise<{ engine: DockerEngine; namespace: Namespace }> {
    const namespace = this.network.namespace();
    const engine = await DockerEngine.start({
      directory: this.folder(name),
      undo: this.#undo,
      prefix: namespace.prefix,
      flags: ['--bip=172.31.255.1/24'],
    });
    return { engine, namespace };
  }
}
