/** What `secret` and `config` commands share: their data comes from a file or from standard input. */
import { readFile } from 'node:fs/promises';
import { Args, Flags } from '@oclif/core';
import { argument } from './arguments.ts';
import { ClientCommand, listFlags } from './client-command.ts';
import { CommandError } from './command-error.ts';
import { type Control, withCluster } from './connection.ts';
import { filtersOf, nameFilters } from './filters.ts';
import { flagMap } from './flag-map.ts';
import { ageText } from './present/age.ts';
import { type Json, timeText } from './present/message-json.ts';
import type { Meta } from '../../shared/wire/gen/objects.ts';
import type { Annotations } from '../../shared/wire/gen/types.ts';
import { millisOf } from '../../shared/model/time.ts';
import { realEnv } from '../env.ts';

export const payloadArguments = {
  name: argument('name'),
  file: Args.string({
    description: 'file; "-" or none for standard input',
    default: '-',
    ignoreStdin: true,
  }),
};

export const payloadFlags = {
  label: Flags.string({
    char: 'l',
    description: 'label',
    multiple: true,
    multipleNonGreedy: true,
    default: [],
  }),
};

export type NewPayload = {
  readonly annotations: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly data: Uint8Array;
};

export abstract class PayloadCreateCommand extends ClientCommand {
  static override args = payloadArguments;
  static override flags = payloadFlags;

  /** @returns its id */
  protected abstract create(control: Control, spec: NewPayload): Promise<string>;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PayloadCreateCommand);
    const labels = flagMap('label', flags.label);
    const data = args.file === '-' ? await this.terminal.read() : await contentsOf(args.file);
    await withCluster(flags.socket, async ({ control }) => {
      this.print(await this.create(control, { annotations: { name: args.name, labels }, data }));
    });
  }
}

async function contentsOf(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new CommandError(
      `cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

type Listed = {
  readonly id: string;
  readonly meta: Meta;
  readonly spec: { readonly annotations: Annotations };
};

export abstract class PayloadLsCommand extends ClientCommand {
  static override description = 'Filters: id, name, label.';
  static override flags = listFlags;

  protected abstract objects(
    control: Control,
    filters: ReturnType<typeof nameFilters>,
  ): Promise<readonly Listed[]>;

  async run(): Promise<void> {
    const { flags } = await this.parse(PayloadLsCommand);
    const filters = nameFilters(filtersOf(flags.filter, ['id', 'name', 'label']));
    await withCluster(flags.socket, async ({ control }) => {
      const objects = await this.objects(control, filters);
      const nowMs = realEnv.nowMs();
      const age = ({ createdAt }: Meta): string => `${ageText(nowMs - millisOf(createdAt))} ago`;
      this.list(flags, {
        rows: objects.toSorted((a, b) =>
          a.spec.annotations.name.localeCompare(b.spec.annotations.name),
        ),
        id: ({ id }) => id,
        columns: (short) => [
          { title: 'id', cell: ({ id }) => short(id) },
          { title: 'name', cell: ({ spec }) => spec.annotations.name },
          { title: 'created', cell: ({ meta }) => age(meta) },
        ],
        json: payloadJson,
      });
    });
  }
}

function payloadJson({ id, meta, spec }: Listed): Json {
  return {
    id,
    name: spec.annotations.name,
    labels: spec.annotations.labels,
    createdAt: meta.createdAt === undefined ? null : timeText(meta.createdAt),
    updatedAt: meta.updatedAt === undefined ? null : timeText(meta.updatedAt),
  };
}
