import './styles/page.css';
import { render } from 'preact';
import { keepPreferences } from './chat/preferences.ts';
import { listen, meetNode } from './chat/session.ts';
import { place } from './place.ts';
import { screenAt } from './screens.ts';
import { Page } from './view/Page.tsx';

keepPreferences();
void show();

async function show() {
  const root = document.getElementById('page');
  if (root === null) return;
  const screen = place === 'domain' ? screenAt(location.pathname) : null;
  if (screen === null) {
    listen();
    void meetNode();
    render(<Page />, root);
    return;
  }
  // Of no use to who chats, so not loaded for him.
  const { DomainScreen } = await import('./DomainScreen.tsx');
  render(<DomainScreen screen={screen} />, root);
}
