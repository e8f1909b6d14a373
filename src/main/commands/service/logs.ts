/** `skein service logs`: what tasks write, stdout and stderr kept apart. */
import { forFlag } from '../../cli/flag-map.ts';
import { Flags } from '@oclif/core';
import { argument } from '../../cli/arguments.ts';
import { millisOf, timestampOf } from '../../../shared/model/time.ts';
import type { Node, Task } from '../../../shared/wire/gen/objects.ts';
import type { LogMessage } from '../../../shared/wire/gen/logbroker.ts';
import { LogStream } from '../../../shared/wire/gen/logbroker.ts';
import { ClientCommand } from '../../cli/client-command.ts';
import { CommandError } from '../../cli/command-error.ts';
import { type Cluster, type Control, withCluster } from '../../cli/connection.ts';
import { findService, findTask } from '../../cli/lookup.ts';
import { timeText } from '../../cli/present/message-json.ts';
import { slotName } from '../../cli/present/tasks.ts';
import { integerOf, SyntaxProblem } from '../../cli/syntax/problem.ts';
import { durationOf } from '../../cli/syntax/quantities.ts';
import { realEnv } from '../../env.ts';
import { Code, hasCode } from '../../rpc/errors.ts';

type Selector = { readonly serviceIds?: readonly string[]; readonly taskIds?: readonly string[] };

/** Lines as the log broker counts them: -(n + 1) for the last n, 0 for all (interoperability, logs). */
export function tailOf(text: string): number {
  return text === 'all' ? 0 : -(integerOf(text, 0, 1_000_000_000) + 1);
}

/** Milliseconds since 1970 of `2026-01-31T10:00:00Z`, or of so long ago as `10m`. */
export function sinceMsOf(text: string, nowMs: number): number {
  if (/^\d{4}-/.test(text)) {
    const ms = Date.parse(text);
    if (Number.isFinite(ms)) return ms;
  } else if (/^\d+[a-zµ]/.test(text)) return nowMs - millisOf(durationOf(text));
  throw new SyntaxProblem(`"${text}" is not a time; write e.g. 10m or 2026-01-31T10:00:00Z`);
}

export class ServiceLogsCommand extends ClientCommand {
  static override summary = 'Show what the tasks of a service write';
  static override description =
    'Of a service, or of one task. What the tasks write to stderr goes to stderr. Fails when a node ' +
    'could not be asked, after everything that the others have.';

  static override examples = ['<%= config.bin %> <%= command.id %> --follow --tail 10 web'];
  static override args = {
    service: argument('service, or task, by name or id'),
  };
  static override flags = {
    follow: Flags.boolean({ char: 'f', description: 'go on with what is written from now on' }),
    tail: Flags.string({
      char: 'n',
      description: 'lines from the end of each task',
      default: 'all',
    }),
    since: Flags.string({ description: 'only later than, e.g. 10m or 2026-01-31T10:00:00Z' }),
    timestamps: Flags.boolean({ char: 't', description: 'with the time of each line' }),
    raw: Flags.boolean({ description: 'without the names of tasks and nodes' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ServiceLogsCommand);
    const { since, follow } = flags;
    const tail = forFlag('tail', () => tailOf(flags.tail));
    const sinceMs =
      since === undefined ? undefined : forFlag('since', () => sinceMsOf(since, realEnv.nowMs()));
    const options = {
      follow,
      tail,
      since: sinceMs === undefined ? undefined : timestampOf(sinceMs),
    };
    const interrupt = new AbortController();
    const onInterrupt = (): void => interrupt.abort();
    process.once('SIGINT', onInterrupt);
    // Nobody reads any more.
    process.stdout.once('error', onInterrupt);
    try {
      await withCluster(flags.socket, async (cluster) => {
        const selector = await selectorOf(cluster.control, args.service);
        const names = new Names(cluster.control);
        for await (const message of messages(cluster, selector, options, interrupt.signal)) {
          const prefix = flags.raw ? '' : `${await names.of(message)} | `;
          const { timestamp } = message;
          const time = flags.timestamps && timestamp !== undefined ? `${timeText(timestamp)} ` : '';
          this.#write(message, `${time}${prefix}`);
        }
      });
    } finally {
      process.off('SIGINT', onInterrupt);
      process.stdout.off('error', onInterrupt);
    }
  }

  #write({ stream, data }: LogMessage, prefix: string): void {
    const text = Buffer.from(data).toString();
    const line = text.endsWith('\n') ? text : `${text}\n`;
    if (stream === LogStream.LOG_STREAM_STDERR) this.terminal.err(`${prefix}${line}`);
    else this.terminal.out(`${prefix}${line}`);
  }
}

async function selectorOf(control: Control, reference: string): Promise<Selector> {
  try {
    return { serviceIds: [(await findService(control, reference)).id] };
  } catch (error) {
    if (!(error instanceof CommandError) || !error.message.endsWith('not found')) throw error;
  }
  try {
    return { taskIds: [(await findTask(control, reference)).id] };
  } catch (error) {
    if (!(error instanceof CommandError) || !error.message.endsWith('not found')) throw error;
    throw new CommandError(`there is no service and no task called ${reference}`);
  }
}

type LogOptions = Parameters<Cluster['logs']['SubscribeLogs']>[0] extends infer R
  ? R extends { readonly options?: infer O }
    ? O
    : never
  : never;

async function* messages(
  { logs }: Cluster,
  selector: Selector,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogMessage> {
  try {
    for await (const batch of logs.SubscribeLogs({ selector, options }, { signal }))
      yield* batch.messages;
  } catch (error) {
    if (signal.aborted && hasCode(error, Code.CANCELLED)) return;
    throw error;
  }
}

/** `web.2@worker-1`; asked once for each task. */
class Names {
  readonly #control: Control;
  readonly #byTask = new Map<string, Promise<string>>();

  constructor(control: Control) {
    this.#control = control;
  }

  of({ context: { taskId, nodeId } }: LogMessage): Promise<string> {
    let name = this.#byTask.get(taskId);
    if (name === undefined) {
      name = this.#ask(taskId, nodeId);
      this.#byTask.set(taskId, name);
    }
    return name;
  }

  async #ask(taskId: string, nodeId: string): Promise<string> {
    const [task, node] = await Promise.all([
      orMissing<Task>(async () => (await this.#control.GetTask({ taskId })).task),
      orMissing<Node>(async () => (await this.#control.GetNode({ nodeId })).node),
    ]);
    const where = node?.description?.hostname || nodeId;
    return `${task === undefined ? taskId : slotName(task)}@${where}`;
  }
}

/** What is gone by now has no name any more; its lines still count. */
async function orMissing<T>(get: () => Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await get();
  } catch (error) {
    if (hasCode(error, Code.NOT_FOUND)) return undefined;
    throw error;
  }
}
