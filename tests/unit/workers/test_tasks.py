"""workers/: the shipped tasks, called as the functions they are, on the shipped files."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from taskyard import Permanent, files
from taskyard.files import FileRefused, Stores
from workers.analysis.tasks import summarize
from workers.documents.tasks import render
from workers.media.tasks import convert, thumbnail

EXAMPLES = Path(__file__).parents[3] / "examples" / "files"


@pytest.fixture(autouse=True)
def stores(tmp_path: Path) -> Stores:
    return files.configure({"inputs": str(EXAMPLES), "outputs": str(tmp_path)})


def picture(stores: Stores, name: str) -> Image.Image:
    return Image.open(BytesIO(stores.read(name)))


def test_a_thumbnail_keeps_the_proportions(stores: Stores) -> None:
    """600 × 400 becomes 90 × 60, as a JPEG."""
    made = thumbnail("inputs/coffee.png", 90)
    found = picture(stores, made.file)
    assert (found.format, found.size) == ("JPEG", (90, 60))
    assert (made.width, made.height) == (90, 60)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_conversion_changes_the_format_only(stores: Stores, kind: str) -> None:
    """Size and picture stay."""
    made = convert("inputs/chelsea.png", kind)
    found = picture(stores, made.file)
    assert (found.format, found.size) == (kind.upper(), (451, 300))


def test_transparency_becomes_white_where_there_is_none(stores: Stores) -> None:
    """JPEG has no transparency."""
    seen = BytesIO()
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(seen, "PNG")
    stores.write("outputs/clear.png", seen.getvalue())
    made = convert("outputs/clear.png", "jpeg", target="outputs/white.jpg")
    assert picture(stores, made.file).getpixel((0, 0)) == (255, 255, 255)


def test_what_is_no_picture_fails_for_good(stores: Stores) -> None:
    """A text, and a picture that breaks off."""
    stores.write("outputs/half.png", (EXAMPLES / "coffee.png").read_bytes()[:9000])
    for source in ("inputs/README.md", "outputs/half.png"):
        with pytest.raises(Permanent, match=source):
            thumbnail(source)


def test_a_report_has_pages_and_is_the_same_each_time(stores: Stores) -> None:
    """A PDF with as many pages as the rows need; the same rows make the same bytes."""
    first = render("inputs/airports.csv", "US airports", ["iata", "name"], "state", 300)
    data = stores.read(first.file)
    render("inputs/airports.csv", "US airports", ["iata", "name"], "state", 300)
    assert data.startswith(b"%PDF-")
    assert data.count(b"/Type /Page\n") == first.pages > 3
    assert stores.read(first.file) == data


def test_a_summary_counts_what_is_there() -> None:
    """CSV and Parquet give the same answer."""
    from_csv = summarize("inputs/airports.csv", group_by="state")
    from_parquet = summarize("inputs/airports.parquet", group_by="state")
    assert from_csv["rows"] == from_parquet["rows"] == 3376
    assert from_csv["groups"]["AK"] == from_parquet["groups"]["AK"] == 263
    assert from_csv["columns"]["latitude"]["max"] == 71.2854475


def test_an_unknown_column_is_named_with_the_known_ones() -> None:
    """The message says what there is instead."""
    for call in (
        lambda: summarize("inputs/airports.csv", ["nope"]),
        lambda: render("inputs/airports.csv", "t", chart="nope"),
    ):
        with pytest.raises(Permanent, match="'nope'; there are iata"):
            call()


def test_files_outside_the_stores_are_refused() -> None:
    """Arguments come from callers."""
    for task in (thumbnail, summarize):
        with pytest.raises(FileRefused):
            task("inputs/../../README.md")
