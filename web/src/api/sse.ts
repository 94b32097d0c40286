/**
 * Server-sent events out of a byte stream.
 *
 * Pure: bytes in, the `data` of whole events out. Cuts anywhere, in the middle of a character or of a line ending too.
 * Invariant: never holds more than EVENT_CHARS_MAX characters of an unfinished event.
 */

/** The longest event the page accepts; citations of a dozen passages are a hundredth of it. */
export const EVENT_CHARS_MAX = 4 * 1024 * 1024;

export class EventTooLongError extends Error {
  constructor() {
    super(`the node sent an event of more than ${EVENT_CHARS_MAX} characters`);
  }
}

export class SseParser {
  #decoder = new TextDecoder();
  #line = '';
  #data: string[] = [];
  #dataChars = 0;
  #afterReturn = false;

  /** Takes the next bytes, gives the `data` of each event they complete. */
  push(bytes: Uint8Array): string[] {
    return this.#take(this.#decoder.decode(bytes, { stream: true }));
  }

  /** Ends the stream. An event without its closing blank line is given too: some servers omit the last one. */
  end(): string[] {
    const events = this.#take(this.#decoder.decode());
    if (this.#line !== '') this.#endLine();
    const last = this.#endEvent();
    return last === null ? events : [...events, last];
  }

  #take(text: string): string[] {
    const events: string[] = [];
    let from = 0;
    for (let at = 0; at < text.length; at++) {
      const char = text[at];
      const secondHalf = char === '\n' && this.#afterReturn;
      this.#afterReturn = char === '\r';
      if (char !== '\n' && char !== '\r') continue;
      this.#line += text.slice(from, at);
      from = at + 1;
      if (secondHalf) continue;
      if (this.#line !== '') {
        this.#endLine();
      } else {
        const event = this.#endEvent();
        if (event !== null) events.push(event);
      }
    }
    this.#line += text.slice(from);
    this.#refuseTooLong();
    return events;
  }

  #endLine() {
    const line = this.#line;
    this.#line = '';
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    if (field !== 'data') return;
    const value = colon < 0 ? '' : line.slice(colon + 1);
    this.#data.push(value.startsWith(' ') ? value.slice(1) : value);
    this.#dataChars += value.length;
    this.#refuseTooLong();
  }

  #endEvent(): string | null {
    if (this.#data.length === 0) return null;
    const event = this.#data.join('\n');
    this.#data = [];
    this.#dataChars = 0;
    return event;
  }

  #refuseTooLong() {
    if (this.#line.length + this.#dataChars > EVENT_CHARS_MAX) throw new EventTooLongError();
  }
}
