/**
 * A real Docker Engine for one test: its own data, socket and, by a command prefix, network. It has the
 * image `busybox:latest`, made of this machine's static busybox, and pulls nothing that it has.
 */
import { spawn } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { engineAnswers } from '../../src/main/cli/engine.ts';
import { endProcess, type Finished, isAlive, missingCommands, run, tryRun } from './run.ts';
import type { Undo } from './undo.ts';
import { until } from './until.ts';

const BUSYBOX = '/bin/busybox';
const START_MS = 60_000;

/** Why no engine can run here; undefined when one can. */
export function whyNoEngine(): string | undefined {
  if (process.getuid?.() !== 0) return 'a Docker Engine needs root';
  const missing = missingCommands('dockerd', 'docker', 'ip', 'nsenter', 'iptables');
  if (missing.length > 0) return `this machine lacks ${missing.join(', ')}`;
  return existsSync(BUSYBOX) ? undefined : `this machine lacks a static ${BUSYBOX}`;
}

export type EngineOptions = {
  /** An existing folder for everything the engine keeps. */
  readonly directory: string;
  readonly undo: Undo;
  /** Stands before `dockerd`, such as `nsenter --net=…`; it must execute it in its own place. */
  readonly prefix?: readonly string[];
  /** Further flags of `dockerd`. */
  readonly flags?: readonly string[];
};

export class DockerEngine {
  readonly socketPath: string;
  readonly pid: number;
  readonly #directory: string;

  private constructor(directory: string, pid: number) {
    this.#directory = directory;
    this.socketPath = join(directory, 'docker.sock');
    this.pid = pid;
  }

  /** Resolves when the engine answers and has its image. */
  static async start({ directory, undo, prefix = [], flags = [] }: EngineOptions) {
    const [command = 'dockerd', ...args] = [
      ...prefix,
      'dockerd',
      `--data-root=${join(directory, 'data')}`,
      `--exec-root=${join(directory, 'exec')}`,
      `--pidfile=${join(directory, 'pid')}`,
      `--host=unix://${join(directory, 'docker.sock')}`,
      '--storage-driver=overlay2',
      ...flags,
    ];
    const log = openSync(join(directory, 'dockerd.log'), 'a');
    const env = { ...process.env, DOCKER_SERVICE_PREFER_OFFLINE_IMAGE: '1' };
    const child = spawn(command, args, { stdio: ['ignore', log, log], env });
    closeSync(log);
    const failed = Promise.withResolvers<never>();
    child.on('error', failed.reject);
    const engine = new DockerEngine(directory, child.pid ?? -1);
    child.unref();
    undo.add('end the Docker Engine', () => engine.#end());
    const up = until('a Docker Engine that answers', START_MS, async () => {
      if (await engineAnswers(engine.socketPath)) return true;
      if (!isAlive(engine.pid)) throw new Error(`dockerd ended:\n${engine.log()}`);
      return undefined;
    });
    await Promise.race([up, failed.promise]);
    engine.#importImage();
    return engine;
  }

  /** What the engine wrote so far. */
  log(): string {
    return readFileSync(join(this.#directory, 'dockerd.log'), 'utf8');
  }

  /** `docker …` on this engine, whatever comes of it. */
  try(...args: readonly string[]): Promise<Finished> {
    return tryRun('docker', '-H', `unix://${this.socketPath}`, ...args);
  }

  /** What `docker …` prints, trimmed. @throws Error when it fails. */
  async docker(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.try(...args);
    if (code !== 0) throw new Error(`docker ${args.join(' ')}: exit code ${code}\n${stderr}`);
    return stdout.trim();
  }

  /** What a command prints inside a container. */
  inside(container: string, ...command: readonly string[]): Promise<string> {
    return this.docker('exec', container, ...command);
  }

  #importImage(): void {
    const root = join(this.#directory, 'image');
    const tar = join(this.#directory, 'image.tar');
    mkdirSync(join(root, 'bin'), { recursive: true });
    mkdirSync(join(root, 'tmp'));
    copyFileSync(BUSYBOX, join(root, 'bin', 'busybox'));
    for (const applet of run(BUSYBOX, '--list').trim().split('\n')) {
      if (applet !== 'busybox') symlinkSync('busybox', join(root, 'bin', applet));
    }
    run('tar', '-C', root, '-cf', tar, '.');
    run('docker', '-H', `unix://${this.socketPath}`, 'import', tar, 'busybox:latest');
    rmSync(tar);
  }

  /** Containers, the engine, its containerd, and whatever is still mounted. */
  #end(): void {
    const containerdPid = join(this.#directory, 'exec', 'containerd', 'containerd.pid');
    const containerd = existsSync(containerdPid) ? Number(readFileSync(containerdPid)) : undefined;
    if (isAlive(this.pid) && existsSync(this.socketPath)) {
      const docker = ['docker', '-H', `unix://${this.socketPath}`] as const;
      const remove = `${docker.join(' ')} ps -aq | xargs -r ${docker.join(' ')} rm -f`;
      run('timeout', '30', 'sh', '-c', `${remove} || true`);
    }
    endProcess(this.pid, 15_000);
    if (containerd !== undefined) endProcess(containerd, 5000);
    const mounts = readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[1] ?? '')
      .filter((path) => path.startsWith(`${this.#directory}/`));
    for (const path of mounts.toReversed()) run('umount', '-l', path);
  }
}
