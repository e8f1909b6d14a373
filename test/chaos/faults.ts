/** What is done to a leader and its followers, by name: cuts of the network, and pauses. */
import { cut, type Cut } from '../support/cuts.ts';
import type { Namespace } from '../support/lab-network.ts';
import type { ManagerProcess } from '../support/managers.ts';

/** Who has which part at the moment. */
export type Parts = {
  readonly leader: ManagerProcess;
  readonly follower: ManagerProcess;
  readonly other: ManagerProcess;
};

/** Begins the fault. @returns what ends it, and does nothing the second time */
export type Fault = (parts: Parts) => () => void;

type Networks = { readonly [K in keyof Parts]: Namespace };

function networkOf({ name, namespace }: ManagerProcess): Namespace {
  if (namespace === undefined) throw new Error(`${name} has no network of its own`);
  return namespace;
}

const cutting =
  (cutsOf: (networks: Networks) => readonly Cut[]): Fault =>
  ({ leader, follower, other }) =>
    cut(
      cutsOf({
        leader: networkOf(leader),
        follower: networkOf(follower),
        other: networkOf(other),
      }),
    );

/** The process stands still, and does not know it: what is sent to it waits. */
const pausing =
  (whom: keyof Parts): Fault =>
  (parts) => {
    const { daemon } = parts[whom];
    daemon.signal('SIGSTOP');
    return () => daemon.signal('SIGCONT');
  };

const oneWay = (from: Namespace, to: Namespace): Cut[] => [{ from, to }];
const bothWays = (a: Namespace, b: Namespace): Cut[] => [...oneWay(a, b), ...oneWay(b, a)];

/** Needs a network namespace for each manager. */
export const CUTS: Readonly<Record<string, Fault>> = {
  'leader alone': cutting(({ leader, follower, other }) => [
    ...bothWays(leader, follower),
    ...bothWays(leader, other),
  ]),
  'leader only hears': cutting(({ leader, follower, other }) => [
    ...oneWay(leader, follower),
    ...oneWay(leader, other),
  ]),
  'leader only sends': cutting(({ leader, follower, other }) => [
    ...oneWay(follower, leader),
    ...oneWay(other, leader),
  ]),
  'leader and a follower': cutting(({ leader, follower }) => bothWays(leader, follower)),
  'leader to a follower': cutting(({ leader, follower }) => oneWay(leader, follower)),
  'follower to the leader': cutting(({ leader, follower }) => oneWay(follower, leader)),
  'between followers': cutting(({ follower, other }) => bothWays(follower, other)),
  'follower to follower': cutting(({ follower, other }) => oneWay(follower, other)),
  'follower alone': cutting(({ leader, follower, other }) => [
    ...bothWays(follower, leader),
    ...bothWays(follower, other),
  ]),
  'follower only hears': cutting(({ leader, follower, other }) => [
    ...oneWay(follower, leader),
    ...oneWay(follower, other),
  ]),
  'follower only sends': cutting(({ leader, follower, other }) => [
    ...oneWay(leader, follower),
    ...oneWay(other, follower),
  ]),
};

export const PAUSES: Readonly<Record<string, Fault>> = {
  'leader stands still': pausing('leader'),
  'follower stands still': pausing('follower'),
};

/** @throws Error when there is none of this name */
export function faultOf(name: string): Fault {
  const fault = CUTS[name] ?? PAUSES[name];
  if (fault === undefined) throw new Error(`no such fault: ${name}`);
  return fault;
}
