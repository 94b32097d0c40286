// Builds into a scratch folder and fails unless the committed dist/ holds the same bytes, within the size limit.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const GZIPPED_BYTES_MAX = 200 * 1024;
const scratch = 'node_modules/.dist';

const files = (folder) =>
  new Map(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => `${entry.parentPath}/${entry.name}`)
      .sort()
      .map((path) => [path.slice(folder.length + 1), readFileSync(path)]),
  );

rmSync(scratch, { recursive: true, force: true });
const built = spawnSync(process.execPath, ['node_modules/vite/bin/vite.js', 'build', '--outDir', scratch], {
  stdio: 'inherit',
});
if (built.status !== 0) process.exit(1);

const fresh = files(scratch);
const committed = files('dist');
const names = [...new Set([...fresh.keys(), ...committed.keys()])];
const differ = names.filter((name) => !fresh.get(name)?.equals(committed.get(name) ?? Buffer.alloc(0)));
if (differ.length > 0) {
  console.error(`web/dist is not what the sources give: ${differ.join(', ')}. Run \`npm run build\` and commit it.`);
  process.exit(1);
}

const bytes = [...fresh.values()].reduce((sum, content) => sum + gzipSync(content).length, 0);
if (bytes > GZIPPED_BYTES_MAX) {
  console.error(`web/dist is ${bytes} bytes gzipped; the limit is ${GZIPPED_BYTES_MAX}.`);
  process.exit(1);
}
console.log(`web/dist is current: ${names.length} files, ${(bytes / 1024).toFixed(1)} KB gzipped.`);
