/**
 * A Docker Engine of a test's own, in a network namespace of its own: its files in a temporary
 * directory, no bridge, no firewall rules, and a `busybox` image made from the machine's static
 * busybox. It can be killed and started again; `stop` leaves nothing behind.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import Docker from 'dockerode';
import { tar, type TarEntry } from '../tar.ts';

const run = promisify(execFile);

export const IMAGE = 'busybox:latest';

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;

/** Why no engine can be started here; undefined when one can. */
export async function whyNoEngine(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'a Docker Engine needs root';
  for (const command of ['dockerd', 'containerd', 'runc', 'busybox', 'ip', 'nsenter']) {
    const found = await run('which', [command]).catch(() => undefined);
    if (found === undefined) return `${command} is not installed`;
  }
  return undefined;
}

export class OwnEngine implements AsyncDisposable {
  /** Everything of this engine is below it. */
  readonly directory: string;
  readonly socketPath: string;
  readonly docker: Docker;
  readonly #netns: string;
  #child: ChildProcess | undefined;

  private constructor(directory: string) {
    this.directory = directory;
    this.#netns = basename(directory);
    this.socketPath = join(directory, 'docker.sock');
    this.docker = new Docker({ socketPath: this.socketPath });
  }

  /** Starts an engine and gives it the image. */
  static async start(): Promise<OwnEngine> {
    const engine = new OwnEngine(await mkdtemp(join(tmpdir(), 'skein-engine-')));
    try {
      await run('ip', ['netns', 'add', engine.#netns]);
      await run('ip', ['-n', engine.#netns, 'link', 'set', 'lo', 'up']);
      await engine.launch();
      await engine.#importBusybox();
    } catch (error) {
      await engine.stop();
      throw error;
    }
    return engine;
  }

  /** Starts the engine's process: at first, and again after `kill`. */
  async launch(): Promise<void> {
    const log = openSync(join(this.directory, 'dockerd.log'), 'a');
    // `ip netns exec` would hide the control groups; nsenter changes the network alone.
    const args = [`--net=/run/netns/${this.#netns}`, ...this.#command()];
    const child = spawn('nsenter', args, { stdio: ['ignore', log, log], detached: true });
    closeSync(log);
    this.#child = child;
    const deadlineMs = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      const answered: unknown = await this.docker.ping().catch(() => undefined);
      if (answered !== undefined) return;
      if (child.exitCode !== null || Date.now() > deadlineMs) {
        throw new Error(`dockerd did not start:\n${await this.log()}`);
      }
      await sleep(50);
    }
  }

  /** The engine's own log. */
  async log(): Promise<string> {
    return readFile(join(this.directory, 'dockerd.log'), 'utf8');
  }

  /** Kills the engine's process; its containers and files stay. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
    // Its containerd dies with it, but where nobody reaps it the next engine would wait for it.
    await rm(join(this.directory, 'exec/containerd/containerd.pid'), { force: true });
  }

  /** Ends everything and removes every file. */
  async stop(): Promise<void> {
    await this.#end();
    await this.#killRest();
    const mounts = await readFile('/proc/self/mountinfo', 'utf8');
    for (const line of mounts.split('\n').toReversed()) {
      const path = line.split(' ')[4] ?? '';
      if (path.startsWith(this.directory)) await run('umount', ['-l', path]);
    }
    await run('ip', ['netns', 'del', this.#netns]);
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #importBusybox(): Promise<void> {
    const archive = tar(await busyboxFiles());
    await new Promise<void>((resolve, reject) => {
      this.docker.modem.dial(
        {
          path: '/images/create?',
          method: 'POST',
          file: archive,
          options: { fromSrc: '-', repo: 'busybox', tag: 'latest', changes: ['CMD ["sh"]'] },
          isStream: false,
          statusCodes: { 200: true, 500: 'server error' },
        },
        (error) => (error === null ? resolve() : reject(new Error(String(error)))),
      );
    });
    await this.docker.getImage(IMAGE).inspect();
  }

  #command(): string[] {
    const at = (name: string): string => join(this.directory, name);
    return [
      'dockerd',
      `--host=unix://${this.socketPath}`,
      `--data-root=${at('data')}`,
      `--exec-root=${at('exec')}`,
      `--pidfile=${at('dockerd.pid')}`,
      '--storage-driver=vfs',
      '--bridge=none',
      '--iptables=false',
      '--ip-masq=false',
      '--shutdown-timeout=3',
    ];
  }

  async #end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  }

  /** Ends what a killed engine leaves: its containerd, the shims, and what runs below them. */
  async #killRest(): Promise<void> {
    for (let tries = 0; tries < 50; tries += 1) {
      const pids = await this.#rest();
      if (pids.length === 0) return;
      for (const pid of pids) killIfThere(pid);
      await sleep(100);
    }
    throw new Error(`processes of the engine in ${this.directory} do not end`);
  }

  /** Processes whose command line or root names this engine's directory. */
  async #rest(): Promise<number[]> {
    const pids: number[] = [];
    for (const name of await readdir('/proc')) {
      if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
      const command = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
      const root = await readlink(`/proc/${name}/root`).catch(() => '');
      if (command.includes(this.directory) || root.startsWith(this.directory)) {
        pids.push(Number(name));
      }
    }
    return pids;
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** A root file system of busybox alone. */
async function busyboxFiles(): Promise<TarEntry[]> {
  const { stdout: path } = await run('which', ['busybox']);
  const { stdout: applets } = await run('busybox', ['--list']);
  const links = applets
    .trim()
    .split('\n')
    .filter((name) => name !== 'busybox');
  return [
    ...['bin', 'etc', 'root', 'run', 'var'].map((name): TarEntry => ({
      kind: 'directory',
      path: name,
      mode: 0o755,
    })),
    { kind: 'directory', path: 'tmp', mode: 0o1777 },
    textFile('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n'),
    textFile('etc/group', 'root:x:0:\nnogroup:x:65534:\nextra:x:2000:\n'),
    { kind: 'file', path: 'bin/busybox', mode: 0o755, data: await readFile(path.trim()) },
    ...links.map((name): TarEntry => ({
      kind: 'link',
      path: `bin/${name}`,
      mode: 0o777,
      target: 'busybox',
    })),
  ];
}

function textFile(path: string, text: string): TarEntry {
  return { kind: 'file', path, mode: 0o644, data: Buffer.from(text) };
}
