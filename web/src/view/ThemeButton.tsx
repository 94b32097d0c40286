/** Goes round the colours: as the system has them, light, dark. */
import { theme, type Theme } from '../chat/preferences.ts';
import { Auto, Moon, Sun } from './icons.tsx';

const NEXT: Record<Theme, Theme> = { auto: 'light', light: 'dark', dark: 'auto' };
const ICON = { auto: Auto, light: Sun, dark: Moon };
const LABEL = { auto: 'Colours: like the system', light: 'Colours: light', dark: 'Colours: dark' };

export function ThemeButton() {
  const Icon = ICON[theme.value];
  const label = LABEL[theme.value];
  return (
    <button type="button" class="quiet theme" aria-label={label} title={label} onClick={() => (theme.value = NEXT[theme.value])}>
      <Icon />
    </button>
  );
}
