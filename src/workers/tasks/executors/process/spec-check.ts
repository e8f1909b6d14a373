/** What a plain process of this machine cannot have is refused in words, never left out in silence. */
import { networkKind } from './network-kind.ts';
import type { Task } from '../../../../shared/wire/gen/objects.ts';
import type { ContainerSpec } from '../../../../shared/wire/gen/specs.ts';
import { PortConfigPublishMode } from '../../../../shared/wire/gen/types.ts';
import { FatalError } from '../errors.ts';

/** Log drivers that the files kept here can stand in for. */
const LOG_DRIVERS = new Set(['', 'json-file', 'local', 'none']);

/** @throws FatalError naming everything that the process runtime cannot do */
export function checkSpec(task: Task, spec: ContainerSpec): void {
  if (spec.command.length + spec.args.length === 0) {
    throw new FatalError('the process runtime needs a command: it has no images to take one from');
  }
  const refused = REFUSALS.filter(([, asksFor]) => asksFor(spec)).map(([what]) => what);
  for (const attachment of task.networks) {
    if (networkKind(attachment) === 'own') {
      refused.push(`network ${attachment.network?.spec.annotations.name}`);
    }
  }
  for (const port of task.endpoint?.ports ?? []) {
    const isHost = port.publishMode === PortConfigPublishMode.HOST;
    if (isHost && port.publishedPort !== 0 && port.publishedPort !== port.targetPort) {
      refused.push(`published port ${port.publishedPort} for target port ${port.targetPort}`);
    }
  }
  const logDriver = task.logDriver?.name ?? '';
  if (!LOG_DRIVERS.has(logDriver)) refused.push(`log driver ${logDriver}`);
  if (refused.length > 0) {
    throw new FatalError(`the process runtime cannot provide: ${refused.join(', ')}`);
  }
}

const REFUSALS: readonly (readonly [what: string, asksFor: (spec: ContainerSpec) => boolean])[] = [
  ['mounts', (spec) => spec.mounts.length > 0],
  ['a terminal', (spec) => spec.tty],
  ['a read-only root', (spec) => spec.readOnly],
  ['supplementary groups', (spec) => spec.groups.length > 0],
  ['capabilities', (spec) => spec.capabilityAdd.length + spec.capabilityDrop.length > 0],
  ['sysctls', (spec) => Object.keys(spec.sysctls).length > 0],
  ['ulimits', (spec) => spec.ulimits.length > 0],
  ['privileges', (spec) => spec.privileges !== undefined],
  ['a health check', (spec) => asksForProbe(spec)],
  ['hosts entries', (spec) => spec.hosts.length > 0],
  ['a DNS configuration', (spec) => spec.dnsConfig !== undefined],
];

/** A check that only switches one off asks for nothing. */
function asksForProbe(spec: ContainerSpec): boolean {
  const [kind] = spec.healthcheck?.test ?? [];
  return kind !== undefined && kind !== 'NONE';
}
