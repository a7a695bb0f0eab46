// Before the first paint: what the person chose here, so that nothing flashes.  A file of its own, as the policy forbids
// scripts in the page.
const said = (name: string): string | null => {
  try {
    return localStorage.getItem(`cms365.${name}`);
  } catch {
    return null; // storage is forbidden: the system's theme and language hold
  }
};
const theme = said('theme');
if (theme === 'light' || theme === 'dark') document.documentElement.dataset['theme'] = theme;
const language = said('language') ?? navigator.languages.map((l) => l.slice(0, 2)).find((l) => l === 'de' || l === 'en');
if (language === 'de') document.documentElement.lang = 'de';
