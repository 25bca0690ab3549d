"""`centerx.import_file`: weights and configurations of other code bases -> ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from centerx.errors import InputError, nearest
from centerx.files import require_utf8, require_writable

if TYPE_CHECKING:
    from centerx.interop.configs import ImportedConfig

CONFIGS = (".yaml", ".yml", ".py")  # suffixes of configurations
COLOURS = "RGB", "BGR"


class ImportedFile(NamedTuple):
    """A file that was written.

    Attributes:
        file: the file.
        what: a line that says what it is; of a configuration, what is still to be filled in.
        config: of a configuration, what became of its keys; None of weights.
    """

    file: Path
    what: str
    config: ImportedConfig | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the tree of `centerx import --json`."""
        keys = [row._asdict() for row in self.config.rows] if self.config else None
        return {"file": str(self.file), "what": self.what, "keys": keys}


def import_file(
    source: str | Path,
    out: str | Path,
    *,
    classes: Sequence[str] | None = None,
    colour: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    ema: bool | None = None,
) -> ImportedFile:
    """Convert weights or configurations of CenterNet, centerX and CenterNet-better(-plus), or weights of a backbone.

    Args:
        source: a checkpoint, or a YAML configuration, to which nothing of the rest applies.
        out: the file to write.
        classes: names of the classes; for 80 those of COCO without it.
        colour: order of channels, RGB or BGR, where the network was trained otherwise than published.
        mean: of pixels in [0, 1], three numbers, likewise.
        std: of pixels in [0, 1], three numbers, likewise.
        ema: take the moving average of the weights, or not. Default: where there is one.

    Raises:
        InputError: the file is none of these, its tensors do not fit, or `out` cannot be written.
    """
    source, out = Path(source), Path(out)
    if colour not in (None, *COLOURS):
        raise InputError(f"--colour: {colour!r} is neither RGB nor BGR{nearest(str(colour).upper(), COLOURS)}")
    require_utf8(out)
    require_writable(out, [source])
    if source.suffix.lower() in CONFIGS:
        from centerx.interop.configs import import_config

        imported = import_config(source, out)
        return ImportedFile(out, f"fill in {imported.to_fill}", imported)

    from centerx.interop.convert import import_checkpoint

    return ImportedFile(out, import_checkpoint(source, out, classes, colour, mean, std, ema))
