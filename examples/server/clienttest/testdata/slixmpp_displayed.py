"""Drives slixmpp as two clients of one account and one of a contact: one displays a
message and says so with a marker (XEP-0333) that has what it displayed in it (XEP-0490);
see slixmpp_client.py, whose environment and ends this script has.

    slixmpp_displayed.py ACCOUNT CONTACT
"""

import asyncio
import sys
from xml.etree import ElementTree as ET

from slixmpp_bookmarks import Interested
from slixmpp_client import WAIT, Client, Failed, demand

NODE = "urn:xmpp:mds:displayed:0"
EVENT = "{http://jabber.org/protocol/pubsub#event}"


class Reader(Interested):
    EVENTS = Client.EVENTS + ("pubsub_publish",)
    wants = NODE

    def __init__(self, account):
        super().__init__(account)
        for plugin in ("xep_0060", "xep_0115"):
            self.register_plugin(plugin)


class Writer(Client):
    """A client that keeps every message, whatever is in it."""

    def __init__(self, account):
        super().__init__(account)
        self.add_filter("in", self.keep)

    def keep(self, stanza):
        if stanza.name == "message":
            self.note("any", stanza)
        return stanza


async def run(account, contact):
    phone, tablet, other = Reader(account), Reader(account), Writer(contact)
    await phone.announce()
    await tablet.login()
    await other.online()
    m = tablet.make_message(mto=contact, mtype="chat")
    m.xml.append(ET.fromstring("<displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/>"))
    m.xml.append(ET.fromstring(f"<displayed xmlns='{NODE}'><stanza-id xmlns='urn:xmpp:sid:0' by='{account}' id='i1'/></displayed>"))
    m.xml.append(ET.fromstring("<store xmlns='urn:xmpp:hints'/>"))
    m.send()
    _, got = await other.expect("the marker", lambda name, m: name == "any" and m.xml.find("{urn:xmpp:chat-markers:0}displayed") is not None)
    demand(got.xml.find(f"{{{NODE}}}displayed") is None, f"the contact got {got}")

    def match(name, m):
        item = m.xml.find(f"{EVENT}event/{EVENT}items[@node='{NODE}']/{EVENT}item") if name == "pubsub_publish" else None
        return item is not None and item.get("id") == contact and item[0][0].get("id") == "i1"
    await phone.expect("what was displayed", match)
    got = await tablet["xep_0060"].get_items(None, NODE, timeout=WAIT)
    demand([item["id"] for item in got["pubsub"]["items"]] == [contact], f"items {got}")
    for x in (phone, tablet, other):
        await x.leave()


def main():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(asyncio.wait_for(run(*sys.argv[1:]), 4 * WAIT))
    except Failed as e:
        sys.exit(f"failed: {e}")
    print("done", flush=True)


main()
