"""Drives slixmpp as clients of one account that keep bookmarks in three ways; see
slixmpp_client.py, whose environment and ends this script has.

    slixmpp_bookmarks.py ACCOUNT
    slixmpp_bookmarks.py ACCOUNT ROOM

The second watches what another client does with the bookmark of a room, to which it adds
an extension meanwhile.
"""

import asyncio
import sys
from xml.etree import ElementTree as ET

from slixmpp.plugins.xep_0048.stanza import Bookmarks

from slixmpp_client import WAIT, Client, Failed, demand

NODE = "urn:xmpp:bookmarks:1"
EVENT = "{http://jabber.org/protocol/pubsub#event}"


class Interested(Client):
    """A client that is told of what it wants."""

    async def announce(self):
        asked = asyncio.Event()

        def watch(stanza):
            if stanza.xml.find("{http://jabber.org/protocol/disco#info}query") is not None and stanza["type"] == "get":
                asked.set()
            return stanza

        self.add_filter("in", watch)
        await self.login()
        self["xep_0030"].add_feature(self.wants + "+notify", jid=self.boundjid)
        await self["xep_0115"].update_caps(broadcast=False)
        self.send_presence()
        await asyncio.wait_for(asked.wait(), WAIT)
        await self["xep_0199"].ping(timeout=WAIT)  # the server has the answer


class Old(Interested):
    """A client of XEP-0048, with private XML or with a node."""

    EVENTS = Client.EVENTS + ("bookmarks_publish",)
    wants = "storage:bookmarks"

    def __init__(self, account, method):
        super().__init__(account)
        for plugin in ("xep_0048", "xep_0115"):
            self.register_plugin(plugin)
        self.method = method

    async def write(self, rooms, urls=()):
        marks = Bookmarks()
        for jid, name, nick, autojoin in rooms:
            marks.add_conference(jid, nick, name=name, autojoin=autojoin)
        for url in urls:
            marks.add_url(url)
        await self["xep_0048"].set_bookmarks(marks, method=self.method, timeout=WAIT)

    async def read(self):
        got = await self["xep_0048"].get_bookmarks(method=self.method, timeout=WAIT)
        if self.method == "xep_0223":
            got = got["pubsub"]["items"]["item"]["bookmarks"]
        else:
            got = got["private"]["bookmarks"]
        return listed(got)

    async def expect_list(self, want):
        def match(name, m):
            return name == "bookmarks_publish" and listed(m["pubsub_event"]["items"]["item"]["bookmarks"]) == want
        await self.expect(f"list {want}", match)


def listed(marks):
    rooms = sorted((str(c["jid"]), c["name"], c["nick"], c["autojoin"]) for c in marks["conferences"])
    return rooms, sorted(u["url"] for u in marks["urls"])


class New(Interested):
    """A client of XEP-0402."""

    EVENTS = Client.EVENTS + ("pubsub_publish", "pubsub_retract")
    wants = NODE

    def __init__(self, account):
        super().__init__(account)
        for plugin in ("xep_0060", "xep_0115"):
            self.register_plugin(plugin)

    async def write(self, jid, payload):
        form = self["xep_0004"].make_form(ftype="submit")
        form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#publish-options")
        for name, value in (("persist_items", "true"), ("max_items", "max"), ("send_last_published_item", "never"), ("access_model", "whitelist")):
            form.add_field(var="pubsub#" + name, value=value)
        await self["xep_0060"].publish(None, NODE, id=jid, payload=ET.fromstring(payload), options=form, timeout=WAIT)

    async def read(self):
        got = await self["xep_0060"].get_items(None, NODE, timeout=WAIT)
        return {item["id"]: described(item.xml[0]) for item in got["pubsub"]["items"]}

    async def expect_item(self, jid, want):
        def match(name, m):
            if name not in ("pubsub_publish", "pubsub_retract"):
                return False
            for item in m.xml.iterfind(f"{EVENT}event/{EVENT}items[@node='{NODE}']/*"):
                if item.get("id") == jid:
                    got = described(item[0]) if len(item) else None
                    return got == want or got and want and got[1:] == want[1:] and want[0] is ...
            return False
        await self.expect(f"item {jid} {want}", match)


def described(conference):
    demand(conference.tag == f"{{{NODE}}}conference", f"payload {conference.tag}")
    extensions = [e.tag for e in conference.iterfind(f"{{{NODE}}}extensions/*")]
    nick = conference.findtext(f"{{{NODE}}}nick")
    return conference.get("name"), nick, conference.get("autojoin") in ("1", "true"), extensions


async def run(account):
    private, node, new = Old(account, "xep_0049"), Old(account, "xep_0223"), New(account)
    await private.login()
    for x in (node, new):
        await x.announce()
    info = await new["xep_0030"].get_info(jid=account, timeout=WAIT)
    for feature in (NODE + "#compat", NODE + "#compat-pep", "urn:xmpp:bookmarks-conversion:0", "urn:xmpp:mds:server-assist:0"):
        demand(feature in info["disco_info"]["features"], f"feature {feature} missing")

    a = ("a@chat.example.org", "A & B", "J", True)
    b = ("b@chat.example.org", "B", "J", False)
    await private.write([a, b], ["https://example.org/"])
    await new.expect_item(a[0], ("A & B", "J", True, []))
    await new.expect_item(b[0], ("B", "J", False, []))
    await node.expect_list(([a, b], ["https://example.org/"]))
    demand(await new.read() == {a[0]: ("A & B", "J", True, []), b[0]: ("B", "J", False, [])}, "items differ")
    print("private XML ok", flush=True)

    await new.write(a[0], f"<conference xmlns='{NODE}' name='A' autojoin='1'><nick>J</nick><extensions><x xmlns='urn:x'/></extensions></conference>")
    a = (a[0], "A", "J", True)
    await node.expect_list(([a, b], ["https://example.org/"]))
    demand(await private.read() == ([a, b], ["https://example.org/"]), "private XML differs")
    demand(await node.read() == ([a, b], ["https://example.org/"]), "the old node differs")
    print("items ok", flush=True)

    a = (a[0], "AA", "J", False)
    await node.write([a])
    await new.expect_item(a[0], ("AA", "J", False, ["{urn:x}x"]))
    await new.expect_item(b[0], None)
    await node.expect_list(([a], []))
    demand(await private.read() == ([a], []), "private XML differs")
    demand(await new.read() == {a[0]: ("AA", "J", False, ["{urn:x}x"])}, "items differ")
    print("old node ok", flush=True)

    await new["xep_0060"].retract(None, NODE, a[0], notify="true", timeout=WAIT)
    await node.expect_list(([], []))
    demand(await private.read() == ([], []), "private XML is not empty")
    print("retraction ok", flush=True)
    for x in (private, node, new):
        await x.leave()


async def watch(account, room):
    new = New(account)
    await new.announce()
    print("watching", flush=True)
    await new.expect_item(room, (..., "Bee", False, []))
    await new.write(room, f"<conference xmlns='{NODE}'><nick>Bee</nick><extensions><x xmlns='urn:x'/></extensions></conference>")
    print("extended", flush=True)
    await new.expect_item(room, (..., "Wasp", False, ["{urn:x}x"]))
    print("kept", flush=True)
    await new.expect_item(room, None)
    await new.leave()


def main():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(asyncio.wait_for((run if len(sys.argv) == 2 else watch)(*sys.argv[1:]), 4 * WAIT))
    except Failed as e:
        sys.exit(f"failed: {e}")
    print("done", flush=True)


if __name__ == "__main__":
    main()
