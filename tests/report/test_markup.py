from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_dl4smlm.backend.report.markup import Html, element, join


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.text, self.title = "", None

    def handle_starttag(self, tag, attrs):
        self.title = dict(attrs).get("title")

    def handle_data(self, data):
        self.text += data


# a parser takes both ends of a line for one, and no page holds NUL
texts = st.text().filter(lambda text: not set("\r\0") & set(text))


@given(texts, texts)
def test_any_text_is_read_as_it_was_given(text, title):
    reader = Reader()
    reader.feed(element("p", text, title=title))
    reader.close()
    assert (reader.text, reader.title) == (text, title)


def test_html_stays_html_and_text_beside_it_does_not():
    bold = element("b", "a<b")
    assert bold == "<b>a&lt;b</b>"
    assert join("x & ", bold) == "x &amp; <b>a&lt;b</b>"
    assert element("td", bold, class_="number") == '<td class="number"><b>a&lt;b</b></td>'
    assert isinstance(join(), Html)


def test_what_has_no_end_has_no_end_tag():
    assert element("img", src='a"b', alt="") == '<img src="a&quot;b" alt="">'


@pytest.mark.parametrize("made", [lambda h: h + "<i>", lambda h: h.replace("a", "<i>")])
def test_what_is_made_of_html_by_hand_is_text_again(made):
    assert "<i>" not in join(made(Html("a")))
