// The page in a real browser against a real node.
//
//   GAIA_URL=http://127.0.0.1:8080 npm run test:page
//
// GAIA_API_KEY   the node's key, where it asks for one
// GAIA_CHROMIUM  the browser, /usr/bin/chromium unless told
// GAIA_SHOTS     where screenshots go, web/shots unless told
// GAIA_QUESTION  a question the node's knowledge answers
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { launch, nodeUrl } from './browser.mjs';

const URL_OF_NODE = nodeUrl();
const QUESTION = process.env.GAIA_QUESTION ?? 'How do I add my own files to the knowledge base?';
const LONG_QUESTION = 'Write a long story about a lighthouse, in at least ten paragraphs.';
const SHOTS = process.env.GAIA_SHOTS ?? new URL('../shots', import.meta.url).pathname;
const AXE = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
/** A small model on a loaded machine takes its time; nothing here waits this long when all is well. */
const ANSWER_MS_MAX = 180_000;

let browser;
let context;
let page;
const complaints = [];
const foreign = [];
const bodies = [];

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  browser = await launch();
  context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' });
  page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    if (!request.url().startsWith(new URL('/', URL_OF_NODE).href)) foreign.push(request.url());
    if (request.url().endsWith('/v1/chat/completions')) bodies.push(request.postDataJSON());
  });
});

after(async () => {
  await browser?.close();
});

/** A step of one story: each needs the one before. */
let broken = false;
function step(name, run) {
  test(name, async (t) => {
    if (broken) return t.skip('an earlier step failed');
    try {
      await run(t);
    } catch (error) {
      broken = true;
      await shot('failed').catch(() => undefined);
      throw error;
    }
  });
}

const shot = (name) => page.screenshot({ path: `${SHOTS}/${name}.png` });
const composer = () => page.getByRole('textbox', { name: 'Your question' });
const answers = () => page.getByRole('article', { name: 'Answer' });
const finished = () => page.getByRole('button', { name: 'Send' }).waitFor({ timeout: ANSWER_MS_MAX });

async function ask(question) {
  await composer().fill(question);
  await composer().press('Enter');
  await page.getByRole('button', { name: 'Stop answering' }).waitFor();
}

/** Waits for text in the last answer; a failure instead is told in its own words. */
async function firstText() {
  const last = answers().last();
  await last.locator('.prose, [role=alert]').first().waitFor({ timeout: ANSWER_MS_MAX });
  const failures = await last.getByRole('alert').allInnerTexts();
  assert.deepEqual(failures, []);
}

async function accessible(where) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const grave = violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
  assert.deepEqual(grave, [], where);
}

const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);

step('opens and says what the node is', async () => {
  await page.goto(URL_OF_NODE);
  if (process.env.GAIA_API_KEY) await enterKey();
  await page.getByRole('region', { name: 'This node' }).getByText('Knowledge', { exact: true }).waitFor();
  await page.getByRole('heading', { name: 'What would you like to know?' }).waitFor();
  assert.equal(await composer().evaluate((area) => area === document.activeElement), true, 'the composer has the focus');
  await accessible('the first page');
  await shot('welcome-light');
});

async function enterKey() {
  const field = page.getByLabel('API key');
  await field.fill('not the key');
  await field.press('Enter');
  await page.getByText('It did not accept the last one.').waitFor();
  await accessible('the question for a key');
  await field.fill(process.env.GAIA_API_KEY);
  await field.press('Enter');
  complaints.length = 0; // The browser reports the 401 that asked for the key.
}

step('takes settings', async () => {
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByLabel('Temperature').fill('0');
  await page.getByLabel('Seed').fill('7');
  await page.getByLabel('System prompt').fill('You answer questions about this node.');
  await accessible('the settings');
  await shot('settings-light');
  await page.getByRole('button', { name: 'Done' }).click();
  await longestAnswer('64');
});

/** Short answers keep the test short where the machine is slow. */
async function longestAnswer(tokens) {
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByLabel('Longest answer').fill(tokens);
  await page.getByRole('button', { name: 'Done' }).click();
}

step('answers a question token by token', async () => {
  await page.evaluate(() => {
    globalThis.lengths = [];
    new MutationObserver(() => {
      const said = document.querySelector('.answer > .prose')?.textContent?.length ?? 0;
      if (said > 0 && said !== globalThis.lengths.at(-1)) globalThis.lengths.push(said);
    }).observe(document.getElementById('page'), { subtree: true, childList: true, characterData: true });
  });
  await ask(QUESTION);
  await firstText();
  await shot('streaming-light');
  await finished();
  const lengths = await page.evaluate(() => globalThis.lengths);
  assert.ok(lengths.length >= 3, `the answer grew in ${lengths.length} steps`);
  assert.match(await answers().last().locator('.small-print').innerText(), /first word after .*tokens\/s.*tokens/s);
});

step('shows its sources, which unfold to the passage', async () => {
  const sources = page.getByRole('region', { name: 'Sources' });
  await sources.waitFor();
  const first = sources.getByRole('listitem').first();
  const passage = first.locator('.passage');
  assert.ok((await passage.innerText()).length > 20, 'the best passage is there to read');
  await first.locator('summary').click();
  assert.equal(await passage.isVisible(), false, 'it folds');
  await first.locator('summary').click();
  assert.equal(await passage.isVisible(), true, 'and unfolds');
  assert.match(await first.locator('.match').innerText(), /\d\.\d\d$/);
  await accessible('an answer with an open source');
  await first.scrollIntoViewIfNeeded();
  await shot('answer-light');
});

step('stops when told', async () => {
  await longestAnswer('');
  await ask(LONG_QUESTION);
  await firstText();
  await page.keyboard.press('Escape');
  await answers().last().locator('.small-print').getByText('Stopped').waitFor({ timeout: 15_000 });
  await page.getByRole('button', { name: 'Send' }).waitFor({ timeout: 15_000 });
  const said = await answers().last().innerText();
  await page.waitForTimeout(600);
  assert.equal(await answers().last().innerText(), said, 'nothing is added after the stop');
});

step('keeps a second conversation, and sends the settings', async () => {
  await longestAnswer('48');
  await page.getByRole('button', { name: 'New conversation' }).first().click();
  await composer().fill('What is the node id?');
  await composer().press('Shift+Enter');
  assert.match(await composer().inputValue(), /\n$/, 'Shift+Enter breaks the line');
  await composer().press('Enter');
  await page.getByRole('button', { name: 'Stop answering' }).waitFor();
  await firstText();
  await finished();
  const { temperature, seed, max_completion_tokens, messages, stream } = bodies.at(-1);
  assert.deepEqual({ temperature, seed, max_completion_tokens, stream }, { temperature: 0, seed: 7, max_completion_tokens: 48, stream: true });
  assert.deepEqual(messages.map(({ role }) => role), ['system', 'user'], 'the other conversation stays out of this one');
  assert.equal(await page.locator('.entry').count(), 2);
});

step('keeps everything over a reload', async () => {
  const said = await answers().last().locator('.prose').first().innerText();
  await page.reload();
  await answers().last().waitFor();
  assert.equal(await answers().last().locator('.prose').first().innerText(), said);
  assert.equal(await page.locator('.entry').count(), 2);
  await page.locator('.entry .title').nth(1).click();
  await page.getByRole('article', { name: 'Your question' }).getByText(QUESTION).waitFor();
});

step('renames, deletes and brings back', async () => {
  const entry = page.locator('.entry').nth(1);
  await entry.hover();
  await entry.getByRole('button', { name: 'Rename' }).click();
  await page.getByLabel('Title').fill('All about knowledge');
  await page.getByLabel('Title').press('Enter');
  await page.getByRole('heading', { name: 'All about knowledge' }).waitFor();
  await entry.hover();
  await entry.getByRole('button', { name: 'Delete' }).click();
  assert.equal(await page.locator('.entry').count(), 1);
  await page.getByRole('button', { name: 'Undo' }).click();
  assert.equal(await page.locator('.entry').count(), 2);
  await page.getByRole('heading', { name: 'All about knowledge' }).waitFor();
});

step('shows how the node is', async () => {
  await page.getByRole('button', { name: 'Status of the node' }).click();
  const main = page.getByRole('main');
  await main.getByRole('heading', { name: 'Status', exact: true }).waitFor();
  await main.getByText('Ready to answer').waitFor();
  const requests = main.locator('.panel', { has: page.getByRole('heading', { name: 'Requests' }) });
  await requests.getByText('Answered').waitFor();
  assert.ok(Number(await requests.locator('dd').nth(2).innerText()) >= 2, 'the answers of this story are counted');
  const looks = () => page.evaluate(() => performance.getEntriesByName(new URL('/metrics', location.href).href).length);
  const before = await looks();
  await page.waitForFunction((before) => performance.getEntriesByName(new URL('/metrics', location.href).href).length > before, before);
  await accessible('the status');
  await shot('status-light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await accessible('the status in the dark');
  await shot('status-dark');
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 375, height: 740 });
  await page.waitForTimeout(300);
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, 'nothing is wider than the phone');
  await shot('status-phone');
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.goBack();
  await page.getByRole('heading', { name: 'All about knowledge' }).waitFor();
  await page.goForward();
  await main.getByText('Ready to answer').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('heading', { name: 'All about knowledge' }).waitFor();
  const after = await looks();
  await page.waitForTimeout(2500);
  assert.equal(await looks(), after, 'who does not look asks nothing');
});

step('says what a key may not see', async () => {
  let asked = 0;
  await page.route('**/metrics', (route) => {
    asked += 1;
    return route.fulfill({ status: 403, json: { error: { message: 'This key may not do that.', type: 'invalid_request_error' } } });
  });
  await page.getByRole('button', { name: 'Status of the node' }).click();
  await page.getByText('the scope “admin” only').waitFor();
  await page.waitForTimeout(2500);
  assert.equal(asked, 1, 'a refusal is not asked for again');
  assert.equal(await page.getByRole('heading', { name: 'Requests' }).count(), 0);
  await accessible('the status without numbers');
  await shot('status-withheld');
  await page.getByRole('button', { name: 'Close the status' }).click();
  await page.unroute('**/metrics');
  complaints.length = 0; // The browser reports the 403.
});

step('follows the system into the dark, and can be told', async () => {
  const light = await background();
  await page.emulateMedia({ colorScheme: 'dark' });
  const dark = await background();
  assert.notEqual(dark, light);
  await accessible('a conversation in the dark');
  await shot('answer-dark');
  await page.getByRole('button', { name: 'Colours' }).click();
  assert.equal(await background(), light, 'light was chosen');
  await page.getByRole('button', { name: 'Colours' }).click();
  await page.emulateMedia({ colorScheme: 'light' });
  assert.equal(await background(), dark, 'dark was chosen');
  await page.getByRole('button', { name: 'Colours' }).click();
});

step('fits a phone', async () => {
  await page.setViewportSize({ width: 375, height: 740 });
  await page.waitForTimeout(300);
  const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok((await overflow()) <= 0, 'nothing is wider than the phone');
  await shot('answer-phone');
  await accessible('a conversation on a phone');
  const menu = page.getByRole('complementary');
  await page.getByRole('button', { name: 'Open the menu' }).click();
  await menu.getByText('Knowledge', { exact: true }).waitFor();
  await page.waitForTimeout(300);
  await shot('menu-phone');
  await accessible('the menu on a phone');
  await page.keyboard.press('Escape');
  await page.getByRole('main').getByRole('button', { name: 'New conversation' }).click();
  await page.getByRole('heading', { name: 'What would you like to know?' }).waitFor();
  await shot('welcome-phone');
  await page.setViewportSize({ width: 1280, height: 800 });
});

step('asks nobody but the node, and complains of nothing', async () => {
  assert.deepEqual(foreign, []);
  assert.deepEqual(complaints, []);
});

step('says in words that the node is gone, and tries again', async () => {
  await context.setOffline(true);
  await composer().fill('Are you there?');
  await composer().press('Enter');
  await page.getByRole('alert').getByText('The node cannot be reached').waitFor();
  await shot('unreachable-light');
  await context.setOffline(false);
  await page.getByRole('button', { name: 'Try again' }).click();
  await firstText();
  await finished();
  assert.equal(await page.getByRole('alert').count(), 0);
});

step('deletes everything when asked twice', async () => {
  await page.getByRole('button', { name: 'Delete all' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete all' }).click();
  assert.equal(await page.locator('.entry').count(), 0);
  const kept = await page.evaluate(() => Object.keys(localStorage).filter((key) => key.includes('conversation')));
  assert.deepEqual(kept, []);
});
