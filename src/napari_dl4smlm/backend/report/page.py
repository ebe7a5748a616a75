"""The frame of every report: one file that needs no other one, on screen and on paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.atomic_file import atomic_file, check_folder, set_aside
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.report.markup import Html, element, join

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

_STYLE = """
:root { color-scheme: light dark; --text: #1b1b1b; --paper: #fff; --faint: #5d5d5d; --line: #d4d4d4;
  --shade: #f3f3f3; --mark: #00603f; --warn: #fff3d6; --edge: #b87700; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e6e6; --paper: #161616; --faint: #a6a6a6;
  --line: #3b3b3b; --shade: #222; --mark: #6fd6a8; --warn: #332705; --edge: #d99a2b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 72rem; color: var(--text);
  background: var(--paper); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin-bottom: 0.4rem; overflow-wrap: anywhere; }
p, li, dd { max-width: 48rem; }
.faint { color: var(--faint); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.875em; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.7rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
td.number { text-align: right; white-space: nowrap; }
th.number { text-align: right; }
thead th { background: var(--shade); overflow-wrap: anywhere; }
tbody th { font-weight: normal; }
.section th { padding-top: 1rem; font-weight: 600; }
.interval { display: block; color: var(--faint); font-size: 0.93em; }
.best { color: var(--mark); font-weight: 700; }
.warning { background: var(--warn); border-left: 4px solid var(--edge); padding: 0.5rem 1rem;
  margin: 0.5rem 0; max-width: 50rem; }
figure { margin: 1.2rem 0; break-inside: avoid; }
figure img { display: block; width: 100%; height: auto; background: #fff; padding: 0.5rem;
  border-radius: 3px; }
figcaption { color: var(--faint); font-size: 0.875em; max-width: 48rem; margin-top: 0.4rem; }
dt { font-weight: 600; margin-top: 0.6rem; }
dd { margin: 0; }
code, pre { font: 0.93em/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
pre code { font-size: 1em; }
pre { background: var(--shade); padding: 0.8rem; white-space: pre-wrap; }
@page { margin: 15mm; }
@media print {
  :root { color-scheme: light; --text: #000; --paper: #fff; --faint: #444; --line: #bbb;
    --shade: #f3f3f3; --mark: #00603f; --warn: #fff; }
  body { padding: 0; max-width: none; font-size: 10pt; }
  .wide { overflow: visible; }
  table { font-size: 8pt; }
  thead { display: table-header-group; }
  tr, .warning { break-inside: avoid; }
  h2, h3, dt, .section { break-after: avoid; }
}
"""

# nothing is fetched and nothing runs, whatever text finds its way into the page
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

SUFFIXES = (".html", ".htm")


def check_report_path(path: str | os.PathLike[str]) -> None:
    """Make sure, before the work for a report begins, that it can be written.

    Raises
    ------
    InputError
        The suffix is none of HTML, or the folder does not exist or cannot be written to.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"A report is an HTML file: {path.name!r} has to end in {SUFFIXES[0]}.")
    check_folder(path.parent)


def write_page(path: str | os.PathLike[str], title: str, body: Iterable[Html]) -> None:
    """Write a report; an older one of that name is kept under another name.

    Parameters
    ----------
    path
        The file.
    title
        Of the page.
    body
        Its sections.

    Raises
    ------
    InputError
        As for `check_report_path`.
    """
    check_report_path(path)
    with atomic_file(path) as temporary:
        # names of files may hold bytes that are no text
        temporary.write_text(_page(title, body), encoding="utf-8", errors="backslashreplace")
        set_aside(path)


def section(title: str, *content: str) -> Html:
    """Put content below a heading."""
    return element("section", element("h2", title), *content)


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """Write names with what belongs to them, such as settings, as a table."""
    rows = (
        element("tr", element("th", name, scope="row"), element("td", value))
        for name, value in pairs
    )
    return element("div", element("table", element("tbody", *rows)), class_="wide")


def definitions(pairs: Iterable[tuple[str, str]]) -> Html:
    """Write terms with a sentence or two on each."""
    return element("dl", *(join(element("dt", name), element("dd", text)) for name, text in pairs))


def warnings(sentences: Sequence[str]) -> Html:
    """Write what every reader should see before the numbers."""
    return join(*(element("p", sentence, class_="warning") for sentence in sentences))


def _page(title: str, body: Iterable[Html]) -> str:
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", **{"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(_STYLE)),
    )
    content = element("body", element("main", element("h1", title), *body))
    return f"<!DOCTYPE html>\n{element('html', head, content, lang='en')}\n"
