import assert from 'node:assert/strict';
import { test } from 'node:test';
import { playFolder, playScript } from './transcripts/play.ts';
import { parseCommand, parseScript } from './transcripts/script.ts';

const OWN_SCRIPTS = new URL('./transcripts/raft', import.meta.url).pathname;

const GROUP = 'add-nodes 3 voters=(1,2,3) index=2\n----\nINFO whatever it says\n';

test('our own raft scripts go as written', () => {
  const outcomes = playFolder(OWN_SCRIPTS);
  assert.ok(outcomes.length >= 10, 'the scripts were not found');
  assert.deepEqual(
    outcomes.filter(({ mismatch }) => mismatch !== null),
    [],
  );
});

test('canary: what goes otherwise is shown, with its line', () => {
  const script = `${GROUP}\ncampaign 1\n----\nok\n\nraft-state\n----\n1: StateLeader\n`;
  const { steps, mismatch } = playScript(script);
  assert.equal(steps, 2);
  assert.deepEqual([mismatch?.line, mismatch?.command], [9, 'raft-state']);
  assert.equal(mismatch?.actual[0], '1: StateCandidate (Voter) Term:1 Lead:0');
});

test('canary: an exception, an unknown command and an unknown option are mismatches', () => {
  for (const [script, said] of [
    ['campaign 1\n----\nok\n', /no node 1/],
    ['dance 1\n----\nok\n', /unknown command dance/],
    ['add-nodes 1 speed=9\n----\nok\n', /option speed is not supported/],
    ['add-nodes 1 voters=(1) index=1\n----\nok\n', /index must be specified/],
    [`${GROUP}\npropose-conf-change 1 v1=false\nv2 v3\n----\nok\n`, /only single changes/],
  ] as const) {
    assert.match(playScript(script).mismatch?.actual[0] ?? '', said);
  }
});

test('log lines are not compared, and at level none only errors are said', () => {
  const loud = `${GROUP}\ncampaign 1\n----\n  DEBUG one\nWARN two\nERROR three\n`;
  assert.equal(playScript(loud).mismatch, null);
  const silent = 'log-level none\n----\nok\n\npropose 1 x\n----\nraft proposal dropped\n';
  assert.equal(playScript(`${GROUP}\n${silent}`).mismatch, null);
  const quiet = 'raft-log 1\nlog-level debug\n----\n1/3 nothing of this\n';
  assert.equal(playScript(`${GROUP}\nlog-level none\n----\nok\n\n${quiet}`).mismatch?.line, 9);
});

test('ticks of heartbeats and elections can be set for a script, and quiet is no output', () => {
  const nodes = 'add-nodes 1 voters=(1) index=2 heartbeat-tick=2 election-tick=5\n----\nok\n';
  const follower = 'raft-state\n----\n1: StateFollower (Voter) Term:0 Lead:0\n';
  const leader = 'log-level none\nraft-state\n----\nok (quiet)\n\nstatus 1\n----\nok\n';
  const script = `${nodes}\ntick 1 4\n----\nok\n\n${follower}\ntick 1 1\n----\nok\n\n${leader}`;
  assert.equal(playScript(script).mismatch, null);
  const early = `${nodes}\ntick 1 5\n----\nok\n\n${follower}`;
  assert.equal(playScript(early).mismatch?.command, 'raft-state');
});

test('input lines are further commands', () => {
  const script = `${GROUP}\ncampaign 1\ndeliver-msgs 2\n----\nno messages\n`;
  assert.equal(playScript(script).mismatch, null);
});

test('scripts are read: comments, continued lines, lists and doubled separators', () => {
  const text = '# no\ncampaign \\\n1\n----\n----\none\n\ntwo\n----\n----\n\nstatus 1\n----\n';
  const [campaign, status] = parseScript(text);
  assert.deepEqual(campaign?.expected, ['one', '', 'two']);
  assert.deepEqual([campaign?.line, status?.line], [2, 12]);
  assert.deepEqual(parseCommand('add-nodes 2 voters=(1, 2 3) index=4'), {
    name: 'add-nodes',
    args: [
      { key: '2', values: [] },
      { key: 'voters', values: ['1', '2', '3'] },
      { key: 'index', values: ['4'] },
    ],
  });
  assert.throws(() => parseScript('campaign 1\n'), /without ----/);
});
