/** Checks of a network spec (behaviour rules 7.4 and 9.3). */
import type { NetworkSpec } from '../../wire/gen/specs.ts';
import type { Driver, IPAMConfig } from '../../wire/gen/types.ts';
import { contains, containsSubnet, parseAddress, parseSubnet } from '../addresses.ts';
import {
  DEFAULT_NETWORK_DRIVER,
  isIngressNetwork,
  networkDriver,
  PREDEFINED_LABEL,
} from '../networks.ts';
import { labelNameProblems } from './name-checks.ts';
import { invalid, type Path, type Problems } from './problem.ts';

const NETWORK_DRIVERS: ReadonlySet<string> = new Set([
  'overlay',
  'bridge',
  'host',
  'macvlan',
  'ipvlan',
  'remote',
]);
const IPAM_DRIVERS: ReadonlySet<string> = new Set(['default']);

/** All that is wrong with a network that a user wants, in SwarmKit's order. */
export function* networkProblems(spec: NetworkSpec): Problems {
  if (spec.ingress && spec.attachable) {
    yield invalid(['attachable'], 'ingress network cannot be attachable');
  }
  yield* labelNameProblems(['annotations', 'name'], spec.annotations.name);
  if (Object.hasOwn(spec.annotations.labels, PREDEFINED_LABEL)) {
    yield {
      code: 'PERMISSION_DENIED',
      path: ['annotations', 'labels', PREDEFINED_LABEL],
      text: `label ${PREDEFINED_LABEL} is kept for predefined networks and cannot be set by users`,
    };
  }
  yield* driverProblems(['driverConfig'], spec.driverConfig, NETWORK_DRIVERS);
  if (isIngressNetwork(spec) && networkDriver(spec) !== DEFAULT_NETWORK_DRIVER) {
    yield {
      code: 'UNIMPLEMENTED',
      path: ['driverConfig', 'name'],
      text: 'only overlay driver is currently supported for ingress network',
    };
  }
  yield* driverProblems(['ipam', 'driver'], spec.ipam?.driver, IPAM_DRIVERS);
  for (const [index, config] of (spec.ipam?.configs ?? []).entries()) {
    yield* ipamProblems(['ipam', 'configs', index], config);
  }
}

function* driverProblems(
  path: Path,
  driver: Driver | undefined,
  known: ReadonlySet<string>,
): Problems {
  if (driver === undefined) return;
  if (driver.name === '') {
    yield invalid(path, 'driver name: if driver is specified name is required');
  } else if (!known.has(driver.name)) {
    yield invalid([...path, 'name'], `plugin ${driver.name} not supported`);
  }
}

function* ipamProblems(path: Path, config: IPAMConfig): Problems {
  const { subnet: subnetText, range, gateway } = config;
  if (subnetText === '' && range === '' && gateway === '') {
    yield ipamProblem(path, 'cannot be empty');
    return;
  }
  const subnet = parseSubnet(subnetText);
  if (subnet === undefined) {
    yield ipamProblem([...path, 'subnet'], `invalid subnet ${subnetText}`);
    return;
  }
  if (range !== '') {
    const inner = parseSubnet(range);
    if (inner === undefined) {
      yield ipamProblem([...path, 'range'], `invalid range ${range}`);
    } else if (!containsSubnet(subnet, inner)) {
      yield ipamProblem([...path, 'range'], `subnet ${subnetText} does not contain range ${range}`);
    }
  }
  if (gateway === '') return;
  const address = parseAddress(gateway);
  if (address === undefined) {
    yield ipamProblem([...path, 'gateway'], `invalid gateway ${gateway}`);
  } else if (!contains(subnet, address)) {
    yield ipamProblem(
      [...path, 'gateway'],
      `subnet ${subnetText} does not contain gateway ${gateway}`,
    );
  }
}

const ipamProblem = (path: Path, text: string) => invalid(path, `ipam configuration: ${text}`);
