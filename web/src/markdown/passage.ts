/** A passage begins with the headings it stands under, which are shown above it already. */
export function withoutHeadings(passage: string, headings: string[]): string {
  const lines = passage.split('\n');
  const first = lines.findIndex((line) => line.trim() !== '' && !headings.includes(headingOf(line)));
  return first < 0 ? passage : lines.slice(first).join('\n');
}

const headingOf = (line: string) => /^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$/.exec(line)?.[1] ?? '';
