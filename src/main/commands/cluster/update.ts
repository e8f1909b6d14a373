/** `skein cluster update`. */
import { forFlag } from '../../cli/flag-map.ts';
import { Flags } from '@oclif/core';
import { deepEqual } from '../../../shared/kit/deep-equal.ts';
import type { ClusterSpec } from '../../../shared/wire/gen/specs.ts';
import { ClientCommand } from '../../cli/client-command.ts';
import { CommandError } from '../../cli/command-error.ts';
import { withCluster } from '../../cli/connection.ts';
import { theCluster } from '../../cli/lookup.ts';
import { mapOf } from '../../cli/syntax/fields.ts';
import { integerOf } from '../../cli/syntax/problem.ts';
import { durationOf } from '../../cli/syntax/quantities.ts';

type Edit = (spec: ClusterSpec, value: string) => ClusterSpec;

const EDITS: Readonly<Record<string, { readonly about: string; readonly edit: Edit }>> = {
  'cert-expiry': {
    about: "how long a node's certificate is good, e.g. 2160h",
    edit: (spec, v) => ({ ...spec, caConfig: { ...spec.caConfig, nodeCertExpiry: durationOf(v) } }),
  },
  'dispatcher-heartbeat': {
    about: 'how often a node says that it is there, e.g. 5s',
    edit: (spec, v) => ({
      ...spec,
      dispatcher: { ...spec.dispatcher, heartbeatPeriod: durationOf(v) },
    }),
  },
  'task-history-limit': {
    about: 'ended tasks that are kept of each slot',
    edit: (spec, v) => ({
      ...spec,
      orchestration: { ...spec.orchestration, taskHistoryRetentionLimit: integerOf(v) },
    }),
  },
  'snapshot-interval': {
    about: 'log entries between two snapshots',
    edit: (spec, v) => ({ ...spec, raft: { ...spec.raft, snapshotInterval: integerOf(v, 1) } }),
  },
  'log-driver': {
    about: 'log driver of tasks that name none',
    edit: (spec, v) => ({
      ...spec,
      taskDefaults: {
        ...spec.taskDefaults,
        logDriver: { options: {}, ...spec.taskDefaults.logDriver, name: v },
      },
    }),
  },
};

export class ClusterUpdateCommand extends ClientCommand {
  static override summary = 'Change the settings of the cluster';
  static override examples = ['<%= config.bin %> <%= command.id %> --task-history-limit 2'];
  static override flags = {
    ...Object.fromEntries(
      Object.entries(EDITS).map(([name, { about }]) => [
        name,
        Flags.string({ description: about }),
      ]),
    ),
    'log-opt': Flags.string({
      description: 'option of that log driver, as max-size=10m',
      multiple: true,
      multipleNonGreedy: true,
    }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(ClusterUpdateCommand);
    const values: Readonly<Record<string, unknown>> = flags;
    await withCluster(flags.socket, async ({ control }) => {
      const { id, spec, meta } = await theCluster(control);
      let wanted = spec;
      for (const [flag, { edit }] of Object.entries(EDITS)) {
        const value = values[flag];
        if (typeof value === 'string') wanted = forFlag(flag, () => edit(wanted, value));
      }
      const options = flags['log-opt'];
      if (options !== undefined && typeof options !== 'string') {
        const logDriver = {
          name: wanted.taskDefaults.logDriver?.name ?? '',
          options: forFlag('log-opt', () => mapOf(options)),
        };
        wanted = { ...wanted, taskDefaults: { ...wanted.taskDefaults, logDriver } };
      }
      if (deepEqual(wanted, spec)) throw new CommandError('no changes detected');
      await control.UpdateCluster({ clusterId: id, clusterVersion: meta.version, spec: wanted });
      this.print(id);
    });
  }
}
