"""The matches of a question as an Atom feed (RFC 4287)."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from service.questions.book import Match, Question
from service.wire import CONTROL

ATOM = "http://www.w3.org/2005/Atom"
XML = "http://www.w3.org/XML/1998/namespace"
MEDIA_TYPE = "application/atom+xml"


def atom(question: Question, matches: Sequence[Match], address: str | None = None) -> bytes:
    """Return the feed of a question, the latest match first; `address` is its own, where it has one."""
    feed = ET.Element(f"{{{ATOM}}}feed")
    _text(feed, "id", f"urn:dragoman:question:{question.id}")
    _text(feed, "title", question.query)
    _text(feed, "updated", matches[0].found_at if matches else question.created_at)
    _text(ET.SubElement(feed, f"{{{ATOM}}}author"), "name", "Dragoman")
    if address is not None:
        ET.SubElement(feed, f"{{{ATOM}}}link", rel="self", href=address)
    for match in matches:
        _entry(feed, match)
    ET.register_namespace("", ATOM)
    data: bytes = ET.tostring(feed, encoding="utf-8", xml_declaration=True)
    return data


def _entry(feed: ET.Element, match: Match) -> None:
    told = match.told
    entry = ET.SubElement(feed, f"{{{ATOM}}}entry")
    _text(entry, "id", f"urn:dragoman:{match.id}")
    _text(entry, "title", told["title"] or told["article_id"])
    _text(entry, "updated", match.found_at)
    if told["source"]:
        _text(ET.SubElement(entry, f"{{{ATOM}}}author"), "name", told["source"])
    if told["url"]:
        ET.SubElement(entry, f"{{{ATOM}}}link", rel="alternate", href=_plain(told["url"]))
    if told["language"] != "und":
        entry.set(f"{{{XML}}}lang", told["language"])
    _text(entry, "content", told["text"]).set("type", "text")


def _text(parent: ET.Element, name: str, text: str) -> ET.Element:
    element = ET.SubElement(parent, f"{{{ATOM}}}{name}")
    element.text = _plain(text)
    return element


def _plain(text: str) -> str:
    """Return text without characters that XML 1.0 cannot hold."""
    return "".join(each for each in CONTROL.sub(" ", text) if each not in "\ufffe\uffff")
