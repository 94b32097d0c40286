/** The prompt and the sampling parameters. What is left empty is the node's own choice. */
import { settings } from '../chat/preferences.ts';
import { prompts } from '../chat/session.ts';
import { DEFAULTS, isDefault, known, RANGES, type Settings, SYSTEM_PROMPT_CHARS_MAX, within } from '../chat/settings.ts';
import { Dialog } from './Dialog.tsx';

type NumberKey = keyof typeof RANGES;

const FIELDS: { key: NumberKey; label: string; hint: string; step: string }[] = [
  { key: 'temperature', label: 'Temperature', hint: '0 is sober, 1 is lively', step: '0.1' },
  { key: 'topP', label: 'Top P', hint: 'Share of likely words to choose from', step: '0.05' },
  { key: 'tokensMax', label: 'Longest answer', hint: 'In tokens, about ¾ of a word each', step: '1' },
  { key: 'seed', label: 'Seed', hint: 'Same seed, same answer', step: '1' },
];

export function SettingsDialog({ onClose }: { onClose: () => void }) {
  const change = (changed: Partial<Settings>) => (settings.value = { ...settings.value, ...changed });
  return (
    <Dialog title="Settings" onClose={onClose}>
      <p class="hint">For every question from now on, in this browser. What is empty is left to the node.</p>
      {prompts.value.length > 0 && <PromptChoice onChange={(prompt) => change({ prompt })} />}
      <label class="field">
        <span>System prompt</span>
        <textarea
          rows={4}
          maxLength={SYSTEM_PROMPT_CHARS_MAX}
          placeholder="Who the model is, and how it should answer"
          value={settings.value.systemPrompt}
          onInput={(event) => change({ systemPrompt: event.currentTarget.value })}
        />
      </label>
      <div class="fields">
        {FIELDS.map(({ key, label, hint, step }) => (
          <label class="field" key={key}>
            <span>{label}</span>
            <input
              type="number"
              inputMode="decimal"
              min={RANGES[key].min}
              max={RANGES[key].max}
              step={step}
              placeholder="Node’s choice"
              value={settings.value[key] ?? ''}
              onChange={(event) => {
                const value = within(RANGES[key], event.currentTarget.value);
                event.currentTarget.value = value === null ? '' : String(value);
                change({ [key]: value });
              }}
            />
            <small>{hint}</small>
          </label>
        ))}
      </div>
      <footer>
        <button type="button" class="outlined" disabled={isDefault(settings.value)} onClick={() => (settings.value = DEFAULTS)}>
          Leave all to the node
        </button>
        <form method="dialog">
          <button type="submit" class="filled">
            Done
          </button>
        </form>
      </footer>
    </Dialog>
  );
}

/** Which of the node's prompts answers. */
function PromptChoice({ onChange }: { onChange: (name: string) => void }) {
  const chosen = known(settings.value, prompts.value).prompt;
  const description = prompts.value.find(({ name }) => name === chosen)?.description ?? '';
  return (
    <label class="field first">
      <span>Prompt</span>
      <select value={chosen} onChange={(event) => onChange(event.currentTarget.value)}>
        <option value="">Node’s choice</option>
        {prompts.value.map(({ name }) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
      {description !== '' && <small>{description}</small>}
    </label>
  );
}
