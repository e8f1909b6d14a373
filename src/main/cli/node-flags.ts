/** The flags that `skein manager` and `skein worker` share, and what they mean (behaviour rule 13.1). */
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { Flags } from '@oclif/core';
import { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import type { ExecutorChoice } from '../../shared/lanes/tasks.ts';
import type { HostPort } from '../node/manager-part.ts';
import type { NodeOffer } from '../node/offer.ts';
import { CommandError } from './command-error.ts';
import { flagMap, forFlag } from './flag-map.ts';
import { offeredResourcesOf } from './syntax/container-settings.ts';
import { bytesOf, nanoCpusOf } from './syntax/quantities.ts';

/** Docker Swarm's port. */
export const DEFAULT_PORT = 2377;
export const DEFAULT_SOCKET = '/var/run/skein.sock';

export const nodeFlags = {
  'state-dir': Flags.string({
    char: 'd',
    description: 'where the node keeps its identity, log and tasks',
    default: '/var/lib/skein',
  }),
  hostname: Flags.string({ description: "the node's name; the machine's own by default" }),
  'join-addr': Flags.string({ description: 'host:port of a manager of the cluster to join' }),
  'join-token': Flags.string({
    description: 'the token that "skein cluster token" prints',
    env: 'SKEIN_JOIN_TOKEN',
  }),
  availability: Flags.string({
    description: 'whether the node takes tasks',
    options: ['active', 'pause', 'drain'],
  }),
  executor: Flags.string({
    description:
      'where tasks run: docker, process, simulated, none, or auto (docker if one answers)',
    default: 'auto',
  }),
  'engine-addr': Flags.string({
    description: "the Docker Engine's socket",
    default: 'unix:///var/run/docker.sock',
    env: 'DOCKER_HOST',
  }),
  label: Flags.string({
    description: 'label of the engine, as disk=ssd, for constraints on engine.labels.disk',
    multiple: true,
    multipleNonGreedy: true,
    default: [],
  }),
  'generic-node-resources': Flags.string({
    description: 'what tasks can ask for by kind, as gpu=2 or gpu=uuid-1,gpu=uuid-2',
  }),
  cpus: Flags.string({ description: "processors to offer; the machine's by default" }),
  memory: Flags.string({ description: "memory to offer, as 4g; the machine's by default" }),
  'task-threads': Flags.integer({ description: 'controller threads', default: 1, min: 1, max: 64 }),
  'log-level': Flags.string({
    char: 'l',
    description: 'what is logged on stderr',
    options: ['debug', 'info', 'warn', 'error'],
    default: 'info',
  }),
};

/** What the flags say that the node offers. @throws CommandError that names the flag */
export function offerOf(flags: {
  readonly label: readonly string[];
  readonly 'generic-node-resources'?: string | undefined;
  readonly cpus?: string | undefined;
  readonly memory?: string | undefined;
}): NodeOffer {
  const { cpus, memory, 'generic-node-resources': generic } = flags;
  return {
    labels: flagMap('label', flags.label),
    generic:
      generic === undefined
        ? []
        : forFlag('generic-node-resources', () => offeredResourcesOf(generic)),
    nanoCpus: cpus === undefined ? undefined : forFlag('cpus', () => nanoCpusOf(cpus)),
    memoryBytes: memory === undefined ? undefined : forFlag('memory', () => bytesOf(memory)),
  };
}

const AVAILABILITY = new Map([
  ['active', NodeSpecAvailability.ACTIVE],
  ['pause', NodeSpecAvailability.PAUSE],
  ['drain', NodeSpecAvailability.DRAIN],
]);

export function availabilityOf(text: string | undefined): NodeSpecAvailability {
  return AVAILABILITY.get(text ?? 'active') ?? NodeSpecAvailability.ACTIVE;
}

/** Reads `host:port`, `[v6]:port` or `host`; the flag's name is for the error. */
export function hostPort(flag: string, text: string, defaultPort: number): HostPort {
  const match = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(text);
  const port = match?.[3] === undefined ? defaultPort : Number(match[3]);
  if (match === null || port > 65_535) {
    throw new CommandError(`--${flag} ${text}: expected HOST:PORT, e.g. 10.0.0.1:${defaultPort}`);
  }
  const host = match[1] ?? match[2] ?? '';
  return { host: host === '' ? '0.0.0.0' : host, port };
}

const isUnspecified = (host: string): boolean => host === '0.0.0.0' || host === '::';

/** The address others reach: as given, else the listener's, else the machine's first one. */
export function advertised(given: HostPort | undefined, listen: HostPort): HostPort {
  if (given !== undefined && !isUnspecified(given.host)) return given;
  if (!isUnspecified(listen.host)) return listen;
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const first = addresses.find((a) => a.family === 'IPv4' && !a.internal);
  return { host: first?.address ?? '127.0.0.1', port: listen.port };
}

/** The socket of a Docker Engine as `unix:///path` or a bare path. */
export function engineSocket(address: string): string {
  if (address.startsWith('unix://')) return address.slice('unix://'.length);
  if (address.startsWith('/')) return address;
  throw new CommandError(`--engine-addr ${address}: only unix:///path is supported`);
}

/** Which executor the flags mean; undefined for none. `answers` says whether an engine is there. */
export async function executorOf(
  flags: {
    readonly executor: string;
    readonly 'engine-addr': string;
    readonly 'state-dir': string;
  },
  answers: (socketPath: string) => Promise<boolean>,
): Promise<ExecutorChoice | undefined> {
  const socketPath = engineSocket(flags['engine-addr']);
  const [kind = '', seed] = flags.executor.split(':');
  switch (kind) {
    case 'auto':
      return (await answers(socketPath))
        ? { kind: 'docker', socketPath, pull: 'missing' }
        : { kind: 'process', stateDir: join(flags['state-dir'], 'tasks') };
    case 'docker':
      return { kind, socketPath, pull: 'missing' };
    case 'process':
      return { kind, stateDir: join(flags['state-dir'], 'tasks') };
    case 'simulated':
      return { kind, seed: Number(seed ?? 1) };
    case 'none':
      return undefined;
    default:
      throw new CommandError(
        `--executor ${flags.executor}: expected auto, docker, process, simulated[:SEED] or none`,
      );
  }
}
