/** Small settings of a container: ulimits, health checks, placement preferences, generic resources. */
import type { ContainerSpecUlimit } from '../../../shared/wire/gen/specs.ts';
import { GenericResource, type PlacementPreference } from '../../../shared/wire/gen/types.ts';
import { notA, SyntaxProblem } from './problem.ts';

/** `nofile=1024:2048`, or one number for both. */
export function ulimitOf(text: string): ContainerSpecUlimit {
  const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(text);
  const soft = Number(match?.[2]);
  const hard = Number(match?.[3] ?? match?.[2]);
  if (match === null || (hard !== -1 && soft > hard)) {
    throw notA(text, 'a ulimit', 'nofile=1024:2048');
  }
  return { name: match[1] ?? '', soft, hard };
}

/** `spread=node.labels.zone`. */
export function preferenceOf(text: string): PlacementPreference {
  const match = /^spread=(.+)$/.exec(text);
  if (match === null) throw notA(text, 'a placement preference', 'spread=node.labels.zone');
  return { preference: { case: 'spread', value: { spreadDescriptor: match[1] ?? '' } } };
}

/** `gpu=2`, a number of a kind, as a task asks for it. */
export function reservedResourceOf(text: string): GenericResource {
  const match = /^([A-Za-z0-9_.-]+)=(\d{1,15})$/.exec(text);
  if (match === null) throw notA(text, 'a generic resource', 'gpu=2');
  return GenericResource.create({
    resource: {
      case: 'discreteResourceSpec',
      value: { kind: match[1] ?? '', value: Number(match[2]) },
    },
  });
}

/** `gpu=2,ssd=a,ssd=b`: numbers and names of each kind, as a node offers them. */
export function offeredResourcesOf(text: string): readonly GenericResource[] {
  return text.split(',').map((item) => {
    const match = /^([A-Za-z0-9_.-]+)=([A-Za-z0-9_.:/-]+)$/.exec(item.trim());
    if (match === null) throw notA(item, 'a generic resource', 'gpu=2 or gpu=uuid-1,gpu=uuid-2');
    if (/^\d{1,15}$/.test(match[2] ?? '')) return reservedResourceOf(item.trim());
    const value = { kind: match[1] ?? '', value: match[2] ?? '' };
    return GenericResource.create({ resource: { case: 'namedResourceSpec', value } });
  });
}

/** `host:ip` as the line of `/etc/hosts` that the spec keeps. */
export function hostOf(text: string): string {
  const colon = text.indexOf(':');
  const [host, address] = [text.slice(0, Math.max(0, colon)), text.slice(colon + 1)];
  if (host === '' || address === '') throw notA(text, 'a host', 'db:10.0.0.5');
  return `${address} ${host}`;
}

/** Capability names as the kernel has them: upper case, with `CAP_` in front; `ALL` stands alone. */
export function capabilityOf(text: string): string {
  const name = text.toUpperCase();
  if (!/^[A-Z_]+$/.test(name)) throw notA(text, 'a capability', 'NET_ADMIN');
  return name === 'ALL' || name.startsWith('CAP_') ? name : `CAP_${name}`;
}

/** The lines of an environment file; a name alone takes its value from `environment`. */
export function environmentFileOf(
  text: string,
  environment: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trimStart())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .flatMap((line) => environmentOf(line, environment));
}

/** `NAME=VALUE`; a name alone takes its value from `environment`, and is left out when it has none. */
export function environmentOf(
  text: string,
  environment: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const name = text.split('=', 1)[0] ?? '';
  if (name === '' || /\s/.test(name)) {
    throw new SyntaxProblem(`"${text}" is not an environment variable; write NAME=VALUE`);
  }
  if (text.includes('=')) return [text];
  const value = environment[name];
  return value === undefined ? [] : [`${name}=${value}`];
}
