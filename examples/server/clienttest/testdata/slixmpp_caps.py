"""Drives slixmpp as a client that announces what it can do (XEP-0115); see
slixmpp_client.py, whose environment and ends this script has.

    slixmpp_caps.py ACCOUNT
"""

import asyncio
import sys

from slixmpp_client import WAIT, Client, Failed, demand


class Announcing(Client):
    """A client that counts the questions of its account."""

    def __init__(self, account):
        super().__init__(account)
        self.register_plugin("xep_0115")
        self.asked = []
        self.add_filter("in", self.watch)

    def watch(self, stanza):
        query = stanza.xml.find("{http://jabber.org/protocol/disco#info}query")
        if query is not None and stanza["type"] == "get" and stanza["from"] == self.boundjid.bare:
            self.asked.append(query.get("node"))
        return stanza


async def run(account):
    seen = []
    for features in (["urn:example:a+notify"], ["urn:example:a+notify"], ["urn:example:a+notify", "urn:example:b+notify"]):
        x = Announcing(account)
        await x.login()
        for feature in features:
            x["xep_0030"].add_feature(feature, jid=x.boundjid)
        await x["xep_0115"].update_caps(broadcast=False)
        x.send_presence()
        for _ in range(20):
            if x.asked:
                break
            await asyncio.sleep(0.1)
        await x["xep_0199"].ping(timeout=WAIT)
        print("asked", *x.asked, flush=True)
        seen.append(x.asked)
        await x.leave()
    demand([len(s) for s in seen] == [1, 0, 1], f"asked {seen}")


def main():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(asyncio.wait_for(run(*sys.argv[1:]), 4 * WAIT))
    except Failed as e:
        sys.exit(f"failed: {e}")
    print("done", flush=True)


main()
