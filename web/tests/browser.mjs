// Debian's Chromium, quiet and without anything that talks to the outside.
import { chromium } from 'playwright-core';

export const launch = () =>
  chromium.launch({
    executablePath: process.env.GAIA_CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });

/** The node to talk to; ends the program where none is named. */
export function nodeUrl() {
  const url = process.env.GAIA_URL;
  if (url) return url;
  console.error('GAIA_URL names no node, for instance GAIA_URL=http://127.0.0.1:8080');
  process.exit(2);
}
