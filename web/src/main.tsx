import './styles/page.css';
import { render } from 'preact';
import { keepPreferences } from './chat/preferences.ts';
import { listen, meetNode } from './chat/session.ts';
import { Page } from './view/Page.tsx';

keepPreferences();
listen();
void meetNode();
const root = document.getElementById('page');
if (root !== null) render(<Page />, root);
