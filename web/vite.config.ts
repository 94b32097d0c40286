import { readFileSync } from 'node:fs';
import { defineConfig, type Plugin } from 'vite';

/** What ends up in dist/ and asks that its notice travels along. */
const SHIPPED = ['preact', '@preact/signals', '@preact/signals-core', 'marked', '@fontsource-variable/inter'];

/** Writes the licences of everything in the bundle next to it. */
function licences(): Plugin {
  const notice = (name: string) => {
    const folder = `node_modules/${name}`;
    const { version } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
    return `${name} ${version}\n\n${readFileSync(`${folder}/LICENSE`, 'utf8').replace(/\r/g, '').trim()}\n`;
  };
  return {
    name: 'licences',
    generateBundle() {
      const source = SHIPPED.map(notice).join(`\n${'-'.repeat(80)}\n\n`);
      this.emitFile({ type: 'asset', fileName: 'licences.txt', source });
    },
  };
}

/** Where `npm run dev` sends what the page asks. A node answers only pages of its own, hence the origin. */
const NODE = process.env.GAIA_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [licences()],
  // Names carry a hash of the content, and the server lets browsers keep what lies under assets/ for good.
  build: {
    target: ['chrome123', 'firefox121', 'safari17.5'],
    modulePreload: false,
    assetsInlineLimit: 0,
    copyPublicDir: false,
    emptyOutDir: true,
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        entryFileNames: 'assets/page-[hash].js',
        chunkFileNames: 'assets/[name]-[hash].js',
        assetFileNames: 'assets/[name]-[hash][extname]',
      },
    },
  },
  server: { proxy: { '/v1': { target: NODE, changeOrigin: true, headers: { origin: NODE } } } },
});
