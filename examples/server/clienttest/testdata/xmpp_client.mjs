// Drives @xmpp/client against an XMPP server.
//
//     node xmpp_client.mjs COMMAND [ARGUMENT...]
//
// Environment: SERVICE (xmpp://host:port or xmpps://host:port), PASSWORD, and
// NODE_EXTRA_CA_CERTS with the certificate to trust. The commands and their
// output are those of slixmpp_client.py. No wait is longer than WAIT.
//
// The library prefers SCRAM-SHA-1, and makes the key in JavaScript: ten seconds of
// one processor for a login. Clients of whom something else is tested use PLAIN.
import { createInterface } from "node:readline";
import { client, jid, xml } from "@xmpp/client";

const WAIT = 45_000; // a login with SCRAM on a busy machine included

class Failed extends Error {}

function demand(condition, text) {
  if (!condition) throw new Failed(text);
}

class Client {
  constructor(account, mechanism) {
    const address = jid(account);
    const username = address.local;
    const password = process.env.PASSWORD;
    this.account = account;
    this.seen = [];
    this.waiting = [];
    this.xmpp = client({
      service: process.env.SERVICE,
      domain: address.domain,
      resource: address.resource || undefined,
      ...(mechanism
        ? { credentials: (authenticate) => authenticate({ username, password }, mechanism) }
        : { username, password }),
    });
    this.xmpp.timeout = WAIT;
    this.xmpp.reconnect.stop();
    this.xmpp.on("error", (error) => console.error(`${account}: ${error.code ?? error.condition ?? error.message}`));
    this.xmpp.on("stanza", (stanza) => {
      // What was kept for an earlier session of the account is not for us.
      if (stanza.is("message") && stanza.getChild("delay", "urn:xmpp:delay")) return;
      const i = this.waiting.findIndex((w) => w.match(stanza));
      if (i < 0) this.seen.push(stanza);
      else this.waiting.splice(i, 1)[0].found(stanza);
    });
  }

  // expect waits for a stanza that matches, and takes it.
  expect(what, match) {
    const i = this.seen.findIndex(match);
    if (i >= 0) return Promise.resolve(this.seen.splice(i, 1)[0]);
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        const seen = this.seen.map(String).join("\n");
        reject(new Failed(`${this.account}: no ${what} within ${WAIT} ms; unasked for:\n${seen}`));
      }, WAIT);
      const found = (stanza) => { clearTimeout(late); resolve(stanza); };
      this.waiting.push({ match, found });
    });
  }

  expectMessage(sender, body) {
    return this.expect(`message "${body}" from ${sender}`, (s) =>
      s.is("message") && bare(s.attrs.from) === sender && s.getChildText("body") === body);
  }

  expectPresence(type, sender) {
    return this.expect(`presence ${type ?? "available"} from ${sender}`, (s) =>
      s.is("presence") && s.attrs.type === type && bare(s.attrs.from) === sender);
  }

  async login() {
    const late = setTimeout(() => {
      console.error(`failed: ${this.account}: no session within ${WAIT} ms`);
      process.exit(1);
    }, WAIT);
    this.address = await this.xmpp.start();
    clearTimeout(late);
    return this;
  }

  async online() {
    await this.login();
    await this.get(xml("query", "jabber:iq:roster"));
    await this.xmpp.send(xml("presence"));
    // What others send next must not overtake it: it may wait a while in our own
    // network stack, behind an acknowledgement of stream management.
    await this.expectPresence(undefined, bare(this.account));
    return this;
  }

  get(child, to) { return this.xmpp.iqCaller.get(child, to, WAIT); }
  set(child, to) { return this.xmpp.iqCaller.set(child, to, WAIT); }
  say(to, body) { return this.xmpp.send(xml("message", { to, type: "chat" }, xml("body", {}, body))); }
  leave() { return this.xmpp.stop(); }
}

function bare(address) {
  return address === undefined ? undefined : jid(address).bare().toString();
}

const commands = {
  // Everything two contacts do: services, messages, roster, presence.
  async chat(first, second) {
    const a = await new Client(first).online();
    const b = await new Client(second, "PLAIN").online();
    const domain = jid(first).domain;
    demand(bare(String(a.address)) === first && a.address.resource, `bound ${a.address} for ${first}`);

    await a.get(xml("ping", "urn:xmpp:ping"), domain);
    const version = await a.get(xml("query", "jabber:iq:version"), domain);
    demand(version.getChildText("name"), "the server has no software name");
    const info = await a.get(xml("query", "http://jabber.org/protocol/disco#info"), domain);
    demand(info.getChildren("identity").some((i) => i.attrs.category === "server" && i.attrs.type === "im"), `identities: ${info}`);
    const features = info.getChildren("feature").map((f) => f.attrs.var);
    for (const f of ["http://jabber.org/protocol/disco#info", "urn:xmpp:ping", "jabber:iq:version"]) {
      demand(features.includes(f), `feature ${f} missing`);
    }
    console.log("services ok");

    await a.say(second, "to the account");
    await b.expectMessage(first, "to the account");
    await b.say(String(a.address), "back to <you> & \u00fcber\u{1f41d}");
    await a.expectMessage(second, "back to <you> & \u00fcber\u{1f41d}");
    for (let i = 0; i < 50; i++) await a.say(second, `row ${i}`);
    for (let i = 0; i < 50; i++) {
      const m = await b.expect("the next message", (s) => s.is("message"));
      demand(m.getChildText("body") === `row ${i}`, `got ${m} as message ${i}`);
    }
    console.log("messages ok");

    await a.set(xml("query", "jabber:iq:roster", xml("item", { jid: second, name: "Contact" }, xml("group", {}, "Bees"))));
    const item = async () => (await a.get(xml("query", "jabber:iq:roster"))).getChildren("item").find((i) => i.attrs.jid === second);
    const stored = await item();
    demand(stored?.attrs.name === "Contact" && stored.getChildText("group") === "Bees", `roster item ${stored}`);
    console.log("roster ok");

    await a.xmpp.send(xml("presence", { to: second, type: "subscribe" }));
    await b.expectPresence("subscribe", first);
    await b.xmpp.send(xml("presence", { to: first, type: "subscribed" }));
    await a.expectPresence("subscribed", second);
    await a.expectPresence(undefined, second);
    const subscribed = await item();
    demand(subscribed.attrs.subscription === "to", `roster item ${subscribed}`);
    await b.leave();
    await a.expectPresence("unavailable", second);
    console.log("presence ok");

    await a.set(xml("query", "jabber:iq:roster", xml("item", { jid: second, subscription: "remove" })));
    demand(!(await item()), "the removed item is still in the roster");
    await a.leave();
  },

  // Answers every message with "echo: BODY" until one says "bye".
  async echo(account) {
    const x = await new Client(account, "PLAIN").online();
    console.log("online");
    for (;;) {
      const m = await x.expect("message", (s) => s.is("message") && s.getChild("body"));
      const body = m.getChildText("body");
      console.log(`got ${bare(m.attrs.from)} ${body}`);
      if (body === "bye") break;
      await x.say(m.attrs.from, `echo: ${body}`);
    }
    await x.leave();
  },

  // Sends a message to somebody who echoes it, then says bye.
  async say(account, to, body) {
    const x = await new Client(account, "PLAIN").online();
    await x.say(to, body);
    await x.expectMessage(to, `echo: ${body}`);
    await x.say(to, "bye");
    await x.leave();
  },

  // Does what standard input says and prints what arrives; see run_driven.
  async driven(address) {
    const x = new Client(address, "PLAIN");
    x.xmpp.on("stanza", (s) => {
      const { from, type } = s.attrs;
      if (s.is("presence")) console.log(`presence ${from} ${s.getChildText("show") || type || "available"}`);
      if (s.is("message") && s.getChild("body")) console.log(`message ${from} ${s.getChildText("body")}`);
      for (const way of ["received", "sent"]) {
        const inner = s.getChild(way, "urn:xmpp:carbons:2")?.getChild("forwarded", "urn:xmpp:forward:0")?.getChild("message", "jabber:client");
        if (s.is("message") && from === bare(String(x.address)) && inner) {
          console.log(`copy ${way} ${inner.attrs.from} ${inner.attrs.to} ${inner.getChildText("body")}`);
        }
      }
    });
    x.xmpp.iqCallee.set("jabber:iq:roster", "query", ({ element }) => {
      for (const i of element.getChildren("item")) {
        const groups = i.getChildren("group").map((g) => g.text()).sort();
        console.log("roster " + JSON.stringify([i.attrs.jid, i.attrs.subscription, i.attrs.name ?? "", groups]));
      }
      return {};
    });
    await x.online();
    console.log(`online ${x.address}`);
    const does = {
      chat: (to, body) => x.say(to, body),
      presence: (priority, to) => x.xmpp.send(xml("presence", { to }, xml("priority", {}, priority))),
      subscribe: (to) => x.xmpp.send(xml("presence", { to, type: "subscribe" })),
      subscribed: (to) => x.xmpp.send(xml("presence", { to, type: "subscribed" })),
      item: (jid, name, ...groups) => x.set(
        xml("query", "jabber:iq:roster", xml("item", { jid, name }, ...groups.map((g) => xml("group", {}, g))))),
      remove: (jid) => x.set(xml("query", "jabber:iq:roster", xml("item", { jid, subscription: "remove" }))),
      carbons: async (state) => {
        await x.set(xml(state === "on" ? "enable" : "disable", "urn:xmpp:carbons:2"));
        console.log(`carbons ${state}`);
      },
    };
    for await (const line of createInterface({ input: process.stdin })) {
      const [verb, ...args] = JSON.parse(line);
      if (verb === "leave") break;
      await does[verb](...args);
    }
    await x.leave();
  },

  // Loses its connection at "away" and resumes at "back SERVICE"; see run_resume.
  // The library's stream management does not count answers to its own iqCaller, so
  // requests are sent without that.
  async resume(account, other) {
    const x = new Client(account, "PLAIN");
    const bodies = [];
    x.xmpp.on("stanza", (s) => { if (s.is("message") && s.getChild("body")) bodies.push(s.getChildText("body")); });
    await x.login();
    const ask = async (id, child) => {
      await x.xmpp.send(xml("iq", { type: "get", id }, child));
      await x.expect(`answer to ${id}`, (s) => s.is("iq") && s.attrs.id === id);
    };
    await ask("roster", xml("query", "jabber:iq:roster"));
    await x.xmpp.send(xml("presence"));
    await ask("available", xml("ping", "urn:xmpp:ping"));
    const sm = x.xmpp.streamManagement;
    const until = async (what, holds) => {
      for (const end = Date.now() + WAIT; !holds();) {
        demand(Date.now() < end, `${account}: no ${what} within ${WAIT} ms; messages ${bodies}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    await until("stream management", () => sm.enabled && sm.id);
    const address = String(x.address), id = sm.id;
    let y = await new Client(other, "PLAIN").online(), n = 0, losses = 0;
    await y.say(account, "0");
    await until("message", () => bodies.length === 1);
    console.log("online");
    for await (const line of createInterface({ input: process.stdin })) {
      const [verb, arg] = line.split(" ");
      if (verb === "leave") break;
      if (verb === "away") {
        if (arg === "cut") x.xmpp.socket.socket ? x.xmpp.socket.socket.destroy() : x.xmpp.socket.destroy();
        await until("end of the connection", () => x.xmpp.status === "disconnect");
        if (arg !== "cut") y = undefined;
        console.log(`away ${++losses}`);
        continue;
      }
      process.env.SERVICE = x.xmpp.options.service = arg;
      y ??= await new Client(other, "PLAIN").online();
      for (let i = 0; i < 3; i++) await y.say(address, String(++n));
      let resumed = false;
      sm.once("resumed", () => { resumed = true; });
      await x.xmpp.reconnect.reconnect();
      await until("resumption", () => resumed || x.xmpp.status === "online");
      demand(resumed && sm.id === id && String(x.xmpp.jid) === address, `${x.xmpp.jid} instead of ${address}`);
      await until("message", () => bodies.length > n);
      await ask(`all ${n}`, xml("ping", "urn:xmpp:ping"));
      demand(bodies.join() === Array.from({ length: n + 1 }, (_, i) => i).join(), `messages ${bodies}`);
      await x.say(other, `back ${n}`);
      await y.expectMessage(account, `back ${n}`);
      console.log(`resumed ${losses}`);
    }
    await y.leave();
    await x.leave();
  },

  // Two resources of an account and somebody else on a server with carbons and stream
  // management, and nothing else; see slixmpp_embed.py.
  async embed(account, other) {
    const device = async (address) => {
      const x = new Client(address, "PLAIN");
      x.lines = [];
      x.xmpp.on("stanza", (s) => {
        if (s.is("message") && s.getChild("body")) x.lines.push(`message ${s.getChildText("body")}`);
        for (const way of ["received", "sent"]) {
          const inner = s.getChild(way, "urn:xmpp:carbons:2")?.getChild("forwarded", "urn:xmpp:forward:0")?.getChild("message", "jabber:client");
          if (inner && s.attrs.from === account) x.lines.push(`${way} ${inner.getChildText("body")}`);
        }
      });
      await x.login();
      await x.xmpp.send(xml("presence"));
      // Not by iqCaller, see resume.
      await x.xmpp.send(xml("iq", { type: "set", id: "carbons" }, xml("enable", "urn:xmpp:carbons:2")));
      await x.expect("carbons", (s) => s.is("iq") && s.attrs.id === "carbons" && s.attrs.type === "result");
      return x;
    };
    const until = async (x, what, holds) => {
      for (const end = Date.now() + WAIT; !holds();) {
        demand(Date.now() < end, `${x.account}: no ${what} within ${WAIT} ms; got ${x.lines}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const has = async (x, ...lines) => {
      await until(x, lines, () => x.lines.length >= lines.length);
      demand(x.lines.join() === lines.join(), `${x.account}: ${x.lines} instead of ${lines}`);
      x.lines.length = 0;
    };
    const phone = await device(account + "/phone"), sm = phone.xmpp.streamManagement;
    await until(phone, "stream management", () => sm.enabled && sm.id);
    const desk = await device(account + "/desk"), friend = await device(other + "/home");
    const address = String(phone.address), id = sm.id;

    await desk.say(other, "from the desk");
    await has(phone, "sent from the desk");
    await friend.say(String(desk.address), "to the desk");
    await has(phone, "received to the desk");
    await phone.say(other, "from the phone");
    await has(desk, "message to the desk", "sent from the phone");
    await has(friend, "message from the desk", "message from the phone");
    console.log("carbons ok");

    for (let n = 0; n < 2; n++) {
      phone.xmpp.socket.socket ? phone.xmpp.socket.socket.destroy() : phone.xmpp.socket.destroy();
      await until(phone, "end of the connection", () => phone.xmpp.status === "disconnect");
      await friend.say(address, `one ${n}`);
      await friend.say(String(desk.address), `two ${n}`);
      await has(desk, `received one ${n}`, `message two ${n}`);
      await desk.say(other, `three ${n}`);
      await has(friend, `message three ${n}`);
      let resumed = false;
      sm.once("resumed", () => { resumed = true; });
      await phone.xmpp.reconnect.reconnect();
      await until(phone, "resumption", () => resumed || phone.xmpp.status === "online");
      demand(resumed && sm.id === id && String(phone.xmpp.jid) === address, `${phone.xmpp.jid} instead of ${address}`);
      await has(phone, `message one ${n}`, `received two ${n}`, `sent three ${n}`);
      await phone.say(other, `back ${n}`);
      await has(friend, `message back ${n}`);
      await has(desk, `sent back ${n}`);
    }
    console.log("resumed ok");
    for (const x of [phone, desk, friend]) {
      await x.leave();
      demand(x.lines.length === 0, `${x.account}: ${x.lines}`);
    }
  },

  // Nobody looks at the first client: presence waits for what is important, or for
  // active and the answer to the ping behind it (XEP-0352 §5.1).
  async csi(first, second) {
    const x = await new Client(first, "PLAIN").online(), y = await new Client(second, "PLAIN").online();
    const to = String(x.address), order = [];
    x.xmpp.on("stanza", (s) => {
      const late = s.getChild("delay", "urn:xmpp:delay") ? " late" : "";
      if (s.is("presence") && bare(s.attrs.from) === second) order.push(s.getChildText("show") + late);
      if (s.is("message")) order.push(s.getChildText("body") + late);
      if (s.is("iq") && s.attrs.id.startsWith("behind")) order.push(s.attrs.id);
    });
    const shows = async (...list) => {
      for (const show of list) await y.xmpp.send(xml("presence", { to }, xml("show", {}, show)));
      await y.get(xml("ping", "urn:xmpp:ping"), jid(second).domain); // they are there
    };
    const got = (...list) => {
      demand(order.join() === list.join(), `got ${order}, want ${list}`);
      order.length = 0;
    };
    const ping = async (id) => {
      await x.xmpp.send(xml("iq", { type: "get", id }, xml("ping", "urn:xmpp:ping")));
      await x.expect(`answer to ${id}`, (s) => s.is("iq") && s.attrs.id === id);
    };
    const quiet = () => new Promise((resolve) => setTimeout(resolve, 6_000)); // the radio sleeps after 5 s

    await x.xmpp.send(xml("inactive", "urn:xmpp:csi:0"));
    await quiet();
    await shows("away", "dnd");
    got();
    await y.say(to, "important");
    await x.expect("message", (s) => s.is("message") && s.getChildText("body") === "important");
    got("dnd late", "important");
    console.log("message ok");
    await quiet();
    await shows("xa", "chat");
    got();
    await x.xmpp.send(xml("active", "urn:xmpp:csi:0"));
    await ping("behind active");
    got("chat late", "behind active");
    await shows("away");
    await ping("behind away");
    got("away", "behind away");
    console.log("active ok");
    await y.leave();
    await x.leave();
  },

  // Logs in with SASL2 and Bind 2, gets a token, comes back with it and without the
  // password, finds itself in the list of clients, and loses its access.
  async fast(account) {
    const { local: username, domain } = jid(account);
    const userAgent = xml("user-agent", { id: crypto.randomUUID() }, xml("software", {}, "xmpp.js"), xml("device", {}, "Hive"));
    let kept;
    const visit = async (password) => {
      const x = new Client(account + "/tag", "PLAIN");
      const xmpp = client({
        service: process.env.SERVICE, domain, resource: "tag", username, userAgent,
        credentials: async (authenticate, _mechanisms, fast) => authenticate({ username, password, token: await fast?.fetch() }, "PLAIN", userAgent),
      });
      xmpp.jid = jid(account);
      x.xmpp = xmpp;
      xmpp.timeout = WAIT;
      xmpp.reconnect.stop();
      xmpp.fast.fetchToken = async () => kept;
      xmpp.fast.saveToken = async (token) => { kept = token; };
      xmpp.fast.deleteToken = async () => { kept = undefined; };
      xmpp.on("error", (error) => console.error(`${account}: ${error.condition ?? error.message}`));
      let success;
      xmpp.on("element", (el) => { if (el.is("success")) success = el; });
      await x.login();
      demand(success?.attrs.xmlns === "urn:xmpp:sasl:2" && success.getChild("bound", "urn:xmpp:bind:0"), `logged in with ${success}`);
      demand(String(x.address).startsWith(account + "/tag/"), `bound ${x.address}`);
      await x.get(xml("query", "jabber:iq:roster"));
      return x;
    };
    const first = await visit(process.env.PASSWORD);
    demand(kept?.mechanism === "HT-SHA-256-NONE" && new Date(kept.expiry) > new Date(), `token ${JSON.stringify(kept)}`);
    const { token } = kept;
    await first.leave();
    console.log("token ok");
    const again = await visit("not the password");
    demand(kept?.token === token, "the token is another one");
    demand(String(again.address) === String(first.address), `bound ${again.address}, and ${first.address} before`);
    console.log("came back");
    const answer = await again.xmpp.iqCaller.request(xml("iq", { type: "get" }, xml("list", "urn:xmpp:cam:0")), WAIT);
    const clients = answer.getChild("clients", "urn:xmpp:cam:0").getChildren("client");
    demand(clients.length === 1 && clients[0].attrs.connected === "true" && clients[0].getChild("user-agent").getChildText("device") === "Hive", `clients ${clients}`);
    const ended = new Promise((resolve) => again.xmpp.on("error", (error) => resolve(error.condition)));
    console.log("client " + clients[0].attrs.id);
    demand(await ended === "not-authorized", "the session ended otherwise");
    const condition = await visit("not the password").then(() => "none", (error) => error.condition ?? error.message);
    demand(condition === "not-authorized" && kept === undefined, `with a token that was revoked: ${condition}`);
  },

  // A login that must fail with not-authorized.
  async refused(account, mechanism) {
    const x = new Client(account, mechanism);
    let condition = "none: the login succeeded";
    try {
      await x.login();
    } catch (error) {
      condition = error.condition ?? error.message;
    }
    demand(condition === "not-authorized", `wrong password ended with ${condition}`);
  },
};

const [command, ...args] = process.argv.slice(2);
try {
  demand(Object.hasOwn(commands, command), `no command ${command}`);
  await commands[command](...args);
  console.log("done");
  process.exit(0); // what is left are sockets that close
} catch (error) {
  console.error(error instanceof Failed ? `failed: ${error.message}` : error);
  process.exit(1);
}
