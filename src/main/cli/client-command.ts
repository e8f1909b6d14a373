/** What every command that speaks to a manager has: its socket, its output, its errors. */
import { Command, Flags } from '@oclif/core';
import type { Codec } from '../../shared/wire/runtime.ts';
import { DEFAULT_SOCKET } from './node-flags.ts';
import { type Json, messageJson, withoutEmpty } from './present/message-json.ts';
import { type Column, tableOf } from './present/table.ts';
import { processTerminal, type Terminal } from './terminal.ts';

export const socketFlag = {
  socket: Flags.string({
    char: 's',
    description: "the manager's control socket",
    default: DEFAULT_SOCKET,
    env: 'SKEIN_SOCKET',
    helpGroup: 'GLOBAL',
  }),
};

const format = Flags.string({
  description: 'a table for people, or JSON for programs: one object a line',
  options: ['table', 'json'],
  default: 'table',
});

/** For commands that list. */
export const listFlags = {
  format,
  quiet: Flags.boolean({ char: 'q', description: 'only ids' }),
  filter: Flags.string({
    char: 'f',
    description: 'only what fits, as key=value; may be given often',
    multiple: true,
    multipleNonGreedy: true,
    default: [],
  }),
  'no-trunc': Flags.boolean({ description: 'whole ids' }),
};

/** For commands that show one thing. */
export const inspectFlags = { format };

export type ListFlags = {
  readonly format: string;
  readonly quiet: boolean;
  readonly 'no-trunc': boolean;
};

export type Listing<Row> = {
  readonly rows: readonly Row[];
  readonly id: (row: Row) => string;
  /** `short` gives an id as this list shows it. */
  readonly columns: (short: (id: string) => string) => readonly Column<Row>[];
  /** With typed fields. */
  readonly json: (row: Row) => Json;
};

const SHORT_ID = 12;

export abstract class ClientCommand extends Command {
  static override baseFlags = socketFlag;

  terminal: Terminal = processTerminal();

  protected print(line: string): void {
    this.terminal.out(`${line}\n`);
  }

  /** A list as the flags want it. */
  protected list<Row>(flags: ListFlags, { rows, id, columns, json }: Listing<Row>): void {
    if (flags.quiet) for (const row of rows) this.print(id(row));
    else if (flags.format === 'json') for (const row of rows) this.print(JSON.stringify(json(row)));
    else {
      const short = (text: string): string => (flags['no-trunc'] ? text : text.slice(0, SHORT_ID));
      this.terminal.out(tableOf(rows, columns(short), this.terminal.columns));
    }
  }

  /** One object, whole: as JSON on one line, or everything that is not empty, for people. */
  protected async show<T>(
    flags: { readonly format: string },
    codec: Codec<T>,
    object: T,
  ): Promise<void> {
    await this.showJson(flags, messageJson(codec, object));
  }

  protected async showJson(flags: { readonly format: string }, json: Json): Promise<void> {
    if (flags.format === 'json') {
      this.print(JSON.stringify(json));
      return;
    }
    const { stringify } = await import('yaml');
    this.terminal.out(stringify(withoutEmpty(json) ?? {}, { lineWidth: 0 }));
  }
}
