// CodeMirror, in a shadow root: there it uses constructed style sheets, which the content security policy allows (it forbids
// style elements).
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { json, jsonParseLinter } from '@codemirror/lang-json';
import { HighlightStyle, StreamLanguage, bracketMatching, indentOnInput, syntaxHighlighting } from '@codemirror/language';
import { linter } from '@codemirror/lint';
import { EditorState } from '@codemirror/state';
import { EditorView, drawSelection, highlightActiveLine, keymap, lineNumbers } from '@codemirror/view';
import { tags } from '@lezer/highlight';

export type Mode = 'json' | 'jq';

const words = new Set('if then elif else end as def reduce foreach try catch and or not import include label __loc__'.split(' '));
const jq = StreamLanguage.define<{ text: boolean }>({
  name: 'jq',
  startState: () => ({ text: false }),
  token(s, state) {
    if (state.text) {
      while (!s.eol()) {
        const c = s.next();
        if (c === '\\') s.next();
        else if (c === '"') {
          state.text = false;
          break;
        }
      }
      return 'string';
    }
    if (s.eatSpace()) return null;
    const c = s.next() ?? '';
    if (c === '#') {
      s.skipToEnd();
      return 'comment';
    }
    if (c === '"') {
      state.text = true;
      return 'string';
    }
    if (/\d/.test(c)) {
      s.eatWhile(/[\d.eE]/);
      return 'number';
    }
    if (c === '.' && s.eatWhile(/[\w]/)) return 'propertyName';
    if (c === '$' || c === '@') {
      s.eatWhile(/\w/);
      return 'variableName';
    }
    if (/[A-Za-z_]/.test(c)) {
      s.eatWhile(/\w/);
      const word = s.current();
      return words.has(word) ? 'keyword' : /^(true|false|null)$/.test(word) ? 'bool' : 'variableName';
    }
    return /[|,;:=<>+\-*/%?]/.test(c) ? 'operator' : null;
  },
});
const colours = HighlightStyle.define([
  { tag: tags.string, color: 'var(--good)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--warn)' },
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: 'var(--info)' },
  { tag: tags.keyword, color: 'var(--accent-ink)', fontWeight: '600' },
  { tag: tags.comment, color: 'var(--ink-3)', fontStyle: 'italic' },
  { tag: tags.invalid, color: 'var(--bad)' },
]);
const theme = (lines: number) =>
  EditorView.theme({
    '&': { fontSize: '13px', color: 'var(--ink)', backgroundColor: 'transparent', height: '100%' },
    '&.cm-focused': { outline: 'none' },
    '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.55', minHeight: `${lines * 1.55}em`, maxHeight: '60vh', overflow: 'auto' },
    '.cm-gutters': { backgroundColor: 'var(--sunken)', color: 'var(--ink-3)', border: 'none', borderRight: '1px solid var(--line)' },
    '.cm-activeLine': { backgroundColor: 'color-mix(in srgb, var(--accent-soft) 45%, transparent)' },
    '.cm-activeLineGutter': { backgroundColor: 'var(--line)', color: 'var(--ink)' },
    '.cm-cursor': { borderLeftColor: 'var(--ink)' },
    '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': { backgroundColor: 'color-mix(in srgb, var(--accent) 28%, transparent)' },
    '.cm-matchingBracket': { outline: '1px solid var(--accent)' },
    '.cm-tooltip': { backgroundColor: 'var(--raised)', color: 'var(--ink)', border: '1px solid var(--line)' },
  });

export function mount(host: HTMLElement, o: { value: string; mode: Mode; label: string; describedBy: string | null; lines: number; placeholder: string; onChange: (v: string) => void }) {
  const root = host.shadowRoot ?? host.attachShadow({ mode: 'open' });
  const place = document.createElement('div');
  root.replaceChildren(place);
  const view = new EditorView({
    root, parent: place,
    state: EditorState.create({
      doc: o.value,
      extensions: [
        lineNumbers(), history(), drawSelection(), indentOnInput(), bracketMatching(), highlightActiveLine(), syntaxHighlighting(colours), theme(o.lines),
        o.mode === 'json' ? [json(), linter((v) => (v.state.doc.length ? jsonParseLinter()(v) : []))] : jq,
        keymap.of([...defaultKeymap, ...historyKeymap]), // Tab moves on, as everywhere
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ 'aria-label': o.label }),
        EditorView.updateListener.of((u) => {
          if (u.docChanged) o.onChange(u.state.doc.toString());
        }),
      ],
    }),
  });
  return {
    set(v: string) {
      if (v !== view.state.doc.toString()) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: v } });
    },
    stop: () => view.destroy(),
  };
}
