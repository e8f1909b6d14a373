/**
 * What the engine is asked to create for a task: the container spec, its resources, ports and
 * networks, in the engine's own terms (SPEC.md, rules DOC1, DOC2, DOC4, DOC7).
 */
import type Docker from 'dockerode';
import { taskName } from '../../../../shared/model/names.ts';
import { durationMs } from '../../../../shared/model/time.ts';
import type { Task } from '../../../../shared/wire/gen/objects.ts';
import type { ContainerSpec } from '../../../../shared/wire/gen/specs.ts';
import {
  MountType,
  PortConfigProtocol,
  PortConfigPublishMode,
  PrivilegesAppArmorOptsAppArmorMode,
  PrivilegesSeccompOptsSeccompMode,
  type HealthConfig,
  type Mount,
  type PortConfig,
  type Privileges,
  type ResourceRequirements,
} from '../../../../shared/wire/gen/types.ts';
import type { Duration } from '../../../../shared/wire/gen/well-known.ts';
import { FatalError } from '../errors.ts';
import { resourceEnv } from '../resource-env.ts';
import { networkSettings } from './network-settings.ts';

const LABEL = 'com.docker.swarm';
export const TASK_ID_LABEL = `${LABEL}.task.id`;
export const NODE_ID_LABEL = `${LABEL}.node.id`;

/** How long a task has to end by itself when its spec does not say, in milliseconds. */
export const GRACE_MS = 10_000;

type HostConfig = NonNullable<Docker.ContainerCreateOptions['HostConfig']>;
type MountSettings = NonNullable<Docker.ContainerCreateOptions['HostConfig']>['Mounts'];

/** A file on this machine for the container, read-only. */
export type FileMount = { readonly source: string; readonly target: string };

/** @param spec the task's container spec, expanded */
export function containerSettings(
  task: Task,
  spec: ContainerSpec,
  files: readonly FileMount[],
): Docker.ContainerCreateOptions {
  const ports = hostPorts(task);
  const networks = networkSettings(task);
  return {
    name: taskName(task),
    Image: spec.image,
    ...(spec.command.length > 0 && { Entrypoint: [...spec.command] }),
    ...(spec.args.length > 0 && { Cmd: [...spec.args] }),
    Hostname: spec.hostname,
    Env: [...spec.env, ...resourceEnv(task)],
    WorkingDir: spec.dir,
    User: spec.user,
    Labels: labels(task, spec),
    StopSignal: spec.stopSignal,
    StopTimeout: Math.ceil(durationMs(spec.stopGracePeriod, GRACE_MS) / 1000),
    Tty: spec.tty,
    OpenStdin: spec.openStdin,
    ...(spec.healthcheck && { Healthcheck: healthcheck(spec.healthcheck) }),
    ExposedPorts: Object.fromEntries(ports.map((port) => [portKey(port), {}])),
    HostConfig: {
      ...resources(task.spec.resources),
      ...spaces(spec),
      ...storage(spec, files),
      NetworkMode: networks.mode,
      PortBindings: portBindings(ports),
      ...logConfig(task),
    },
    ...(networks.endpoint && {
      NetworkingConfig: { EndpointsConfig: { [networks.mode]: networks.endpoint } },
    }),
  };
}

function labels(task: Task, spec: ContainerSpec): Record<string, string> {
  return {
    ...spec.labels,
    ...task.annotations.labels,
    [`${LABEL}.task`]: '',
    [TASK_ID_LABEL]: task.id,
    [`${LABEL}.task.name`]: taskName(task),
    [NODE_ID_LABEL]: task.nodeId,
    [`${LABEL}.service.id`]: task.serviceId,
    [`${LABEL}.service.name`]: task.serviceAnnotations.name,
  };
}

/** What the container may use. */
function resources(requirements: ResourceRequirements | undefined): HostConfig {
  const limits = requirements?.limits;
  const memory = limits?.memoryBytes ?? 0;
  const reserved = requirements?.reservations?.memoryBytes ?? 0;
  const swap = requirements?.swapBytes?.value;
  const swappiness = requirements?.memorySwappiness?.value;
  return {
    Memory: memory,
    NanoCpus: limits?.nanoCpus ?? 0,
    // The engine refuses a reservation above the limit; the limit holds then.
    ...(reserved > 0 && (memory === 0 || reserved <= memory) && { MemoryReservation: reserved }),
    ...(swap !== undefined && { MemorySwap: swap < 0 ? -1 : memory + swap }),
    ...(swappiness !== undefined && { MemorySwappiness: swappiness }),
  };
}

/** Users, rights, names and signals. */
function spaces(spec: ContainerSpec): HostConfig {
  return {
    GroupAdd: [...spec.groups],
    ...(spec.init && { Init: spec.init.value }),
    ReadonlyRootfs: spec.readOnly,
    OomScoreAdj: spec.oomScoreAdj,
    ...(spec.pidsLimit > 0 && { PidsLimit: spec.pidsLimit }),
    Sysctls: { ...spec.sysctls },
    CapAdd: [...spec.capabilityAdd],
    CapDrop: [...spec.capabilityDrop],
    Ulimits: spec.ulimits.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
    ExtraHosts: spec.hosts.flatMap(extraHosts),
    Dns: [...(spec.dnsConfig?.nameservers ?? [])],
    DnsSearch: [...(spec.dnsConfig?.search ?? [])],
    DnsOptions: [...(spec.dnsConfig?.options ?? [])],
    SecurityOpt: securityOptions(spec.privileges),
    Isolation: ['', 'process', 'hyperv'][spec.isolation] ?? '',
  };
}

/** From a line of a hosts file (`IP name alias…`) to the engine's `name:IP`. */
function extraHosts(line: string): string[] {
  const [address = '', ...names] = line.trim().split(/\s+/);
  return names.map((name) => `${name}:${address}`);
}

function securityOptions(privileges: Privileges | undefined): string[] {
  if (privileges === undefined) return [];
  const options: string[] = [];
  const { credentialSpec, selinuxContext: selinux, seccomp, apparmor } = privileges;
  if (credentialSpec?.source !== undefined) {
    const { case: kind, value } = credentialSpec.source;
    if (kind === 'config') throw new FatalError('credential specs from configs are for Windows');
    options.push(`credentialspec=${kind}://${value}`);
  }
  if (selinux?.disable === true) options.push('label=disable');
  for (const part of ['user', 'role', 'type', 'level'] as const) {
    const value = selinux?.[part] ?? '';
    if (value !== '') options.push(`label=${part}:${value}`);
  }
  if (seccomp?.mode === PrivilegesSeccompOptsSeccompMode.UNCONFINED) {
    options.push('seccomp=unconfined');
  } else if (seccomp?.mode === PrivilegesSeccompOptsSeccompMode.CUSTOM) {
    options.push(`seccomp=${Buffer.from(seccomp.profile).toString()}`);
  }
  if (apparmor?.mode === PrivilegesAppArmorOptsAppArmorMode.DISABLED) {
    options.push('apparmor=unconfined');
  }
  if (privileges.noNewPrivileges) options.push('no-new-privileges');
  return options;
}

/** Binds that make their source are of the engine's older kind, which does; the rest are mounts. */
function storage(spec: ContainerSpec, files: readonly FileMount[]): HostConfig {
  const made = spec.mounts.filter(
    (mount) => mount.type === MountType.BIND && mount.bindOptions?.createmountpoint === true,
  );
  const mounts = spec.mounts.filter((mount) => !made.includes(mount)).map(mountSettings);
  const fileMounts = files.map(({ source, target }) => ({
    Type: 'bind' as const,
    Source: source,
    Target: target,
    ReadOnly: true,
  }));
  return { Binds: made.map(bindText), Mounts: [...mounts, ...fileMounts] };
}

/** By the number of the wire's enum. */
const PROPAGATIONS = ['rprivate', 'private', 'rshared', 'shared', 'rslave', 'slave'] as const;

function propagation(mount: Mount): Docker.MountPropagation {
  return PROPAGATIONS[mount.bindOptions?.propagation ?? 0] ?? 'rprivate';
}

function bindText(mount: Mount): string {
  const options = [mount.readonly ? 'ro' : 'rw', propagation(mount)];
  return `${mount.source}:${mount.target}:${options.join(',')}`;
}

function mountSettings(mount: Mount): NonNullable<MountSettings>[number] {
  const common = { Source: mount.source, Target: mount.target, ReadOnly: mount.readonly };
  switch (mount.type) {
    case MountType.BIND:
      return {
        ...common,
        Type: 'bind',
        BindOptions: {
          Propagation: propagation(mount),
          ...(mount.bindOptions?.nonrecursive === true && { NonRecursive: true }),
        },
      };
    case MountType.VOLUME: {
      const options = mount.volumeOptions;
      const driver = options?.driverConfig;
      return {
        ...common,
        Type: 'volume',
        VolumeOptions: {
          NoCopy: options?.nocopy ?? false,
          Labels: { ...options?.labels },
          DriverConfig: { Name: driver?.name ?? '', Options: { ...driver?.options } },
        },
      };
    }
    case MountType.TMPFS: {
      const options = mount.tmpfsOptions;
      return {
        Type: 'tmpfs',
        Target: mount.target,
        ReadOnly: mount.readonly,
        Source: '',
        TmpfsOptions: { SizeBytes: options?.sizeBytes ?? 0, Mode: options?.mode ?? 0 },
      };
    }
    case MountType.NPIPE:
    case MountType.CLUSTER:
      break;
  }
  throw new FatalError(`this node cannot mount ${mount.target}: unsupported mount type`);
}

const nanos = (span: Duration | undefined): number => Math.round(durationMs(span) * 1e6);

function healthcheck(
  config: HealthConfig,
): NonNullable<Docker.ContainerCreateOptions['Healthcheck']> {
  return {
    Test: [...config.test],
    Interval: nanos(config.interval),
    Timeout: nanos(config.timeout),
    Retries: config.retries,
    StartPeriod: nanos(config.startPeriod),
    ...(config.startInterval && { StartInterval: nanos(config.startInterval) }),
  };
}

const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const;

/** The ports of a task that are published on its node. */
export function hostPorts(task: Task): readonly PortConfig[] {
  return (task.endpoint?.ports ?? []).filter(
    (port) => port.publishMode === PortConfigPublishMode.HOST,
  );
}

function portKey(port: PortConfig): string {
  return `${port.targetPort}/${PROTOCOLS[port.protocol] ?? 'tcp'}`;
}

/** A published port of 0 leaves the choice to the engine. */
function portBindings(ports: readonly PortConfig[]): Record<string, { HostPort: string }[]> {
  const bindings: Record<string, { HostPort: string }[]> = {};
  for (const port of ports) {
    const list = (bindings[portKey(port)] ??= []);
    list.push({ HostPort: port.publishedPort === 0 ? '' : String(port.publishedPort) });
  }
  return bindings;
}

/** The engine's answer about ports, each once although it is bound for IPv4 and IPv6. */
export function portsOf(bindings: EngineBindings, task: Task): PortConfig[] {
  const found = new Map<string, PortConfig>();
  for (const [key, hosts] of Object.entries(bindings)) {
    const [target = '', protocolName = 'tcp'] = key.split('/');
    const protocol = protocolOf(protocolName);
    for (const { HostPort } of hosts ?? []) {
      const targetPort = Number(target);
      const asked = hostPorts(task).find(
        (port) => port.targetPort === targetPort && port.protocol === protocol,
      );
      found.set(`${key} ${HostPort}`, {
        name: asked?.name ?? '',
        protocol,
        targetPort,
        publishedPort: Number(HostPort),
        publishMode: PortConfigPublishMode.HOST,
      });
    }
  }
  return [...found.values()];
}

export type EngineBindings = Readonly<Record<string, readonly { HostPort: string }[] | null>>;

function protocolOf(name: string): PortConfigProtocol {
  if (name === 'udp') return PortConfigProtocol.UDP;
  return name === 'sctp' ? PortConfigProtocol.SCTP : PortConfigProtocol.TCP;
}

function logConfig(task: Task): HostConfig {
  const driver = task.logDriver;
  if (driver === undefined || driver.name === '') return {};
  return { LogConfig: { Type: driver.name, Config: { ...driver.options } } };
}
