/** Runs one command of `src/main/commands`; its exit code tells the truth. */
import { enableCompileCache } from 'node:module';

const { directory } = enableCompileCache();
// Threads have their own module loaders, which learn of the cache by this only.
if (directory !== undefined) process.env['NODE_COMPILE_CACHE'] ??= directory;
const { main } = await import('../src/main/commands/main.ts');
process.exitCode = await main(process.argv.slice(2), import.meta.url);
