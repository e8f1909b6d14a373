/** A real `skein manager` in a process of its own, with its log on disk, as a subject of benchmarks. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Init } from '../../src/shared/wire/runtime.ts';
import { ServiceSpec } from '../../src/shared/wire/gen/specs.ts';
import { RestartPolicyRestartCondition } from '../../src/shared/wire/gen/types.ts';
import { isAlive } from '../../test/support/run.ts';
import { Swarm } from '../../test/support/swarm.ts';
import type { Undo } from '../../test/support/undo.ts';
import { until } from '../../test/support/until.ts';
import type { Membership } from '../crowd/messages.ts';
import type { FromProbe, ProbeReading, TaskCounts, ToProbe } from './probe-messages.ts';
import { TURNS_FILE } from './long-turns.ts';
import { ProcessStat } from './process-stat.ts';
import type { ServiceShape, Subject } from './subject.ts';

const ENTRY = fileURLToPath(new URL('../../bin/skein.ts', import.meta.url));
const PROBE = new URL('./probe.ts', import.meta.url).href;

export type SkeinOptions = {
  /** An existing folder on the disk to be measured. */
  readonly directory: string;
  /** Where it listens. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly undo: Undo;
  /** Stands before the command, such as `nsenter --net=…`. */
  readonly prefix?: readonly string[] | undefined;
  /** Writes CPU profiles of its threads into this folder when it ends. */
  readonly profile?: string | undefined;
  /** Whether its turns are timed, which costs it some 3 % of its main thread; yes unless given. */
  readonly watchTurns?: boolean;
  /** Workers are asked for a heartbeat this often. */
  readonly heartbeatMs?: number | undefined;
};

export class SkeinManager implements Subject {
  readonly name = 'skein';
  readonly stat: ProcessStat;
  readonly #child: ChildProcess;
  readonly #swarm: Swarm;
  #address = '';
  #membership: Membership | undefined;

  private constructor(child: ChildProcess, swarm: Swarm) {
    this.#child = child;
    this.stat = new ProcessStat(child.pid);
    this.#swarm = swarm;
  }

  /** Resolves when it leads. */
  static async start(options: SkeinOptions): Promise<SkeinManager> {
    const { directory, host, port, undo, prefix = [], profile, heartbeatMs } = options;
    const { watchTurns = true } = options;
    const socket = join(directory, 'control.sock');
    const profiling = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
    const [command = '', ...args]: string[] = [
      ...prefix,
      process.execPath,
      ...profiling,
      `--import=${PROBE}`,
      ENTRY,
      'manager',
      `--state-dir=${join(directory, 'state')}`,
      `--listen-remote-api=${host}:${port}`,
      `--listen-control-api=${socket}`,
      '--executor=none',
      '--availability=drain',
      '--hostname=skein-manager',
    ];
    const logFile = join(directory, 'manager.log');
    const log = openSync(logFile, 'a');
    const stdio = ['ignore', log, log, 'ipc'] as const;
    // What the probe loads, before the command can say where the compile cache is, is none of its cost.
    const cached = {
      NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache'),
      SKEIN_BENCH_WATCH_TURNS: watchTurns ? 'yes' : 'no',
      ...process.env,
    };
    const env =
      profile === undefined ? cached : { ...cached, SKEIN_BENCH_TURNS: join(profile, TURNS_FILE) };
    const child = spawn(command, args, { env, stdio: [...stdio], serialization: 'advanced' });
    closeSync(log);
    undo.add('end the Skein manager', () => child.kill('SIGKILL'));
    const swarm = new Swarm(socket);
    undo.add('close the channel', () => swarm[Symbol.dispose]());
    const manager = new SkeinManager(child, swarm);
    await until('the Skein manager leads', 30_000, () => {
      if (child.exitCode !== null) throw new Error(readFileSync(logFile, 'utf8'));
      return swarm.leads();
    });
    if (heartbeatMs !== undefined) await manager.#setHeartbeat(heartbeatMs);
    const { worker: token } = (await swarm.cluster()).rootCa.joinTokens;
    manager.#membership = { by: 'token', token };
    const { nodes } = await swarm.control.ListNodes({});
    manager.#address = nodes[0]?.managerStatus?.addr ?? '';
    return manager;
  }

  async #setHeartbeat(periodMs: number): Promise<void> {
    const heartbeatPeriod = {
      seconds: Math.floor(periodMs / 1000),
      nanos: (periodMs % 1000) * 1e6,
    };
    await this.#swarm.updateCluster((spec) => ({ ...spec, dispatcher: { heartbeatPeriod } }));
  }

  get address(): string {
    return this.#address;
  }

  get membership(): Membership {
    if (this.#membership === undefined) throw new Error('the manager is not up yet');
    return this.#membership;
  }

  async create(shape: ServiceShape): Promise<string> {
    const { service } = await this.#swarm.control.CreateService({ spec: specOf(shape) });
    if (service === undefined) throw new Error('the manager answered without the service');
    return service.id;
  }

  async update(id: string, shape: ServiceShape): Promise<void> {
    const { service } = await this.#swarm.control.GetService({ serviceId: id });
    if (service === undefined) throw new Error(`there is no service ${id}`);
    const spec = ServiceSpec.create(specOf(shape));
    const serviceVersion = service.meta.version;
    await this.#swarm.control.UpdateService({ serviceId: id, serviceVersion, spec });
  }

  async remove(id: string): Promise<void> {
    await this.#swarm.control.RemoveService({ serviceId: id });
  }

  async running(): Promise<number> {
    return (await this.counts()).running;
  }

  async stored(): Promise<number> {
    return (await this.counts()).stored;
  }

  /** What the probe inside the process has seen since the last `reset`. */
  async read(): Promise<ProbeReading> {
    const answer = await this.#ask({ t: 'read' });
    assert('tasks' in answer);
    return answer;
  }

  /** Tasks of all services that run, and all that are stored. */
  async counts(): Promise<TaskCounts> {
    const answer = await this.#ask({ t: 'count' });
    assert('stored' in answer);
    return answer;
  }

  /** Counts from zero; latencies of tasks count from now, or from when their service was created. */
  async reset(since: 'now' | 'service'): Promise<void> {
    await this.#ask({ t: 'reset', since });
    this.stat.resetPeak();
  }

  #ask(message: ToProbe): Promise<FromProbe> {
    return new Promise((resolve, reject) => {
      const gone = (): void => reject(new Error('the Skein manager has ended'));
      this.#child.once('exit', gone);
      this.#child.once('message', (reading: FromProbe) => {
        this.#child.removeListener('exit', gone);
        resolve(reading);
      });
      this.#child.send(message);
    });
  }

  /** Ends it cleanly, so that profiles are written; or at once, as a crash would. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    if (!isAlive(this.#child.pid ?? -1)) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill(signal);
    await ended;
  }
}

function specOf({ name, replicas, version = 1 }: ServiceShape): Init<ServiceSpec> {
  return {
    annotations: { name },
    mode: { case: 'replicated', value: { replicas: BigInt(replicas) } },
    task: {
      runtime: {
        case: 'container',
        value: { image: 'busybox:latest', command: ['sleep', '1000'], env: [`VERSION=${version}`] },
      },
      restart: { condition: RestartPolicyRestartCondition.ANY, delay: { seconds: 0, nanos: 0 } },
    },
    update: { parallelism: 0, delay: { seconds: 0, nanos: 0 } },
  };
}
