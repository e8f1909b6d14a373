/**
 * Bugs on purpose, to see that the simulation finds them. Each is a change to the text of one source
 * file, made while it is loaded: no switch stands in what is shipped.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

type Bug = { readonly file: string; readonly right: string; readonly wrong: string };

export const BUGS: Readonly<Record<string, Bug>> = {
  'vote-before-persist': {
    file: 'src/main/raft/driver.ts',
    right: 'this.#send(node, ready.sendNow);',
    // 6 is MsgVoteResp.
    wrong:
      'this.#send(node, [...ready.sendNow, ...ready.sendAfterPersist.filter(({ type }) => type === 6)]);',
  },
  'commit-of-an-older-term': {
    file: 'src/main/raft/core/replication.ts',
    right: '{ term: raft.term, index: raft.tracker.committed() }',
    wrong:
      '{ term: raft.log.term(raft.tracker.committed()) ?? 0, index: raft.tracker.committed() }',
  },
  'forgotten-hard-state': {
    file: 'src/main/raft/driver.ts',
    right: 'await log.save({ ...persist, hardState }, received);',
    wrong: 'await log.save({ ...persist, hardState: null }, received);',
  },
  'shared-version': {
    file: 'src/main/store/writes.ts',
    right: 'return Math.max(context.version, stored + 1);',
    wrong: 'return context.version;',
  },
};

const ROOT = new URL('../../', import.meta.url).href;

/** Plants a bug in all that is imported from now on. */
export function plant(name: string): void {
  const bug = BUGS[name];
  assert(bug !== undefined, `no such bug: ${name}; there are ${Object.keys(BUGS).join(', ')}`);
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (url !== `${ROOT}${bug.file}`) return loaded;
      const text = readFileSync(new URL(url), 'utf8');
      return { ...loaded, source: spoil(text, bug) };
    },
  });
}

/** `text` with the bug in it; the place must be there, once. */
export function spoil(text: string, { file, right, wrong }: Bug): string {
  assert.equal(text.split(right).length, 2, `${file} has no place for the bug any more: ${right}`);
  return text.replace(right, () => wrong);
}
