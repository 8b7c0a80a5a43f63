"""Letters that the font of a picture lacks, such as Chinese ones: another font that is installed draws them."""

from collections.abc import Iterable
from typing import Any


class LettersMissing(UserWarning):
    """A picture has letters that no installed font has."""


def complete(figure: Any) -> tuple[bool, str]:
    """Gives the texts of a drawn figure fonts that have all their letters; whether there were such, and the letters that none has."""
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.text import Text

    own = [findfont(FontProperties(family=[family])) for family in FontProperties().get_family()]
    texts = figure.findobj(Text)
    used = {letter for text in texts for letter in text.get_text() if letter.isprintable() and not letter.isascii()}
    missing = used.difference(*(_in_font(font, used) for font in own))
    incomplete = [text for text in texts if not missing.isdisjoint(text.get_text())]
    families = _families(missing)
    for text in incomplete if families else ():
        text.set_fontfamily([*text.get_fontfamily(), *families])
    return bool(families), "".join(sorted(missing))


def _families(missing: set[str]) -> list[str]:
    """Fonts that have them, each the one that has most of what is left; those letters are taken out of ``missing``."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    def preferred(entry: Any) -> tuple[bool, bool, bool]:
        return entry.style == "normal", str(entry.weight) in ("400", "normal", "regular"), "Serif" not in entry.name

    chosen: list[str] = []
    if not missing:
        return chosen
    known = {entry.fname for entry in fontManager.ttflist}
    for path in {*findSystemFonts()} - known:  # installed since its cache was made
        if _in_font(path, missing):
            fontManager.addfont(path)
    held = [(entry, _in_font(entry.fname, missing)) for entry in fontManager.ttflist if "Last Resort" not in entry.name]
    while best := max(held, key=lambda one: (len(one[1] & missing), *preferred(one[0])), default=None):
        if not best[1] & missing:
            break
        chosen.append(best[0].name)
        missing -= best[1]
    return chosen


def _in_font(path: str, letters: Iterable[str]) -> set[str]:
    """Those of the letters that a font file has."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
        return {letter for letter in letters if font.get_char_index(ord(letter))}
    except (OSError, RuntimeError):  # taken away since the list was made, or of a kind that matplotlib cannot draw
        return set()
