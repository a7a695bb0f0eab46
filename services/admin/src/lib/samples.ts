// A request as a program: what was just tried in the browser, to be taken along.  In the form of the document's own samples
// (scripts/document/samples.py): the address and the key come from CMS365_URL and CMS365_KEY.
export interface Sent {
  method: string;
  url: string;
  headers: Record<string, string>;
  body?: string | undefined;
}
export type Language = 'curl' | 'javascript' | 'python' | 'php';
export const languages: Array<{ id: Language; name: string; syntax: string }> = [
  { id: 'curl', name: 'cURL', syntax: 'bash' },
  { id: 'javascript', name: 'JavaScript', syntax: 'javascript' },
  { id: 'python', name: 'Python', syntax: 'python' },
  { id: 'php', name: 'PHP', syntax: 'php' },
];

// The browser's own: who one is comes from the key, and the form token belongs to the session.
const left = new Set(['authorization', 'x-cms365-csrf', 'cookie', 'accept']);
const headersOf = (r: Sent): Array<[string, string]> => Object.entries(r.headers).filter(([name]) => !left.has(name.toLowerCase()));
const pathOf = (r: Sent): string => {
  const url = new URL(r.url, location.origin);
  return url.pathname + url.search;
};

const shell = (s: string): string => `'${s.replaceAll("'", "'\\''")}'`;
const single = (s: string): string => `'${s.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
// In a text that $ would fill in; the path of a URL has neither quotes nor backslashes.
const dollars = (s: string): string => s.replaceAll('$', '\\$');
// JSON's texts are Python's but for surrogates, and JavaScript's.
const double = (s: string): string => JSON.stringify(s);

function curl(r: Sent): string {
  const verb = r.method === 'GET' ? '' : ` -X ${r.method}`;
  const parts = [`curl -fsS${verb} "$CMS365_URL${dollars(pathOf(r))}"`, '-H "Authorization: Bearer $CMS365_KEY"'];
  for (const [name, value] of headersOf(r)) parts.push(`-H ${shell(`${name}: ${value}`)}`);
  if (r.body !== undefined) parts.push(`--data-binary ${shell(r.body)}`);
  return `${parts.join(' \\\n  ')}\n`;
}
function javascript(r: Sent): string {
  const headers = ['Authorization: `Bearer ${process.env.CMS365_KEY}`', ...headersOf(r).map(([n, v]) => `${double(n)}: ${double(v)}`)];
  return [
    `const answer = await fetch(process.env.CMS365_URL + ${double(pathOf(r))}, {`,
    `  method: ${single(r.method)},`,
    `  headers: { ${headers.join(', ')} },`,
    ...(r.body !== undefined ? [`  body: ${double(r.body)},`] : []),
    '});',
    'if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);',
    'console.log(await answer.text());', '',
  ].join('\n');
}
function python(r: Sent): string {
  const headers = ['"Authorization": "Bearer " + os.environ["CMS365_KEY"]', ...headersOf(r).map(([n, v]) => `${double(n)}: ${double(v)}`)];
  return [
    'import os', '', 'import requests', '', 'answer = requests.request(',
    `    ${double(r.method)},`,
    `    os.environ["CMS365_URL"] + ${double(pathOf(r))},`,
    `    headers={${headers.join(', ')}},`,
    ...(r.body !== undefined ? [`    data=${double(r.body)}.encode(),`] : []),
    '    timeout=30,', ')', 'answer.raise_for_status()', 'print(answer.text)', '',
  ].join('\n');
}
function php(r: Sent): string {
  const headers = ["'Authorization: Bearer ' . getenv('CMS365_KEY')", ...headersOf(r).map(([n, v]) => single(`${n}: ${v}`))];
  return [
    '<?php',
    `$curl = curl_init(getenv('CMS365_URL') . ${single(pathOf(r))});`,
    'curl_setopt_array($curl, [', '    CURLOPT_RETURNTRANSFER => true,',
    `    CURLOPT_CUSTOMREQUEST => ${single(r.method)},`,
    ...(r.body !== undefined ? [`    CURLOPT_POSTFIELDS => ${single(r.body)},`] : []),
    `    CURLOPT_HTTPHEADER => [${headers.join(', ')}],`,
    ']);', '$answer = curl_exec($curl);', '$status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);',
    'if ($answer === false || $status < 200 || $status > 299) {', '    fwrite(STDERR, "$status $answer\\n");', '    exit(1);', '}',
    'echo $answer, "\\n";', '',
  ].join('\n');
}
export const sample: Record<Language, (r: Sent) => string> = { curl, javascript, python, php };
