"""Thumbnails and conversions, with Pillow."""

from io import BytesIO
from pathlib import PurePosixPath
from typing import Annotated, Literal

from msgspec import Meta, Struct
from PIL import Image, ImageOps, UnidentifiedImageError

from taskyard import Permanent, current, files, task

Width = Annotated[int, Meta(ge=1, le=4096, description="pixels")]
Quality = Annotated[int, Meta(ge=1, le=100)]

_SUFFIXES = {"jpeg": "jpg", "png": "png", "webp": "webp"}


class Picture(Struct):
    """A file that was made."""

    file: str
    width: int
    height: int
    bytes: int


@task("image.thumbnail")
def thumbnail(source: str, width: Width = 128, target: str | None = None) -> Picture:
    """Make a JPEG of a picture, `width` pixels wide, the height in proportion."""
    picture = _open(source)
    current.progress(0.4, "decoded")
    height = max(1, round(picture.height * width / picture.width))
    small = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    current.progress(0.8, "resized")
    return _save(small, "jpeg", 85, target or f"outputs/{PurePosixPath(source).stem}-{width}.jpg")


@task("image.convert")
def convert(
    source: str,
    format: Literal["jpeg", "png", "webp"],  # noqa: A002 - the name clients know
    quality: Quality = 85,
    target: str | None = None,
) -> Picture:
    """Save a picture in another format; transparency becomes white where the format has none."""
    picture = _open(source)
    current.progress(0.5, "decoded")
    if format == "jpeg" and picture.mode in ("RGBA", "LA", "P"):
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    if format == "jpeg":
        picture = picture.convert("RGB")
    stem = PurePosixPath(source).stem
    return _save(picture, format, quality, target or f"outputs/{stem}.{_SUFFIXES[format]}")


def _open(source: str) -> Image.Image:
    """Return a picture, upright and decoded. What is none, or is a bomb, fails for good."""
    try:
        picture = Image.open(BytesIO(files.read(source)))
        return ImageOps.exif_transpose(picture)
    except UnidentifiedImageError:
        raise Permanent(f"{source!r} is not a picture in a format that is known here") from None
    except (OSError, Image.DecompressionBombError, SyntaxError) as error:
        raise Permanent(f"{source!r} cannot be decoded: {error}") from error


def _save(picture: Image.Image, format_: str, quality: int, target: str) -> Picture:
    encoded = BytesIO()
    picture.save(encoded, format_, quality=quality)
    data = encoded.getvalue()
    return Picture(
        file=files.write(target, data), width=picture.width, height=picture.height, bytes=len(data)
    )
