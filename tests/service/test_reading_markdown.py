import pytest

from service.errors import UnreadableInput
from service.reading.markdown import read_markdown

ARTICLE = """---
title: "Front title"
date: 2023-05-06
language: en
unknown: x
---
# A *heading* with `code`

First paragraph with a [link](https://example.org) and
a second line, **bold** and ![a picture](x.png).

- one
- two

> quoted

```python
x = 1
y = 2
```

| a | b |
|---|---|
| c | d |

<div>raw <b>html</b></div>
"""


def test_markup_is_gone_and_words_are_kept() -> None:
    """Each block is a paragraph on one line; words of links, code and tables stay."""
    draft = read_markdown(ARTICLE.encode())
    assert draft.text.split("\n\n") == [
        "A heading with code",
        "First paragraph with a link and a second line, bold and a picture.",
        "one",
        "two",
        "quoted",
        "x = 1 y = 2",
        "a b",
        "c d",
        "raw html",
    ]
    assert (draft.title, draft.published_at, draft.language) == ("Front title", "2023-05-06", "en")


def test_the_first_heading_is_the_title() -> None:
    """Without front matter the title is the first heading."""
    assert read_markdown("intro\n\n## ঢাকায় *বন্যা*\n\ntext".encode()).title == "ঢাকায় বন্যা"


def test_a_date_in_another_form_is_left_out() -> None:
    """A date that could not be compared is no date, and the article is read all the same."""
    assert read_markdown(b"---\ndate: 99th of May\n---\ntext").published_at is None
    assert read_markdown(b"---\ndate: 2023-99-99\n---\ntext").published_at is None


def test_a_rule_at_the_top_is_not_front_matter() -> None:
    """Three dashes that nothing closes are a rule."""
    assert read_markdown(b"---\n\ntext").text == "text"


def test_no_text_is_refused() -> None:
    """Markdown of nothing but rules has no text."""
    with pytest.raises(UnreadableInput, match="no text"):
        read_markdown(b"---\n\n***\n")
