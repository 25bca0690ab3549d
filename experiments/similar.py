"""How similar changed copies of pictures are to them, and how similar other pictures are.

    python experiments/similar.py ../shared/data/bccd ../shared/data/facemask ../shared/data/coco_mini

Prints the smallest cosine of a picture and its copy for each change, over every twentieth picture, and for each folder
the 99.9 % quantile over all pairs of its pictures and the pairs that count as nearly the same.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageEnhance

from centerx.cli.main import run_and_exit
from centerx.data.similar import describe_picture, find_similar
from centerx.images import list_images, read_image

EVERY = 20


def changed(image: np.ndarray) -> dict[str, np.ndarray]:
    """Return copies of a picture by what was changed."""
    height, width = image.shape[:2]
    picture = Image.fromarray(image)
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=30)
    cut = round(0.03 * height), round(0.03 * width)
    return {
        "JPEG of quality 30": np.asarray(Image.open(content).convert("RGB")),
        "half size": cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        "square": cv2.resize(image, (300, 300)),
        "brighter": np.asarray(ImageEnhance.Brightness(picture).enhance(1.3)),
        "darker": np.asarray(ImageEnhance.Brightness(picture).enhance(0.7)),
        "more contrast": np.asarray(ImageEnhance.Contrast(picture).enhance(1.4)),
        "grey": np.asarray(picture.convert("L").convert("RGB")),
        "cut by 3 %": image[cut[0] : height - cut[0], cut[1] : width - cut[1]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    args = parser.parse_args()
    least: dict[str, float] = {}
    for folder in args.folders:
        files = list_images(folder)
        vectors = np.stack([describe_picture(read_image(file)) for file in files])
        for file, vector in zip(files[::EVERY], vectors[::EVERY], strict=True):
            for change, copy in changed(read_image(file)).items():
                least[change] = min(float(vector @ describe_picture(copy)), least.get(change, 1.0))
        cosines = (vectors @ vectors.T)[np.triu_indices(len(files), 1)]
        print(f"{folder}: {len(files)} pictures, 99.9 % of pairs below {np.quantile(cosines, 0.999):.3f}")
        for first, second, cosine in find_similar(vectors):
            print(f"  {cosine:.3f} {files[first].name} {files[second].name}")
    for change, cosine in least.items():
        print(f"{change}: {cosine:.3f}")


if __name__ == "__main__":
    run_and_exit(main)
