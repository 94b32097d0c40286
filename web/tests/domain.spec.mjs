// The pages of a domain in a real browser against a real gateway: the one of host/gateway's tests, with a ledger,
// members and nodes that answer by a script.
//
//   GAIA_SCENE=…/gateway-… npm run test:domain      the test program of host/gateway; tests/page/run.sh finds it
//
// GAIA_CHROMIUM  the browser, /usr/bin/chromium unless told
// GAIA_SHOTS     where screenshots go, web/shots unless told
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';

const SHOTS = process.env.GAIA_SHOTS ?? new URL('../shots', import.meta.url).pathname;
const AXE = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
const PATIENCE_MS = 60_000;

let gateway;
let scene;
let browser;
let context;
let page;
const complaints = [];
const foreign = [];
const addresses = [];

/** Starts the gateway; what it says of itself. */
function start(program) {
  gateway = spawn(program, ['worker', '--exact', '--nocapture'], {
    env: { ...process.env, GAIA_TEST_BROWSER: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return new Promise((resolve, reject) => {
    let said = '';
    gateway.stdout.on('data', (piece) => {
      said += piece;
      const line = said.split('\n').find((line) => line.includes('browser={') && line.trimEnd().endsWith('}'));
      if (line !== undefined) resolve(JSON.parse(line.slice(line.indexOf('{'))));
    });
    gateway.on('exit', () => reject(new Error(`the gateway ended: ${said}`)));
  });
}

before(async () => {
  if (!process.env.GAIA_SCENE) throw new Error('GAIA_SCENE names no test program of host/gateway: see tests/page/run.sh');
  mkdirSync(SHOTS, { recursive: true });
  scene = await start(process.env.GAIA_SCENE);
  browser = await launch();
  context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' });
  page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    addresses.push(request.url());
    if (!request.url().startsWith(scene.url)) foreign.push(request.url());
  });
});

after(async () => {
  await browser?.close();
  gateway?.kill('SIGKILL');
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
      await shot('domain-failed').catch(() => undefined);
      throw error;
    }
  });
}

const shot = (name) => page.screenshot({ path: `${SHOTS}/${name}.png` });
const composer = () => page.getByRole('textbox', { name: 'Your question' });
const answers = () => page.getByRole('article', { name: 'Answer' });
const card = () => page.getByRole('region', { name: 'This domain' });
const panel = (name) => page.locator('.panel', { has: page.getByRole('heading', { name }) });

async function accessible(where) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const grave = violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
  assert.deepEqual(grave, [], where);
}

/** The page in the dark and on a phone: readable, and nothing wider than the screen. */
async function everywhere(name) {
  await accessible(name);
  await shot(`${name}-light`);
  await page.emulateMedia({ colorScheme: 'dark' });
  await accessible(`${name} in the dark`);
  await shot(`${name}-dark`);
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 375, height: 740 });
  await page.waitForTimeout(300);
  const wider = await page.evaluate(() => Math.max(...[document.documentElement, ...document.querySelectorAll('.scroller')].map((box) => box.scrollWidth - box.clientWidth)));
  assert.ok(wider <= 0, `${name}: something is ${wider} px wider than the phone`);
  await accessible(`${name} on a phone`);
  await shot(`${name}-phone`);
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.waitForTimeout(300);
}

async function ask(question) {
  await composer().fill(question);
  await composer().press('Enter');
}

const tokenField = () => page.getByRole('textbox', { name: 'Access token' });

async function enter(token) {
  await tokenField().fill(token);
  await tokenField().press('Enter');
}

step('says what the domain offers, to everybody', async () => {
  await page.goto(scene.url);
  await page.getByRole('heading', { name: 'What would you like to know?' }).waitFor();
  await page.getByRole('table').getByText('knows paris').waitFor();
  await page.getByText(`gaia token new ${scene.url}`).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Status of the node' }).count(), 0, 'nothing of a node is there');
  assert.equal(await page.getByText('How do I add my own files').count(), 0);
  await everywhere('domain-welcome');
});

step('asks for a token before the first question, and keeps the question', async () => {
  await ask('How high is the lighthouse?');
  await tokenField().waitFor();
  await page.keyboard.press('Escape');
  assert.equal(await composer().inputValue(), 'How high is the lighthouse?');
  await composer().press('Enter');
  await enter('not a token');
  await page.getByText('It did not accept the last one.').waitFor();
  await accessible('the question for a token');
  await page.keyboard.press('Escape');
  // The question was sent with the first one, and refused.
  await answers().last().getByRole('alert').getByText('asks for an access token').waitFor();
  complaints.length = 0; // The browser reports the 401s.
});

step('answers, says what it cost and what is left', async () => {
  await card().getByRole('button', { name: 'Forget the token' }).click();
  await card().getByRole('button', { name: 'Enter an access token' }).click();
  await enter(scene.token);
  await card().getByText('Credit left').waitFor();
  const left = async () => (await card().locator('dd').first().innerText()).trim();
  assert.equal(await left(), '$0.000001');
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByLabel('Longest answer').fill('40');
  await page.getByRole('button', { name: 'Done' }).click();
  await page.getByRole('main').getByRole('button', { name: 'Try again' }).click();
  await answers().last().getByText('forty-six').waitFor();
  const cost = answers().last().locator('.facts a');
  await cost.waitFor();
  assert.equal(await cost.innerText(), '$0.000000042', 'six words at seven nano-dollars');
  assert.match(await cost.getAttribute('href'), /^\/gaia\/v1\/receipts\/0x[0-9a-f]{64}$/);
  await page.waitForFunction(() => document.querySelector('.node dd')?.textContent !== '$0.000001');
  assert.equal(await left(), '$0.00000096');
  await everywhere('domain-answer');
});

step('lets choose among the models', async () => {
  const choice = page.getByLabel('Model');
  assert.deepEqual(await choice.locator('option').allInnerTexts(), ['words', 'words@paris']);
  await choice.selectOption('words@paris');
  const sent = page.waitForRequest('**/v1/chat/completions');
  await ask('And with knowledge?');
  assert.equal((await sent).postDataJSON().model, 'words@paris');
  await answers().nth(1).locator('.facts a').waitFor();
  await page.reload();
  assert.equal(await page.getByLabel('Model').inputValue(), 'words@paris', 'the choice is kept');
  assert.match(await answers().nth(1).locator('.facts').innerText(), /\$0\.000000042/, 'and what it cost');
});

step('says in words that the credit does not cover a request', async () => {
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByLabel('Longest answer').fill('1000');
  await page.getByRole('button', { name: 'Done' }).click();
  await ask('A long one?');
  const alert = answers().last().getByRole('alert');
  await alert.getByText('The credit does not cover this').waitFor();
  await alert.getByText('gaia deposit').waitFor();
  await everywhere('domain-unpaid');
  complaints.length = 0; // The browser reports the 402.
});

step('says in words that there are too many requests, or no node', async () => {
  const refuse = (status, message, headers) =>
    page.route('**/v1/chat/completions', (route) => route.fulfill({ status, headers, json: { error: { message, type: 'x' } } }));
  const alert = answers().last().getByRole('alert');
  for (const [status, message, words] of [
    [429, 'The access token asks more often than it may.', 'Try again in 7 seconds.'],
    [503, 'No node that serves this is well.', 'No node can answer just now'],
  ]) {
    await refuse(status, message, { 'retry-after': '7' });
    await page.getByRole('button', { name: 'Try again' }).click();
    await alert.getByText(message).waitFor();
    await alert.getByText(words).waitFor();
    await page.unroute('**/v1/chat/completions');
  }
  complaints.length = 0; // The browser reports these, too.
});

step('forgets the token', async () => {
  await card().getByRole('button', { name: 'Forget the token' }).click();
  await card().getByRole('button', { name: 'Enter an access token' }).waitFor();
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
  assert.equal(kept.includes(scene.token), false);
  assert.equal(addresses.some((address) => address.includes(scene.token)), false, 'it never stood in an address');
});

step('shows the operator all of it, live', async () => {
  await page.goto(`${scene.url}/gaia/dashboard`);
  const field = page.getByLabel('Operator’s token');
  await everywhere('dashboard-token');
  await field.fill('not the token');
  await field.press('Enter');
  await page.getByRole('alert').getByText('did not accept').waitFor();
  complaints.length = 0; // The browser reports the 401.
  await field.fill(scene.operatorToken);
  await field.press('Enter');
  await panel('Load').getByText('Requests a second').waitFor();
  await panel('Income').getByText('Answers paid for').waitFor();
  await panel('Income').getByText('– Node operators').waitFor();
  await panel('Refused').getByText('Too little credit (402)').waitFor();
  await panel('Chain').getByText('1,204 of 1,216').waitFor();
  await panel('Chain').getByText('Proposal 4', { exact: true }).waitFor();
  const row = (address) => page.getByRole('row').filter({ has: page.getByTitle(address, { exact: true }) });
  await row(scene.node).getByText('well').waitFor();
  await row(scene.member).getByText('on probation').waitFor();
  const looks = () => page.evaluate(() => performance.getEntriesByName(new URL('/gaia/v1/status', location.href).href).length);
  const before = await looks();
  await page.waitForFunction((before) => performance.getEntriesByName(new URL('/gaia/v1/status', location.href).href).length > before, before);
  await everywhere('dashboard');
});

step('takes what nodes say for text', async () => {
  const strange = page.getByRole('row').filter({ hasText: 'onerror' });
  assert.equal(await strange.locator('.services').innerText(), scene.hostile);
  assert.equal(await page.locator('img').count(), 0);
  assert.match(await page.title(), /Dashboard/);
});

step('puts the nodes in the order that is asked for', async () => {
  const first = () => page.getByRole('row').nth(-3).locator('th code').getAttribute('title');
  const head = page.getByRole('button', { name: 'Answered' });
  await head.click();
  assert.equal(await page.getByRole('columnheader', { name: 'Answered' }).getAttribute('aria-sort'), 'descending');
  assert.equal((await first()).toLowerCase(), scene.node.toLowerCase());
  await head.click();
  assert.equal(await page.getByRole('columnheader', { name: 'Answered' }).getAttribute('aria-sort'), 'ascending');
});

step('rests while nobody looks', async () => {
  const looks = () => page.evaluate(() => performance.getEntriesByName(new URL('/gaia/v1/status', location.href).href).length);
  const hidden = (is) =>
    page.evaluate((is) => {
      Object.defineProperty(document, 'hidden', { value: is, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }, is);
  await hidden(true);
  await page.waitForTimeout(2500);
  const before = await looks();
  await page.waitForTimeout(4500);
  assert.equal(await looks(), before);
  await hidden(false);
  await page.waitForFunction((before) => performance.getEntriesByName(new URL('/gaia/v1/status', location.href).href).length > before, before);
});

step('forgets the operator’s token', async () => {
  await page.getByRole('button', { name: 'Forget the token' }).click();
  await page.getByLabel('Operator’s token').waitFor();
  assert.equal(await page.getByRole('row').count(), 0);
  assert.deepEqual(await page.evaluate(() => Object.values(sessionStorage)), []);
});

step('shows a node’s owner what was earned, and how to draw it', async () => {
  const operator = `0x${'0b'.repeat(20)}`;
  await page.goto(`${scene.url}/gaia/earnings`);
  await page.getByLabel('Operator’s address').fill('me');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').getByText('40 digits').waitFor();
  await page.getByLabel('Operator’s address').fill(operator);
  await page.keyboard.press('Enter');
  await page.waitForURL(`${scene.url}/gaia/earnings/${operator}`);
  const summary = panel('Earned in USD');
  await summary.getByText('This epoch, so far').waitFor();
  await summary.getByText('$0.000000076').waitFor();
  await summary.getByText('1 USD', { exact: true }).waitFor();
  await page.getByText(`gaia claim ${scene.url} --for ${operator}`).waitFor();
  const row = page.getByRole('row').last();
  await row.getByText('connected').waitFor();
  assert.equal(await row.locator('[data-name="Answered"]').innerText(), '2');
  assert.equal(await row.locator('[data-name="Tokens written"]').innerText(), '12');
  await everywhere('earnings');
});

step('says that nothing was earned yet', async () => {
  await page.goto(`${scene.url}/gaia/earnings/0x${'77'.repeat(20)}`);
  await page.getByText('has earned nothing here so far').waitFor();
});

step('asks nobody but the gateway, and complains of nothing', async () => {
  assert.deepEqual(foreign, []);
  assert.deepEqual(complaints, []);
});
