/** The empty manager (`floor-main.ts`) in a process of its own: what Node itself takes for the calls. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { foundCluster } from '../../src/main/ca/bootstrap.ts';
import type { Credentials } from '../../src/main/rpc/listener.ts';
import { realEnv } from '../../src/main/env.ts';
import type { Undo } from '../../test/support/undo.ts';
import type { Membership } from '../crowd/messages.ts';
import type { FloorAnswer, FloorOrder } from './floor-main.ts';
import { ProcessStat } from './process-stat.ts';

const MAIN = fileURLToPath(new URL('./floor-main.ts', import.meta.url));

const forget = {
  loadRoot: async () => undefined,
  load: async () => undefined,
  saveRoot: async () => undefined,
  save: async () => undefined,
};

export class FloorManager {
  readonly name = 'floor';
  readonly stat: ProcessStat;
  readonly address: string;
  readonly membership: Membership;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, address: string, credentials: Credentials) {
    this.#child = child;
    this.stat = new ProcessStat(child.pid);
    this.address = address;
    this.membership = { by: 'credentials', credentials };
  }

  static async start(host: string, undo: Undo): Promise<FloorManager> {
    const { security } = await foundCluster(forget, realEnv);
    const { credentials } = security;
    const child = fork(MAIN, [], { execArgv: [] });
    undo.add('end the empty manager', () => child.kill('SIGKILL'));
    const listens = new Promise<FloorAnswer>((resolve, reject) => {
      child.once('message', (message: FloorAnswer) => resolve(message));
      child.once('exit', (code) => reject(new Error(`the empty manager ended with ${code}`)));
    });
    child.send({ t: 'listen', host, credentials } satisfies FloorOrder);
    const answer = await listens;
    return new FloorManager(child, `${host}:${answer.port}`, credentials);
  }

  /** Hands out so many new tasks, evenly. */
  assign(tasks: number): void {
    this.#child.send({ t: 'assign', tasks } satisfies FloorOrder);
  }
}
