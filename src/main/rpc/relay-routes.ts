/**
 * Where a manager answers which call: the table of behaviour 0.3, and the one place where Skein goes
 * further than SwarmKit.
 */
import { SERVICES } from '../../shared/wire/gen/services.ts';
import type { Method, ServiceName } from './service.ts';

/** The two ways into a manager. */
export type Entrance = 'tcp' | 'socket';

/**
 * Where a call is answered, and what of it only from a state that is known to be the newest: all that a
 * read tells, or what a write is refused.
 */
export type Place = {
  readonly at: 'leader' | 'here';
  readonly confirmed: 'reads' | 'writes' | 'nothing';
};

type Places = Readonly<Record<Entrance, Place['at']>>;

/**
 * SwarmKit answers Control and Logs on the TCP port of whichever manager was asked, and so fails
 * every write there unless that one leads. Here any manager answers any client: writes go to the
 * leader, reads are answered by the manager that was asked, and neither goes back in time.
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
  Replication: { tcp: 'here', socket: 'here' },
  Health: { tcp: 'here', socket: 'here' },
  Watch: { tcp: 'here', socket: 'here' },
  // What one manager knows and has on its disk; it tells when no leader can.
  Operations: { tcp: 'here', socket: 'here' },
};

/** The services whose reads need nothing but the store. */
const READABLE_HERE: ReadonlySet<ServiceName> = new Set(['Control', 'CA']);

/** Reads that tell more than the store does: the leader knows best which managers are reached. */
const READ_AT_LEADER: ReadonlySet<string> = new Set([
  SERVICES.Control.GetNode.path,
  SERVICES.Control.ListNodes.path,
]);

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

const HERE: Place = { at: 'here', confirmed: 'nothing' };

const isServiceName = (name: string): name is ServiceName => Object.hasOwn(PLACES, name);

function placeIn(service: ServiceName, path: string, entrance: Entrance): Place {
  const at = PLACES[service][entrance];
  if (READABLE_HERE.has(service) && READS.test(path)) {
    return { at: READ_AT_LEADER.has(path) ? at : 'here', confirmed: 'reads' };
  }
  return { at, confirmed: service === 'Control' ? 'writes' : 'nothing' };
}

const placesByPath = new Map(
  Object.entries(SERVICES).flatMap(([service, methods]) =>
    Object.values(methods).map(({ path }) => {
      if (!isServiceName(service)) throw new Error(`no place for the service ${service}`);
      const tcp = placeIn(service, path, 'tcp');
      return [path, { tcp, socket: placeIn(service, path, 'socket') }];
    }),
  ),
);

/** Where calls of this method are answered; those of unknown services by whoever was asked. */
export const placeOf = ({ path }: Pick<Method, 'path'>, entrance: Entrance): Place =>
  placesByPath.get(path)?.[entrance] ?? HERE;

/** What must stand at a leader that answers: its store, or also all else that only a leader runs. */
export type LeaderNeeds = 'store' | 'parts';

const NEED_THE_STORE: ReadonlySet<string> = new Set(
  Object.values(SERVICES.Control)
    .map(({ path }) => path)
    .filter((path) => !READ_AT_LEADER.has(path)),
);

/** What a call of this method needs of the leader: clients need not wait for what serves nodes. */
export const needsOf = ({ path }: Pick<Method, 'path'>): LeaderNeeds =>
  NEED_THE_STORE.has(path) ? 'store' : 'parts';

/**
 * Whether a manager answers a call after all when nobody leads: one that is a member already and asks
 * again may be whose vote is missing.
 */
export const needsNoLeader = ({ path }: Pick<Method, 'path'>): boolean =>
  path === SERVICES.RaftMembership.Join.path;

/** Whether a call may be sent again although it may have been carried out. */
export const isRepeatable = ({ path }: Pick<Method, 'path'>): boolean =>
  READS.test(path) || REPEATABLE.has(path);
