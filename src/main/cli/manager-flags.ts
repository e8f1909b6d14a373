/**
 * How a node's manager runs, as flags: `skein manager` has them, and so has `skein worker`, for the day
 * it is promoted.
 */
import { Flags } from '@oclif/core';
import type { ManagerSettings } from '../node/manager-part.ts';
import { CommandError, ExitCode } from './command-error.ts';
import { advertised, DEFAULT_PORT, DEFAULT_SOCKET, hostPort } from './node-flags.ts';

export const managerFlags = {
  'listen-remote-api': Flags.string({
    description: 'host:port for nodes and managers',
    default: `0.0.0.0:${DEFAULT_PORT}`,
    helpGroup: 'MANAGER',
  }),
  'advertise-remote-api': Flags.string({
    description: 'host:port at which others reach it',
    helpGroup: 'MANAGER',
  }),
  'listen-control-api': Flags.string({
    description: 'the control socket',
    default: DEFAULT_SOCKET,
    helpGroup: 'MANAGER',
  }),
  'heartbeat-tick': Flags.integer({
    description: 'ticks between two heartbeats of the leader',
    default: 1,
    min: 1,
    max: 1000,
    helpGroup: 'MANAGER',
  }),
  'election-tick': Flags.integer({
    description: 'ticks without a heartbeat before an election',
    default: 10,
    min: 2,
    max: 10_000,
    helpGroup: 'MANAGER',
  }),
  'raft-tick': Flags.integer({
    description: 'milliseconds of a tick; the same on all managers',
    default: 100,
    min: 10,
    helpGroup: 'MANAGER',
  }),
};

/** @throws CommandError that names the flag */
export function managerSettingsOf(flags: {
  readonly 'listen-remote-api': string;
  readonly 'advertise-remote-api'?: string | undefined;
  readonly 'listen-control-api': string;
  readonly 'heartbeat-tick': number;
  readonly 'election-tick': number;
  readonly 'raft-tick': number;
}): ManagerSettings {
  const listen = hostPort('listen-remote-api', flags['listen-remote-api'], DEFAULT_PORT);
  const given = flags['advertise-remote-api'];
  return {
    listen,
    advertise: advertised(
      given === undefined ? undefined : hostPort('advertise-remote-api', given, listen.port),
      listen,
    ),
    controlSocket: flags['listen-control-api'],
    tickMs: flags['raft-tick'],
    raft: raftTicks(flags['heartbeat-tick'], flags['election-tick']),
  };
}

function raftTicks(
  heartbeatTicks: number,
  electionTicks: number,
): { heartbeatTicks: number; electionTicks: number } {
  if (electionTicks <= heartbeatTicks) {
    throw new CommandError(
      `--election-tick ${electionTicks}: must be more than --heartbeat-tick ${heartbeatTicks}, e.g. 10 and 1`,
      ExitCode.USAGE,
    );
  }
  return { heartbeatTicks, electionTicks };
}
