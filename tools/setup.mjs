// Makes a fresh clone ready, then runs the given script: `node tools/setup.mjs bin/skein.ts up ...`.
// It installs what package-lock.json names, once, on whatever Node the machine has (20 or newer),
// and hands over to the Node that the project pins.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const stamp = join(root, 'node_modules', '.skein-setup');

function fingerprint() {
  const hash = createHash('sha256');
  for (const file of ['package.json', 'package-lock.json']) {
    hash.update(readFileSync(join(root, file)));
  }
  return hash.digest('hex');
}

function install() {
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === fingerprint()) return 0;
  process.stderr.write('skein: installing dependencies (once) ...\n');
  const npm = spawnSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (npm.status !== 0) {
    process.stderr.write('skein: npm install failed, see above. It needs the npm registry.\n');
    return npm.status ?? 1;
  }
  writeFileSync(stamp, fingerprint());
  return 0;
}

/** Runs the pinned Node; signals that a terminal sends to us both are the child's to handle. */
function run(args) {
  const bin = join(root, 'node_modules', '.bin');
  const child = spawn(join(bin, 'node'), args, {
    stdio: 'inherit',
    env: { ...process.env, PATH: `${bin}:${process.env.PATH ?? ''}` },
  });
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + (constants.signals[signal ?? 'SIGTERM'] ?? 15);
  });
}

const failed = install();
if (failed !== 0) process.exitCode = failed;
else if (process.argv.length > 2) run(process.argv.slice(2));
