// The page with live reload: against the node at GAIA_URL, or against the stand-in where none is named.
import { createServer } from 'vite';
import { mock } from './mock.mjs';

if (!process.env.GAIA_URL) {
  const server = await mock(0);
  process.env.GAIA_URL = `http://127.0.0.1:${server.address().port}`;
}
const vite = await createServer();
await vite.listen();
vite.printUrls();
