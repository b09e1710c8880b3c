"""Drives slixmpp as a client that says that nobody looks at it (XEP-0352); see
slixmpp_client.py, whose environment and ends this script has.

    slixmpp_csi.py FIRST SECOND
"""

import asyncio
import sys

from slixmpp_client import WAIT, Client, Failed, demand

# After a stanza of the client the server passes everything for five seconds.
RADIO = 6


class Watched(Client):
    """A client that notes in which order everything arrives from somebody."""

    def __init__(self, account, other, *plugins):
        super().__init__(account)
        for plugin in plugins:
            self.register_plugin(plugin)
        self.order = []
        self.other = other
        self.add_event_handler("presence", lambda p: self.line(p, p["show"] or p["type"]))
        self.add_event_handler("message", lambda m: self.line(m, m["body"]))

    def line(self, stanza, text):
        if stanza["from"].bare == self.other:
            late = stanza.xml.find("{urn:xmpp:delay}delay") is not None
            self.order.append(text + " late" if late else text)
            self.arrived.set()

    async def got(self, *lines):
        """Waits until exactly that has arrived, and forgets it."""
        for _ in range(WAIT * 10):
            if len(self.order) >= len(lines):
                break
            await asyncio.sleep(0.1)
        demand(self.order == list(lines), f"got {self.order}, want {list(lines)}")
        self.order = []


async def run(first, second):
    a = Watched(first, second, "xep_0352", "xep_0198")
    b = Client(second)
    await a.online()
    await b.online()
    demand(a["xep_0352"].enabled, "the server does not offer it")
    a.send_presence_subscription(pto=second)
    await a.expect_presence("got_online", second)
    await b.expect_presence("got_online", first)
    await asyncio.sleep(1)  # what the subscription leads to
    a.order = []

    a["xep_0352"].send_inactive()
    await asyncio.sleep(RADIO)
    for show in ("away", "xa", "dnd"):
        b.send_presence(pshow=show)
    await b["xep_0199"].ping(str(a.boundjid), timeout=WAIT)  # not held; takes along what is
    await a.got("dnd late")
    print("presence ok", flush=True)

    await asyncio.sleep(RADIO)
    for show in ("chat", "away"):
        b.send_presence(pshow=show)
    await b["xep_0199"].ping(b.requested_jid.domain, timeout=WAIT)
    await asyncio.sleep(1)
    await a.got()
    b.send_message(mto=str(a.boundjid), mbody="look", mtype="chat")
    await a.got("away late", "look")
    b.send_presence(pshow="xa")
    await a.got("xa")
    print("message ok", flush=True)

    await asyncio.sleep(RADIO)
    b.send_presence(pshow="dnd")
    await b["xep_0199"].ping(b.requested_jid.domain, timeout=WAIT)
    await asyncio.sleep(1)
    await a.got()
    a["xep_0352"].send_active()
    await a["xep_0199"].ping(a.requested_jid.domain, timeout=WAIT)
    demand(a.order == ["dnd late"], f"got {a.order} before the answer")
    a.order = []
    b.send_presence(pshow="chat")
    await a.got("chat")
    print("active ok", flush=True)

    a["xep_0198"].request_ack()
    await a["xep_0199"].ping(a.requested_jid.domain, timeout=WAIT)
    await a.leave()
    await b.leave()


def main():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(run(*sys.argv[1:]))
    except Failed as e:
        sys.exit(f"failed: {e}")
    print("done", flush=True)


main()
