"""A folder of judgments in BEIR layout, read and checked."""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from embed import UnknownLanguage, detect, normalise
from service.errors import InvalidJudgments, UnreadableInput
from service.reading import Draft
from service.reading.jsonlines import read_article

Pair = tuple[str, str]  # language of the question, language of the passages
Qrels = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Judgments:
    """A folder of judgments: articles, questions (id to text) with their languages, and grades."""

    name: str
    drafts: list[Draft]
    queries: dict[str, str]
    languages: dict[str, str]
    qrels: Qrels
    unknown: int

    @classmethod
    def read(cls, folder: Path) -> "Judgments":
        """Read a folder; raises InvalidJudgments naming the file and the line."""
        drafts = [
            draft for where, line in _lines(folder / "corpus.jsonl") if (draft := _draft(line, where)) is not None
        ]
        return cls._over(folder, drafts, {draft.id for draft in drafts if draft.id})

    @classmethod
    def over(cls, folder: Path, known: set[str]) -> "Judgments":
        """Read a folder's questions and grades of articles that are in a library already, whose ids are `known`.

        There need be no corpus.jsonl. Raises InvalidJudgments naming the file and the line.
        """
        return cls._over(folder, [], known)

    @classmethod
    def _over(cls, folder: Path, drafts: list[Draft], known: set[str]) -> "Judgments":
        queries: dict[str, str] = {}
        languages: dict[str, str] = {}
        for where, line in _lines(folder / "queries.jsonl"):
            identity, text, language = _query(line, where)
            queries[identity], languages[identity] = text, language
        qrels, unknown = _qrels(folder / "qrels" / "test.tsv", queries, known)
        if not qrels:
            raise InvalidJudgments(f"{folder / 'qrels' / 'test.tsv'} judges no question and passage that are there.")
        return cls(folder.resolve().name, drafts, queries, languages, qrels, unknown)

    def sampled(self, per_language: int, seed: int) -> "Judgments":
        """Return the same with at most so many judged questions of each language, chosen by `seed` alone."""
        by_language: dict[str, list[str]] = defaultdict(list)
        for identity in sorted(self.qrels):
            by_language[self.languages[identity]].append(identity)
        chosen: set[str] = set()
        for language, identities in sorted(by_language.items()):
            # A generator for each language, so that its sample does not depend on which others there are.
            chosen.update(random.Random(f"{seed}:{language}").sample(identities, min(per_language, len(identities))))
        return replace(self, qrels={identity: grades for identity, grades in self.qrels.items() if identity in chosen})

    def by_pair(self, article_languages: Mapping[str, str], pairs: Sequence[Pair] = ()) -> dict[Pair, Qrels]:
        """Return the grades of each pair, in order, without questions that have no relevant article there.

        Of `pairs` only, if there are any; raises InvalidJudgments for one that is not judged.
        """
        found: dict[Pair, Qrels] = defaultdict(dict)
        for identity, grades in sorted(self.qrels.items()):
            by_language: dict[str, dict[str, int]] = defaultdict(dict)
            for article, grade in grades.items():
                by_language[article_languages[article]][article] = grade
            for language, those in by_language.items():
                if max(those.values()) > 0:
                    found[self.languages[identity], language][identity] = those
        for asked, over in pairs:
            if (asked, over) not in found:
                there = ", ".join(sorted(f"{a}:{f}" for a, f in found)[:20]) or "none"
                raise InvalidJudgments(f"No question in {asked} is judged over passages in {over}; there are {there}.")
        return {pair: found[pair] for pair in sorted(set(pairs) or found)}

    def every_second_article(self) -> set[str]:
        """Return the ids of every second article's passages, in the order in which articles first come.

        Passages are of one article where their `metadata` has the same `article`, and else where one question is
        answered by both.
        """
        answering: dict[str, str] = {}
        for query, grades in sorted(self.qrels.items()):
            for article in grades:
                answering.setdefault(article, query)
        groups: dict[str, list[str]] = {}
        for draft in self.drafts:
            if draft.id is not None:
                # Without a name, what answers the same question; what answers none is an article of its own.
                name = str(draft.metadata.get("article", "")) or answering.get(draft.id, draft.id)
                groups.setdefault(name, []).append(draft.id)
        return {identity for number, group in enumerate(groups.values()) if number % 2 for identity in group}


def parse_pairs(text: str) -> list[Pair]:
    """Read `en:bn,bn:en`; raises ValueError, or UnknownLanguage which is one."""
    pairs = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        asked, colon, found = part.partition(":")
        if not colon or not asked or not found:
            raise ValueError(f"{part!r} is not a pair of languages; pairs are written en:bn,bn:en")
        pairs.append((normalise(asked), normalise(found)))
    if not pairs:
        raise ValueError("no pair of languages is named; pairs are written en:bn,bn:en")
    return pairs


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield where each line is and what it says, blank ones left out."""
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"{path}, line {number}", line.rstrip("\r\n")
    except FileNotFoundError:
        raise InvalidJudgments(
            f"{path} is missing; a folder of judgments has corpus.jsonl, queries.jsonl and qrels/test.tsv."
        ) from None
    except UnicodeDecodeError:
        raise InvalidJudgments(f"{path} is not in UTF-8.") from None
    except OSError as error:
        raise InvalidJudgments(f"{path} cannot be read: {error.strerror}.") from None


def _draft(line: str, where: str) -> Draft | None:
    """Return the article of a line; None for one without a word, of which public corpora have some."""
    try:
        given = json.loads(line)
        if isinstance(given, dict) and isinstance(given.get("text"), str) and not given["text"].strip():
            title = given.get("title")
            if not isinstance(title, str) or not title.strip():
                return None
            line = json.dumps({**given, "text": title})
        draft = read_article(line.encode())
    except (ValueError, RecursionError) as error:
        raise InvalidJudgments(f"{where}: not JSON: {error}") from None
    except UnreadableInput as error:
        raise InvalidJudgments(f"{where}: {error}") from None
    if draft.id is None:
        raise InvalidJudgments(f"{where}: the article has no _id")
    if draft.language is not None:
        draft = replace(draft, language=_language(draft.language, where))
    return draft


def _query(line: str, where: str) -> tuple[str, str, str]:
    """Return a question's id, text and language, which is detected where it is not told."""
    try:
        given = json.loads(line)
        identity, text = given.get("_id", given.get("id")), given.get("text")
        language = (given.get("metadata") or {}).get("language")
    except (ValueError, RecursionError, AttributeError) as error:
        raise InvalidJudgments(f"{where}: not a question in JSON: {error}") from None
    if not isinstance(identity, str) or not isinstance(text, str) or not text.strip():
        raise InvalidJudgments(f"{where}: a question has an _id and a text, both strings")
    if language is None:
        return identity, text, detect(text).code
    return identity, text, _language(language, where)


def _language(code: object, where: str) -> str:
    try:
        return normalise(str(code))
    except UnknownLanguage as error:
        raise InvalidJudgments(f"{where}: {error}") from None


def _qrels(path: Path, queries: Iterable[str], articles: set[str]) -> tuple[Qrels, int]:
    """Return the grades of questions that have a relevant article, and how many name what is not there."""
    known = set(queries)
    qrels: Qrels = defaultdict(dict)
    unknown = 0
    for number, (where, line) in enumerate(_lines(path)):
        fields = line.split("\t")
        try:
            query, article, grade = fields[0], fields[1], int(fields[2])
        except (IndexError, ValueError):
            if number == 0 and len(fields) >= 3:  # the line of headings
                continue
            raise InvalidJudgments(
                f"{where}: a judgment is query-id, corpus-id and a whole number, with tabs between"
            ) from None
        if query in known and article in articles:
            qrels[query][article] = grade
        else:
            unknown += 1
    return {query: grades for query, grades in qrels.items() if max(grades.values()) > 0}, unknown
