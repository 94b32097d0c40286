/** Markdown as it would be read aloud: the words without the marks. */
import { type Block, type Inline, parseMarkdown } from './tree.ts';

export function plainText(source: string): string {
  return parseMarkdown(source)
    .map(({ block }) => ofBlock(block))
    .filter((text) => text !== '')
    .join('\n');
}

function ofBlock(block: Block): string {
  switch (block.kind) {
    case 'paragraph':
    case 'heading':
      return ofInlines(block.children);
    case 'code':
      return block.text;
    case 'quote':
      return block.children.map(ofBlock).join('\n');
    case 'list':
      return block.items.map((item) => item.children.map(ofBlock).join('\n')).join('\n');
    case 'table':
      return [block.head, ...block.rows].map((row) => row.map(ofInlines).join(', ')).join('\n');
    case 'rule':
      return '';
  }
}

const ofInlines = (inlines: Inline[]): string => inlines.map(ofInline).join('');

function ofInline(inline: Inline): string {
  switch (inline.kind) {
    case 'text':
    case 'code':
      return inline.text;
    case 'break':
      return '\n';
    default:
      return ofInlines(inline.children);
  }
}
