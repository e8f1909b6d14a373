/** A controller thread: the lane on one side, the tasks engine on the other. */
import { serveAsync, type ThreadStart } from '../../shared/lanes/serve.ts';
import type { FromTasks, TaskThreadData, ToTasks } from '../../shared/lanes/tasks.ts';
import { TasksEngine } from './engine.ts';
import type { ExecutorLog } from './executors/executor.ts';
import { openExecutor } from './open-executor.ts';
import { Ticker } from './ticker.ts';

const nowMs = (): number => Date.now();

export async function run(start: ThreadStart<TaskThreadData>): Promise<void> {
  const { data, index } = start;
  const ticker = new Ticker(nowMs);
  const clock = { agenda: ticker.agenda, nowMs };
  await serveAsync<ToTasks, FromTasks>(start, (lane) => {
    const say =
      (level: 'info' | 'warn'): ExecutorLog['info'] =>
      (fields, text) =>
        void lane.send({ t: 'said', level, text, fields: new Map(Object.entries(fields)) });
    const log = { info: say('info'), warn: say('warn') };
    const executor = openExecutor(data, clock, log);
    const { nodeId, threads } = data;
    const engine = new TasksEngine({ nodeId, executor, clock, log, lane, index, threads });
    const opened = engine.open();
    return {
      handle: async (messages) => {
        await opened;
        engine.handle(messages);
      },
      stop: async () => {
        ticker.stop();
        await engine.close();
      },
    };
  });
}
