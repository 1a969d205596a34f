"""Images: the public sets, folders of classes, folders of images with masks, and single files."""

from typing import TYPE_CHECKING

from gradloom.later import later

if TYPE_CHECKING:
    from gradloom.data.images.cifar import cifar10, cifar100
    from gradloom.data.images.collection import Images
    from gradloom.data.images.decode import read_image
    from gradloom.data.images.folders import image_folder
    from gradloom.data.images.idx_sets import fashion_mnist, mnist
    from gradloom.data.images.masks import mask_folder
    from gradloom.data.images.membranes import isbi
    from gradloom.data.images.pipeline import ImagePipeline

__all__ = [
    "ImagePipeline",
    "Images",
    "cifar10",
    "cifar100",
    "fashion_mnist",
    "image_folder",
    "isbi",
    "mask_folder",
    "mnist",
    "read_image",
]

__getattr__, __dir__ = later(
    __name__,
    __all__,
    {
        "cifar": "cifar10 cifar100",
        "collection": "Images",
        "decode": "read_image",
        "folders": "image_folder",
        "idx_sets": "fashion_mnist mnist",
        "masks": "mask_folder",
        "membranes": "isbi",
        "pipeline": "ImagePipeline",
    },
)
