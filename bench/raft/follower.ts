/** A follower in a process of its own: told by its parent who it is, and asked by it what it holds. */
import { watchStrain, type Strain } from './strain.ts';
import { startMember, type Contents, type MemberOptions } from './member.ts';

export type ToFollower =
  | {
      readonly t: 'start';
      readonly options: Omit<MemberOptions, 'services'>;
      /** To watch what it does to the process, which takes some of its time itself. */
      readonly watched: boolean;
    }
  /** Asks for the contents, once this index is applied. */
  | { readonly t: 'contents'; readonly index: number }
  | { readonly t: 'saves' }
  | { readonly t: 'strain' };

export type FromFollower =
  | { readonly t: 'started' }
  | { readonly t: 'contents'; readonly contents: Contents }
  | { readonly t: 'saves'; readonly saves: number }
  | { readonly t: 'strain'; readonly strain: Strain };

/** How often a follower looks whether it has applied what it waits for. */
const LOOK_MS = 5;

const reply = (message: FromFollower): void => void process.send?.(message);

const { promise: first, resolve } =
  Promise.withResolvers<Extract<ToFollower, { readonly t: 'start' }>>();
process.on('message', (message: ToFollower) => message.t === 'start' && resolve(message));
const { options, watched } = await first;
const member = await startMember(options);
const strain = watched ? watchStrain() : undefined; // a new log is made, and opened, before anything is served
process.on('message', (message: ToFollower) => {
  if (message.t === 'saves') reply({ t: 'saves', saves: member.saved().saves });
  if (message.t === 'strain' && strain !== undefined) reply({ t: 'strain', strain: strain.stop() });
  if (message.t !== 'contents') return;
  const look = setInterval(() => {
    if (member.store.appliedIndex < message.index) return;
    clearInterval(look);
    reply({ t: 'contents', contents: member.contents() });
  }, LOOK_MS);
});
process.once('disconnect', () => void member[Symbol.asyncDispose]());
reply({ t: 'started' });
