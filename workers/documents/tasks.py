"""Reports as PDF, with ReportLab."""

import csv
from collections import Counter
from collections.abc import Sequence
from io import BytesIO, StringIO
from pathlib import PurePosixPath
from typing import Annotated, Any

from msgspec import Meta, Struct
from reportlab.graphics.charts.barcharts import VerticalBarChart
from reportlab.graphics.shapes import Drawing
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from taskyard import Permanent, current, files, task

_BARS = 15
_CELL = 32  # characters; longer ones would push columns off the page


class Report(Struct):
    """A file that was made."""

    file: str
    pages: int
    rows: int
    bytes: int


@task("report.render")
def render(
    source: str,
    title: Annotated[str, Meta(min_length=1, max_length=120)],
    columns: list[str] | None = None,
    chart: str | None = None,
    rows: Annotated[int, Meta(ge=1, le=5000)] = 100,
    target: str | None = None,
) -> Report:
    """Make a PDF of a CSV file: a bar chart, then a table of the first `rows` rows.

    The chart shows how often each value of the column `chart` occurs.
    """
    header, records = _read(source)
    chosen = columns or header
    _require(header, [*chosen, *([chart] if chart else [])])
    current.progress(0.2, f"{len(records)} rows read")
    styles = getSampleStyleSheet()
    story: list[Flowable] = [Paragraph(_escaped(title), styles["Title"])]
    if chart:
        story += [Paragraph(f"Rows by {_escaped(chart)}", styles["Heading2"])]
        story += [
            _bars(Counter(record[header.index(chart)] for record in records)),
            Spacer(1, 8 * mm),
        ]
    shown = records[:rows]
    story += [_table(chosen, [[record[header.index(name)] for name in chosen] for record in shown])]
    current.progress(0.4, "laid out")
    data, pages = _build(title, story)
    name = target or f"outputs/{PurePosixPath(source).stem}-report.pdf"
    return Report(file=files.write(name, data), pages=pages, rows=len(shown), bytes=len(data))


def _read(source: str) -> tuple[list[str], list[list[str]]]:
    try:
        lines = list(csv.reader(StringIO(files.read(source).decode("utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Permanent(f"{source!r} cannot be read as CSV: {error}") from error
    if not lines:
        raise Permanent(f"{source!r} is empty")
    header = lines[0]
    if odd := next((n for n, line in enumerate(lines, 1) if len(line) != len(header)), None):
        raise Permanent(f"{source!r} has another number of fields in row {odd} than in its header")
    return header, lines[1:]


def _require(header: Sequence[str], wanted: Sequence[str]) -> None:
    if missing := [name for name in wanted if name not in header]:
        raise Permanent(
            f"the table has no column {', '.join(map(repr, missing))}; there are "
            + ", ".join(header)
        )


def _bars(counts: Counter[str]) -> Drawing:
    common = counts.most_common(_BARS)
    chart = VerticalBarChart()
    chart.x, chart.y, chart.width, chart.height = 30, 20, 420, 150
    chart.data = [[count for _, count in common]]
    chart.categoryAxis.categoryNames = [value[:10] or "(none)" for value, _ in common]
    chart.valueAxis.valueMin = 0
    chart.bars[0].fillColor = colors.HexColor("#2f6f8f")
    drawing = Drawing(470, 185)
    drawing.add(chart)
    return drawing


def _table(header: Sequence[str], records: Sequence[Sequence[str]]) -> Table:
    cells = [[cell[:_CELL] for cell in line] for line in (header, *records)]
    table = Table(cells, repeatRows=1, hAlign="LEFT")
    table.setStyle(
        TableStyle(
            [
                ("FONTSIZE", (0, 0), (-1, -1), 7),
                ("FONTNAME", (0, 0), (-1, 0), "Helvetica-Bold"),
                ("BACKGROUND", (0, 0), (-1, 0), colors.HexColor("#2f6f8f")),
                ("TEXTCOLOR", (0, 0), (-1, 0), colors.white),
                ("ROWBACKGROUNDS", (0, 1), (-1, -1), [colors.white, colors.HexColor("#eef3f6")]),
                ("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.lightgrey),
            ]
        )
    )
    return table


def _build(title: str, story: list[Flowable]) -> tuple[bytes, int]:
    made = BytesIO()
    # `invariant` leaves out dates and random ids: the same rows make the same file.
    document = SimpleDocTemplate(made, pagesize=A4, title=title, author="Taskyard", invariant=1)

    def footer(canvas: Any, _document: Any) -> None:
        canvas.setFont("Helvetica", 7)
        canvas.drawRightString(A4[0] - 20 * mm, 10 * mm, f"page {canvas.getPageNumber()}")
        current.progress(0.5, f"page {canvas.getPageNumber()} drawn")

    document.build(story, onFirstPage=footer, onLaterPages=footer)
    return made.getvalue(), document.page


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
