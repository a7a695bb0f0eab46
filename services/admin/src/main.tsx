import { render } from 'preact';
import { App } from './app';
import { language, setLanguage } from './lib/i18n';
import { loadHints } from './lib/labels';
import { loadSession } from './lib/session';

const root = document.getElementById('app');
if (root) void Promise.all([setLanguage(language.value), loadHints(), loadSession()]).then(() => render(<App />, root));
