"""Drives slixmpp through the small extensions; see slixmpp_client.py, whose
environment and ends this script has, and COMPONENT (host:port).

    slixmpp_small.py COMMAND [ARGUMENT...]
"""

import asyncio
import os
import sys
import xml.etree.ElementTree as ET

from slixmpp.componentxmpp import ComponentXMPP
from slixmpp.exceptions import IqError
from slixmpp_client import WAIT, Client, Failed, demand


async def refused(answer, condition):
    """An answer that must be an error of that condition."""
    try:
        iq = await answer
    except IqError as e:
        demand(e.iq["error"]["condition"] == condition, f"refused with {e.iq['error']['condition']}, not {condition}")
        return
    raise Failed(f"got {iq}, not {condition}")


async def run_private(first, second):
    """Private storage: slixmpp's own stanzas, with an element of ours."""
    a, b = Client(first), Client(second)
    for x in (a, b):
        x.register_plugin("xep_0049")
        await x.login()

    def request(x, kind, text=None, to=None):
        iq = x.Iq()
        iq["type"] = kind
        if to:
            iq["to"] = to
        iq.enable("private")
        prefs = ET.SubElement(iq["private"].xml, "{bees:prefs}prefs")
        prefs.text = text
        return iq.send(timeout=WAIT)

    def text(iq):
        return iq["private"].xml.find("{bees:prefs}prefs").text

    demand(text(await request(a, "get")) is None, "there is something before anything was set")
    await request(a, "set", "propolis & <wax> \u00fcber \U0001f41d")
    demand(text(await request(a, "get")) == "propolis & <wax> \u00fcber \U0001f41d", "another element came back")
    demand(text(await request(b, "get")) is None, "another account sees it")
    await refused(request(b, "get", to=first), "forbidden")
    await refused(request(b, "set", "x", to=first), "forbidden")
    for x in (a, b):
        await x.leave()


async def run_vcard(first, second):
    """vCards by the plugin: no card, one's own, another's."""
    a, b = Client(first), Client(second)
    for x in (a, b):
        x.register_plugin("xep_0054")
        await x.login()
    got = await a["xep_0054"].get_vcard(local=False, cached=False, timeout=WAIT)
    demand(not list(got["vcard_temp"].xml), "a card where there is none")
    await refused(b["xep_0054"].get_vcard(first, local=False, cached=False, timeout=WAIT), "service-unavailable")
    await refused(b["xep_0054"].get_vcard("nobody@" + a.requested_jid.domain, local=False, cached=False, timeout=WAIT), "service-unavailable")

    card = a["xep_0054"].make_vcard()
    card["FN"] = "Alice & <Bee>"
    card["PHOTO"]["TYPE"] = "image/png"
    card["PHOTO"]["BINVAL"] = bytes(range(256)) * 100
    await a["xep_0054"].publish_vcard(card, timeout=WAIT)
    for x, jid in ((a, None), (b, first)):
        got = (await x["xep_0054"].get_vcard(jid, local=False, cached=False, timeout=WAIT))["vcard_temp"]
        demand(got["FN"] == "Alice & <Bee>", f"name {got['FN']!r}")
        demand(got["PHOTO"]["BINVAL"] == bytes(range(256)) * 100, "another photo")
    theirs = b.Iq()
    theirs["type"], theirs["to"] = "set", first
    theirs.append(card)
    await refused(theirs.send(timeout=WAIT), "forbidden")
    for x in (a, b):
        await x.leave()


class Component(ComponentXMPP):
    """A component as slixmpp's own, with events that can be waited for."""

    def __init__(self, domain, secret):
        host, _, port = os.environ["COMPONENT"].rpartition(":")
        super().__init__(domain, secret, host, int(port))
        self.reconnect_max_attempts = 1
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0199")
        self.seen = asyncio.Queue()
        for name in ("session_start", "stream_error", "message", "presence_available", "disconnected", "failed_auth"):
            self.add_event_handler(name, lambda data, name=name: self.seen.put_nowait((name, data)))

    async def expect(self, name):
        """Waits for an event of that name, over others."""
        async def take():
            while True:
                found, data = await self.seen.get()
                if found == name:
                    return data
        try:
            return await asyncio.wait_for(take(), WAIT)
        except asyncio.TimeoutError:
            raise Failed(f"{self.boundjid}: no {name} within {WAIT} s") from None


async def run_component(account, domain, secret):
    """A component and a client: requests, messages and presence both ways; then
    what a component must not do."""
    x = Client(account)
    await x.online()
    # Nobody there yet.
    await refused(x["xep_0199"].send_ping(domain, timeout=WAIT), "remote-server-timeout")
    items = await x["xep_0030"].get_items(jid=x.requested_jid.domain, timeout=WAIT)
    demand(domain in [i[0] for i in items["disco_items"]["items"]], f"items {items}")

    c = Component(domain, secret)
    c.connect()
    await c.expect("session_start")
    print("attached", flush=True)

    await x["xep_0199"].send_ping(domain, timeout=WAIT)
    info = await x["xep_0030"].get_info(jid=domain, timeout=WAIT)
    demand("http://jabber.org/protocol/disco#info" in info["disco_info"]["features"], f"info {info}")
    await c["xep_0199"].send_ping(x.boundjid, ifrom="any@" + domain, timeout=WAIT)
    await c["xep_0030"].get_info(jid=x.requested_jid.domain, ifrom=domain, timeout=WAIT)
    print("requests ok", flush=True)

    for i in range(50):
        x.send_message(mto="room@" + domain, mbody=f"row {i} & <x>", mtype="chat")
    for i in range(50):
        m = await c.expect("message")
        demand(m["body"] == f"row {i} & <x>" and m["from"] == x.boundjid and m["to"] == "room@" + domain, f"got {m} as message {i}")
    c.send_message(mto=x.boundjid, mfrom="room@" + domain + "/nick", mbody="back \U0001f41d", mtype="groupchat")
    await x.expect_message("room@" + domain, "back \U0001f41d")
    x.send_presence(pto="room@" + domain + "/nick")
    p = await c.expect("presence_available")
    demand(p["to"] == "room@" + domain + "/nick", f"got {p}")
    print("stanzas ok", flush=True)

    # The second connection of a name is refused, and so is another secret.
    for again, condition in ((Component(domain, secret), "conflict"), (Component(domain, secret + "!"), "not-authorized"),
                             (Component("other." + domain, secret), "host-unknown")):
        again.connect()
        e = await again.expect("stream_error")
        demand(e["condition"] == condition, f"refused with {e['condition']}, not {condition}")
        again.abort()
    print("refused ok", flush=True)

    # The forged sender ends the stream, and nobody sees the stanza.
    c.send_message(mto=x.boundjid, mfrom=account, mbody="forged", mtype="chat")
    e = await c.expect("stream_error")
    demand(e["condition"] == "invalid-from", f"refused with {e['condition']}")
    await c.expect("disconnected")
    c.abort()
    await refused(x["xep_0199"].send_ping(domain, timeout=WAIT), "remote-server-timeout")
    demand(not [m for name, m in x.seen if name == "message" and m["body"] == "forged"], "the forged message arrived")
    await x.leave()


def main():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(globals()["run_" + sys.argv[1]](*sys.argv[2:]))
    except Failed as e:
        sys.exit(f"failed: {e}")
    print("done", flush=True)


main()
