/** Shows the tree of `markdown/tree.ts`. Makes elements only; there is no HTML string anywhere. */
import { Component, type ComponentChildren } from 'preact';
import { useMemo } from 'preact/hooks';
import { type Align, type Block, type Inline, type ListItem, parseMarkdown, type Section } from '../markdown/tree.ts';
import { CopyButton } from './CopyButton.tsx';

/** `headings` is the level a first-level heading gets, so that the page's outline stays whole. */
export function Markdown({ source, headings = 3 }: { source: string; headings?: number }) {
  const sections = useMemo(() => parseMarkdown(source), [source]);
  return (
    <div class="prose">
      {sections.map((section, at) => (
        <SectionView key={at} section={section} headings={headings} />
      ))}
    </div>
  );
}

/** Drawn again only when its source changed: while an answer streams, only its last block does. */
class SectionView extends Component<{ section: Section; headings: number }> {
  override shouldComponentUpdate(next: { section: Section }) {
    return next.section.source !== this.props.section.source;
  }

  override render() {
    return blockView(this.props.section.block, this.props.headings);
  }
}

function blockView(block: Block, headings: number): ComponentChildren {
  switch (block.kind) {
    case 'paragraph':
      return <p>{block.children.map(inlineView)}</p>;
    case 'heading': {
      const level = Math.min(6, block.level - 1 + headings);
      const Heading = `h${level}` as 'h3';
      return <Heading class={`level-${block.level}`}>{block.children.map(inlineView)}</Heading>;
    }
    case 'code':
      return <CodeView language={block.language} text={block.text} />;
    case 'quote':
      return <blockquote>{block.children.map((child) => blockView(child, headings))}</blockquote>;
    case 'list':
      return listView(block.start, block.items, headings);
    case 'table':
      return tableView(block.align, block.head, block.rows);
    case 'rule':
      return <hr />;
  }
}

function listView(start: number | null, items: ListItem[], headings: number) {
  const children = items.map((item) => (
    <li class={item.done === null ? undefined : 'task'}>
      {item.done === null ? null : (
        <input type="checkbox" checked={item.done} disabled aria-label={item.done ? 'Done' : 'To do'} />
      )}
      {tight(item) ?? item.children.map((child) => blockView(child, headings))}
    </li>
  ));
  return start === null ? <ul>{children}</ul> : <ol start={start}>{children}</ol>;
}

/** An item that is one line of text needs no paragraph around it. */
function tight(item: ListItem): ComponentChildren | null {
  const [only, ...rest] = item.children;
  return only?.kind === 'paragraph' && rest.length === 0 ? only.children.map(inlineView) : null;
}

function tableView(align: Align[], head: Inline[][], rows: Inline[][][]) {
  const side = (at: number) => (align[at] ? `align-${align[at]}` : undefined);
  return (
    <div class="table" tabIndex={0} role="region" aria-label="Table">
      <table>
        <thead>
          <tr>
            {head.map((cell, at) => (
              <th scope="col" class={side(at)}>
                {cell.map(inlineView)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr>
              {row.map((cell, at) => (
                <td class={side(at)}>{cell.map(inlineView)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function inlineView(inline: Inline): ComponentChildren {
  switch (inline.kind) {
    case 'text':
      return inline.text;
    case 'code':
      return <code>{inline.text}</code>;
    case 'strong':
      return <strong>{inline.children.map(inlineView)}</strong>;
    case 'emphasis':
      return <em>{inline.children.map(inlineView)}</em>;
    case 'deleted':
      return <del>{inline.children.map(inlineView)}</del>;
    case 'break':
      return <br />;
    case 'link':
      return (
        <a href={inline.href} target="_blank" rel="noopener noreferrer nofollow">
          {inline.children.map(inlineView)}
        </a>
      );
  }
}

function CodeView({ language, text }: { language: string; text: string }) {
  return (
    <figure class="code">
      <figcaption>
        <span>{language || 'text'}</span>
        <CopyButton text={text} label="Copy code" />
      </figcaption>
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
    </figure>
  );
}
