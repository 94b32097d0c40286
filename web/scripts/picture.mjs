// Takes the README's pictures of a running node: GAIA_URL=http://127.0.0.1:8080 npm run picture
import { mkdirSync } from 'node:fs';
import { launch, nodeUrl } from '../tests/browser.mjs';

const OUT = new URL('../../docs/images', import.meta.url).pathname;
const QUESTION = process.env.GAIA_QUESTION ?? 'Are my questions sent to a cloud service?';
const ANSWER_MS_MAX = 180_000;

mkdirSync(OUT, { recursive: true });
const browser = await launch();
const page = await browser.newPage({ viewport: { width: 1200, height: 780 }, deviceScaleFactor: 1.5, colorScheme: 'light' });
await page.addInitScript(() => localStorage.setItem('gaia.settings', '{"temperature":0}'));
await page.goto(nodeUrl());
await page.locator('.node dl').waitFor();
await page.getByRole('textbox', { name: 'Your question' }).fill(QUESTION);
await page.keyboard.press('Enter');
await page.locator('.answer.complete').waitFor({ timeout: ANSWER_MS_MAX });
await page.getByRole('textbox', { name: 'Your question' }).focus();
await page.locator('.scroller').evaluate((box) => box.scrollTo(0, 0));
await page.mouse.move(0, 0);
await page.waitForTimeout(400);
await page.screenshot({ path: `${OUT}/chat-light.png` });
await page.emulateMedia({ colorScheme: 'dark' });
await page.waitForTimeout(400);
await page.screenshot({ path: `${OUT}/chat-dark.png` });
await browser.close();
