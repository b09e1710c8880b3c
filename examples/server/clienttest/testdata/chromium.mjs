// Drives a headless Chromium through the web pages of registration, by the DevTools
// protocol. The steps are arguments:
//
//   open URL        go there
//   await CSS       wait until there is such an element
//   type CSS TEXT   type into it
//   click CSS       click on it
//   twice CSS       click on it, and again before the answer is there
//   reload          load the page again, with what was sent for it
//   text CSS        print what it says
//   script on|off   whether pages may run scripts, from the next open on
//   agent TEXT      the browser says it is that
//   shot NAME       a picture of the page for a desktop and one for a phone, if SHOTS
//                   names a folder for them
//
// In the end it prints "done" if nothing was loaded from elsewhere, no request told a
// referrer or, in its address, the text in SECRET, and the browser had no complaint.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import WebSocket from "ws";

const profile = mkdtempSync(join(tmpdir(), "chromium-"));
const browser = spawn(process.env.CHROMIUM || "chromium", [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
  "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank",
], { stdio: ["ignore", "ignore", "pipe"] });

const endpoint = await new Promise((found, failed) => {
  let said = "";
  browser.on("error", failed);
  browser.on("exit", () => failed(new Error("chromium has ended:\n" + said)));
  browser.stderr.on("data", (d) => {
    said += d;
    const m = said.match(/DevTools listening on (ws:\S+)/);
    if (m) found(m[1]);
  });
});
const socket = new WebSocket(endpoint, { perMessageDeflate: false });
await new Promise((opened, failed) => socket.on("open", opened).on("error", failed));

let last = 0, session;
const waiting = new Map();
const complaints = [];
const send = (method, params = {}) => new Promise((done, failed) => {
  waiting.set(++last, { done, failed, method });
  socket.send(JSON.stringify({ id: last, method, params, sessionId: session }));
});

let origin;
const mixed = (text) => complaints.push(text);
const saw = {
  "Network.requestWillBeSent": ({ request }) => {
    const url = new URL(request.url);
    if (url.protocol === "data:" || url.protocol === "about:" || url.protocol === "blob:") return;
    if (url.origin !== origin) mixed("loaded from elsewhere: " + request.url);
    if (process.env.SECRET && (url.pathname + url.search).includes(process.env.SECRET)) mixed("the token is in " + url.pathname);
  },
  "Network.requestWillBeSentExtraInfo": ({ headers }) => {
    for (const name of Object.keys(headers)) if (/^referer$/i.test(name)) mixed("referrer: " + headers[name]);
  },
  // What a refused form is answered with is no fault of the page.
  "Log.entryAdded": ({ entry }) => { if (entry.level === "error" && entry.source !== "network") mixed("browser: " + entry.text); },
  "Runtime.exceptionThrown": ({ exceptionDetails }) => mixed("script: " + (exceptionDetails.exception?.description ?? exceptionDetails.text)),
};
socket.on("message", (data) => {
  const m = JSON.parse(data);
  const w = waiting.get(m.id);
  if (w) {
    waiting.delete(m.id);
    if (m.error) w.failed(new Error(w.method + ": " + m.error.message));
    else w.done(m.result);
  } else if (saw[m.method]) saw[m.method](m.params);
});

const value = async (expression) => {
  const r = await send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
  if (r.exceptionDetails) throw new Error(expression + ": " + (r.exceptionDetails.exception?.description ?? r.exceptionDetails.text));
  return r.result.value;
};
const find = (css) => `document.querySelector(${JSON.stringify(css)})`;
const until = async (expression, what) => {
  for (const end = Date.now() + 30000; Date.now() < end;) {
    try {
      if (await value(expression)) return;
    } catch { /* the page is on its way to another one */ }
    await new Promise((r) => setTimeout(r, 50));
  }
  throw new Error("no " + what + " in\n" + await value("document.body.innerText"));
};

const views = [["desktop", 1280, 800, 1, false], ["phone", 390, 844, 2, true], ["narrow", 320, 640, 2, true]];
const look = async (name) => {
  if (!process.env.SHOTS) return;
  for (const dark of [false, true]) {
    await send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
    for (const [size, width, height, deviceScaleFactor, mobile] of views) {
      await send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor, mobile });
      const wide = await value("document.documentElement.scrollWidth");
      if (wide > width) mixed(`${name} is ${wide} wide on a screen of ${width}`);
      const { cssContentSize: page } = await send("Page.getLayoutMetrics");
      const { data } = await send("Page.captureScreenshot", { captureBeyondViewport: true,
        clip: { x: 0, y: 0, width, height: Math.max(height, page.height), scale: 1 } });
      writeFileSync(join(process.env.SHOTS, `${name}-${size}${dark ? "-dark" : ""}.png`), Buffer.from(data, "base64"));
    }
  }
  await send("Emulation.clearDeviceMetricsOverride");
};

const steps = {
  open: async (url) => {
    origin = new URL(url).origin;
    await send("Page.navigate", { url: "about:blank" });
    const r = await send("Page.navigate", { url });
    if (r.errorText) throw new Error(url + ": " + r.errorText);
    await until("document.readyState === 'complete' && location.href !== 'about:blank'", url);
  },
  await: (css) => until(find(css) + " !== null", css),
  type: async (css, text) => {
    await until(find(css) + " !== null", css);
    await value(`${find(css)}.focus(); ${find(css)}.select()`);
    await send("Input.insertText", { text });
  },
  click: async (css) => {
    await until(`${find(css)} !== null && !${find(css)}.disabled`, css);
    await value(`${find(css)}.click()`);
  },
  twice: async (css) => {
    await until(`${find(css)} !== null && !${find(css)}.disabled`, css);
    await value(`((e) => { e.click(); setTimeout(() => e.click(), 20); })(${find(css)})`);
  },
  reload: async () => {
    await send("Page.reload");
    await until("document.readyState === 'complete'", "reload");
  },
  text: async (css) => {
    await until(find(css) + " !== null", css);
    console.log(await value(find(css) + ".innerText"));
  },
  script: (on) => send("Emulation.setScriptExecutionDisabled", { value: on === "off" }),
  agent: (userAgent) => send("Emulation.setUserAgentOverride", { userAgent }),
  shot: look,
};

let status = 0;
try {
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  ({ sessionId: session } = await send("Target.attachToTarget", { targetId, flatten: true }));
  for (const domain of ["Page", "Network", "Log", "Runtime"]) await send(domain + ".enable");
  const todo = process.argv.slice(2);
  while (todo.length > 0) {
    const name = todo.shift();
    const step = steps[name];
    if (!step) throw new Error("no step " + name);
    await step(...todo.splice(0, step.length));
  }
  if (complaints.length > 0) throw new Error(complaints.join("\n"));
  console.log("done");
} catch (e) {
  console.error(String(e.message ?? e));
  status = 1;
}
browser.removeAllListeners("exit");
const ended = new Promise((r) => browser.on("exit", r));
session = undefined;
send("Browser.close").catch(() => browser.kill());
await ended;
for (let n = 0; n < 50; n++) { // its children may end a little later
  try {
    rmSync(profile, { recursive: true, force: true });
    break;
  } catch {
    await new Promise((r) => setTimeout(r, 100));
  }
}
process.exit(status);
