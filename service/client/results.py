"""An answer as notebooks like it: a table, rows, a data frame."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from service.errors import ExtraMissing
from service.wire import Characters, HitOut, SearchAnswer

if TYPE_CHECKING:
    import pandas

# Languages written from right to left in their usual script (CLDR, characterOrder).
RIGHT_TO_LEFT = frozenset(
    ["ar", "arc", "ckb", "dv", "fa", "he", "ks", "lrc", "mzn", "nqo", "pnb", "ps", "sd", "syr", "ug", "ur", "yi"]
)

COLUMNS = (
    "rank",
    "relevance",
    "similarity",
    "language",
    "title",
    "text",
    "source",
    "published_at",
    "url",
    "article_id",
    "passage_id",
    "start",
    "end",
)


class SearchResult(SearchAnswer):
    """The passages that answer, best first. In a notebook it shows itself as a table."""

    def to_rows(self) -> list[dict[str, Any]]:
        """Return each hit as a flat row: `COLUMNS`, and `metadata.KEY` for whatever its metadata holds."""
        return [
            {
                **{name: getattr(hit, name) for name in COLUMNS},
                **{f"metadata.{key}": value for key, value in hit.metadata.items()},
            }
            for hit in self.hits
        ]

    def to_pandas(self) -> "pandas.DataFrame":
        """Return the rows as a data frame; raises ExtraMissing where pandas is not installed."""
        try:
            from pandas import DataFrame
        except ImportError:
            raise ExtraMissing("Data frames need pandas: pip install pandas") from None
        rows = self.to_rows()
        more = dict.fromkeys(name for row in rows for name in row if name not in COLUMNS)
        return DataFrame(rows, columns=[*COLUMNS, *more])

    def _repr_html_(self) -> str:
        verdict = (
            "" if self.answer.found is not False else "<p>Nothing here answers this; the nearest passages are:</p>"
        )
        head = "".join(f"<th>{name}</th>" for name in ("", "relevance", "language", "passage"))
        return (
            f'{verdict}<table class="dragoman"><thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(map(_row, self.hits))}</tbody></table>"
        )


def _row(hit: HitOut) -> str:
    relevance = "" if hit.relevance is None else f"{hit.relevance:.2f}"
    about = " · ".join(escape(each) for each in (hit.source, hit.published_at) if each)
    title = escape(hit.title or hit.article_id)
    # Only such an address becomes a link: another scheme could run a script.
    if hit.url and hit.url.startswith(("http://", "https://")):
        title = f'<a href="{escape(hit.url)}">{title}</a>'
    direction = "rtl" if hit.language in RIGHT_TO_LEFT else "ltr"
    return (
        f"<tr><td>{hit.rank}</td><td>{relevance}</td><td>{escape(hit.language)}</td>"
        f'<td lang="{escape(hit.language)}" dir="{direction}" style="text-align: start">'
        f"<div><strong>{title}</strong> <small>{about}</small></div>"
        f"{_marked(hit.text, hit.start, hit.best_sentence)}</td></tr>"
    )


def _marked(text: str, start: int, best: Characters | None) -> str:
    """Return the passage, its best sentence marked."""
    if best is None:
        return escape(text)
    parts: Sequence[str] = (
        text[: best.start - start],
        text[best.start - start : best.end - start],
        text[best.end - start :],
    )
    before, within, after = map(escape, parts)
    return f"{before}<mark>{within}</mark>{after}"
