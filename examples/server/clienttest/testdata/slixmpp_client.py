"""Drives slixmpp against an XMPP server; run with /usr/bin/python3.

    slixmpp_client.py COMMAND [ARGUMENT...]

Environment: ADDR (host:port), TLS (starttls or direct), PASSWORD, and
SSL_CERT_FILE with the certificate to trust. The commands are the functions
named run_*; each ends with status 0 and the line "done", or with an exception.
No wait is longer than WAIT seconds.
"""

import asyncio
import json
import os
import ssl
import sys

import slixmpp

WAIT = 20

# slixmpp 1.8 binds to tls-unique only, also on TLS 1.3, which does not have it, and
# claims that the server cannot bind ("y") where no mechanism with binding was
# chosen. A server that offers other bindings must refuse both, so the scripts use
# a client without any.
UNBOUND = ("SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN")


class Failed(Exception):
    """The server did something else than the script demands."""


class Client(slixmpp.ClientXMPP):
    """A client whose events can be waited for, in any order."""

    EVENTS = (
        "session_start", "failed_auth", "failed_all_auth", "connection_failed",
        "ssl_invalid_chain", "stream_error", "message", "got_online",
        "got_offline", "changed_status", "roster_update", "disconnected",
    )

    def __init__(self, account, password=None, mechanisms=UNBOUND):
        super().__init__(account, password or os.environ["PASSWORD"])
        self.reconnect_max_attempts = 1
        if mechanisms:
            feature = self["feature_mechanisms"]
            credentials = feature.sasl_callback
            feature.sasl_callback = lambda need, may: dict(credentials(need, may), channel_binding=b"")
            feature.use_mechs = set(mechanisms)
        for plugin in ("xep_0030", "xep_0077", "xep_0092", "xep_0199", "xep_0202"):
            self.register_plugin(plugin)
        self.seen = []
        self.arrived = asyncio.Event()
        for name in self.EVENTS:
            self.add_event_handler(name, lambda data, name=name: self.note(name, data))

    def note(self, name, data):
        if name == "message" and data.xml.find("{urn:xmpp:delay}delay") is not None:
            return  # kept for an earlier session of the account
        self.seen.append((name, data))
        self.arrived.set()

    async def expect(self, what, match):
        """Waits for an event for which match(name, data) holds, and takes it."""
        def take():
            for i, (name, data) in enumerate(self.seen):
                if match(name, data):
                    del self.seen[i]
                    return name, data
            return None

        async def wait():
            while (found := take()) is None:
                self.arrived.clear()
                await self.arrived.wait()
            return found

        try:
            return await asyncio.wait_for(wait(), WAIT)
        except asyncio.TimeoutError:
            events = [name for name, _ in self.seen]
            raise Failed(f"{self.requested_jid}: no {what} within {WAIT} s; events: {events}") from None

    async def expect_message(self, sender, body):
        await self.expect(
            f"message {body!r} from {sender}",
            lambda name, m: name == "message" and m["from"].bare == sender and m["body"] == body)

    async def expect_presence(self, event, sender):
        await self.expect(
            f"{event} from {sender}",
            lambda name, p: name == event and p["from"].bare == sender)

    def dial(self):
        host, _, port = os.environ["ADDR"].rpartition(":")
        address = (host, int(port))
        if os.environ["TLS"] == "direct":
            self.connect(address, use_ssl=True, force_starttls=False, disable_starttls=True)
        else:
            self.connect(address)

    async def outcome(self):
        """Waits for the end of the negotiation and returns the event's name."""
        ends = ("session_start", "failed_all_auth", "connection_failed", "ssl_invalid_chain", "stream_error")
        name, _ = await self.expect("end of the negotiation", lambda name, _: name in ends)
        return name

    async def login(self):
        self.dial()
        name = await self.outcome()
        if name != "session_start":
            raise Failed(f"{self.requested_jid}: login ended with {name}")
        return self

    async def online(self):
        await self.login()
        await self.get_roster(timeout=WAIT)
        self.send_presence()
        return self

    async def leave(self):
        await asyncio.wait_for(self.disconnect(), WAIT)


def demand(condition, text):
    if not condition:
        raise Failed(text)


async def run_chat(first, second):
    """Everything two contacts do: services, messages, roster, presence."""
    a, b = Client(first), Client(second)
    domain = a.requested_jid.domain
    await a.online()
    await b.online()
    demand(a.boundjid.resource and a.boundjid.bare == first, f"bound {a.boundjid} for {first}")

    await a["xep_0199"].ping(domain, timeout=WAIT)
    await a["xep_0199"].ping(str(b.boundjid), timeout=WAIT)
    version = await a["xep_0092"].get_version(domain, timeout=WAIT)
    demand(version["software_version"]["name"], "the server has no software name")
    info = await a["xep_0030"].get_info(jid=domain, timeout=WAIT)
    kinds = {(i[0], i[1]) for i in info["disco_info"]["identities"]}
    demand(("server", "im") in kinds, f"identities of the server: {kinds}")
    for feature in ("http://jabber.org/protocol/disco#info", "urn:xmpp:ping", "jabber:iq:version"):
        demand(feature in info["disco_info"]["features"], f"feature {feature} missing")
    print("services ok", flush=True)

    a.send_message(mto=second, mbody="to the account", mtype="chat")
    await b.expect_message(first, "to the account")
    b.send_message(mto=str(a.boundjid), mbody="back to <you> & \u00fcber\U0001f41d", mtype="chat")
    await a.expect_message(second, "back to <you> & \u00fcber\U0001f41d")
    for i in range(50):
        a.send_message(mto=second, mbody=f"row {i}", mtype="chat")
    for i in range(50):
        name, m = await b.expect("the next message", lambda name, _: name == "message")
        demand(m["body"] == f"row {i}", f"got {m['body']!r} as message {i}")
    print("messages ok", flush=True)

    await a.update_roster(second, name="Contact", groups=["Bees"], timeout=WAIT)
    await a.get_roster(timeout=WAIT)
    item = a.client_roster[second]
    demand(item["name"] == "Contact" and item["groups"] == ["Bees"], f"roster item {item['name']!r} {item['groups']}")
    print("roster ok", flush=True)

    # slixmpp accepts a request and subscribes back by itself.
    a.send_presence_subscription(pto=second)
    await a.expect_presence("got_online", second)
    await b.expect_presence("got_online", first)
    await a.get_roster(timeout=WAIT)
    demand(a.client_roster[second]["subscription"] == "both", "subscription is not mutual")
    b.send_presence(pshow="away", pstatus="at the hive")
    await a.expect(
        "away", lambda name, p: name == "changed_status" and p["from"].bare == second and p["type"] == "away")
    await b.leave()
    await a.expect_presence("got_offline", second)
    print("presence ok", flush=True)

    await a.del_roster_item(second)
    await a.leave()


async def run_echo(account):
    """Answers every message with "echo: BODY" until one says "bye"."""
    x = await Client(account).online()
    print("online", flush=True)
    while True:
        _, m = await x.expect("message", lambda name, _: name == "message")
        print(f"got {m['from'].bare} {m['body']}", flush=True)
        if m["body"] == "bye":
            break
        x.send_message(mto=str(m["from"]), mbody=f"echo: {m['body']}", mtype="chat")
    await x.leave()


async def run_say(account, to, body):
    """Sends a message to somebody who echoes it, then says bye."""
    x = await Client(account).online()
    x.send_message(mto=to, mbody=body, mtype="chat")
    await x.expect_message(to, f"echo: {body}")
    x.send_message(mto=to, mbody="bye", mtype="chat")
    await x.leave()


async def run_login(account, *mechanisms):
    x = await Client(account, mechanisms=mechanisms or UNBOUND).login()
    await x["xep_0199"].ping(x.requested_jid.domain, timeout=WAIT)
    await x.leave()


async def run_login_unmodified(account, tls="1.3"):
    """Leaves everything to slixmpp, on that version of TLS."""
    x = Client(account, mechanisms=None)
    version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[tls]
    x.ssl_context.minimum_version = x.ssl_context.maximum_version = version
    await x.login()
    await x["xep_0199"].ping(x.requested_jid.domain, timeout=WAIT)
    await x.leave()


async def run_refused(account, password, mechanism="SCRAM-SHA-1"):
    """A login that must fail with not-authorized and nothing else."""
    x = Client(account, password, mechanisms=[mechanism])
    x.dial()
    name = await x.outcome()
    demand(name == "failed_all_auth", f"wrong password ended with {name}")
    conditions = {data["condition"] for name, data in x.seen if name == "failed_auth"}
    demand(conditions == {"not-authorized"}, f"conditions {conditions}")
    await x.expect("end of the connection", lambda name, _: name == "disconnected")


async def run_roster_add(account, item):
    x = await Client(account).login()
    await x.update_roster(item, name="Kept", groups=["Survivors"], timeout=WAIT)
    print("stored", flush=True)
    await x.expect("end of the connection", lambda name, _: name == "disconnected")


async def run_roster_has(account, item):
    x = await Client(account).login()
    await x.get_roster(timeout=WAIT)
    demand(item in x.client_roster.keys(), f"{item} is not in the roster: {list(x.client_roster.keys())}")
    found = x.client_roster[item]
    demand(found["name"] == "Kept" and found["groups"] == ["Survivors"], f"item {found['name']!r} {found['groups']}")
    await x.leave()


async def print_roster(x):
    """Prints the names and groups of all contacts, and returns the contacts."""
    roster = await x.get_roster(timeout=WAIT)
    items = roster["roster"]["items"]
    contacts = {str(jid): [item["name"], sorted(item["groups"])] for jid, item in items.items()}
    print("roster " + json.dumps(contacts), flush=True)
    return set(contacts)


async def run_roster_changes(account, prefix):
    """Prints the roster, then changes it until the connection ends. Several changes
    are under way at any time; each is printed before it is sent and its number once
    more when it was answered. Names and groups occur once, with the prefix."""
    x = await Client(account, mechanisms=["PLAIN"]).login()
    there = await print_roster(x)
    window = asyncio.Semaphore(8)

    def answered(number, iq):
        if iq["type"] == "result":
            print(f"answered {number}", flush=True)
            window.release()
        else:
            print(f"failed: change {number}: {iq}", flush=True)

    async def change():
        number = 0
        while True:
            await window.acquire()
            jid = f"contact{number * 7 % 11}@example.org"
            iq = x.Iq()
            iq["type"] = "set"
            if jid in there and number % 3 == 0:
                there.remove(jid)
                change = [jid]
                iq["roster"]["items"] = {jid: {"subscription": "remove"}}
            else:
                there.add(jid)
                change = [jid, f"{prefix}-{number}", [f"{prefix}-{number}-{g}" for g in "abc"]]
                iq["roster"]["items"] = {jid: {"name": change[1], "groups": change[2]}}
            print("change " + json.dumps(change), flush=True)
            iq.send(callback=lambda iq, number=number: answered(number, iq), timeout=WAIT)
            number += 1

    changes = asyncio.ensure_future(change())
    await x.expect("end of the connection", lambda name, _: name == "disconnected")
    changes.cancel()


async def run_roster(account):
    """Prints the roster as run_roster_changes does."""
    x = await Client(account, mechanisms=["PLAIN"]).login()
    await print_roster(x)
    await x.leave()


async def run_driven(address, *without):
    """Does what standard input says, an array of JSON a line, until "leave", and
    prints what arrives: presence, messages, copies of messages, and pushes of the
    roster, which is not asked for with a second argument "roster"."""
    x = Client(address)
    x.register_plugin("xep_0280")

    def presence(p):
        print(f"presence {p['from']} {p['show'] or p.xml.get('type') or 'available'}", flush=True)

    def message(m):
        if m["body"]:
            print(f"message {m['from']} {m['body']}", flush=True)

    def roster(iq):
        if iq["type"] != "set":
            return
        for jid, item in iq["roster"]["items"].items():
            line = [str(jid), item["subscription"], item["name"], sorted(item["groups"])]
            print("roster " + json.dumps(line, separators=(",", ":")), flush=True)

    def copy(way):
        def show(m):
            inner = m["carbon_" + way]
            print(f"copy {way} {inner['from']} {inner['to']} {inner['body']}", flush=True)
        return show

    async def carbons(state):
        await x["xep_0280"].enable() if state == "on" else await x["xep_0280"].disable()
        print(f"carbons {state}", flush=True)

    x.add_event_handler("presence", presence)
    x.add_event_handler("message", message)
    x.add_event_handler("carbon_received", copy("received"))
    x.add_event_handler("carbon_sent", copy("sent"))
    x.add_event_handler("roster_update", roster)
    if "roster" in without:
        await x.login()
        x.send_presence()
    else:
        await x.online()
    print(f"online {x.boundjid}", flush=True)
    does = {
        "chat": lambda to, body: x.send_message(mto=to, mbody=body, mtype="chat"),
        "presence": lambda priority, to=None: x.send_presence(ppriority=priority, pto=to),
        "subscribe": lambda to: x.send_presence_subscription(pto=to),
        "subscribed": lambda to: x.send_presence_subscription(pto=to, ptype="subscribed"),
        "item": lambda jid, name, *groups: x.update_roster(jid, name=name, groups=list(groups), timeout=WAIT),
        "remove": lambda jid: x.del_roster_item(jid),
        "carbons": carbons,
    }
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        verb, *args = json.loads(line)
        if verb == "leave":
            break
        done = does[verb](*args)
        if verb in ("item", "remove", "carbons"):
            await asyncio.wait_for(done, WAIT)
    await x.leave()


class Resumer(Client):
    """A client with stream management, which notes late messages as well."""

    def __init__(self, account):
        super().__init__(account, mechanisms=["PLAIN"])
        self.register_plugin("xep_0198")
        self.bodies = []
        for name in ("sm_enabled", "sm_failed", "session_resumed"):
            self.add_event_handler(name, lambda data, name=name: self.note(name, data))

    def note(self, name, data):
        if name == "message" and data["body"]:
            self.bodies.append(data["body"])
        self.seen.append((name, data))
        self.arrived.set()


async def commands():
    """Standard input, line by line, split at spaces."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        yield line.decode().split()


async def run_resume(account, other):
    """Loses its connection at "away" and resumes at "back ADDR"; meanwhile somebody
    else sends messages, all of which must be there once and in order. Ends with
    "leave"."""
    x, y = Resumer(account), await Client(other, mechanisms=["PLAIN"]).online()
    await x.online()
    await x.expect("stream management", lambda name, _: name == "sm_enabled")
    await x["xep_0199"].ping(x.requested_jid.domain, timeout=WAIT)  # it is available
    jid, n, losses = str(x.boundjid), 0, 0
    y.send_message(mto=account, mbody="0", mtype="chat")
    await x.expect_message(other, "0")
    print("online", flush=True)
    async for verb, *args in commands():
        if verb == "leave":
            break
        if verb == "away":
            if args == ["cut"]:
                x.transport.abort()
            await x.expect("end of the connection", lambda name, _: name == "disconnected")
            if args != ["cut"]:
                await y.expect("end of the connection", lambda name, _: name == "disconnected")
                y = None
            losses += 1
            print(f"away {losses}", flush=True)
            continue
        os.environ["ADDR"] = args[0]
        y = y or await Resumer(other).online()
        for i in range(3):
            n += 1
            y.send_message(mto=jid, mbody=str(n), mtype="chat")
        x.dial()
        name, _ = await x.expect("resumption", lambda name, _: name in ("session_resumed", "session_start", "sm_failed"))
        demand(name == "session_resumed" and str(x.boundjid) == jid, f"{x.boundjid}: {name}")
        await x.expect_message(other, str(n))
        await x["xep_0199"].ping(x.requested_jid.domain, timeout=WAIT)
        demand(x.bodies == [str(i) for i in range(n + 1)], f"messages {x.bodies}")
        x.send_message(mto=other, mbody=f"back {n}", mtype="chat")
        await y.expect_message(account, f"back {n}")
        print(f"resumed {losses}", flush=True)
    await y.leave()
    await x.leave()


async def run_leave(account, other):
    """Ends its stream in order a second after messages have come, live or stored for
    it, and does not acknowledge them by itself: it must not get them again."""
    y = await Client(other, mechanisms=["PLAIN"]).online()
    sent = []

    def send(text):
        sent.append(text)
        y.send_message(mto=account, mbody=text, mtype="chat")

    async def session(*live):
        x = await Resumer(account).online()
        await x.expect("stream management", lambda name, _: name == "sm_enabled")
        await x["xep_0199"].ping(x.requested_jid.domain, timeout=WAIT)  # it is available
        for text in live:
            send(text)
        if sent:
            await x.expect_message(other, sent[-1])
        await asyncio.sleep(1)
        await x.leave()
        demand(x.bodies == sent, f"messages {x.bodies}, want {sent}")
        sent.clear()

    await session("1", "2", "3", "4")
    await session()
    for text in ("5", "6", "7", "8"):
        send(text)
    await y["xep_0199"].ping(y.requested_jid.domain, timeout=WAIT)
    await session()
    await session()
    await y.leave()


def blocker(account):
    """A client that notes pushes of its blocklist and errors for its messages."""
    x = Client(account)
    x.register_plugin("xep_0191")
    for name in ("blocked", "unblocked", "message_error"):
        x.add_event_handler(name, lambda data, name=name: x.note(name, data))
    return x


async def blocklist(x):
    iq = await x["xep_0191"].get_blocked(timeout=WAIT)
    return {str(jid) for jid in iq["blocklist"]["items"]}


async def expect_push(x, event, element, *items):
    await x.expect(
        f"{event} {items}",
        lambda name, iq: name == event and {str(jid) for jid in iq[element]["items"]} == set(items))


async def expect_error(x, sender, condition, child=None):
    await x.expect(
        f"{condition} from {sender}",
        lambda name, m: name == "message_error" and m["from"].bare == sender and m["error"]["condition"] == condition
        and (child is None or m["error"].xml.find(child) is not None))


async def run_block(first, second):
    """One blocks the other and unblocks it; a second session is told."""
    a, other, b = blocker(first), blocker(first), blocker(second)
    await a.online()
    await b.online()
    await other.login()
    info = await a["xep_0030"].get_info(jid=a.requested_jid.domain, timeout=WAIT)
    demand("urn:xmpp:blocking" in info["disco_info"]["features"], "feature urn:xmpp:blocking missing")
    for x in (a, other):
        demand(await blocklist(x) == set(), "the list is not empty")
    a.send_presence_subscription(pto=second)
    await a.expect_presence("got_online", second)
    await b.expect_presence("got_online", first)

    await a["xep_0191"].block(second, timeout=WAIT)
    await expect_push(other, "blocked", "block", second)
    await expect_push(a, "blocked", "block", second)
    await b.expect_presence("got_offline", first)
    b.send_message(mto=first, mbody="kept away", mtype="chat")
    await expect_error(b, first, "service-unavailable")
    a.send_message(mto=second, mbody="kept back", mtype="chat")
    await expect_error(a, second, "not-acceptable", "{urn:xmpp:blocking:errors}blocked")
    try:
        await b["xep_0199"].ping(str(a.boundjid), timeout=WAIT)
        raise Failed("a request of somebody blocked was answered")
    except slixmpp.exceptions.IqError as e:
        demand(e.condition == "service-unavailable", f"a request of somebody blocked got {e.condition}")
    a.send_presence(pshow="away")
    await a["xep_0199"].ping(a.requested_jid.domain, timeout=WAIT)
    await b["xep_0199"].ping(b.requested_jid.domain, timeout=WAIT)
    for x, peer in ((a, second), (b, first)):
        seen = [name for name, data in x.seen if data is not None and hasattr(data, "get_from") and data["from"].bare == peer
                and name in ("message", "changed_status", "got_online")]
        demand("message" not in seen and (x is a or "got_online" not in seen), f"{x.requested_jid} has got {seen}")
    print("blocked ok", flush=True)

    await a["xep_0191"].unblock(second, timeout=WAIT)
    await expect_push(other, "unblocked", "unblock", second)
    await b.expect_presence("got_online", first)
    b.send_message(mto=first, mbody="arrives", mtype="chat")
    await a.expect_message(second, "arrives")
    await a["xep_0191"].block([second, "example.org"], timeout=WAIT)
    demand(await blocklist(other) == {second, "example.org"}, "two addresses are not in the list")
    await a["xep_0191"].unblock(set(), timeout=WAIT)
    await expect_push(other, "unblocked", "unblock")
    demand(await blocklist(a) == set(), "the list is not empty again")
    await a.del_roster_item(second)
    for x in (a, other, b):
        await x.leave()


async def run_block_keep(account, *items):
    """Blocks addresses and stays until the connection ends."""
    x = await blocker(account).login()
    await x["xep_0191"].block(list(items), timeout=WAIT)
    print("stored", flush=True)
    await x.expect("end of the connection", lambda name, _: name == "disconnected")


async def run_block_has(account, *items):
    x = await blocker(account).login()
    demand(await blocklist(x) == set(items), f"the list is {await blocklist(x)}")
    await x.leave()


def archivist(account):
    """A client that knows archives. It has no presence."""
    x = Client(account)
    x.register_plugin("xep_0313")
    return x


async def bodies(x, **query):
    """The bodies of all messages in the own archive, as they come."""
    return [m["mam_result"]["forwarded"]["stanza"]["body"] async for m in x["xep_0313"].iterate(rsm={"max": 250}, **query)]


async def run_archive(account, count, contact):
    """Goes through an archive of messages "text 0" and so on, every tenth of them with
    the contact, in both directions."""
    x = await archivist(account).login()
    info = await x["xep_0030"].get_info(jid=account, timeout=WAIT)
    for feature in ("urn:xmpp:mam:2", "urn:xmpp:mam:2#extended", "urn:xmpp:sid:0"):
        demand(feature in info["disco_info"]["features"], f"feature {feature} missing")
    everything = [f"text {i}" for i in range(int(count))]
    demand(await bodies(x) == everything, "forward: not each message once, in order")
    print("forward ok", flush=True)
    demand(await bodies(x, reverse=True) == everything[::-1], "backward: not each message once, in order")
    print("backward ok", flush=True)
    demand(await bodies(x, with_jid=slixmpp.JID(contact)) == everything[::10], "with: not each message once, in order")
    demand(await bodies(x, with_jid=slixmpp.JID(contact), reverse=True) == everything[::10][::-1], "with, backward: wrong")
    metadata = await x["xep_0313"].get_archive_metadata(timeout=WAIT)
    demand(metadata["mam_metadata"]["start"]["id"] != metadata["mam_metadata"]["end"]["id"], "metadata: one message")
    await x.leave()


async def run_archive_list(account):
    """Prints the bodies of all messages in the archive."""
    x = await archivist(account).login()
    print("archive " + json.dumps(await bodies(x)), flush=True)
    await x.leave()


async def collected(account):
    """What waited for an account: bodies and senders of delayed messages."""
    x, got = Client(account), []
    x.add_event_handler("message", lambda m: got.append(
        (m["body"], m["from"].bare, m.xml.find("{urn:xmpp:delay}delay") is not None)))
    await x.online()
    await x["xep_0199"].ping(x.requested_jid.domain, timeout=WAIT)
    await x.leave()
    return got


async def run_offline(first, second):
    """Messages wait for the second, who gets them once."""
    a = await Client(first).online()
    for i in range(60):
        a.send_message(mto=second, mbody=f"waits {i}", mtype="chat")
    try:
        await a["xep_0199"].ping(second, timeout=WAIT)
    except slixmpp.exceptions.IqError:
        pass  # who is not there does not answer, but all before was dealt with
    want = [(f"waits {i}", first, True) for i in range(60)]
    got = [m for m in await collected(second) if m[0].startswith("waits")]
    demand(got == want, f"got {got}")
    got = [m for m in await collected(second) if m[0].startswith("waits")]
    demand(got == [], f"again {got}")
    await a.leave()


async def run_sends(account, to, prefix):
    """Sends messages until the connection ends, and prints what the server has
    acknowledged (XEP-0198)."""
    x = Client(account)
    x.register_plugin("xep_0198")
    x["xep_0198"].window = 10
    acked = 0

    def note(stanza):
        nonlocal acked
        if stanza.name == "message" and stanza["body"].startswith(prefix):
            acked += 1
            print(f"acked {acked}", flush=True)

    x.add_event_handler("stanza_acked", note)
    await x.login()
    await x.get_roster(timeout=WAIT)

    async def send():
        number = 0
        while True:
            x.send_message(mto=to, mbody=f"{prefix} {number}", mtype="chat")
            number += 1
            if number % 20 == 0:
                await asyncio.sleep(0.005)

    sends = asyncio.ensure_future(send())
    await x.expect("end of the connection", lambda name, _: name == "disconnected")
    sends.cancel()


async def run_register(account):
    """Registers in band, logs in on the same stream, and removes the account."""
    # Long enough for servers that refuse short ones.
    os.environ["PASSWORD"] += ", but longer"
    x = Client(account)
    registered = []

    async def register(_form):
        iq = x.Iq()
        iq["type"] = "set"
        iq["register"]["username"] = x.requested_jid.user
        iq["register"]["password"] = os.environ["PASSWORD"]
        await iq.send(timeout=WAIT)
        registered.append(True)

    x.add_event_handler("register", register)
    # slixmpp 1.8 holds every IQ but bind back until the session has started,
    # its own request for the registration form included.
    x._always_send_everything = True
    await x.login()
    demand(registered, "the server did not offer in-band registration")
    await x.leave()

    x = await Client(account).login()
    await x["xep_0077"].cancel_registration(timeout=WAIT)
    await x.expect("end of the connection", lambda name, _: name == "disconnected")
    await run_refused(account, os.environ["PASSWORD"])


def main():
    run = globals().get("run_" + sys.argv[1].replace("-", "_"))
    if run is None:
        sys.exit(f"no command {sys.argv[1]}")
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(run(*sys.argv[2:]))
    except Failed as e:
        sys.exit(f"failed: {e}")
    print("done", flush=True)


if __name__ == "__main__":
    main()
