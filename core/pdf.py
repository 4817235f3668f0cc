"""PDFs: WeasyPrint lays a sheet out once, and what differs from copy to copy is stamped on it.

Laying out is slow and stamping is quick (bench/certificates.py), so a sheet that is the same for many people is laid out once
(``lay_out``, ``Sheet``) and each copy gets only its own words (``Sheet.copy``, ``bind``). Stamped words are drawn with a
Type 3 font made of the outlines of just the characters used: a name costs a few hundred bytes, any character of the system's
fonts can be drawn, and the text stays searchable. docs/decisions/0007 says why.
"""

from __future__ import annotations

import base64
import io
import re
import subprocess
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, lru_cache

MM = 72 / 25.4  # points in a millimetre


class PdfToolsMissing(Exception):
    """The system libraries or fonts that PDFs need are not installed; bin/run says which and installs them."""


def lay_out(html: str, *, cut_fonts: bool = False) -> bytes:
    """This function will turn a self-contained HTML sheet into a PDF.

    Pictures must be inline SVG or data addresses: anything that would have to be fetched, from the network or from the
    disk, is left out. With ``cut_fonts`` the family "Sheet" is the system's Chinese serif, regular and bold, cut to the
    characters of the sheet: a tenth of the size of the file, for a second more of work. Raises PdfToolsMissing.
    """
    try:
        from weasyprint import HTML
        from weasyprint.text.ffi import harfbuzz_subset
        from weasyprint.text.fonts import FontConfiguration
        from weasyprint.urls import URLFetcher
    except OSError as error:
        raise PdfToolsMissing("libpango-1.0-0 libpangoft2-1.0-0") from error
    if not harfbuzz_subset:
        raise PdfToolsMissing("libharfbuzz-subset0")
    if cut_fonts:
        faces = "".join(_font_face(style, weight, html) for style, weight in (("Regular", 400), ("Bold", 700)))
        html = html.replace("<style>", f"<style>{faces}", 1)
    # The server fetches nothing from an address, on the net or on its disk (TRUST MC-17, IS-14).
    fetcher = URLFetcher(allowed_protocols={"data"})
    return HTML(string=html, url_fetcher=fetcher, encoding="utf-8").write_pdf(font_config=FontConfiguration())


def _font_face(style: str, weight: int, html: str) -> str:
    """An @font-face rule with the serif cut to the characters that occur in ``html``."""
    from fontTools import subset

    file, index = _font_file(f"{SERIF}:style={style}")
    options = subset.Options(
        font_number=index, hinting=False, layout_features=["kern", "pwid"], notdef_outline=True, name_IDs=[1, 2, 4, 6]
    )
    out = io.BytesIO()
    with subset.load_font(file, options) as font:
        cutter = subset.Subsetter(options)
        cutter.populate(text=html + html.upper())
        cutter.subset(font)
        font.save(out)
    data = base64.b64encode(out.getvalue()).decode()
    return f'@font-face {{ font-family: Sheet; font-weight: {weight}; src: url("data:font/otf;base64,{data}") }}'


# --- outlines of characters -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Glyph:
    width: float  # thousandths of the size
    stream: bytes  # the compressed Type 3 procedure


SERIF = "Noto Serif CJK SC"


@cache
def _font_file(pattern: str) -> tuple[str, int]:
    """The file, and the place in it, of the font that the system has for a pattern."""
    try:
        found = subprocess.run(  # noqa: S603
            ["fc-match", "-f", "%{file}\n%{index}", pattern],  # noqa: S607
            capture_output=True, text=True, check=True, timeout=20,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise PdfToolsMissing("fontconfig") from error
    file, index = found.split("\n")
    return file, int(index) & 0xFFFF


@cache
def _font(family: str, style: str, char: str = ""):
    """(glyph set, character map, units per em) of the system's best font for a family, or for one rare character."""
    from fontTools.ttLib import TTFont

    pattern = f"{family}:style={style}" + (f":charset={ord(char):x}" if char else "")
    file, index = _font_file(pattern)
    font = TTFont(file, fontNumber=index, lazy=True)
    return font.getGlyphSet(), font.getBestCmap(), font["head"].unitsPerEm


@lru_cache(maxsize=20_000)
def _glyph(char: str, style: str) -> _Glyph:
    """The outline of a character; one that no font has becomes an empty box of the width of a Chinese character."""
    from fontTools.pens.basePen import BasePen

    class Outline(BasePen):
        def __init__(self, glyph_set):
            super().__init__(glyph_set)
            self.ops: list[str] = []

        def _moveTo(self, p):
            self.ops.append(f"{p[0]:g} {p[1]:g} m")

        def _lineTo(self, p):
            self.ops.append(f"{p[0]:g} {p[1]:g} l")

        def _curveToOne(self, a, b, c):
            self.ops.append(f"{a[0]:g} {a[1]:g} {b[0]:g} {b[1]:g} {c[0]:g} {c[1]:g} c")

        def _closePath(self):
            self.ops.append("h")

    glyphs, cmap, em = _font(SERIF, style)
    if ord(char) not in cmap:
        glyphs, cmap, em = _font(SERIF, style, char)
    if ord(char) not in cmap:
        return _Glyph(1000, zlib.compress(b"1000 0 -500 -500 2500 1500 d1 80 -60 840 840 re 120 -20 760 760 re f*"))
    glyph = glyphs[cmap[ord(char)]]
    pen = Outline(glyphs)
    glyph.draw(pen)
    scale = 1000 / em
    width = glyph.width * scale
    if scale != 1:
        pen.ops.insert(0, f"{scale:g} 0 0 {scale:g} 0 0 cm")
    body = f"{width:g} 0 -500 -500 2500 1500 d1 " + (" ".join(pen.ops) + " f" if pen.ops else "")
    return _Glyph(width, zlib.compress(body.encode(), 9))


def text_width(text: str, size: float, style: str = "Regular") -> float:
    """The width of a line in points."""
    return sum(_glyph(char, style).width for char in text) * size / 1000


# --- what is stamped --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A line of text to stamp: ``x`` and baseline ``y`` in millimetres from the left and the top, ``size`` in points.

    ``align`` is left, center or right of ``x``. A line wider than ``fit`` millimetres is made smaller until it fits.
    ``color`` is red, green, blue from 0 to 1.
    """

    text: str
    x: float
    y: float
    size: float
    align: str = "left"
    style: str = "Regular"
    fit: float = 0
    color: tuple[float, float, float] = (0, 0, 0)
    spacing: float = 0  # extra space between characters, in points


@dataclass(frozen=True)
class Modules:
    """A square of dark and light modules (a QR code): ``x``, ``y`` its upper left corner, ``side`` its width, all in mm."""

    rows: tuple[bytes, ...]
    x: float
    y: float
    side: float


@dataclass
class _Fonts:
    """Gives every (character, style) in use a font number and a code; 256 codes to a font."""

    codes: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)

    def code(self, char: str, style: str) -> tuple[int, int]:
        key = (char, style)
        if key not in self.codes:
            self.codes[key] = divmod(len(self.codes), 256)
        return self.codes[key]

    def fonts(self) -> list[list[tuple[str, str]]]:
        fonts: list[list[tuple[str, str]]] = []
        for key, (font, _code) in self.codes.items():
            if font == len(fonts):
                fonts.append([])
            fonts[font].append(key)
        return fonts


def _draw(stamps: Iterable[Line | Modules], height: float, fonts: _Fonts) -> bytes:
    """The content stream of the stamps on a page of that height (points)."""
    ops: list[str] = ["q"]
    for stamp in stamps:
        if isinstance(stamp, Modules):
            ops.append(_draw_modules(stamp, height))
        elif stamp.text:
            ops.append(_draw_line(stamp, height, fonts))
    return "\n".join([*ops, "Q"]).encode()


def _draw_line(line: Line, height: float, fonts: _Fonts) -> str:
    size = line.size
    width = text_width(line.text, size, line.style) + line.spacing * (len(line.text) - 1)
    if line.fit and width > line.fit * MM:
        size *= line.fit * MM / width
        width = line.fit * MM
    x = line.x * MM - {"left": 0, "center": width / 2, "right": width}[line.align]
    ops = [
        "BT",
        "{:g} {:g} {:g} rg".format(*line.color),
        f"{line.spacing:g} Tc",
        f"1 0 0 1 {x:.2f} {height - line.y * MM:.2f} Tm",
    ]
    current, run = -1, ""
    for char in line.text:
        font, code = fonts.code(char, line.style)
        if font != current:
            if run:
                ops.append(f"<{run}> Tj")
            ops.append(f"/S{font} {size:.3f} Tf")
            current, run = font, ""
        run += f"{code:02X}"
    return "\n".join([*ops, f"<{run}> Tj", "ET"])


_DARK = re.compile(rb"\x01+")  # a run of dark modules in a row


def _draw_modules(square: Modules, height: float) -> str:
    unit = square.side * MM / len(square.rows)
    ops = ["0 0 0 rg", f"{unit:.4f} 0 0 {-unit:.4f} {square.x * MM:.2f} {height - square.y * MM:.2f} cm"]
    for y, row in enumerate(square.rows):
        ops += [f"{run.start()} {y} {run.end() - run.start()} 1 re" for run in _DARK.finditer(row)]
    return "q\n" + "\n".join([*ops, "f"]) + "\nQ"


def _to_unicode(keys: list[tuple[str, str]]) -> bytes:
    lines = "\n".join(
        f"<{code:02X}> <{char.encode('utf-16-be').hex().upper()}>" for code, (char, _style) in enumerate(keys)
    )
    return (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def\n"
        "1 begincodespacerange <00> <FF> endcodespacerange\n"
        f"{len(keys)} beginbfchar\n{lines}\nendbfchar endcmap end end"
    ).encode()


# --- sheets and their copies ------------------------------------------------------------------------------------------


class Sheet:
    """A one-page PDF on which copies are stamped. Made once from what ``lay_out`` returned, then used for many copies."""

    def __init__(self, pdf: bytes):
        import pikepdf

        self.pdf = pdf
        with pikepdf.open(io.BytesIO(pdf)) as document:
            page = document.pages[0]
            self.height = float(page.mediabox[3])
            page.contents_coalesce()
            body = page.Contents.read_bytes()
            page.Contents = pikepdf.Array(
                [document.make_stream(b"q\n" + body + b"\nQ\n"), document.make_stream(b"% the stamps come here")]
            )
            font = document.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name.Font))
            # Both are dictionaries of the PDF, which its types cannot tell from other objects.
            resources = page.Resources = pikepdf.Dictionary(page.Resources)  # type: ignore[arg-type]
            resources.Font = pikepdf.Dictionary(resources.get("/Font", {}))  # type: ignore[arg-type]
            resources.Font["/S0"] = font
            out = io.BytesIO()
            document.save(
                out, compress_streams=True, recompress_flate=True, object_stream_mode=pikepdf.ObjectStreamMode.disable
            )
        self._base = out.getvalue()
        with pikepdf.open(io.BytesIO(self._base)) as document:
            page = document.pages[0]
            self._content_id = page.Contents[1].objgen[0]
            self._font_id = page.Resources.Font["/S0"].objgen[0]
            self._size, self._root = int(document.trailer.Size), document.trailer.Root.objgen[0]
            self._info = document.trailer.Info.objgen[0] if "/Info" in document.trailer else 0
        self._previous = int(self._base[self._base.rindex(b"startxref") + 9 :].split()[0])

    def copy(self, stamps: Iterable[Line | Modules]) -> bytes:
        """This function will return one stamped copy: the sheet's bytes and an appended update with what is this copy's own.

        At most 256 different characters can be stamped on one copy.
        """
        fonts = _Fonts()
        content = zlib.compress(_draw(stamps, self.height, fonts))
        (keys,) = fonts.fonts() or [[]]
        objects: dict[int, bytes] = {self._content_id: _stream(content)}
        number = self._size
        unicode_id = number
        objects[number] = _stream(zlib.compress(_to_unicode(keys)))
        procs = []
        for key in keys:
            number += 1
            objects[number] = _stream(_glyph(*key).stream)
            procs.append(number)
        names = " ".join(f"/g{code}" for code in range(len(keys)))
        widths = " ".join(f"{_glyph(*key).width:g}" for key in keys)
        char_procs = " ".join(f"/g{code} {proc} 0 R" for code, proc in enumerate(procs))
        objects[self._font_id] = (
            "<</Type/Font/Subtype/Type3/FontBBox[-500 -500 2500 1500]/FontMatrix[.001 0 0 .001 0 0]/Resources<<>>"
            f"/FirstChar 0/LastChar {max(0, len(keys) - 1)}/Widths[{widths}]/Encoding<</Type/Encoding/Differences[0 {names}]>>"
            f"/CharProcs<<{char_procs}>>/ToUnicode {unicode_id} 0 R>>"
        ).encode()
        return self._appended(objects, number + 1)

    def _appended(self, objects: dict[int, bytes], size: int) -> bytes:
        parts, place, offsets = [self._base], len(self._base), {}
        for number, body in objects.items():
            text = b"%d 0 obj\n%b\nendobj\n" % (number, body)
            offsets[number] = place
            parts.append(text)
            place += len(text)
        table = b"xref\n" + b"".join(
            b"%d 1\n%010d 00000 n \n" % (number, offsets[number]) for number in sorted(offsets)
        )
        info = b"/Info %d 0 R" % self._info if self._info else b""
        parts.append(
            table
            + b"trailer\n<</Size %d/Root %d 0 R%b/Prev %d>>\nstartxref\n%d\n%%%%EOF\n"
            % (size, self._root, info, self._previous, place)
        )
        return b"".join(parts)


def _stream(compressed: bytes) -> bytes:
    return b"<</Filter/FlateDecode/Length %d>>stream\n%b\nendstream" % (len(compressed), compressed)


def bind(copies: Iterable[tuple[Sheet, Iterable[Line | Modules]]], *, title: str = "") -> bytes:
    """This function will bind stamped copies into one PDF, a page each, in the order given.

    Each sheet is stored once and shared by its pages, and so are the outlines of characters.
    """
    import pikepdf
    from pikepdf import Array, Dictionary, Name

    fonts = _Fonts()
    with pikepdf.new() as document:
        forms: dict[int, tuple[pikepdf.Object, pikepdf.Object]] = {}
        pages: list[pikepdf.Object] = []
        font_dictionary = document.make_indirect(Dictionary())
        for sheet, stamps in copies:
            if id(sheet) not in forms:
                with pikepdf.open(io.BytesIO(sheet.pdf)) as source:
                    media_box = source.pages[0].mediabox
                    form = document.copy_foreign(source.pages[0].as_form_xobject())
                    forms[id(sheet)] = (form, Array([float(number) for number in media_box]))
            form, box = forms[id(sheet)]
            content = b"q /T Do Q\n" + _draw(stamps, sheet.height, fonts)
            page = Dictionary(
                Type=Name.Page, MediaBox=box, Contents=document.make_stream(content),
                Resources=Dictionary(XObject=Dictionary(T=form), Font=font_dictionary),
            )  # fmt: skip
            document.pages.append(pikepdf.Page(document.make_indirect(page)))
            pages.append(page)
        for index, keys in enumerate(fonts.fonts()):
            char_procs, widths = Dictionary(), Array()
            for code, key in enumerate(keys):
                glyph = _glyph(*key)
                proc = document.make_stream(zlib.decompress(glyph.stream))
                char_procs[f"/g{code}"] = proc
                widths.append(round(glyph.width, 2))
            font_dictionary[f"/S{index}"] = document.make_indirect(
                Dictionary(
                    Type=Name.Font, Subtype=Name.Type3, FontBBox=Array([-500, -500, 2500, 1500]),
                    FontMatrix=Array([0.001, 0, 0, 0.001, 0, 0]), Resources=Dictionary(), FirstChar=0,
                    LastChar=len(keys) - 1, Widths=widths,
                    Encoding=Dictionary(
                        Type=Name.Encoding, Differences=Array([0, *(Name(f"/g{code}") for code in range(len(keys)))])
                    ),
                    CharProcs=char_procs, ToUnicode=document.make_stream(_to_unicode(keys)),
                )
            )  # fmt: skip
        if title:
            document.docinfo["/Title"] = title
        out = io.BytesIO()
        document.save(out, compress_streams=True, object_stream_mode=pikepdf.ObjectStreamMode.generate)
        return out.getvalue()


def join(parts: Iterable[bytes]) -> bytes:
    """This function will put PDFs behind each other into one."""
    import pikepdf

    with pikepdf.new() as document:
        for part in parts:
            with pikepdf.open(io.BytesIO(part)) as source:
                document.pages.extend(source.pages)
        out = io.BytesIO()
        document.save(out, compress_streams=True, object_stream_mode=pikepdf.ObjectStreamMode.generate)
        return out.getvalue()
