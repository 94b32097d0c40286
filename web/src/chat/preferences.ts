/** What a person chose for this browser: settings for their questions, and the colours. */
import { effect, signal } from '@preact/signals';
import { readSettings, type Settings } from './settings.ts';

export type Theme = 'auto' | 'light' | 'dark';

const SETTINGS_NAME = 'gaia.settings';
const THEME_NAME = 'gaia.theme';

export const settings = signal<Settings>(readSettings(parse(localStorage.getItem(SETTINGS_NAME))));
export const theme = signal<Theme>(readTheme(localStorage.getItem(THEME_NAME)));

/** Keeps the choices, and the document in the chosen colours. */
export function keepPreferences() {
  effect(() => keep(SETTINGS_NAME, JSON.stringify(settings.value)));
  effect(() => {
    keep(THEME_NAME, theme.value);
    document.documentElement.dataset['theme'] = theme.value;
  });
}

function keep(name: string, value: string) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // A full or forbidden storage costs the choice its memory, not its effect.
  }
}

function parse(stored: string | null): unknown {
  try {
    return JSON.parse(stored ?? 'null');
  } catch {
    return null;
  }
}

function readTheme(stored: string | null): Theme {
  return stored === 'light' || stored === 'dark' ? stored : 'auto';
}
