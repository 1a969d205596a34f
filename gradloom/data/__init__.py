"""Data: reading files and frames, tables, images, preprocessing that is fitted on the training part, splits."""

from typing import TYPE_CHECKING

from gradloom.later import later

if TYPE_CHECKING:
    from gradloom.data import augment
    from gradloom.data.arrays import Arrays
    from gradloom.data.encode import Labels, OneHot, Ordinal
    from gradloom.data.images import (
        ImagePipeline,
        Images,
        cifar10,
        cifar100,
        fashion_mnist,
        image_folder,
        isbi,
        mask_folder,
        mnist,
        read_image,
    )
    from gradloom.data.impute import Impute
    from gradloom.data.layout import from_columns, to_columns
    from gradloom.data.pipeline import TablePipeline
    from gradloom.data.reduction import PCA, DropFeatures
    from gradloom.data.scaling import Log, MinMax, Range, Standardize
    from gradloom.data.sources import load
    from gradloom.data.splits import Split, default_fractions, k_fold, split, split_by_time
    from gradloom.data.summary import describe
    from gradloom.data.table import Column, Table
    from gradloom.data.target import TargetPipeline

__all__ = [
    "PCA",
    "Arrays",
    "Column",
    "DropFeatures",
    "ImagePipeline",
    "Images",
    "Impute",
    "Labels",
    "Log",
    "MinMax",
    "OneHot",
    "Ordinal",
    "Range",
    "Split",
    "Standardize",
    "Table",
    "TablePipeline",
    "TargetPipeline",
    "augment",
    "cifar10",
    "cifar100",
    "default_fractions",
    "describe",
    "fashion_mnist",
    "from_columns",
    "image_folder",
    "isbi",
    "k_fold",
    "load",
    "mask_folder",
    "mnist",
    "read_image",
    "split",
    "split_by_time",
    "to_columns",
]

__getattr__, __dir__ = later(
    __name__,
    __all__,
    {
        "augment": "",
        "arrays": "Arrays",
        "encode": "Labels OneHot Ordinal",
        "images": "ImagePipeline Images cifar10 cifar100 fashion_mnist image_folder isbi mask_folder mnist read_image",
        "impute": "Impute",
        "layout": "from_columns to_columns",
        "pipeline": "TablePipeline",
        "reduction": "PCA DropFeatures",
        "scaling": "Log MinMax Range Standardize",
        "sources": "load",
        "splits": "Split default_fractions k_fold split split_by_time",
        "summary": "describe",
        "table": "Column Table",
        "target": "TargetPipeline",
    },
)
