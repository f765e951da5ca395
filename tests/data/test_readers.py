import csv
import gzip
import html
import io
import json
import zipfile
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nervelab.data.order import START
from nervelab.data.readers import plain
from nervelab.data.sources import open_source
from nervelab.errors import NervelabError
from nervelab.study.config import PackageSource, TextPackage


@pytest.fixture
def read(publish, tmp_path):
    """The documents of a wheel with one member, by their labels after the name of the wheel."""

    def documents(member, content, **reading):
        package = TextPackage(**publish("tiny", {f"tiny/{member}": content}).model_dump(), **reading)
        source = PackageSource(kind="packages", packages=[package])
        (stream,) = open_source(source, seed=0, wheels=tmp_path / "wheels", dropped=Counter())
        return {each.source.removeprefix("tiny-1.0/"): each.text for each in stream.documents(START)}

    return documents


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.csv", content)
    return buffer.getvalue()


def gzipped(content):
    return gzip.compress(json.dumps(content).encode())


def test_rows_of_zipped_csv(read):
    rows = [("1", 'said "no",\nand left'), ("2", "naïve 数"), ("3", "")]
    lines = io.StringIO(newline="")
    csv.writer(lines).writerows([("id", "text"), *rows])
    content = zipped(first=lines.getvalue(), second="text\nmore\n")
    found = read("News.zip", content, suffix="News.zip", reader="zipped-csv", field="text")
    assert found == {
        "tiny/News.zip#first.csv/1": rows[0][1],
        "tiny/News.zip#first.csv/2": rows[1][1],
        "tiny/News.zip#first.csv/3": "",
        "tiny/News.zip#second.csv/1": "more",
    }


@pytest.mark.parametrize("records", [{"0": {"t": "a"}, "1": {"t": "é", "u": 1}}, [{"t": "a"}, {"t": "é", "u": 1}]])
def test_field_of_json_records(read, records):
    found = read("s.json", json.dumps(records).encode(), suffix="s.json", reader="json-field", field="t")
    assert found == {"tiny/s.json#0": "a", "tiny/s.json#1": "é"}


def test_documentation_of_a_service(read):
    service = {
        "documentation": "<p>The whole.</p>",
        "operations": {"Get": {"name": "Get", "documentation": "<p>Gets <code>a</code> &amp; b.</p>"}},
        "shapes": {
            "A": {"type": "structure", "members": {"x": {"documentation": "<p>An x.</p>"}, "y": {"shape": "B"}}},
            "B": {"documentation": "<p>An x.</p>"},
            "documentation": {"documentation": "<p>Of a shape of this name.</p>"},
        },
    }
    path = "data/tiny/2020-01-01/service-2.json.gz"
    found = read(path, gzipped(service), suffix="service-2.json.gz", reader="botocore-documentation")
    label = f"tiny/{path}#"
    assert found == {
        label: "The whole.",
        f"{label}operations/Get": "Gets a & b.",
        f"{label}shapes/A/members/x": "An x.",
        f"{label}shapes/documentation": "Of a shape of this name.",
    }


def test_conversations(read):
    messages = [[{"text": "Hello"}, {"text": "How are\nyou?"}], [{"text": " "}], [{"text": "Fine"}]]
    content = json.dumps({"7e": {"messages": messages, "prompt": "unused"}, "8f": {"messages": []}}).encode()
    found = read("dataset.json", content, suffix="dataset.json", reader="chitchat")
    assert found == {"tiny/dataset.json#7e": "Hello\nHow are you?\nFine", "tiny/dataset.json#8f": ""}


JSON = {"suffix": "a", "reader": "json-field", "field": "t"}
CSV = {"suffix": "a", "reader": "zipped-csv", "field": "t"}
DOCUMENTATION = {"suffix": "a", "reader": "botocore-documentation"}
CHAT = {"suffix": "a", "reader": "chitchat"}


@pytest.mark.parametrize(
    ("make", "reading", "said"),
    [
        pytest.param(lambda: b"{", JSON, "Expecting property name", id="json cut short"),
        pytest.param(lambda: b"\xff", JSON, "invalid start byte", id="json not in utf-8"),
        pytest.param(lambda: b"3", JSON, "neither a list nor a mapping", id="json of a number"),
        pytest.param(lambda: b'{"k": {"u": "x"}}', JSON, "k has no str under the key 't'", id="json without the key"),
        pytest.param(lambda: b'[{"t": "x"}, {"t": 1}]', JSON, "1 has no str under the key 't'", id="json of no text"),
        pytest.param(lambda: b"[[]]", JSON, "0 has no str under the key 't'", id="json of lists"),
        pytest.param(lambda: b"no zip", CSV, "not a zip file", id="csv in no zip"),
        pytest.param(
            lambda: zipped(b="u\nx\n"), CSV, r"b\.csv/1 has no str under the key 't'", id="csv without the key"
        ),
        pytest.param(
            lambda: zipped(b="u,t\nx\n"), CSV, r"b\.csv/1 has no str under the key 't'", id="csv of a short row"
        ),
        pytest.param(lambda: zipped(b=b"t\n\xff\n"), CSV, "invalid start byte", id="csv not in utf-8"),
        pytest.param(lambda: b"no gzip", DOCUMENTATION, "Not a gzipped file", id="documentation in no gzip"),
        pytest.param(lambda: gzipped({"shapes": {}})[:-9], DOCUMENTATION, "ended before", id="documentation cut short"),
        pytest.param(lambda: gzipped([]), DOCUMENTATION, "no 'shapes'", id="documentation without shapes"),
        pytest.param(lambda: b"[]", CHAT, "no mapping", id="chats in a list"),
        pytest.param(lambda: b'{"k": {}}', CHAT, "k has no list under the key 'messages'", id="chat without messages"),
        pytest.param(
            lambda: b'{"k": {"messages": [[{"tekst": "x"}]]}}',
            CHAT,
            "k has no str under the key 'text'",
            id="chat of no text",
        ),
        pytest.param(lambda: b'{"k": {"messages": [1]}}', CHAT, "not iterable", id="chat of numbers"),
    ],
)
def test_unexpected_content_is_one_sentence(read, make, reading, said):
    message = rf"^tiny/a of tiny==1\.0 is not what the reader {reading['reader']} reads \(.*{said}.*\): mend reader"
    with pytest.raises(NervelabError, match=message) as caught:
        read("a", make(), **reading)
    assert "\n" not in str(caught.value)


def test_missing_member_is_one_sentence(read):
    with pytest.raises(NervelabError, match=r"^tiny==1\.0 holds no file that ends in 'b': mend suffix"):
        read("a", b"", suffix="b", reader="chitchat")


@pytest.mark.parametrize("reading", [{"reader": "chitchat", "field": "text"}, {"reader": "json-field"}])
def test_field_only_where_it_is_read(publish, reading):
    with pytest.raises(ValueError, match="give it with them, and only with them"):
        TextPackage(**publish("tiny", {}).model_dump(), suffix="a", **reading)


def test_html_blocks_are_lines():
    source = """<p>See <a href="x?a=1&amp;b=2">the
        guide</a>:</p> <note> <ul> <li> <p> <i>One</i>,<b>two</b></p> </li><li>3 &lt; 4<br/>&nbsp;five</li> </ul></note>
        tail &copy; <"""
    assert plain(source) == "See the guide:\nOne,two\n3 < 4\nfive\ntail © <"


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp", "Cn"]), min_size=1)
lines = st.lists(words, min_size=1, max_size=5)


@given(st.lists(lines, max_size=5), st.sampled_from(["p", "li", "div"]), st.sampled_from(["code", "b"]))
def test_escaped_text_comes_back(paragraphs, block, inline):
    """`html.escape` is the inverse, whatever the tags."""
    wrapped = (" ".join(f"<{inline}>{html.escape(word)}</{inline}>" for word in line) for line in paragraphs)
    source = "\n".join(f"<{block}>\n{line} </{block}>" for line in wrapped)
    assert plain(source) == "\n".join(" ".join(line) for line in paragraphs)
