// A real browser over the login and consent pages: Chromium, headless, driven by its own DevTools protocol.  Signs in, allows,
// and prints the address that the client's callback was called with; "blocked: …" if the page's policy stopped the redirect.
const { spawn } = require("node:child_process");
const { mkdtempSync, rmSync, readFileSync, existsSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");

const conf = JSON.parse(process.argv[2]); // chromium, url, callback, username, password
const home = mkdtempSync(join(tmpdir(), "cms365-browser-"));
const browser = spawn(conf.chromium, [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
  "--remote-debugging-port=0", "--remote-debugging-address=127.0.0.1", `--user-data-dir=${home}`, "about:blank",
], { stdio: "ignore" });

const until = async (what, look, tries = 2400) => {
  for (let i = 0; i < tries; i++) {
    const found = await look();
    if (found) return found;
    await new Promise((go) => setTimeout(go, 25));
  }
  throw new Error("waited in vain for " + what);
};

async function connect() {
  const file = join(home, "DevToolsActivePort");
  const port = (await until("the browser", () => existsSync(file) && readFileSync(file, "utf8").split("\n")[1] && readFileSync(file, "utf8"))).split("\n")[0];
  const pages = await until("a page", async () => (await (await fetch(`http://127.0.0.1:${port}/json`)).json()).filter((p) => p.type === "page"));
  const socket = new WebSocket(pages[0].webSocketDebuggerUrl);
  await new Promise((go, no) => { socket.onopen = go; socket.onerror = no; });
  const waiting = new Map(), seen = [];
  let last = 0;
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.id) waiting.get(message.id)(message);
    else seen.push(message);
  };
  const call = (method, params = {}) => new Promise((go, no) => {
    waiting.set(++last, (m) => (m.error ? no(new Error(`${method}: ${m.error.message}`)) : go(m.result)));
    socket.send(JSON.stringify({ id: last, method, params }));
  });
  return { call, seen };
}

async function main() {
  const { call, seen } = await connect();
  await call("Network.enable");
  await call("Page.enable");
  await call("Log.enable");
  const page = async (expression) => (await call("Runtime.evaluate", { expression, returnByValue: true })).result.value;
  const press = (expression) => page(`(() => { const b = ${expression}; if (!b) return false; b.click(); return true; })()`);
  const title = (wanted) => until("the page " + wanted, async () => ((await page("document.readyState")) === "complete" ? (await page("document.title")).includes(wanted) : false));

  await call("Page.navigate", { url: conf.url });
  await title("Sign in");
  await page(`document.querySelector("[name=username]").value = ${JSON.stringify(conf.username)}`);
  await page(`document.querySelector("[name=password]").value = ${JSON.stringify(conf.password)}`);
  await press(`document.querySelector("form[action='/oauth/login'] button")`);
  await title("Allow access?");
  await press(`document.querySelector("[name=decision][value=allow]")`);
  const back = await until("the redirect", () => {
    for (const { method, params } of seen) {
      if (method === "Network.requestWillBeSent" && params.request.url.startsWith(conf.callback)) return params.request.url;
      if (method === "Log.entryAdded" && params.entry.text.includes("Content Security Policy")) return "blocked: " + params.entry.text;
    }
    return null;
  });
  console.log(back);
}

main().then(() => 0, (e) => (console.error(e), 1)).then(async (status) => {
  browser.kill("SIGKILL");
  await new Promise((go) => browser.once("exit", go));
  rmSync(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  process.exit(status);
});
