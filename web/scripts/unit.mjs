// Compiles the pure modules with their tests and runs them under node's own test runner.
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';

const out = '.unit';
rmSync(out, { recursive: true, force: true });

const run = (command, args) => {
  const { status } = spawnSync(command, args, { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
};

run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.test.json']);
const tests = readdirSync(`${out}/tests/unit`).filter((name) => name.endsWith('.test.js'));
run(process.execPath, ['--test', ...tests.map((name) => `${out}/tests/unit/${name}`)]);
