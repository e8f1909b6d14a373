/** A group of managers: the leader in this process, each follower in a process of its own. */
import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { testCluster } from '../../src/main/ca/testing/identities.ts';
import { Role } from '../../src/main/rpc/authorise.ts';
import type { FromFollower, ToFollower } from './follower.ts';
import type { Saves } from './load.ts';
import { startMember, type Contents, type Member, type MemberOptions } from './member.ts';
import type { Strain } from './strain.ts';

export type Group = AsyncDisposable & {
  readonly leader: Member;
  readonly saves: () => Promise<Saves>;
  /** Lets one more manager in; resolves when it has all that the leader has. */
  readonly add: () => Promise<{ readonly contents: Contents; readonly strain: Strain }>;
  /** What each member holds when it has applied all that the leader has. */
  readonly contents: () => Promise<readonly Contents[]>;
};

class Follower implements AsyncDisposable {
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#process = child;
  }

  static async start(options: Omit<MemberOptions, 'services'>, watched = false): Promise<Follower> {
    const file = fileURLToPath(new URL('./follower.ts', import.meta.url));
    const follower = new Follower(fork(file, { execArgv: [] }));
    await follower.ask({ t: 'start', options, watched }, 'started');
    return follower;
  }

  /** One question at a time. */
  async ask<T extends FromFollower['t']>(
    message: ToFollower,
    kind: T,
  ): Promise<Extract<FromFollower, { readonly t: T }>> {
    const { promise: answer, resolve, reject } = Promise.withResolvers<FromFollower>();
    const ended = (): void => reject(new Error('a follower ended'));
    this.#process.once('message', resolve).once('exit', ended);
    this.#process.send(message);
    const told = await answer.finally(() => this.#process.off('exit', ended));
    const isIt = (given: FromFollower): given is Extract<FromFollower, { readonly t: T }> =>
      given.t === kind;
    assert(isIt(told), `a follower answered ${told.t}`);
    return told;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.disconnect();
    await ended;
  }
}

export async function startGroup(
  directory: string,
  size: number,
  more: Pick<MemberOptions, 'services' | 'keep'> = {},
): Promise<Group> {
  const cluster = await testCluster();
  await using started = new AsyncDisposableStack();
  const optionsOf = async (name: string): Promise<MemberOptions> => ({
    directory: join(directory, name),
    nodeId: name,
    organization: cluster.organization,
    credentials: await cluster.member(name, Role.MANAGER),
  });
  const own = await optionsOf('leader');
  const leader = started.use(await startMember({ ...own, ...more }));
  const followers: Follower[] = [];
  for (let i = 1; i < size; i += 1) {
    const options = { ...(await optionsOf(`follower${i}`)), joins: leader.address };
    followers.push(started.use(await Follower.start(options)));
  }
  const stack = started.move();
  return {
    leader,
    saves: async () => {
      const each = await Promise.all(followers.map((one) => one.ask({ t: 'saves' }, 'saves')));
      const sum = each.reduce((total, { saves }) => total + saves, 0);
      const { saves, bytes } = leader.saved();
      return { leader: saves, follower: sum / Math.max(1, followers.length), bytes };
    },
    add: async () => {
      const options = { ...(await optionsOf('late')), joins: leader.address };
      const late = stack.use(await Follower.start(options, true));
      const index = leader.store.appliedIndex;
      const { contents } = await late.ask({ t: 'contents', index }, 'contents');
      const { strain } = await late.ask({ t: 'strain' }, 'strain');
      return { contents, strain };
    },
    contents: async () => {
      const index = leader.store.appliedIndex;
      const asked = followers.map((one) => one.ask({ t: 'contents', index }, 'contents'));
      return [leader.contents(), ...(await Promise.all(asked)).map(({ contents }) => contents)];
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
