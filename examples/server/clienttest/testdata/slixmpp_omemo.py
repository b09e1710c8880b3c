"""Lists of devices and bundles of OMEMO (XEP-0384 §5.3) as clients keep them, with
slixmpp's plugins for XEP-0060 and XEP-0163 and publish-options; see slixmpp_client.py,
whose environment and ends this script has.

    slixmpp_omemo.py ACCOUNT STRANGER
"""

import asyncio
import sys
import xml.etree.ElementTree as ET

from slixmpp.exceptions import IqError

from slixmpp_client import WAIT, Client, Failed, demand

NS = "urn:xmpp:omemo:2"
OLD = "eu.siacs.conversations.axolotl"
EVENT = "{http://jabber.org/protocol/pubsub#event}"


class Encrypting(Client):
    """A client that notes the lists it is told of."""

    def __init__(self, account):
        super().__init__(account)
        for plugin in ("xep_0004", "xep_0060", "xep_0115", "xep_0163"):
            self.register_plugin(plugin)
        self.add_filter("in", self.watch)

    def watch(self, stanza):
        items = stanza.xml.find(f"{EVENT}event/{EVENT}items")
        if items is not None:
            for item in items:
                ids = [d.get("id") for d in item.iter() if d.tag.endswith("}device")]
                self.note("list", (stanza["from"].full, items.get("node"), item.get("id"), ids))
        return stanza

    async def told(self, *what):
        await self.expect(f"list {what}", lambda name, data: name == "list" and data == what)

    def options(self, **fields):
        form = self["xep_0004"].make_form(ftype="submit")
        form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#publish-options")
        for name, value in fields.items():
            form.add_field(var="pubsub#" + name, value=value)
        return form

    async def put(self, node, ident, payload, **fields):
        await self["xep_0060"].publish(None, node, id=ident, payload=ET.fromstring(payload), options=self.options(**fields), timeout=WAIT)

    async def item(self, account, node, ident=None):
        if ident:
            answer = await self["xep_0060"].get_item(account, node, ident, timeout=WAIT)
        else:
            answer = await self["xep_0060"].get_items(account, node, timeout=WAIT)
        items = list(answer["pubsub"]["items"]["substanzas"])
        demand(len(items) == 1, f"{len(items)} items at {node}")
        return items[0]["id"], ET.tostring(items[0]["payload"], encoding="unicode")


def devices(*ids):
    return f"<devices xmlns='{NS}'>" + "".join(f"<device id='{i}'/>" for i in ids) + "</devices>"


def bundle(n):
    return f"<bundle xmlns='{NS}'><spk id='1'>AQ==</spk><spks>Ag==</spks><ik>{n}</ik><prekeys><pk id='1'>Aw==</pk></prekeys></bundle>"


async def run(account, stranger):
    a, b, c = Encrypting(account), Encrypting(account), Encrypting(stranger)
    for x in (a, b, c):
        await x.login()
        await x.get_roster(timeout=WAIT)
    for x in (b, c):
        x["xep_0163"].add_interest([f"{NS}:devices", f"{OLD}.devicelist"])
        await x["xep_0115"].update_caps(broadcast=False)
        x.send_presence()
    a.send_presence()
    await a.put(f"{NS}:bundles", "31415", bundle("BA=="), access_model="open", max_items="max")
    await a.put(f"{NS}:bundles", "27182", bundle("BQ=="), access_model="open", max_items="max")
    await a.put(f"{NS}:devices", "current", devices(31415), access_model="open")
    await b.told(account, f"{NS}:devices", "current", ["31415"])
    ident, text = await b.item(account, f"{NS}:devices")
    demand(ident == "current" and "31415" in text, f"list {ident}: {text}")
    await b.put(f"{NS}:devices", "current", devices(31415, 27182), access_model="open")
    await b.told(account, f"{NS}:devices", "current", ["31415", "27182"])
    print("lists ok", flush=True)

    # A node that was made otherwise is made over by its owner (XEP-0384 §5.3.2).
    old = f"<list xmlns='{OLD}'><device id='31415'/></list>"
    await a["xep_0060"].publish(None, f"{OLD}.devicelist", id="current", payload=ET.fromstring(old), timeout=WAIT)
    try:
        await a.put(f"{OLD}.devicelist", "current", old, access_model="open")
        raise Failed("a node that is not open was published to as if it were")
    except IqError as e:
        demand("precondition-not-met" in str(e.iq), f"refused with {e.iq}")
    form = await a["xep_0060"].get_node_config(None, f"{OLD}.devicelist", timeout=WAIT)
    config = form["pubsub_owner"]["configure"]["form"]
    config["type"] = "submit"
    config.field["pubsub#access_model"]["value"] = "open"
    await a["xep_0060"].set_node_config(None, f"{OLD}.devicelist", config, timeout=WAIT)
    await a.put(f"{OLD}.devicelist", "current", old, access_model="open")
    await b.told(account, f"{OLD}.devicelist", "current", ["31415"])
    print("reconfigured ok", flush=True)

    # Who is no contact reads all of it, also when nobody is there any more.
    for x in (a, b):
        await x.leave()
    for node, ident, what in ((f"{NS}:devices", None, "27182"), (f"{OLD}.devicelist", None, "31415"), (f"{NS}:bundles", "27182", "BQ==")):
        _, text = await c.item(account, node, ident)
        demand(what in text, f"{node}: {text}")
    demand(not [s for s in c.seen if s[0] == "list"], f"a stranger was told {c.seen}")
    print("stranger ok", flush=True)
    await c.leave()


def main():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(asyncio.wait_for(run(*sys.argv[1:]), 4 * WAIT))
    except Failed as e:
        sys.exit(f"failed: {e}")
    print("done", flush=True)


main()
