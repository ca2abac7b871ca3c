"""What is written in the search box: words, "quoted phrases" that must occur, and -words that must not."""

import re
from dataclasses import dataclass

# Quotation marks as keyboards of many languages have them; an apostrophe is none.
_QUOTED = re.compile(r'"([^"]+)"|“([^”]+)”|„([^“”]+)[“”]|«([^»]+)»|「([^」]+)」|『([^』]+)』')
_EXCLUDED = re.compile(r"(?<!\S)[-−–](?=[^\W\d_])(\S+)")
_MARKS = re.compile(r'["“„«「『–−-]')  # without any of them, all that is written is asked
_SAID = re.compile(r"\w")


@dataclass(frozen=True, slots=True)
class Query:
    """A question: what is asked, the phrases that must occur in a passage, and the words that must not.

    `written` is what was written, spaces in place of what is not asked.
    """

    text: str
    phrases: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    written: str = ""

    @property
    def places(self) -> tuple[int, ...]:
        """Return for each character of `text` where in what was written it stands, -1 for white space."""
        places = (place for place, character in enumerate(self.written) if not character.isspace())
        return tuple(-1 if each.isspace() else next(places) for each in self.text)

    @classmethod
    def read(cls, written: str) -> "Query":
        """Read what somebody wrote. Where nothing but exclusions is left, the words mean themselves."""
        if not _MARKS.search(written):
            return cls(written, written=written)
        phrases = tuple(
            found for match in _QUOTED.finditer(written) if _SAID.search(found := match[match.lastindex or 0])
        )
        open_text = _QUOTED.sub(" ", written)
        without = tuple(match[1] for match in _EXCLUDED.finditer(open_text))
        # A phrase is asked for too; only its marks are not.
        # What is not asked becomes spaces, as many as it was, so that what is asked stays where it was.
        text = blank = _QUOTED.sub(lambda match: f" {match[match.lastindex or 0]} ", written)
        if without:
            blank = _EXCLUDED.sub(lambda match: " " * len(match[0]), blank)
            text = " ".join(blank.split())
        if not _SAID.search(text) and without:
            text, blank, phrases, without = written, written, (), ()
        text = text.strip() if phrases else text
        return cls(text, phrases, without, blank)
