/** Runs one command of `src/main/commands`; its exit code tells the truth. */
import { enableCompileCache } from 'node:module';

enableCompileCache();
const { main } = await import('../src/main/commands/main.ts');
process.exitCode = await main(process.argv.slice(2), import.meta.url);
