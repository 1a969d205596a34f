"""Pictures of what a trained model does: each function takes a trainer and gives a :class:`Figure`.

In the order in which a picture is made: ``colours``, ``pixels`` (arrays as images), ``canvas`` (what is drawn where),
``svg`` and ``png`` (files), ``figure``; on these stand the functions, one file each.
"""

from gradloom.report.confusion import confusion_matrix
from gradloom.report.features import feature_maps
from gradloom.report.figure import Figure
from gradloom.report.filters import filters
from gradloom.report.occlusion import occlusion
from gradloom.report.saliency import saliency
from gradloom.report.samples import mistakes, samples
from gradloom.report.segmentation import segmentation

__all__ = [
    "Figure",
    "confusion_matrix",
    "feature_maps",
    "filters",
    "mistakes",
    "occlusion",
    "saliency",
    "samples",
    "segmentation",
]
