// A stand-in node for working on the page: `npm run dev` starts it. No test of the product uses it.
// Ask for "error", "busy", "unpaid", "nobody", "toolong", "slow", "warning", "cut", "tool" or "key" to see those; with MOCK_KEY set, everything needs that key.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { answer } from './domain.mjs';

const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2', '.txt': 'text/plain' };
const CSP = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const CITATIONS = [
  { document: 'knowledge.md', chunk: 2, heading: ['Knowledge', 'Adding documents'], score: 0.742, start: 1210, end: 1689, text: 'Give the command a file, a folder or a dash for standard input:\n\n```sh\ngaia knowledge add docs/\n```\n\nMarkdown, plain text and HTML are read. Each document is cut into **chunks** along its headings, measured in the embedding model’s own tokens.' },
  { document: 'knowledge.md', chunk: 3, heading: ['Knowledge', 'What happens on a second run'], score: 0.611, start: 1690, end: 2104, text: 'Unchanged documents are skipped by their hash, changed ones are replaced and removed ones dropped. An interrupted run goes on where it stopped.' },
  { document: 'commands.md', chunk: 9, heading: ['Commands', 'gaia knowledge'], score: 0.548, start: 5200, end: 5544, text: '| Command | Does |\n|---|---|\n| `gaia knowledge list` | Documents with their chunks |\n| `gaia knowledge search "…"` | What a question would find |\n| `gaia knowledge remove NAME` | Takes a document out |' },
];
const ANSWER = `Use \`gaia knowledge add\` with a file or a folder:

\`\`\`sh
gaia knowledge add docs/
gaia knowledge list
\`\`\`

The node then:

1. cuts each document into **chunks** along its headings,
2. embeds them in batches, with a progress bar,
3. skips what has not changed since the last time.

> Binary files are skipped with a line each.

| Format | Read |
|---|:-:|
| Markdown | yes |
| PDF | no |

More in [the handbook](https://example.org/handbook). <script>alert(1)</script> ![x](https://example.org/x.png)`;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const json = (response, status, body, headers = {}) =>
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));

async function chat(request, response) {
  let body = '';
  for await (const part of request) body += part;
  const { messages } = JSON.parse(body);
  const question = messages.at(-1).content;
  const has = (word) => new RegExp(`\\b${word}\\b`, 'i').test(question);
  if (has('unpaid')) return json(response, 402, { error: { message: 'The account has 0.000012 dollars left, and the request can cost 0.0007', type: 'insufficient_quota', param: null, code: 'insufficient_quota' } });
  if (has('nobody')) return json(response, 503, { error: { message: 'No node that serves this is healthy.', type: 'server_error', param: null, code: null } }, { 'retry-after': '5' });
  if (has('busy')) return json(response, 429, { error: { message: 'queue full', type: 'server_error', param: null, code: null } }, { 'retry-after': '7' });
  if (has('toolong')) return json(response, 400, { error: { message: 'The prompt has 9120 tokens, the context 8192.', type: 'invalid_request_error', param: 'messages', code: 'context_length_exceeded' } });
  if (has('key') && request.headers.authorization !== 'Bearer secret') return json(response, 401, { error: { message: 'invalid key', type: 'invalid_request_error', param: null, code: 'invalid_api_key' } });
  response.writeHead(200, { 'content-type': 'text/event-stream', ...(process.env.GAIA_PLACE === 'domain' ? { 'x-gaia-request-id': `0x${'7'.repeat(64)}` } : {}) });
  let gone = false;
  response.on('close', () => (gone = true));
  const send = (chunk) => response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  const choice = (delta, finish_reason = null) => ({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason }] });
  await pause(200);
  send({ ...choice({ role: 'assistant', content: '', citations: has('warning') ? [] : CITATIONS }), warning: has('warning') ? 'Answered without the knowledge base: the store does not answer.' : null });
  await pause(has('slow') ? 3000 : 500);
  if (has('tool')) {
    const call = (fields) => send({ ...choice({}), gaia_tool: { name: 'weather', arguments: '{"city": "Bonn"}', status: 'completed', ms: 132, bytes: 4210, ...fields } });
    call({});
    call({ name: 'search_of_the_whole_library_by_words_and_dates', status: 'failed', ms: 20004, bytes: 0 });
    await pause(1500);
  }
  const tokens = ANSWER.match(/\s*\S+/g);
  for (const [at, token] of tokens.entries()) {
    if (gone) return;
    if (has('error') && at === 20) {
      send({ error: { message: 'The worker was restarted.', type: 'server_error', param: null, code: null } });
      return response.end();
    }
    if (has('cut') && at === 20) return response.destroy();
    send(choice({ content: token }));
    await pause(has('slow') ? 120 : 25);
  }
  send(choice({}, 'stop'));
  send({ ...choice({}), choices: [], usage: { prompt_tokens: 812, completion_tokens: tokens.length, total_tokens: 900 } });
  response.end('data: [DONE]\n\n');
}

async function file(path, response) {
  const isPage = path === '/' || path.startsWith('/gaia/');
  const name = isPage ? (process.env.GAIA_PLACE === 'domain' ? '/domain.html' : '/index.html') : path;
  try {
    const content = await readFile(new URL(`../dist${name}`, import.meta.url));
    response.writeHead(200, { 'content-type': TYPES[extname(name)] ?? 'application/octet-stream', 'content-security-policy': CSP }).end(content);
  } catch {
    json(response, 404, { error: { message: 'no such page', type: 'invalid_request_error', param: null, code: null } });
  }
}

/** What a node counts that has been at work for `seconds`. */
function metrics(seconds) {
  const pieces = Math.floor(120 * seconds + 400 * Math.sin(seconds / 9));
  const requests = Math.floor(seconds / 3);
  const histogram = (name, ends, count) => [...ends.map(([end, share]) => `${name}_bucket{le="${end}"} ${Math.floor(count * share)}`), `${name}_bucket{le="+Inf"} ${count}`, `${name}_count ${count}`];
  return [
    'gaia_ready 1', `gaia_uptime_seconds ${Math.floor(seconds)}`, 'gaia_requests_running 3', 'gaia_requests_waiting 1', 'gaia_refused_total 2', 'gaia_aborted_total 1',
    'gaia_ingress_refused_total{reason="invalid_api_key"} 4', `gaia_prompt_tokens_total ${requests * 812}`, `gaia_prompt_tokens_cached_total ${requests * 540}`,
    ...histogram('gaia_time_to_first_token_seconds', [['0.1', 0.2], ['0.25', 0.7], ['0.5', 0.97]], requests),
    ...histogram('gaia_inter_token_latency_seconds', [['0.005', 0.1], ['0.01', 0.8], ['0.025', 0.99]], pieces),
    `gaia_e2e_request_latency_seconds_count ${requests}`, 'gaia_kv_cells_used{model="chat"} 5120', 'gaia_kv_cells{model="chat"} 16384',
    'gaia_process_resident_bytes{process="gaia"} 41000000', 'gaia_process_resident_bytes{process="worker"} 934000000', 'gaia_process_resident_bytes{process="store"} 78000000',
    'gaia_tool_calls_total{tool="weather"} 12', 'gaia_tool_failures_total{tool="weather"} 2', 'gaia_tool_seconds_total{tool="weather"} 3.1', 'gaia_tool_calls_total{tool="search_of_the_whole_library_by_words"} 1', 'gaia_tool_seconds_total{tool="search_of_the_whole_library_by_words"} 20',
  ].join('\n');
}

export function mock(port) {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const { MOCK_KEY } = process.env;
    const told = process.env.GAIA_PLACE === 'domain' ? answer(pathname, process.uptime(), request.headers.authorization) : null;
    if (told !== null) return json(response, told.status ?? 200, told.body);
    if (MOCK_KEY && pathname.startsWith('/v1/') && request.headers.authorization !== `Bearer ${MOCK_KEY}`) {
      return json(response, 401, { error: { message: 'invalid key', type: 'invalid_request_error', param: null, code: 'invalid_api_key' } });
    }
    if (pathname === '/v1/info') {
      return json(response, 200, {
        node_id: '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf', node_name: 'Handbook node', version: '0.1.0', engine: 'gaia',
        models: { chat: { id: 'SmolLM2-135M-Instruct', context: 8192 }, embedding: { id: 'all-MiniLM-L6-v2' } },
        knowledge: { collection: 'default', points: 118 },
      });
    }
    if (pathname === '/ready') return json(response, 200, { status: 'ready' });
    if (pathname === '/metrics') {
      if (process.env.MOCK_NO_METRICS) return json(response, 403, { error: { message: 'This key may not do that.', type: 'invalid_request_error', param: null, code: 'insufficient_scope' } });
      return response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(metrics(process.uptime()));
    }
    if (pathname === '/v1/prompts') {
      return json(response, 200, {
        object: 'list',
        data: [
          { id: 'brief@0123456789ab', object: 'prompt', name: 'brief', kind: 'system', description: 'Answers in one sentence.' },
          { id: 'teacher@ba9876543210', object: 'prompt', name: 'teacher', kind: 'system', description: '' },
        ],
      });
    }
    if (pathname === '/v1/chat/completions') return void chat(request, response);
    return void file(decodeURIComponent(pathname), response);
  });
  return new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(server)));
}

if (import.meta.filename === process.argv[1] || process.argv[1]?.endsWith('dev/mock.mjs')) {
  const server = await mock(Number(process.env.PORT ?? 0));
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
}
