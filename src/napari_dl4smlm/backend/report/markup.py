"""HTML that cannot be broken by what is put into it: every text is escaped unless it is HTML."""

from __future__ import annotations

from html import escape

# elements that have no end tag
_VOID = frozenset({"br", "col", "img", "meta"})


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str) -> Html:
    """Write an element.

    Parameters
    ----------
    name
        Of the tag, such as ``"td"``.
    *children
        What is inside; escaped, except for `Html`.
    **attributes
        Escaped as well; ``class_`` stands for ``class``.
    """
    written = "".join(
        f' {key.rstrip("_")}="{escape(value, quote=True)}"' for key, value in attributes.items()
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def join(*parts: str) -> Html:
    """Put texts and HTML one behind the other."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))
