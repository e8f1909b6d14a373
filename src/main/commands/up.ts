/** `skein up`: a cluster on this machine, as a file says. */
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join, relative } from 'node:path';
import { Args, Command, Flags } from '@oclif/core';
import { Application, type Applied, labelNode } from '../config/apply.ts';
import { type ClusterWish, readClusterFile } from '../config/cluster-file.ts';
import { ConfigError } from '../config/problems.ts';
import { CommandError, ExitCode } from '../cli/command-error.ts';
import { type Control, withCluster } from '../cli/connection.ts';
import { nodeFlags } from '../cli/node-flags.ts';
import { nodeColumns, nodesInOrder } from '../cli/present/nodes.ts';
import { serviceColumns } from '../cli/present/services.ts';
import { tableOf } from '../cli/present/table.ts';
import { type Progress, progressOn } from '../cli/progress.ts';
import { waitFlags } from '../cli/service/flags.ts';
import { processTerminal, type Terminal } from '../cli/terminal.ts';
import { LocalCluster } from '../cli/up/local-cluster.ts';
import { poll } from '../cli/up/processes.ts';
import { stateDirFor } from '../cli/up/state.ts';
import { realEnv } from '../env.ts';
import { timeoutMsOf, waitForServices, watchServices } from '../cli/wait.ts';

const SHORT_ID = 12;
const WATCH_PERIOD_MS = 500;
/** A terminal and npm both pass Ctrl-C on: that is one wish, not two. */
const SAME_SIGNAL_MS = 1000;

export const fileArgument = {
  file: Args.string({
    description: 'the cluster file',
    default: 'cluster.yaml',
    ignoreStdin: true,
  }),
};

export const stateDirFlag = Flags.string({
  char: 'd',
  description: 'where the cluster keeps its state; .skein/<name> beside the file by default',
});

const short = (id: string): string => id.slice(0, SHORT_ID);

/** Reads and checks the file. @throws CommandError that lists everything that is wrong with it */
export function clusterWish(path: string): ClusterWish {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandError(`cannot read the cluster file ${path}: ${why}`);
  }
  try {
    return readClusterFile(text, path, {
      readFile: (name) => readFileSync(name),
      environment: process.env,
    });
  } catch (error) {
    if (error instanceof ConfigError)
      throw new CommandError(`${path} is not right\n${error.message}`);
    throw error;
  }
}

export class UpCommand extends Command {
  static override summary = 'Run a cluster on this machine, as a file says';
  static override description =
    'Starts a manager and its workers, applies the file, waits until every service runs, and stops ' +
    'all of it on Ctrl-C. Run again while the cluster runs, it only applies the file.';

  static override examples = [
    '<%= config.bin %> <%= command.id %> examples/hello.yaml',
    '<%= config.bin %> <%= command.id %> --detach --executor process',
  ];

  static override args = fileArgument;
  static override flags = {
    detach: Flags.boolean({ description: 'leave it running for "skein down"' }),
    timeout: waitFlags.timeout,
    executor: Flags.string({
      description: "docker, process, simulated or auto, instead of the file's",
    }),
    'engine-addr': nodeFlags['engine-addr'],
    'state-dir': stateDirFlag,
    quiet: waitFlags.quiet,
  };

  terminal: Terminal = processTerminal();

  async run(): Promise<void> {
    const { args, flags } = await this.parse(UpCommand);
    const executor = flags.executor;
    if (executor !== undefined && !/^(auto|docker|process|simulated)$/.test(executor)) {
      throw new CommandError(
        `--executor ${executor}: expected auto, docker, process or simulated`,
        ExitCode.USAGE,
      );
    }
    const timeoutMs = timeoutMsOf(flags.timeout);
    const wish = clusterWish(args.file);
    const stateDir = flags['state-dir'] ?? (await stateDirFor(args.file, wish.name));
    const interrupt = new AbortController();
    const hurry = new AbortController();
    let firstMs: number | undefined;
    const onSignal = (): void => {
      const nowMs = realEnv.nowMs();
      firstMs ??= nowMs;
      if (nowMs - firstMs > SAME_SIGNAL_MS) hurry.abort();
      interrupt.abort();
    };
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onSignal);
    const cluster = await LocalCluster.open({
      stateDir,
      entry: join(this.config.root, 'bin', 'skein'),
      file: args.file,
      wish,
      engineAddress: flags['engine-addr'],
      executor,
      say: (line) => this.terminal.err(`${line}\n`),
      signal: interrupt.signal,
    });
    const stays = flags.detach || cluster.wasRunning;
    let isUp = false;
    try {
      await this.#bringUp(cluster, {
        wish,
        timeoutMs,
        isQuiet: flags.quiet,
        signal: interrupt.signal,
      });
      this.terminal.out(this.#nextSteps(cluster, { file: args.file, stays, wish }));
      isUp = true;
      if (!stays) await this.#hold(cluster, flags.quiet, interrupt.signal);
    } catch (error) {
      if (!interrupt.signal.aborted) throw explained(error, cluster, stays);
      if (stays) throw new CommandError('interrupted; the cluster goes on', ExitCode.INTERRUPTED);
      if (!isUp) throw new CommandError('interrupted', ExitCode.INTERRUPTED);
    } finally {
      if (!stays) await this.#stop(cluster, hurry.signal);
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(name, onSignal);
    }
  }

  async #bringUp(
    cluster: LocalCluster,
    options: { wish: ClusterWish; timeoutMs: number; isQuiet: boolean; signal: AbortSignal },
  ): Promise<void> {
    const { wish, timeoutMs, isQuiet, signal } = options;
    await cluster.start();
    await withCluster(cluster.socket, async ({ control }) => {
      await labelWorkers(control, wish);
      const applied = await new Application(control, wish).run();
      this.terminal.err(summaryOf(applied));
      const progress: Progress = progressOn(this.terminal, isQuiet);
      await waitForServices(control, applied.services, { timeoutMs, progress, signal });
      this.terminal.out(await this.#view(control));
    });
  }

  async #view(control: Control): Promise<string> {
    const { nodes } = await control.ListNodes({});
    const { services } = await control.ListServices({});
    const { statuses } = await control.ListServiceStatuses({
      services: services.map(({ id }) => id),
    });
    const rows = services.map((service) => ({
      service,
      status: statuses.find(({ serviceId }) => serviceId === service.id),
    }));
    const { columns } = this.terminal;
    return `\n${tableOf(nodesInOrder(nodes), nodeColumns(short), columns)}\n${tableOf(rows, serviceColumns(short), columns)}`;
  }

  #nextSteps(
    cluster: LocalCluster,
    { file, stays, wish }: { file: string; stays: boolean; wish: ClusterWish },
  ): string {
    const skein = commandName(this.config.root);
    const name = wish.services[0]?.annotations.name ?? 'NAME';
    const steps = [
      `export SKEIN_SOCKET=${cluster.socket}`,
      `${skein} service ls`,
      `${skein} service ps ${name}`,
      `${skein} service logs --follow ${name}`,
      ...(stays ? [`${skein} down ${file}`] : []),
    ];
    const where = stays ? '' : ', in another terminal';
    const end = stays ? '' : '\nCtrl-C here stops everything.\n';
    return `\nThe cluster runs. Next${where}:\n\n${steps.map((step) => `    ${step}\n`).join('')}${end}`;
  }

  /** Shows what becomes of the services until a signal; or until a process of the cluster ends, which is an error. */
  async #hold(cluster: LocalCluster, isQuiet: boolean, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const watching = withCluster(cluster.socket, ({ control }) =>
      watchServices(control, {
        progress: progressOn(this.terminal, isQuiet),
        signal: AbortSignal.any([signal, over.signal]),
      }),
    );
    try {
      const ended = await poll(() => cluster.dead[0], {
        timeoutMs: Number.POSITIVE_INFINITY,
        periodMs: WATCH_PERIOD_MS,
        signal,
      });
      if (ended === undefined) return;
      const logFile = cluster.logFileOf(ended.name);
      throw new CommandError(`${ended.name} has ended by itself; see ${logFile}`);
    } finally {
      over.abort();
      await watching;
    }
  }

  async #stop(cluster: LocalCluster, hurry: AbortSignal): Promise<void> {
    this.terminal.err('\nstopping: tasks first, then workers, then the manager\n');
    await cluster.stop(hurry);
    this.terminal.err('stopped\n');
  }
}

function summaryOf({ changes }: Applied): string {
  const changed = changes.filter(({ action }) => action !== 'unchanged');
  if (changed.length === 0) return 'nothing to change: the cluster is as the file says\n';
  return changed.map(({ action, kind, name }) => `${kind} ${name} ${action}\n`).join('');
}

async function labelWorkers(control: Control, { workers }: ClusterWish): Promise<void> {
  const { nodes } = await control.ListNodes({});
  for (const { name, labels } of workers) {
    const node = nodes.find(({ description }) => description?.hostname === name);
    if (node !== undefined) await labelNode(control, node, labels);
  }
}

/** How this command can be typed: by its name when it is on the path. */
function commandName(root: string): string {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  if (folders.some((folder) => folder !== '' && existsSync(join(folder, 'skein')))) return 'skein';
  const path = relative(process.cwd(), join(root, 'bin', 'skein'));
  if (path.startsWith('../..')) return join(root, 'bin', 'skein');
  return path.startsWith('.') ? path : `./${path}`;
}

/** With what to do, where the reason is a known one. */
function explained(error: unknown, cluster: LocalCluster, stays: boolean): unknown {
  if (!(error instanceof CommandError)) return error;
  const hints: string[] = [];
  if (/no such image|pull|manifest|registry|repository does not exist/i.test(error.message)) {
    hints.push(
      'The engine does not have the image and cannot get it: bring it with "docker pull" or "docker load", ' +
        'or run the file without containers: skein up --executor process',
    );
  }
  if (stays) hints.push(`The cluster goes on; look at it with SKEIN_SOCKET=${cluster.socket}`);
  return hints.length === 0
    ? error
    : new CommandError([error.message, ...hints].join('\n'), error.exitCode);
}
