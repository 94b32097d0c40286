/** The page's icons: strokes on a 24-grid, hidden from screen readers because a label always stands beside them. */
import type { ComponentChildren } from 'preact';

const icon = (children: ComponentChildren) => () => (
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    {children}
  </svg>
);

export const Menu = icon(<path d="M4 7h16M4 12h16M4 17h10" />);
export const Plus = icon(<path d="M12 5v14M5 12h14" />);
export const Send = icon(<path d="M12 19V5M6 11l6-6 6 6" />);
export const Stop = icon(<rect x="7" y="7" width="10" height="10" rx="2" class="filled" />);
export const Sun = icon(
  <>
    <circle cx="12" cy="12" r="4" />
    <path d="M12 3v1.5M12 19.5V21M3 12h1.5M19.5 12H21M5.6 5.6l1.1 1.1M17.3 17.3l1.1 1.1M18.4 5.6l-1.1 1.1M6.7 17.3l-1.1 1.1" />
  </>,
);
export const Moon = icon(<path d="M19.5 14.2A8 8 0 0 1 9.8 4.5a8 8 0 1 0 9.7 9.7Z" />);
export const Auto = icon(
  <>
    <circle cx="12" cy="12" r="8" />
    <path d="M12 4a8 8 0 0 1 0 16Z" class="filled" />
  </>,
);
export const Sliders = icon(<path d="M4 8h9M19 8h1M4 16h1M11 16h9M16 5.5v5M8 13.5v5" />);
export const Copy = icon(
  <>
    <rect x="9" y="9" width="11" height="11" rx="2.5" />
    <path d="M5.5 15A1.5 1.5 0 0 1 4 13.5v-7A2.5 2.5 0 0 1 6.5 4h7A1.5 1.5 0 0 1 15 5.5" />
  </>,
);
export const Check = icon(<path d="m5 12.5 4.5 4.5L19 7.5" />);
export const Again = icon(<path d="M20 11a8 8 0 1 0-2.3 6.7M20 5v6h-6" />);
export const Pencil = icon(<path d="m14.5 6.5 3 3M5 19l1-4L16 5a2.1 2.1 0 0 1 3 3L9 18l-4 1Z" />);
export const Bin = icon(<path d="M5 7h14M10 7V5h4v2M7 7l.8 12h8.4L17 7M10.5 11v4.5M13.5 11v4.5" />);
export const Close = icon(<path d="m6 6 12 12M18 6 6 18" />);
export const Chevron = icon(<path d="m9 6 6 6-6 6" />);
export const Down = icon(<path d="M12 5v14M6 13l6 6 6-6" />);
export const Book = icon(<path d="M5 5.5A1.5 1.5 0 0 1 6.5 4H19v13H7a2 2 0 0 0-2 2V5.5ZM7 17a2 2 0 0 0 0 4h12v-4" />);
export const Wrench = icon(<path d="M19.5 7.5a4.5 4.5 0 0 1-6 5.4L7 19.4a1.7 1.7 0 0 1-2.4-2.4l6.5-6.5a4.5 4.5 0 0 1 5.4-6L14 7l.5 2.5L17 10l2.5-2.5Z" />);
export const Warning = icon(<path d="M12 4 2.8 19.5h18.4L12 4ZM12 10v4.5M12 17v.2" />);

/** The mark beside the name. */
export const Mark = () => (
  <svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
    <circle cx="16" cy="16" r="12" />
    <path d="M16 28c0-10.5 3.6-17 11.2-19.8M16 28c-.6-6.4-3.9-10.6-10.6-12.8" />
  </svg>
);
