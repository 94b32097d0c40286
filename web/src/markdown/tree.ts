/**
 * Markdown as a small tree of things the page knows how to show.
 *
 * The safety of the page rests here: the view makes elements from these nodes only and never from a string of HTML, so
 * whatever a model or a document writes can at worst be odd text. HTML stays visible as text, a link keeps only an
 * address that is http, https or mailto, and an image becomes a link, so that nothing is ever loaded from elsewhere.
 */
import { type MarkedToken, Lexer, type Token, type Tokens } from 'marked';
import { decodeEntities } from './entities.ts';

export type Inline =
  | { kind: 'text'; text: string }
  | { kind: 'code'; text: string }
  | { kind: 'strong' | 'emphasis' | 'deleted'; children: Inline[] }
  | { kind: 'link'; href: string; children: Inline[] }
  | { kind: 'break' };

export type Align = 'left' | 'center' | 'right' | null;

export type Block =
  | { kind: 'paragraph'; children: Inline[] }
  | { kind: 'heading'; level: number; children: Inline[] }
  | { kind: 'code'; language: string; text: string }
  | { kind: 'quote'; children: Block[] }
  | { kind: 'list'; start: number | null; items: ListItem[] }
  | { kind: 'table'; align: Align[]; head: Inline[][]; rows: Inline[][][] }
  | { kind: 'rule' };

export interface ListItem {
  /** null where the item is no task. */
  done: boolean | null;
  children: Block[];
}

/** A block with the source it came from, so that a view can leave alone what did not change. */
export interface Section {
  source: string;
  block: Block;
}

/** Longer texts are shown as they are, in one paragraph. */
export const MARKDOWN_CHARS_MAX = 200_000;
/** Deeper quotes and lists are shown as plain text. */
export const DEPTH_MAX = 12;

const SAFE_SCHEMES = ['http:', 'https:', 'mailto:'];
// Quote marks and list indents deeper than DEPTH_MAX would cost the parser a stack frame each.
const TOO_DEEP = new RegExp(`^(?: {0,3}(?:>|[-*+](?= )|\\d{1,9}[.)](?= )) ?){${DEPTH_MAX * 2},}|^[ \\t]{120,}[-*+\\d>]`, 'm');

export function parseMarkdown(source: string): Section[] {
  if (source.length > MARKDOWN_CHARS_MAX || TOO_DEEP.test(source)) return [plain(source)];
  try {
    return new Lexer({ gfm: true }).lex(source).flatMap((token) =>
      blocks([token], 0).map((block) => ({ source: token.raw, block })),
    );
  } catch {
    return [plain(source)];
  }
}

/** An address a person may follow from here, or null. */
export function safeHref(href: string): string | null {
  try {
    const address = decodeEntities(href).trim();
    const url = new URL(address);
    return SAFE_SCHEMES.includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

const plain = (source: string): Section => ({ source, block: paragraphOf(source) });
const paragraphOf = (text: string): Block => ({ kind: 'paragraph', children: [{ kind: 'text', text }] });

function blocks(tokens: Token[], depth: number): Block[] {
  return tokens.flatMap((token) => block(token as MarkedToken, depth));
}

function block(token: MarkedToken, depth: number): Block[] {
  if (depth > DEPTH_MAX) return [paragraphOf(token.raw)];
  switch (token.type) {
    case 'space':
    case 'def':
      return [];
    case 'hr':
      return [{ kind: 'rule' }];
    case 'heading':
      return [{ kind: 'heading', level: token.depth, children: inlines(token.tokens, depth) }];
    case 'code':
      return [{ kind: 'code', language: (token.lang ?? '').trim().split(/\s/)[0] ?? '', text: token.text }];
    case 'blockquote':
      return [{ kind: 'quote', children: blocks(token.tokens, depth + 1) }];
    case 'list':
      return [listOf(token, depth + 1)];
    case 'table':
      return [tableOf(token, depth)];
    case 'paragraph':
    case 'text':
      return [{ kind: 'paragraph', children: inlines(token.tokens ?? [token], depth) }];
    default:
      return [paragraphOf(token.raw.trim())];
  }
}

function listOf(token: Tokens.List, depth: number): Block {
  const items = token.items.map((item) => ({
    done: item.task ? item.checked === true : null,
    children: blocks(
      item.tokens.filter((part) => part.type !== 'checkbox'),
      depth,
    ),
  }));
  return { kind: 'list', start: token.ordered ? Number(token.start) || 0 : null, items };
}

function tableOf(token: Tokens.Table, depth: number): Block {
  const cells = (row: Tokens.TableCell[]) => row.map((cell) => inlines(cell.tokens, depth));
  return { kind: 'table', align: token.align, head: cells(token.header), rows: token.rows.map(cells) };
}

function inlines(tokens: Token[], depth: number): Inline[] {
  return tokens.flatMap((token) => inline(token as MarkedToken, depth + 1));
}

function inline(token: MarkedToken, depth: number): Inline[] {
  if (depth > DEPTH_MAX * 2) return [{ kind: 'text', text: token.raw }];
  switch (token.type) {
    case 'text':
      if (token.tokens) return inlines(token.tokens, depth);
      return [{ kind: 'text', text: decodeEntities(token.text) }];
    case 'escape':
      return [{ kind: 'text', text: token.text }];
    case 'codespan':
      return [{ kind: 'code', text: token.text }];
    case 'strong':
      return [{ kind: 'strong', children: inlines(token.tokens, depth) }];
    case 'em':
      return [{ kind: 'emphasis', children: inlines(token.tokens, depth) }];
    case 'del':
      return [{ kind: 'deleted', children: inlines(token.tokens, depth) }];
    case 'br':
      return [{ kind: 'break' }];
    case 'link':
      return linkOf(token.href, inlines(token.tokens, depth));
    case 'image':
      return linkOf(token.href, [{ kind: 'text', text: decodeEntities(token.text) || token.href }]);
    case 'checkbox':
      return [];
    case 'html':
      return /^<br\s*\/?>$/i.test(token.raw) ? [{ kind: 'break' }] : [{ kind: 'text', text: token.raw }];
    default:
      return [{ kind: 'text', text: token.raw }];
  }
}

function linkOf(address: string, children: Inline[]): Inline[] {
  const href = safeHref(address);
  return href === null ? children : [{ kind: 'link', href, children }];
}
