/**
 * Where a follower answers which call: the table of behaviour 0.3, and the one place where Skein goes
 * further than SwarmKit.
 */
import { SERVICES } from '../../shared/wire/gen/services.ts';
import type { Method, ServiceName } from './service.ts';

/** The two ways into a manager. */
export type Entrance = 'tcp' | 'socket';

type Places = Readonly<Record<Entrance, 'leader' | 'here'>>;

/**
 * SwarmKit answers Control and Logs on the TCP port of whichever manager was asked, and so fails
 * every write there unless that one leads. Here any manager answers any client: all of Control and
 * Logs go to the leader. Reads could be answered by the follower itself once it has a read index;
 * without one they would go back in time.
 */
const PLACES: Readonly<Record<ServiceName, Places>> = {
  CA: { tcp: 'leader', socket: 'leader' },
  NodeCA: { tcp: 'leader', socket: 'leader' },
  Dispatcher: { tcp: 'leader', socket: 'leader' },
  LogBroker: { tcp: 'leader', socket: 'leader' },
  ResourceAllocator: { tcp: 'leader', socket: 'leader' },
  Control: { tcp: 'leader', socket: 'leader' },
  Logs: { tcp: 'leader', socket: 'leader' },
  RaftMembership: { tcp: 'leader', socket: 'here' },
  Raft: { tcp: 'here', socket: 'here' },
  Health: { tcp: 'here', socket: 'here' },
  Watch: { tcp: 'here', socket: 'here' },
};

/**
 * Calls that may run twice without harm, besides those that only read. Any other call whose
 * connection was lost after it had been sent may have been carried out: a second one would then be
 * refused (the name exists, the version is old), and tell the caller that a write failed that did not.
 */
const REPEATABLE: ReadonlySet<string> = new Set([
  SERVICES.NodeCA.NodeCertificateStatus.path,
  SERVICES.Dispatcher.Heartbeat.path,
  SERVICES.Dispatcher.UpdateTaskStatus.path,
  SERVICES.Dispatcher.UpdateVolumeStatus.path,
]);

const READS = /\/(?:Get|List)[A-Z]\w*$/;

const placesByName: Readonly<Record<string, Places>> = PLACES;
const placesByPath = new Map(
  Object.entries(SERVICES).flatMap(([service, methods]) =>
    Object.values(methods).map(({ path }) => [path, placesByName[service]]),
  ),
);

/** Whether a manager that does not lead passes calls of this method on. */
export function goesToLeader(method: Pick<Method, 'path'>, entrance: Entrance): boolean {
  return placesByPath.get(method.path)?.[entrance] === 'leader';
}

/** Whether a call may be sent again although it may have been carried out. */
export const isRepeatable = ({ path }: Pick<Method, 'path'>): boolean =>
  READS.test(path) || REPEATABLE.has(path);
