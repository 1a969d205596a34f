"""Training: the trainer, its callbacks, model files."""

from typing import TYPE_CHECKING

from gradloom.later import later
from gradloom.train.callbacks import Callback, Checkpoint, EarlyStopping
from gradloom.train.checkpoint import read_header
from gradloom.train.drift import Adwin, DriftDetector, PageHinkley
from gradloom.train.history import History
from gradloom.train.mapreduce import MapReduce
from gradloom.train.online import online
from gradloom.train.preprocessing import Predictions, Preprocessing
from gradloom.train.sampling import WeightedSampling
from gradloom.train.source import Stream
from gradloom.train.stopping import AssertMonotone, Generalization, ReduceOnPlateau, StopAtRest, StopAtTarget
from gradloom.train.trainable import LinearStackWarning
from gradloom.train.trainer import Trainer

if TYPE_CHECKING:
    from gradloom.train.comparing import Comparison, compare_optimizers
    from gradloom.train.diagnosis.diagnose import diagnose
    from gradloom.train.diagnosis.finding import Diagnosis, Finding
    from gradloom.train.diagnosis.watch import Watch
    from gradloom.train.loading import load
    from gradloom.train.tensorboard import TensorBoard
    from gradloom.train.tiling import predict_tiles, tile_overlap

__all__ = [
    "Adwin",
    "AssertMonotone",
    "Callback",
    "Checkpoint",
    "Comparison",
    "Diagnosis",
    "DriftDetector",
    "EarlyStopping",
    "Finding",
    "Generalization",
    "History",
    "LinearStackWarning",
    "MapReduce",
    "PageHinkley",
    "Predictions",
    "Preprocessing",
    "ReduceOnPlateau",
    "StopAtRest",
    "StopAtTarget",
    "Stream",
    "TensorBoard",
    "Trainer",
    "Watch",
    "WeightedSampling",
    "compare_optimizers",
    "diagnose",
    "load",
    "online",
    "predict_tiles",
    "read_header",
    "tile_overlap",
]

__getattr__, __dir__ = later(
    __name__,
    __all__,
    {
        "comparing": "Comparison compare_optimizers",
        "diagnosis.diagnose": "diagnose",
        "diagnosis.finding": "Diagnosis Finding",
        "diagnosis.watch": "Watch",
        "loading": "load",
        "tensorboard": "TensorBoard",
        "tiling": "predict_tiles tile_overlap",
    },
)
