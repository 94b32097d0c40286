/** Conversations under the day they were last talked in. Pure: the time arrives as an argument. */

interface Dated {
  updatedAt: number;
}

export interface Day<T> {
  day: string;
  conversations: T[];
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** Takes conversations the latest first, gives them in that order. */
export function byDay<T extends Dated>(conversations: T[], now: number): Day<T>[] {
  const days: Day<T>[] = [];
  for (const conversation of conversations) {
    const day = dayName(conversation.updatedAt, now);
    const last = days.at(-1);
    if (last?.day === day) last.conversations.push(conversation);
    else days.push({ day, conversations: [conversation] });
  }
  return days;
}

function dayName(at: number, now: number): string {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  if (at >= midnight) return 'Today';
  if (at >= midnight - DAY_MS) return 'Yesterday';
  return at >= midnight - 6 * DAY_MS ? 'This week' : 'Earlier';
}
