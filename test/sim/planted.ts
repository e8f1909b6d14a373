/**
 * Bugs on purpose, to see that the simulation finds them. Each is a change to the text of one source
 * file, made while it is loaded: no switch stands in what is shipped.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

type Bug = {
  readonly file: string;
  readonly changes: readonly { readonly right: string; readonly wrong: string }[];
};

export const BUGS: Readonly<Record<string, Bug>> = {
  'vote-before-persist': {
    file: 'src/main/raft/persist-then-send.ts',
    changes: [
      {
        right: 'this.#send(ready.sendNow);',
        // 6 is MsgVoteResp.
        wrong:
          'this.#send([...ready.sendNow, ...ready.sendAfterPersist.filter(({ type }) => type === 6)]);',
      },
    ],
  },
  'commit-of-an-older-term': {
    file: 'src/main/raft/core/replication.ts',
    changes: [
      {
        right: '{ term: raft.term, index: raft.tracker.committed() }',
        wrong:
          '{ term: raft.log.term(raft.tracker.committed()) ?? 0, index: raft.tracker.committed() }',
      },
    ],
  },
  'forgotten-hard-state': {
    file: 'src/main/raft/persist-then-send.ts',
    changes: [
      {
        right: 'await this.#log.save({ ...persist, hardState }, snapshot);',
        wrong: 'await this.#log.save({ ...persist, hardState: null }, snapshot);',
      },
    ],
  },
  'shared-version': {
    file: 'src/main/store/writes.ts',
    changes: [
      {
        right: 'return Math.max(context.version, stored + 1);',
        wrong: 'return context.version;',
      },
    ],
  },
  'read-without-a-quorum': {
    file: 'src/main/raft/core/read-index.ts',
    changes: [
      {
        right: "'lease-based' || isSoleVoter(raft)",
        wrong: "'lease-based' || raft.role === 'leader'",
      },
    ],
  },
  'snapshot-without-its-members': {
    file: 'src/main/raft/core/accept.ts',
    changes: [{ right: 'restoreConfState(raft, confState);', wrong: 'void restoreConfState;' }],
  },
  'removed-member-still-counted': {
    file: 'src/main/raft/core/tracker.ts',
    changes: [
      {
        right: 'voters.map((id) => [id, this.#progress.get(id)',
        wrong:
          '[...new Set([...this.#progress.keys(), ...voters])].map((id) => [id, this.#progress.get(id)',
      },
      {
        right: 'committedIndex(this.#voters, (id)',
        wrong: 'committedIndex([...this.#progress.keys()], (id)',
      },
    ],
  },
  // From here on: what the simulation found in Skein.
  'snapshot-with-the-members-of-now': {
    file: 'src/main/raft/snapshots.ts',
    changes: [
      {
        right: 'if (voters.every((raftId) => known.has(raftId))) return snapshot;',
        wrong: 'if (voters.length > 0 || known.size > 0) return snapshot;',
      },
      {
        right: 'return openSnapshot(this.#options.log);',
        wrong:
          'const source = openSnapshot(this.#options.log); return { ...source, metadata: { ...source.metadata, confState: { ...source.metadata.confState, voters: this.#options.voters() } } };',
      },
    ],
  },
  'newcomer-not-told-again': {
    file: 'src/main/raft/membership.ts',
    changes: [
      { right: 'if (joined?.addr === addr) return', wrong: 'if (addr === undefined) return' },
    ],
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

/** `text` with the bug in it; each of its places must be there, once. */
export function spoil(text: string, { file, changes }: Bug): string {
  return changes.reduce((spoilt, { right, wrong }) => {
    assert.equal(
      spoilt.split(right).length,
      2,
      `${file} has no place for the bug any more: ${right}`,
    );
    return spoilt.replace(right, () => wrong);
  }, text);
}
