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

/** The document of a domain's gateway: the node's, but for what it says of itself. `src/place.ts` reads the mark. */
const NODES = ['<html lang="en">', "Ask a Gaia node: an open model with its owner's knowledge.", 'talks to the node with'] as const;
const DOMAINS = [
  '<html lang="en" data-place="domain">',
  'Ask a Gaia domain: one address for many nodes.',
  'talks to the domain with',
] as const;

function asDomain(html: string): string {
  return NODES.reduce((text, theirs, at) => {
    if (!text.includes(theirs)) throw new Error(`index.html does not say ${theirs}`);
    return text.replace(theirs, DOMAINS[at] ?? '');
  }, html);
}

/** Writes `domain.html` beside `index.html`; while the page is worked on, GAIA_PLACE=domain serves it instead. */
function domain(): Plugin {
  return {
    name: 'domain',
    enforce: 'post',
    transformIndexHtml: (html, { server }) => (server && process.env.GAIA_PLACE === 'domain' ? asDomain(html) : html),
    generateBundle(_, bundle) {
      const node = bundle['index.html'];
      if (node?.type !== 'asset') throw new Error('no index.html was built');
      this.emitFile({ type: 'asset', fileName: 'domain.html', source: asDomain(String(node.source)) });
    },
  };
}

/** Where `npm run dev` sends what the page asks. A node answers only pages of its own, hence the origin. */
const NODE = process.env.GAIA_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [licences(), domain()],
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
  server: { proxy: Object.fromEntries(['/v1', '/gaia/v1', '/metrics', '/ready'].map((path) => [path, { target: NODE, changeOrigin: true, headers: { origin: NODE } }])) },
});
