"""Labels near a bare folder of pictures: named by their format, and nothing else taken for labels."""

import json
from pathlib import Path

import pytest

from centerx.data import foreign, signs
from centerx.data.foreign import foreign_labels
from centerx.data.read import scan_dataset
from centerx.images import list_images
from centerx.problems import Kind, Problem
from tests.data.handmade import coco_annotation, coco_image, write_coco, write_picture, write_text, write_voc

KITTI = (
    "Car 0.00 0 -1.57 387.63 181.54 423.81 203.12 1.67 1.87 3.69 -16.53 2.39 58.49 1.57\n"
    "DontCare -1 -1 -10 1 2 3 4 -1 -1 -1 -1000 -1000 -1000 -10\n"
)
VISDRONE = "10,20,30,40,1,4,0,0\n"
DOTA = "imagesource:GoogleEarth\ngsd:0.146\n1.0 2.0 3.0 2.0 3.0 4.0 1.0 4.0 plane 0\n"
VIA = {"a.png6": {"filename": "a.png", "size": 6, "regions": [{"shape_attributes": {"name": "rect", "x": 1}}]}}
VIA_CSV = 'filename,file_size,file_attributes,region_count,region_id,region_shape_attributes\na.png,6,"{}",1,0,"{}"\n'
STUDIO = {"data": {"image": "/data/upload/a.png"}, "annotations": [{"result": [{"from_name": "l", "to_name": "i"}]}]}
DATUMARO = {"info": {}, "categories": {}, "items": [{"id": "a", "annotations": [{"type": "bbox", "label_id": 0}]}]}
CVAT = '<?xml version="1.0"?>\n<annotations><version>1.1</version><image id="0" name="a.png"/></annotations>'
CREATEML = [{"image": "a.png", "annotations": [{"label": "cat", "coordinates": {"x": 1, "y": 2}}]}]
SUPERANNOTATE = {"metadata": {}, "instances": [{"type": "bbox", "className": "cat"}]}
ROBOFLOW = "filename,width,height,class,xmin,ymin,xmax,ymax\na.png,4,4,cat,1,1,2,2\n"
WHEAT = 'image_id,width,height,bbox,source\na.png,1024,1024,"[8.0, 2.0, 5.0, 3.0]",x\n'
ROTATED = "<annotation><object><robndbox><cx>1</cx></robndbox></object></annotation>"
FAIR1M = "<annotation><objects><object><possibleresult>1</possibleresult></object></objects></annotation>"
OPENIMAGES = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\na,xclick,/m/01g317,1,0.1,0.2,0.3,0.4\n"

# The file, its text, a part of the format's name.
LABELS = {
    "labelme": ("a.json", {"version": "5", "shapes": [], "imagePath": "a.png"}, "LabelMe"),
    "createml": ("_annotations.createml.json", CREATEML, "CreateML"),
    "label studio": ("export.json", [STUDIO], "Label Studio"),
    "label studio, short": ("min.json", [{"image": "a.png", "label": [{"rectanglelabels": ["cat"]}]}], "Label Studio"),
    "via": ("via_region_data.json", VIA, "VGG"),
    "via csv": ("via.csv", VIA_CSV, "VGG"),
    "supervisely": ("ds/ann/a.png.json", {"size": {}, "objects": [{"classTitle": "cat", "points": {}}]}, "Supervisely"),
    "superannotate": ("a.png___objects.json", SUPERANNOTATE, "SuperAnnotate"),
    "datumaro": ("default.json", DATUMARO, "Datumaro"),
    "bdd100k": ("bdd.json", [{"name": "a.png", "labels": [{"category": "car", "box2d": {"x1": 1}}]}], "BDD100K"),
    "vott": ("x-asset.json", {"asset": {"name": "a.png"}, "regions": [], "version": "2"}, "VoTT"),
    "labelbox": ("export.ndjson", {"data_row": {"external_id": "a.png"}, "projects": {}}, "Labelbox"),
    "hugging face": ("metadata.jsonl", {"file_name": "a.png", "objects": {"bbox": [[1, 2, 3, 4]]}}, "Hugging Face"),
    "cityscapes": ("a_gtFine_polygons.json", {"imgHeight": 1, "objects": [{"polygon": []}]}, "Cityscapes"),
    "unknown json": ("a.json", {"whoever": 1, "bbox": [1, 2, 3, 4]}, "unknown form"),
    "roboflow csv": ("_annotations.csv", ROBOFLOW, "Roboflow"),
    "deepforest csv": ("trees.csv", "image_path,xmin,ymin,xmax,ymax,label\na.png,1,1,2,2,Tree\n", "DeepForest"),
    "retinanet csv": ("train.csv", "a.png,1,1,2,2,cat\nb.png,,,,,\n", "RetinaNet"),
    "gtsrb csv": ("GT-00000.csv", "Filename;Width;Height;Roi.X1;Roi.Y1;ClassId\na.png;2;2;1;1;0\n", "GTSRB"),
    "wheat csv": ("train.csv", WHEAT, "csv of boxes"),
    "automl csv": ("flat.csv", "TRAIN,gs://bucket/a.png,cat,0.1,0.1,,,0.3,0.3,,\n", "AutoML"),
    "masks csv": ("masks.csv", "ImageId,EncodedPixels\na.png,1 3 10 5\n", "run lengths"),
    "openimages csv": ("x/y/train-annotations-bbox.csv", OPENIMAGES, "OpenImages"),
    "kitti": ("label_2/a.txt", KITTI, "KITTI"),
    "yolo": ("a.txt", "0 0.5 0.5 0.25 0.25\n1 0.1 0.1 0.05 5e-2\n", "YOLO"),
    "dota": ("labelTxt/a.txt", DOTA, "DOTA"),
    "dota without a header": ("labelTxt/a.txt", "1.0 2.0 3.0 2.0 3.0 4.0 1.0 4.0 large-vehicle 1\n", "DOTA"),
    "icdar": ("gt_a.txt", "377,117,463,117,465,130,378,130,Genaxis Theatre\n", "ICDAR"),
    "icdar 2013": ("gt_a.txt", '38, 43, 920, 215, "Tiredness"\n', "ICDAR"),
    "visdrone": ("annotations/a.txt", "684,8,273,116,0,0,0,0\n406,119,265,70,0,0,0,0,\n", "VisDrone"),
    "mot": ("gt/gt.txt", "1,1,399,182,121,229,1,-1,-1,-1\n", "MOTChallenge"),
    "oidv4": ("Label/a.txt", "Traffic light 10.5 20.25 30 40\n", "OIDv4"),
    "widerperson": ("a.txt", "2\n1 10 10 20 20\n2 3 3 4 4\n", "WiderPerson"),
    "unknown text": ("a.txt", "14 0.431418 162.0 96.0 189.0 245.0\n", "text of numbers"),
    "unknown list": ("list.txt", "a.png 3 5 7 9 cat\n", "pictures and numbers"),
    "keras-yolo3": ("train.txt", "b.png\ndata/a.png 1,2,3,4,0 5,6,7,8,1\n", "keras-yolo3"),
    "wider": ("deep/er/list.txt", "a.png\n1\n449 330 122 149 0 0 0 0 0 0\n", "WIDER"),
    "crowdhuman": ("deep/er/a.odgt", {"ID": "a", "gtboxes": []}, "CrowdHuman"),
    "cvat": ("annotations.xml", CVAT, "CVAT"),
    "rolabelimg": ("deep/er/a.xml", ROTATED, "roLabelImg"),
    "dlib": ("training.xml", "<dataset><images><image file='a.png'><box top='1'/></image></images></dataset>", "dlib"),
    "fair1m": ("deep/er/a.xml", FAIR1M, "FAIR1M"),
    "tfrecord": ("train.tfrecord-00000-of-00002", "\x10\x00", "TFRecord"),
    "lmdb": ("data.mdb", "\x10\x00", "LMDB"),
    "parquet": ("data/train-00000-of-00001.parquet", "PAR1", "Parquet"),
    "matlab": ("devkit/cars_train_annos.mat", "MATLAB 5.0 MAT-file", "MATLAB"),
    "a mat a picture": ("a.mat", "MATLAB 5.0 MAT-file", "MATLAB"),
    "pickle": ("annotations.pkl", "\x80\x04", "pickle"),
    "camvid": ("label_colors.txt", "64 128 64\tAnimal\n", "CamVid"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of pictures, apart from those of other tests."""
    folder = tmp_path / "a" / "set"
    write_picture(folder / "a.png")
    return folder


def look(folder: Path) -> Problem | None:
    return foreign_labels(folder, list_images(folder))


def write(path: Path, content: object) -> Path:
    return write_text(path, content if isinstance(content, str | bytes) else json.dumps(content))


@pytest.mark.parametrize("name", LABELS)
def test_labels_in_a_folder_of_pictures_are_named_with_the_first_file_and_the_ways_out(folder: Path, name: str) -> None:
    place, content, format_name = LABELS[name]
    assert look(folder) is None
    file = write(folder / place, content)
    problem = look(folder)
    assert problem is not None
    assert (problem.kind, problem.where, problem.times) == (Kind.UNREAD_LABELS, str(file), 1)
    assert format_name in problem.what
    assert "`--format folder`" in problem.what


@pytest.mark.parametrize(
    ("pictures", "labels"),
    [
        ("image_2", "label_2/a.txt"),
        ("images", "labels/train/a.txt"),
        ("images/train", "labels/train/a.txt"),
        ("images", "train_labels/a.txt"),
        (".", "kitti/labels/a.txt"),
        ("images", "a.txt"),
    ],
)
def test_labels_beside_the_folder_are_told_where_they_belong_to_its_pictures(
    tmp_path: Path, pictures: str, labels: str
) -> None:
    write_picture(tmp_path / "set" / pictures / "a.png")
    others = ((KITTI, Kind.TWO_PLACES), (DOTA, Kind.TWO_PLACES), (VISDRONE, Kind.UNREAD_LABELS))
    for content, kind in others:  # the last cannot be read
        file = write_text(tmp_path / "set" / labels, content)
        problem = look(tmp_path / "set" / pictures)
        assert problem is not None
        if pictures == ".":
            kind = Kind.UNREAD_LABELS  # within the folder itself
        assert (problem.kind, Path(problem.where), problem.times) == (kind, file, 1)
        if kind == Kind.TWO_PLACES and content == KITTI:
            found = scan_dataset(tmp_path / "set")
            assert (found.format, [record.image.is_file() for record in found.records]) == ("kitti", [True])
    write_picture(tmp_path / "set" / "others" / "pictures" / "b.png")
    assert look(tmp_path / "set" / "others" / "pictures") is None


def test_one_file_beside_the_folder_is_told_where_it_names_one_of_its_pictures(tmp_path: Path) -> None:
    write_picture(tmp_path / "train" / "a.png")
    write_picture(tmp_path / "negatives" / "n.png")
    file = write_coco(tmp_path / "annotations" / "train.json")
    write_coco(tmp_path / "annotations" / "other.json", images=[coco_image(file_name="b.png")])
    problem = look(tmp_path / "train")
    assert problem is not None
    assert (problem.kind, problem.where) == (Kind.TWO_PLACES, str(file)), "they are read where they are named"
    assert "COCO json (and 1 more .json files there); name this file" in problem.what
    assert look(tmp_path / "negatives") is None


def test_a_large_file_is_known_by_its_beginning_and_end(tmp_path: Path) -> None:
    write_picture(tmp_path / "train" / "a.png")
    images = [coco_image(file_name="a.png"), *(coco_image(n, f"{n}.png") for n in range(2000))]
    file = write_coco(tmp_path / "train.json", images=images, annotations=[coco_annotation(n) for n in range(2000)])
    assert file.stat().st_size > 2 * signs.HEAD
    problem = look(tmp_path / "train")
    assert problem is not None
    assert problem.where == str(file)


def test_what_is_known_is_told_before_what_looks_like_labels(tmp_path: Path) -> None:
    write_picture(tmp_path / "image_2" / "a.png")
    write_text(tmp_path / "boxes" / "a.txt", "1 2 3 4 5 6\n")
    file = write_text(tmp_path / "label_2" / "a.txt", KITTI)
    problem = look(tmp_path)
    assert problem is not None
    assert problem.where == str(file)


@pytest.mark.parametrize(
    ("place", "content"),
    [
        ("README.txt", "Pictures of 2 cats and 4 dogs\n\n1 2 3 4\n"),
        ("LICENSE.txt", "Copyright 1 2 3 4 5"),
        ("requirements.txt", "numpy==1.26.4\n"),
        ("package.json", {"name": "a.png", "version": "1.0.0", "objects": []}),
        ("dataset_info.json", {"features": {"image": {"dtype": "image"}, "objects": {"bbox": {"dtype": "float32"}}}}),
        ("transforms.json", {"frames": [{"file_path": "a.png", "transform_matrix": [[1, 2, 3, 4]]}]}),
        ("image_info.json", {"images": [coco_image()], "categories": [{"id": 1, "name": "cat"}]}),
        ("captions.json", {"images": [coco_image()], "annotations": [{"image_id": 1, "id": 1, "caption": "a cat"}]}),
        ("found.json", [{"image": "a.png", "boxes": [{"bbox": [1, 2, 3, 4], "score": 0.5}]}]),
        ("results.json", [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]),
        ("a.xmp", "<x:xmpmeta><rdf:Description exif:box='1'/></x:xmpmeta>"),
        ("a.json", {"title": "a.png", "photoTakenTime": {"timestamp": "1"}, "geoData": {"latitude": 1.0}}),
        ("captions.txt", "a.png a cat on 2 mats, 3 dogs\n"),
        ("a.txt", "a photo of 2 cats, 3 dogs\n"),
        ("a.txt", ""),
        ("list.txt", "a.png\nb.png\n"),
        ("classes.txt", "cat\ndog\n"),
        ("labels.csv", "filename,label\na.png,cat\n"),
        ("exif.csv", "file,iso,shutter,aperture,focal\na.png,100,50,4,28\n"),
        ("stats.txt", "1 2 3 4 5 6\n2 3 4 5 6 7\n"),
        ("calib/a.txt", "P0: 7.2e+02 0.0 6.1e+02 0.0\nR0_rect: 9.9e-01 1.0e-02 0.0 0.0\n"),
        ("pose/other.txt", "0 0.5 0.5 0.25 0.25\n"),
        ("weights.pkl", "\x80\x04"),
        ("toolbox/model.mat", "MATLAB"),
        (".hidden/a.txt", KITTI),
        ("._a.txt", KITTI),
        ("__MACOSX/label_2/a.txt", KITTI),
        ("a.json", b"\xff\xfe\x00\x01" * 30_000),
    ],
)
def test_other_files_are_not_taken_for_labels(folder: Path, place: str, content: object) -> None:
    write(folder / place, content)
    assert look(folder) is None


@pytest.mark.parametrize(("place", "kind"), [("JPEGImages", Kind.TWO_PLACES), (".", Kind.UNREAD_LABELS)])
def test_labels_that_can_be_read_are_told_how(tmp_path: Path, place: str, kind: Kind) -> None:
    write_picture(tmp_path / "a" / "JPEGImages" / "a.png")
    write_voc(tmp_path / "a" / "Annotations" / "a.xml", ("cat", (1, 1, 2, 2)))
    problem = look(tmp_path / "a" / place)
    assert problem is not None
    assert problem.kind == kind
    assert "Pascal VOC xml; name the folder that holds labels and pictures" in problem.what


def test_only_a_few_of_many_files_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    def read(file: Path) -> signs.Text:
        opened.append(file)
        return signs.Text("nothing", "")

    monkeypatch.setattr(foreign, "read_signs", read)
    pictures = [tmp_path / f"{place}/{number}.png" for place in range(20) for number in range(50)]
    for picture in pictures:
        write_text(picture.with_suffix(".txt"), "")
        write_text(picture.with_suffix(".json"), "")
    assert foreign_labels(tmp_path, pictures) is None
    assert len(opened) == 2 * foreign.MOST


def test_the_labels_of_real_data_are_named(shared_data: Path) -> None:
    expected = {
        "kitti_mini/training/image_2": "KITTI text",
        "kitti_mini": "KITTI text",
        "tracking": "MOTChallenge text",
        "plates": "WPOD-Net",
        "hit_uav/images": "roLabelImg xml",
        "bccd/JPEGImages": "Pascal VOC xml",
        "coco_people/images": "YOLO text",
    }
    for place, name in expected.items():
        problem = look(shared_data / place)
        assert problem is not None, place
        assert name in problem.what
    assert look(shared_data / "fixtures" / "exif") is None
