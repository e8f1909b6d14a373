/**
 * Runs a benchmark by name: `npm run bench -- list`, `npm run bench -- store 100000`. Each checks its
 * result before it times it, and is small unless its arguments say otherwise.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const BENCHES: Readonly<Record<string, string>> = {
  codecs: 'our codecs beside protobufjs [ROUNDS]',
  lanes: 'records between threads, beside postMessage',
  store: 'task rows: create, patch, look up, snapshot, restore [TASKS ...]',
};

const [name = 'list', ...args] = process.argv.slice(2);
if (name === 'list') {
  for (const [bench, about] of Object.entries(BENCHES)) {
    process.stdout.write(`${bench.padEnd(8)} ${about}\n`);
  }
} else if (name in BENCHES) {
  const file = fileURLToPath(new URL(`./${name}.ts`, import.meta.url));
  const { status } = spawnSync(process.execPath, ['--expose-gc', file, ...args], {
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
} else {
  process.stderr.write(`no such benchmark: ${name}; see "npm run bench -- list"\n`);
  process.exitCode = 2;
}
