/** Which of a domain's models answers; where there is one, its name. */
import { choose, model, models } from '../chat/domain.ts';
import { shortDigest } from './names.ts';

export function ModelChoice() {
  const [one, ...more] = models.value;
  if (one === undefined) return null;
  if (more.length === 0) return <span class="model" title={one}>{shortDigest(one)}</span>;
  return (
    <select class="model" aria-label="Model" value={model.value ?? one} onChange={(event) => choose(event.currentTarget.value)}>
      {models.value.map((name) => (
        <option key={name} value={name}>
          {shortDigest(name)}
        </option>
      ))}
    </select>
  );
}
