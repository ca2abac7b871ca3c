"""Markdown to text, through markdown-it: no markup, a blank line between blocks, a heading as title."""

import re
from collections.abc import Iterator, Sequence
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from service.errors import UnreadableInput
from service.reading.draft import Draft
from service.reading.encodings import decode_any
from service.reading.source import Source
from service.wire import moment

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)?(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
# Of front matter only plain `key: value` lines are read: a full YAML reader is not worth its dependency here.
_ENTRY = re.compile(r"^(title|date|language|lang|url|source)[ \t]*:[ \t]*(.+?)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable("table")


def read(source: Source) -> Iterator[Draft]:
    """Yield the article in a Markdown file."""
    yield read_markdown(source.data(), source.charset)


def read_markdown(data: bytes, charset: str | None = None) -> Draft:
    """Return the article in a Markdown file; front matter tells title, date, language, url and source.

    Code blocks stay as text, of links the words stay, of images the description.
    """
    told, source = _front_matter(decode_any(data, charset))
    tokens = _parser().parse(source)
    heading = next((i for i, token in enumerate(tokens) if token.type == "heading_open"), None)
    title = told.get("title", "")
    if not title and heading is not None:
        title = _words(tokens[heading + 1].children or [])
    text = "\n\n".join(block for block in map(_block, _rows(tokens)) if block)
    if not text:
        raise UnreadableInput("the Markdown has no text")
    return Draft(
        text,
        title=title,
        language=told.get("language") or told.get("lang"),
        url=told.get("url"),
        source=told.get("source"),
        published_at=_date(told.get("date", "")),
    )


def _front_matter(text: str) -> tuple[dict[str, str], str]:
    """Return what the front matter says, and the text after it."""
    found = _FRONT_MATTER.match(text)
    if not found:
        return {}, text
    entries = _ENTRY.findall(found[1] or "")
    return {key.lower(): value.strip("\"'") for key, value in entries}, text[found.end() :]


def _date(text: str) -> str | None:
    """Return a date of front matter, None where it is in no form that could be compared."""
    try:
        return moment(text)
    except ValueError:
        return None


def _rows(tokens: Sequence[Token]) -> list[list[Token]]:
    """Group the tokens that become one paragraph: a block by itself, the cells of a table's row together."""
    rows: list[list[Token]] = []
    inside = False
    for token in tokens:
        if token.type in ("tr_open", "tr_close"):
            inside = token.type == "tr_open"
            if inside:
                rows.append([])
        elif token.type in ("inline", "fence", "code_block", "html_block"):
            if inside:
                rows[-1].append(token)
            else:
                rows.append([token])
    return rows


def _block(tokens: Sequence[Token]) -> str:
    """Return the words of one paragraph on one line."""
    cells = []
    for token in tokens:
        if token.type == "inline":
            cells.append(_words(token.children or []))
        elif token.type == "html_block":
            cells.append(" ".join(_TAG.sub(" ", token.content).split()))
        else:
            cells.append(" ".join(token.content.split()))
    return " ".join(filter(None, cells))


def _words(children: Sequence[Token]) -> str:
    """Return what a reader sees of inline tokens."""
    parts = []
    for child in children:
        if child.type in ("softbreak", "hardbreak"):
            parts.append(" ")
        elif child.type == "image":
            parts.append(_words(child.children or []))
        elif child.type != "html_inline":
            parts.append(child.content)
    return " ".join("".join(parts).split())
