import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeEntities } from '../../src/markdown/entities.ts';
import { withoutHeadings } from '../../src/markdown/passage.ts';
import { plainText } from '../../src/markdown/plain.ts';
import { splitThoughts } from '../../src/markdown/thoughts.ts';
import { type Block, type Inline, MARKDOWN_CHARS_MAX, parseMarkdown, safeHref } from '../../src/markdown/tree.ts';

const blocks = (source: string) => parseMarkdown(source).map(({ block }) => block);
const text = (text: string): Inline => ({ kind: 'text', text });
const paragraph = (...children: Inline[]): Block => ({ kind: 'paragraph', children });
const check = (source: string, ...expected: Block[]) => assert.deepEqual(blocks(source), expected);

test('what people write comes out as its tree', () => {
  check('Hello *there*', paragraph(text('Hello '), { kind: 'emphasis', children: [text('there')] }));
  check('`a < b`', paragraph({ kind: 'code', text: 'a < b' }));
  check('## Two', { kind: 'heading', level: 2, children: [text('Two')] });
  check('```sh\nls <x>\n```', { kind: 'code', language: 'sh', text: 'ls <x>' });
  check('```\nstill open', { kind: 'code', language: '', text: 'still open' });
  check('> said', { kind: 'quote', children: [paragraph(text('said'))] });
  check('---', { kind: 'rule' });
  check('a  \nb', paragraph(text('a'), { kind: 'break' }, text('b')));
  check('3. c\n4. d', {
    kind: 'list',
    start: 3,
    items: [
      { done: null, children: [paragraph(text('c'))] },
      { done: null, children: [paragraph(text('d'))] },
    ],
  });
  check('| A |\n|--:|\n| 1 |', { kind: 'table', align: ['right'], head: [[text('A')]], rows: [[[text('1')]]] });
  check('Q&amp;A &lt;3', paragraph(text('Q&A <3')));
});

test('tasks keep their mark', () => {
  const [list] = blocks('- [x] done\n- [ ] open');
  assert.ok(list?.kind === 'list');
  assert.deepEqual(list.items.map(({ done }) => done), [true, false]);
});

test('HTML stays text', () => {
  for (const hostile of [
    '<script>alert(1)</script>',
    'x <img src=x onerror=alert(1)> y',
    '<svg/onload=alert(1)>',
    '<a href="javascript:alert(1)">x</a>',
    '<details open ontoggle=alert(1)>',
  ]) {
    const tree = JSON.stringify(blocks(hostile));
    assert.match(tree, /alert\(1\)/, 'it is shown');
    assert.doesNotMatch(tree, /"kind":"(?!text|paragraph)/, `nothing but text comes of ${hostile}`);
  }
});

test('links go to the web or to a mailbox only', () => {
  const kept = ['https://example.org/', 'http://example.org/a?b=c&d', 'mailto:a@example.org'];
  for (const href of kept) assert.ok(safeHref(href), href);
  const refused = [
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    ' javascript:alert(1)',
    'java\nscript:alert(1)',
    'javascript&colon;alert(1)',
    '&#106;avascript:alert(1)',
    '&#x6a;avascript:alert(1)',
    'data:text/html,<script>alert(1)</script>',
    'vbscript:x',
    'file:///etc/passwd',
    'blob:https://example.org/x',
    '/relative',
    '//example.org',
    '#here',
    '',
  ];
  for (const href of refused) assert.equal(safeHref(href), null, href);
  check('[x](javascript:alert(1))', paragraph(text('x')));
  check('[x](https://example.org)', paragraph({ kind: 'link', href: 'https://example.org/', children: [text('x')] }));
});

test('images become links, so that nothing is loaded', () => {
  check('![a map](https://example.org/m.png)', paragraph({ kind: 'link', href: 'https://example.org/m.png', children: [text('a map')] }));
  check('![x](data:image/png;base64,AAAA)', paragraph(text('x')));
});

test('depth and length have an end', () => {
  for (const deep of ['>'.repeat(5000), '- '.repeat(5000), `${'['.repeat(3000)}x${']'.repeat(3000)}`, '*'.repeat(5000), `${'**a '.repeat(2000)}`]) {
    const began = performance.now();
    assert.ok(blocks(deep).length >= 1);
    assert.ok(performance.now() - began < 3000, `${deep.slice(0, 10)}… took too long`);
  }
  const long = '# x\n'.repeat(MARKDOWN_CHARS_MAX / 4 + 1);
  check(long, paragraph(text(long)));
  let nested = '';
  for (let depth = 0; depth < 30; depth++) nested += `${'  '.repeat(depth)}- level ${depth}\n`;
  assert.match(JSON.stringify(blocks(nested)), /level 29/, 'what is too deep is still shown');
});

test('every beginning of an answer can be shown while it streams', () => {
  const answer = '# A\n\n1. **b** `c`\n   - d\n\n| x | y |\n|---|---|\n| 1 | [z](https://example.org) |\n\n```js\nlet a\n```\n> q';
  for (let end = 0; end <= answer.length; end++) assert.doesNotThrow(() => blocks(answer.slice(0, end)));
});

test('sections carry the source that tells whether they changed', () => {
  const before = parseMarkdown('# A\n\nfirst\n\nsecond');
  const after = parseMarkdown('# A\n\nfirst\n\nsecond grew');
  assert.deepEqual(before.slice(0, -1), after.slice(0, -1));
  assert.notEqual(before.at(-1)?.source, after.at(-1)?.source);
});

test('character references become characters, broken ones stay', () => {
  assert.equal(decodeEntities('&lt;&#60;&#x3C;&nbsp;&hellip;'), '<<<\u00a0…');
  assert.equal(decodeEntities('&unknown; & &;'), '&unknown; & &;');
  assert.equal(decodeEntities('&#0;&#xD800;&#x110000;'), '\ufffd\ufffd\ufffd');
});

test('thinking aloud is told from the answer', () => {
  const check = (said: string, thoughts: string, answer: string) => assert.deepEqual(splitThoughts(said), { thoughts, answer });
  check('plain', '', 'plain');
  check('<think>hm</think>\n\nYes', 'hm', 'Yes');
  check('<think>hm', 'hm', '');
  check('<thi', '', '');
  check('a <think>b</think>', '', 'a <think>b</think>');
});

test('read aloud, only the words are left', () => {
  const check = (source: string, expected: string) => assert.equal(plainText(source), expected);
  check('## Use `gaia`\n\n- **one**\n- [two](https://example.org)\n\n---\n\n> three', 'Use gaia\none\ntwo\nthree');
  check('| A | B |\n|---|---|\n| 1 | 2 |', 'A, B\n1, 2');
  check('```sh\nls\n```', 'ls');
});

test('a passage is shown without the headings that stand above it', () => {
  const check = (passage: string, headings: string[], expected: string) =>
    assert.equal(withoutHeadings(passage, headings), expected);
  check('# A\n\n## B\n\nwords\n## C', ['A', 'B'], 'words\n## C');
  check('## Other\n\nwords', ['A'], '## Other\n\nwords');
  check('words', [], 'words');
  check('# A', ['A'], '# A');
  check('#A is no heading', ['A is no heading'], '#A is no heading');
});
